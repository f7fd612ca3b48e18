"""``--group``: labels in groups on the command line."""

import json
from pathlib import Path

import pytest
from conftest import embeddings, write_photos

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.home import Home
from edgetl_device.store.review import ReviewFrame


@pytest.fixture
def run(tmp_path: Path, capfd, bundle_path: Path):
    """Run the program in a home with a bundle: stdout or its JSON, stderr."""

    def call(*words: object, code: int = 0):
        capfd.readouterr()
        found = console.run(program, "edgetl-device", ["--home", str(tmp_path / "home"), *map(str, words)])
        said = capfd.readouterr()
        assert found == code, said.out + said.err
        return (json.loads(said.out) if "--json" in words else said.out), said.err

    call("install", bundle_path)
    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", ("ball", "box", "kite"), 6, seed=7)


def test_a_group_is_taught_answers_and_is_forgotten(run, photos: Path) -> None:
    text, _ = run("learn", "--group", "shape", "round", *sorted(photos.glob("ball/000[0-4].png")))
    assert "stored 5 samples of round (shape)" in text and "now teach a second thing" in text
    run("learn", "--group", "shape", "edged", *sorted(photos.glob("box/000[0-4].png")))
    text, _ = run("classify", photos / "ball" / "0005.png")
    assert "ball  [" in text and "\n  shape: round  [round " in text
    told, _ = run("classify", "--json", photos / "ball" / "0005.png")
    answer = told["predictions"][0]["groups"]["shape"]
    assert answer["label"] == "round" and set(answer) == {"label", "probability", "unknown", "top"}
    status, _ = run("status", "--json")
    assert status["groups"]["shape"]["samples"] == {"edged": 5, "round": 5} and status["samples"] == {}
    assert "group    shape: edged 5, round 5" in run("status")[0]
    assert len(run("versions", "--group", "shape", "--json")[0]["versions"]) == 3
    assert run("rollback", "--group", "shape", "--json")[0]["version"] != status["groups"]["shape"]["version"]
    assert run("relabel", "--group", "shape", "edged", "1", "--json")[0]["moved"] == 1
    run("learn", "kite", photos / "ball" / "0000.png")
    text, _ = run("forget", "--group", "shape", "--label", "edged")
    assert "forgot 6 samples" in text and len(run("samples", "--json")[0]["samples"]) == 1
    text, _ = run("forget", "--sample", "2-5")
    assert text == "forgot 4 samples, labelled in shape alone\n"
    assert run("status", "--json")[0]["groups"] == {}


