"""The device program as a user types it."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import build_bundle, write_photos

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.home import Home


def run(home: Path, *arguments: object, code: int = 0) -> SimpleNamespace:
    """In this process: starting one for each of these would cost most of the suite's time."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        found = console.run(program, "edgetl-device", ["--home", str(home), *map(str, arguments)])
    assert found == code, err.getvalue()
    return SimpleNamespace(stdout=out.getvalue(), stderr=err.getvalue())


def told(home: Path, *arguments: object, code: int = 0) -> dict:
    return json.loads(run(home, *arguments, "--json", code=code).stdout)


@pytest.fixture
def installed(tmp_path, bundle_path) -> Path:
    home = tmp_path / "home"
    assert told(home, "install", bundle_path) == {
        "name": "toys",
        "labels": ["ball", "box"],
        "groups": {},
        "version": 1,
        "agreement": 1.0,
        "signed_by": None,
    }
    return home


def test_the_story_of_a_device(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box", "kite"), 4, seed=9)
    found = told(installed, "classify", photos / "ball")
    assert [p["label"] for p in found["predictions"]] == ["ball"] * 4
    assert set(found["predictions"][0]) >= {"path", "label", "probability", "unknown", "latency_ms"}
    learned = told(installed, "learn", "kite", *sorted((photos / "kite").iterdir())[:3])
    assert learned["stored"] == 3 and learned["promoted"] and learned["version"] == 2 and learned["retrain_ms"] > 0
    (kite,) = told(installed, "classify", photos / "kite" / "0003.png")["predictions"]
    assert kite["label"] == "kite" and not kite["unknown"]
    assert [s["label"] for s in told(installed, "samples")["samples"]] == ["kite"] * 3
    assert told(installed, "samples", "--label", "ball")["samples"] == []
    assert told(installed, "export-stats", tmp_path / "s.stats")["labels"] == ["kite"]
    assert told(installed, "relabel", "dragon", 1, 2)["moved"] == 2
    assert told(installed, "forget", "--label", "dragon")["removed"] == 2
    assert told(installed, "forget", "--sample", 3)["removed"] == 1
    assert told(installed, "learn", "kite", *sorted((photos / "kite").iterdir()))["stored"] == 4
    assert told(installed, "forget", "--sample", 4, 5, 6)["removed"] == 3
    assert told(installed, "backup", tmp_path / "b.sqlite") == {"samples": 1, "versions": 7}
    assert told(installed, "forget", "--all")["removed"] == 1
    assert told(installed, "restore", tmp_path / "b.sqlite") == {"samples": 1, "versions": 7}
    assert told(installed, "forget", "--all")["removed"] == 1
    assert told(installed, "rollback", 1) == {"version": 1}
    status = told(installed, "status")
    assert status["samples"] == {} and status["version"] == 1 and status["bundle"]["name"] == "toys"
    states = [v["state"] for v in told(installed, "versions")["versions"]]
    assert states == ["factory", *["promoted"] * 7]
    assert told(installed, "retrain", "--head", "lda")["promoted"]


def test_what_the_gate_sets_aside_exits_with_1_and_says_what_to_do(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("box", "kite"), 12, seed=4)
    wrong = run(installed, "learn", "ball", photos / "box", code=1).stdout
    assert "not learned: " in wrong and "new photos of ball look like box" in wrong
    assert "batch 1: 12 samples taught as ball, set aside because\n" in wrong
    assert "`edgetl-device pending move 1`    they are box" in wrong
    assert max(map(len, wrong.splitlines())) <= 80
    assert told(installed, "learn", "kite", photos / "kite")["promoted"]  # it holds nothing up
    status = run(installed, "status").stdout
    assert "pending  batch 1, 12 samples of ball:\n" in status and "`edgetl-device pending` shows what you" in status
    assert max(map(len, status.splitlines()[:6])) <= 80
    (batch,) = told(installed, "pending")["pending"]
    assert [batch[key] for key in ("id", "label", "looks_like", "samples")] == [1, "ball", "box", 12]
    assert told(installed, "status")["pending"] == [batch] and batch["ids"] == list(range(1, 13))
    assert "pending" in run(installed, "samples", "--label", "ball").stdout


def test_each_pending_batch_is_moved_used_or_forgotten_by_itself(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("box", "ball"), 36, seed=4)
    boxes = sorted((photos / "box").iterdir())
    for number in range(3):
        told(installed, "learn", "ball", *boxes[12 * number : 12 * number + 12], code=1)
    assert [batch["id"] for batch in told(installed, "pending")["pending"]] == [1, 13, 25]
    assert told(installed, "pending", "forget", 13)["removed"] == 12
    moved = told(installed, "pending", "move", 1)
    assert moved["moved"] == 12 and moved["label"] == "box" and moved["promoted"]
    used = told(installed, "pending", "use", 25)
    assert used["promoted"] and used["label"] == "ball" and used["ids"] == list(range(49, 61))
    assert told(installed, "status")["samples"] == {"ball": 12, "box": 12} and not told(installed, "pending")["pending"]
    assert run(installed, "pending").stdout == "nothing is pending: the gate set nothing aside\n"
    error = run(installed, "pending", "use", 25, code=2).stderr
    assert error == "error: no pending batch 25: nothing is pending\n"
    assert "which batch?" in run(installed, "pending", "use", code=2).stderr
    assert "only `move` takes a label" in run(installed, "pending", "use", 25, "box", code=2).stderr


def test_a_wrong_photo_among_right_ones_is_told_within_80_columns(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 12, seed=4)
    text = run(installed, "learn", "ball", photos / "ball", min((photos / "box").iterdir())).stdout
    said = " ".join(text.split())
    assert "learned ball (12 samples)" in said and "set aside: 1 of the 13 new photos of ball looks like box" in said
    assert max(map(len, text.splitlines())) <= 80


def test_insisting_uses_what_is_pending_too(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("box",), 30, seed=4)
    told(installed, "learn", "ball", photos / "box", code=1)
    assert told(installed, "retrain", "--accept-scene-change")["promoted"]
    assert not told(installed, "pending")["pending"]


def test_a_bundle_that_makes_nothing_better_of_the_samples_is_installed_and_says_so(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("box",), 30, seed=4)
    told(installed, "learn", "ball", photos / "box", "--no-retrain")
    other = build_bundle(tmp_path / "other.edgetl", rule="lda")
    result = told(installed, "install", other)
    assert result["name"] == "other" and not result["promoted"] and "photos of ball look like box" in result["reason"]
    assert result["version"] == told(installed, "status")["version"]


def test_samples_can_be_stored_without_retraining(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite",), 2)
    assert told(installed, "learn", "kite", photos / "kite", "--no-retrain")["version"] == 1


def test_photos_are_kept_small_where_asked_and_only_there(installed: Path, tmp_path) -> None:
    from edgetl_device.photos import decode_photo

    photos = write_photos(tmp_path / "photos", ("kite",), 2, size=500)
    told(installed, "learn", "kite", photos / "kite" / "0000.png")
    told(installed, "learn", "kite", photos / "kite" / "0001.png", "--keep-photos")
    store = Home(installed).learner().store
    assert store.thumbnail(1) is None
    picture = store.thumbnail(2)
    assert picture is not None and decode_photo(picture).shape == (160, 160, 3) and len(picture) < 12_000


def test_samples_of_another_backbone_are_told_and_all_are_forgotten_with_what_was_hidden(
    installed: Path, tmp_path, bundle_path
) -> None:
    store = Home(installed).learner().store
    store.add_samples("kite", np.zeros((2, 48), np.int8), "an earlier backbone", "litert")
    store.hide("an earlier backbone", "owl")
    for command in (("status",), ("install", bundle_path)):
        said = run(installed, *command).stdout
        assert "2 samples belong to another backbone" in said and "`edgetl-device forget --all`" in said
    photos = write_photos(tmp_path / "photos", ("kite",), 1)
    told(installed, "forget", "--label", "ball")
    told(installed, "learn", "kite", photos)
    assert told(installed, "status")["labels"] == ["box", "kite"]
    assert told(installed, "forget", "--all")["removed"] == 3
    status = told(installed, "status")
    assert status["labels"] == ["ball", "box"] and status["samples"] == {} and status["samples_elsewhere"] == 0
    assert store.hidden("an earlier backbone") == frozenset()
    assert "another backbone" not in run(installed, "status").stdout


def test_status_tells_what_a_repair_lost_until_that_is_accepted(installed: Path) -> None:
    store = Home(installed).learner().store
    assert told(installed, "status")["repairs"] == []
    store.add_samples("kite", np.zeros((3, 48), np.int8), "b", "litert")
    store.close()
    (installed / "device.sqlite").unlink()
    said = run(installed, "status").stdout
    assert "3 of the 3 acknowledged samples are missing (the store: it is not there)" in said
    assert "`edgetl-device status --accept-loss`" in said
    (repair,) = told(installed, "status")["repairs"]
    assert repair["missing"] == 3 and repair["acknowledged"] == 3 and repair["samples"] == 0
    (store,) = [check for check in told(installed, "doctor")["checks"] if check["name"] == "store"]
    assert not store["ok"] and not store["needed"] and "3 of the 3" in store["detail"]
    assert "--accept-loss" in store["fix"]
    assert len(told(installed, "status", "--accept-loss")["repairs"]) == 1
    assert told(installed, "status")["repairs"] == []
    (store,) = [check for check in told(installed, "doctor")["checks"] if check["name"] == "store"]
    assert store["ok"]


def test_status_tells_whether_the_scene_drifted(installed: Path, tmp_path) -> None:
    assert told(installed, "status")["drift"] == {"state": "collecting", "frames": 0, "rank": None}
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 40, seed=8)
    told(installed, "classify", photos)
    drift = told(installed, "status")["drift"]
    assert drift["state"] == "steady" and drift["frames"] > 30 and 0.25 < drift["rank"] < 0.75
    strange = write_photos(tmp_path / "strange", ("ring",), 60, seed=3)
    for path in strange.rglob("*.png"):
        path.write_bytes(path.with_name("0000.png").read_bytes())  # always the same one
    told(installed, "classify", strange)
    assert told(installed, "status")["drift"]["frames"] <= drift["frames"] + 1


def test_where_there_is_no_room_for_a_new_head_the_samples_are_told_to_be_stored_or_forgotten(
    installed: Path, tmp_path, monkeypatch
) -> None:
    from edgetl_device.errors import StorageError
    from edgetl_device.store.versions import StoredVersions

    def full(*arguments: object, **options: object) -> None:
        raise StorageError("cannot write device.sqlite: disk full; free some disk space")

    run(installed, "status")
    monkeypatch.setattr(StoredVersions, "add", full)
    photos = write_photos(tmp_path / "photos", ("kite",), 2)
    done = run(installed, "learn", "kite", photos, "--json", code=2)
    result = json.loads(done.stdout)
    assert result["stored"] == 2 and "the samples are stored" in result["reason"] and "disk full" in done.stderr
    result = told(installed, "forget", "--sample", 1, code=2)
    assert result["removed"] == 1 and "the samples are forgotten" in result["reason"]
    monkeypatch.undo()
    assert told(installed, "retrain")["promoted"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("classify", "missing.jpg"), "no such file: missing.jpg"),
        (("classify",), "Missing argument"),
        (("learn", "a/b", __file__), "label 'a/b' holds '/'"),
        (("learn", "unknown", __file__), "choose another label"),
        (("learn", "cat", __file__), "none of 1 photos could be read"),
        (("forget",), "choose what to forget"),
        (("forget", "--label", "x"), "no label 'x': known labels: ball, box"),
        (("forget", "--label", "balls"), "no label 'balls': did you mean ball? known labels: ball, box"),
        (("samples", "--label", "bxo"), "no label 'bxo': did you mean box? known labels: ball, box"),
        (("install", "nowhere.edgetl"), "no such bundle: nowhere.edgetl; make one with `edgetl convert`"),
        (("forget", "--sample", "99"), "no sample 99"),
        (("rollback", "42"), "no version 42"),
        (("rollback",), "nothing to roll back to"),
        (("retrain", "--head", "forest"), "(another package can add heads)"),
        (("export-stats", "x.stats"), "nothing was learned yet"),
        (("install", __file__), "not a bundle"),
        (("classify", "--top", "0", __file__), "0 is not in the range"),
        (("backup", "{home}/device.sqlite", "--force"), "belongs to the store itself"),
        (("restore", "{home}/device.sqlite"), "is the store itself"),
        (("restore", __file__), "cannot be restored"),
        (("dance",), "No such command"),
        (("status", "--bogus"), "No such option"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(installed: Path, arguments, message: str) -> None:
    run(installed, "status")  # makes the store
    done = run(installed, *(str(argument).replace("{home}", str(installed)) for argument in arguments), code=2)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("skipped:")]
    assert len(lines) == 1 and message in lines[0], done.stderr
    assert done.stdout == ""


def test_a_folder_of_several_classes_is_refused_and_nothing_is_stored(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 2)
    done = run(installed, "learn", "cog", photos / "ball", photos, code=2)
    assert done.stderr == (
        f"error: {photos} holds folders of several classes (ball, box): give one class's folder, such as {photos}/ball\n"
    )
    assert told(installed, "samples")["samples"] == []
    only = write_photos(tmp_path / "only", ("kite",), 3)
    assert told(installed, "learn", "kite", only)["stored"] == 3


def test_a_new_label_like_a_known_one_is_refused_until_it_is_insisted_on(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite",), 3)
    refusal = "error: {} would be a new label: did you mean ball? `--new-label` if it is new\n"
    for slip in ("balls", "Ball", "bal l"):
        assert run(installed, "learn", slip, photos, code=2).stderr == refusal.format(slip)
    assert told(installed, "samples")["samples"] == []
    assert told(installed, "learn", "balls", photos, "--new-label")["stored"] == 3
    assert told(installed, "learn", "balls", photos)["stored"] == 3  # it is known now
    assert "did you mean kite" not in run(installed, "learn", "kite", photos).stdout
    assert run(installed, "relabel", "kites", 1, code=2).stderr.startswith("error: kites would be a new label: did you")
    assert told(installed, "relabel", "kites", 1, "--new-label")["moved"] == 1


def test_samples_are_named_by_ranges(installed: Path, tmp_path) -> None:
    run(installed, "learn", "kite", write_photos(tmp_path / "photos", ("kite",), 12))
    assert told(installed, "forget", "--sample", "2-3", 5)["removed"] == 3
    assert told(installed, "relabel", "ring", "1-4", 12)["moved"] == 3  # 1, 4 and 12: the others are gone
    assert [s["id"] for s in told(installed, "samples", "--label", "ring")["samples"]] == [1, 4, 12]
    for ids, message in [
        (("20-30",), "no samples 20-30"),
        (("9-6",), "did you mean 6-9?"),
        (("1-x",), "expected an id such as 7, or a range such as 1-60"),
        ((99,), "no sample 99"),
    ]:
        assert message in run(installed, "relabel", "ring", *ids, code=2).stderr
    assert "write --sample 6-8" in run(installed, "forget", "6-8", code=2).stderr


def test_background_is_taught_as_nothing_and_forgotten_as_any_sample(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box", "kite"), 4, seed=9)
    learned = told(installed, "learn", "--nothing", photos / "kite", "--no-retrain")
    assert learned["stored"] == 4 and told(installed, "retrain")["promoted"]
    found = told(installed, "classify", photos / "kite", "--top", 5)["predictions"]
    assert all(one["unknown"] and one["label"] in ("ball", "box") and len(one["top"]) == 2 for one in found)
    assert [one["label"] for one in told(installed, "samples")["samples"]] == ["(nothing)"] * 4
    status = told(installed, "status")
    assert status["samples"] == {"(nothing)": 4} and status["labels"] == ["ball", "box"]
    assert told(installed, "export-stats", tmp_path / "s.stats")["labels"] == ["(nothing)"]
    run(installed, "backup", tmp_path / "b.edgetl-backup")
    assert told(installed, "restore", tmp_path / "b.edgetl-backup")["samples"] == 4
    assert told(installed, "relabel", "kite", 1)["moved"] == told(installed, "relabel", "(nothing)", 1)["moved"] == 1
    assert told(installed, "forget", "--label", "(nothing)")["removed"] == 4
    assert "Missing argument 'IMAGES...'" in run(installed, "learn", "kite", code=2).stderr


def test_a_folder_ends_with_a_count_of_each_label(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 3, seed=9)
    write_photos(tmp_path / "photos", ("ball",), 4, seed=9)
    found = told(installed, "classify", photos)
    counts, strange = found["counts"], found["unknown"]  # one known photo in twenty is called unknown
    assert list(counts) == ["ball", "box"] and sum(counts.values()) + strange == 7 and strange <= 2
    unknown = f", unknown {strange}" if strange else ""
    last = run(installed, "classify", photos).stdout.splitlines()[-1]
    assert last == f"7 photos: ball {counts['ball']}, box {counts['box']}{unknown}"
    assert len(run(installed, "classify", photos / "box" / "0000.png").stdout.splitlines()) == 1


def test_a_forgotten_label_of_the_bundle_is_shown_as_hidden(installed: Path) -> None:
    run(installed, "forget", "--label", "ball")
    assert told(installed, "status")["hidden"] == ["ball"]
    assert "bundle   toys: ball (hidden), box\n" in run(installed, "status").stdout
    run(installed, "forget", "--all")
    assert told(installed, "status")["hidden"] == []


def test_restoring_over_a_sound_store_calls_nothing_damaged(installed: Path, tmp_path) -> None:
    run(installed, "backup", tmp_path / "card.sqlite")
    said = run(installed, "restore", tmp_path / "card.sqlite").stdout
    assert ".replaced-" in said and "damaged" not in said + "".join(path.name for path in installed.iterdir())


def test_a_run_is_told_from_a_bundle(installed: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    Path("run/run.json").touch()
    done = run(installed, "install", "run", code=2)
    assert done.stderr == "error: run is a RUN, not a bundle: `edgetl convert run -o run.edgetl` first\n"


def test_the_lines_of_learning_fit_80_columns_and_status_says_what_drift_waits_for(installed: Path, tmp_path) -> None:
    done = run(installed, "learn", "kite", write_photos(tmp_path / "photos", ("kite",), 15))
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "drift    unknown: 0 of 30 frames seen since this version" in run(installed, "status").stdout


def test_a_photo_that_is_not_there_starts_no_home(tmp_path) -> None:
    assert "no such file: cat.jpg" in run(tmp_path / "nowhere", "learn", "cat", "cat.jpg", code=2).stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_bundle_leaves_the_installed_one(installed: Path, tmp_path, bundle_path) -> None:
    damaged = tmp_path / "damaged.edgetl"
    data = bytearray(bundle_path.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    assert "damaged: its checksum does not match" in run(installed, "install", damaged, code=2).stderr
    assert told(installed, "status")["bundle"]["name"] == "toys"


def test_a_device_that_disagrees_with_the_workstation_refuses_the_bundle(tmp_path, bundle_path) -> None:
    from edgetl_device.arrays import pack, text_array, unpack
    from edgetl_device.bundle.bundle import open_bundle, write_bundle

    bundle = open_bundle(bundle_path)
    check = unpack(bundle.members["check.npz"])
    swapped = check | {"labels": text_array(("box", "ball", "ball"))}
    liar = tmp_path / "liar.edgetl"
    write_bundle(liar, bundle.manifest, {**bundle.members, "check.npz": pack(swapped)})
    done = run(tmp_path / "home", "install", liar, code=1)
    assert "of the check photos get the workstation's label" in done.stderr
    assert not (tmp_path / "home" / "bundle.edgetl").exists()


@pytest.mark.slow
def test_the_program_in_a_process_of_its_own_has_clean_output_and_exit_codes(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball",), 1)
    command = [sys.executable, "-m", "edgetl_device", "--home", str(installed), "classify", "--json"]
    done = subprocess.run([*command, str(photos)], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["predictions"][0]["label"] == "ball" and done.stderr == ""
    failed = subprocess.run([*command, "missing.jpg"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2 and failed.stdout == "" and failed.stderr == "error: no such file: missing.jpg\n"


@pytest.mark.slow
def test_the_device_program_never_loads_tensorflow(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball",), 1)
    code = (
        "import sys; sys.modules['tensorflow'] = None; from edgetl_device.cli import program; "
        f"program(['--home', {str(installed)!r}, 'classify', {str(photos)!r}], standalone_mode=False)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_slips_of_a_newcomer_are_answered_with_what_to_type(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite", "ball"), 2)
    assert run(installed, "samples").stdout == "none yet\n"
    assert run(installed, "retrain").stdout.startswith("nothing to learn: ")
    assert len(told(installed, "versions")["versions"]) == 1
    told(installed, "learn", "kite", photos / "kite")
    error = run(installed, "forget", "kite", code=2).stderr
    assert error == "error: kite is no sample id: for the label, `edgetl-device forget --label kite`\n"
    assert "bolt is no sample id: `edgetl-device samples` lists" in run(installed, "forget", "bolt", code=2).stderr
    assert "photos are missing: `learn --nothing PHOTO" in run(installed, "learn", "--nothing", code=2).stderr
    assert "Missing argument 'LABEL'" in run(installed, "learn", code=2).stderr
    assert run(installed, "relabel", "kite", "1-2").stdout == "all 2 samples are kite already: nothing changed\n"
    assert len(told(installed, "versions")["versions"]) == 2


def test_a_mixed_batch_is_to_be_relabelled_first(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("box",), 12, seed=4)
    told(installed, "learn", "ball", photos / "box", code=1)
    learner = Home(installed).learner()
    learner.store.database.run("UPDATE pending SET looks_like = NULL", [()])
    learner.store.close()
    lines = run(installed, "pending").stdout.splitlines()
    assert lines[2].startswith("  `edgetl-device relabel LABEL ID…`") and lines[2].endswith("give each its label: 1-12")
    assert lines[3].startswith("  `edgetl-device pending move 1 LABEL`")


def test_forgetting_succeeds_also_where_a_stored_batch_is_set_aside_then(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("box", "kite"), 12, seed=4)
    told(installed, "learn", "kite", photos / "kite")
    told(installed, "learn", "ball", photos / "box", "--no-retrain")
    forgotten = told(installed, "forget", "--sample", 1)
    assert forgotten["removed"] == 1 and [batch["label"] for batch in forgotten["set_aside"]] == ["ball"]


def test_status_tells_what_is_stored_and_not_learned_and_versions_what_was_done(installed: Path, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("kite",), 4)
    told(installed, "learn", "kite", photos / "kite", "--no-retrain")
    assert told(installed, "status")["unlearned"] == 4
    assert "(4 stored, not learned yet: `edgetl-device retrain`)\n" in run(installed, "status").stdout
    told(installed, "retrain")
    assert told(installed, "status")["unlearned"] == 0 and "not learned" not in run(installed, "status").stdout
    told(installed, "forget", "--sample", 1)
    told(installed, "relabel", "kite", 2)  # changes nothing
    told(installed, "retrain", "--head", "lda")
    reasons = [row["reason"].partition(";")[0] for row in told(installed, "versions")["versions"]]
    assert reasons == ["installed", "learned kite (4 samples)", "forgot 1 sample of kite", "head lda"]