def test_what_the_gate_of_a_group_sets_aside_is_decided_with_its_name(run, photos: Path, tmp_path: Path) -> None:
    many = write_photos(tmp_path / "many", ("ball", "box"), 14, seed=8)
    run("learn", "--group", "my shape", "round", *sorted(many.glob("ball/*.png")))
    run("learn", "--group", "my shape", "edged", *sorted(many.glob("box/*.png")))
    text, _ = run("learn", "--group", "my shape", "edged", *sorted(photos.glob("ball/*.png")), code=1)
    assert "--group 'my shape'`" in text and "pending move" in text
    (batch,) = run("pending", "--group", "my shape", "--json")[0]["pending"]
    assert batch["looks_like"] == "round" and run("pending", "--json")[0]["pending"] == []
    assert run("pending", "move", batch["id"], "--group", "my shape", "--json")[0]["label"] == "round"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("learn", "--group", "a/b", "x", "PHOTO"), "error: the name of a group: label 'a/b' holds '/'"),
        (("learn", "--group", "", "x", "PHOTO"), "error: the name of a group: a label must not be empty"),
        (("learn", "--group", "shapes", "round", "PHOTO"), "did you mean shape? `--new-label` if it is new"),
        (("learn", "--group", "shape", "rounds", "PHOTO"), "did you mean round? `--new-label` if it is new"),
        (("versions", "--group", "sahpe"), "no group 'sahpe': did you mean shape? known groups: shape"),
        (("forget", "--group", "shape", "--sample", "9"), "no sample 9: list them with"),
        (("samples", "--group", "shape", "--label", "red"), "no label 'red': known labels: round"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(run, photos: Path, words, message: str) -> None:
    run("learn", "--group", "shape", "round", photos / "ball" / "0000.png", "--no-retrain")
    _, said = run(*(photos / "ball" / "0001.png" if word == "PHOTO" else word for word in words), code=2)
    assert message in said and said.count("\n") == 1
    assert len(run("samples", "--group", "shape", "--json")[0]["samples"]) == 1


def test_a_device_may_know_groups_alone(run, photos: Path, tmp_path: Path, capfd, empty_bundle_path: Path) -> None:
    home = tmp_path / "empty"
    assert console.run(program, "edgetl-device", ["--home", str(home), "install", str(empty_bundle_path)]) == 0
    for label, kind in (("round", "ball"), ("edged", "box")):
        words = [
            "learn",
            "--group",
            "shape",
            label,
            *(str(path) for path in sorted(photos.glob(f"{kind}/000[0-4].png"))),
        ]
        assert console.run(program, "edgetl-device", ["--home", str(home), *words]) == 0
    capfd.readouterr()
    console.run(program, "edgetl-device", ["--home", str(home), "classify", str(photos / "ball" / "0005.png")])
    said = capfd.readouterr().out
    assert "0005.png: shape: round" in said and "teach it first" not in said
    console.run(program, "edgetl-device", ["--home", str(home), "classify", str(photos / "ball")])
    assert capfd.readouterr().out.splitlines()[-1] == "6 photos: shape: round 6"
    console.run(program, "edgetl-device", ["--home", str(home), "backup", str(tmp_path / "backup.sqlite")])
    assert "10 samples" in capfd.readouterr().out


def test_what_is_sent_says_what_is_of_which_group(run, photos: Path, tmp_path: Path) -> None:
    run("learn", "--group", "shape", "round", photos / "ball" / "0000.png", "--no-retrain")
    said, _ = run("export-stats", tmp_path / "out")
    assert "labels in groups alone, as codes" in said and "\n  shape: 1 sample of round\n" in said
    run("learn", "kite", photos / "kite" / "0000.png", photos / "kite" / "0001.png", "--no-retrain")
    told, _ = run("export-stats", tmp_path / "out", "--force", "--json")
    assert (told["samples"], told["labels"]) == (2, ["kite"])
    assert told["groups"] == {"shape": {"samples": 1, "labels": ["round"], "withheld": {}}}
    _, note = run("export-stats", tmp_path / "out", "--force", "--floor", "2")
    assert "not sent, fewer than 2 samples: round of shape (1)" in note


def test_what_is_stored_already_is_only_labelled_and_that_is_said(run, photos: Path) -> None:
    kites = sorted(photos.glob("kite/*.png"))
    assert "stored 4 samples of kite\n" in run("learn", "kite", *kites[:4])[0]
    assert (
        "labelled 2 samples, stored already, as round (shape)\n"
        in run("learn", "--group", "shape", "round", *kites[:2])[0]
    )
    text, _ = run("learn", "--group", "shape", "round", *kites[2:6])
    assert "stored 2 samples of round (shape), and labelled 2 that were stored already\n" in text
    told, _ = run("learn", "--group", "side", "up", *kites, "--json")
    assert (told["stored"], told["new"]) == (6, 0)
    text, _ = run("versions", "--group", "shape")
    assert "empty" in text and "nothing was taught in the" in text and "installed" not in text
    text, _ = run("forget", "--group", "shape", "--sample", "1")
    assert text.startswith("forgot 1 sample in shape\n") and text.count("forgot") == 1


def test_a_label_that_looks_wrong_is_confirmed_in_its_group(run, photos: Path) -> None:
    run("learn", "--group", "shape", "round", *sorted(photos.glob("ball/*.png")))
    run("learn", "--group", "shape", "edged", *sorted(photos.glob("box/*.png"))[:5])
    run("learn", "--group", "shape", "round", photos / "box" / "0005.png", "--no-retrain")
    run("retrain", "--group", "shape", "--accept-scene-change")
    number = run("samples", "--group", "shape", "--json")[0]["samples"][-1]["id"]
    assert run("confirm", number, code=2)[1].startswith(f"error: no sample {number}")  # it has no other label
    assert run("confirm", "--group", "shape", number)[0] == "confirmed 1 sample in shape\n"
    assert number not in [each["id"] for each in run("health", "--group", "shape", "--json")[0]["doubtful"]]
    run("learn", "kite", *sorted(photos.glob("kite/*.png")))
    first = run("samples", "--json")[0]["samples"][0]["id"]
    assert run("confirm", first, "--json")[0] == {"confirmed": 1}


def test_frames_for_review_are_labelled_in_a_group(run, tmp_path: Path) -> None:
    learner = Home(tmp_path / "home").learner()
    for number, raw in enumerate(embeddings("kite", 4)):
        frame = ReviewFrame(learner.bundle.backbone_digest, "", "", "unknown", "ball", 0.5, raw, b"jpeg")
        assert learner.store.review.keep(frame, learner.runtime), number
    learner.store.close()
    assert "--group goes with `label`" in run("review", "--group", "shape", code=2)[1]
    assert "stored 2 samples of pointed (shape)" in run("review", "label", "pointed", "1-2", "--group", "shape")[0]
    assert {each["id"] for each in run("review", "--json")[0]["frames"]} == {3, 4}
    assert run("status", "--json")[0]["groups"]["shape"]["samples"] == {"pointed": 2}
