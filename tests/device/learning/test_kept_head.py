"""The head that is kept beside the store must be the one that a solve gives, and must go with what it knows."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import draw, embeddings

from edgetl_device.bundle.content import BundleContent
from edgetl_device.heads.kept_head import head_bytes, read_head
from edgetl_device.heads.registry import HEADS
from edgetl_device.home import Home
from edgetl_device.home_view import HomeView
from edgetl_device.learning import solver
from edgetl_device.learning.learner import Learner
from edgetl_device.sending.receipt import machine_mark
from edgetl_device.store.backup import restore_database
from edgetl_device.store.kept_files import head_path


def kept_at(home: Home) -> Path:
    return head_path(home.store_path)


def taught(home: Home, rule: str | None = None) -> Learner:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 6))
    learner.retrain(rule, accept_scene_change=True)
    learner.keep_head()
    return learner


def codes(home: Home) -> np.ndarray:
    raw = np.concatenate([embeddings(kind, 4, start=300) for kind in ("kite", "ball", "ring")])
    return home.bundle().codes(raw)


def assert_same(found, expected, asked: np.ndarray) -> None:
    assert found.labels == expected.labels
    np.testing.assert_array_equal(found.scorer.scores(asked), expected.scorer.scores(asked))
    for ours, theirs in zip(found.predict(asked), expected.predict(asked), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(found.novelty.familiarity(asked), expected.novelty.familiarity(asked))
    np.testing.assert_array_equal(found.holdout_scores, expected.holdout_scores)
    assert found.novelty.threshold == expected.novelty.threshold


@pytest.mark.parametrize("rule", list(HEADS))
def test_a_kept_head_answers_as_the_one_that_was_solved_to_the_last_bit(home: Home, rule: str) -> None:
    head = taught(home, rule).active_head()
    assert head.rule == rule and kept_at(home).exists()
    assert_same(home.learner().active_head(), head, codes(home))


def kept_after_learning_in_steps(home: Home, rule: str) -> Learner:
    learner = home.learner()
    for number in range(3):
        learner.add("kite", embeddings("kite", 3, start=10 * number))
        learner.add("ball", embeddings("ball", 2, start=700 + 10 * number))
        assert learner.retrain(rule, accept_scene_change=True).promoted
    assert learner._solver._solved.evidence.solution.carried_over
    learner.keep_head()
    return learner


@pytest.mark.parametrize("rule", list(HEADS))
@pytest.mark.parametrize("factory", [True, False])
def test_after_learning_in_steps_it_is_the_one_solved_anew_byte_for_byte(
    home: Home, tmp_path: Path, empty_bundle_path: Path, rule: str, factory: bool
) -> None:
    if not factory:
        home = Home(tmp_path / "blank")
        home.install(empty_bundle_path)
    learner = kept_after_learning_in_steps(home, rule)
    kept = kept_at(home).read_bytes()
    kept_at(home).unlink()
    other = home.learner()
    assert other.active_head().rule == rule
    other.keep_head()
    assert kept_at(home).read_bytes() == kept
    assert_same(home.learner().active_head(), learner.active_head(), codes(home))


def test_so_does_one_that_was_taught_without_a_factory(tmp_path: Path, empty_bundle_path: Path) -> None:
    blank = Home(tmp_path / "blank")
    blank.install(empty_bundle_path)
    head = taught(blank).active_head()
    assert_same(blank.learner().active_head(), head, codes(blank))


def test_a_start_with_a_kept_head_reads_neither_statistics_nor_samples(home: Home, monkeypatch) -> None:
    taught(home)
    learner = home.learner()
    monkeypatch.setattr(type(learner.store), "embeddings", lambda *_: pytest.fail("samples were read"))
    head = learner.active_head()
    assert "statistics" not in vars(learner.factory) and "_holdout" not in vars(learner.factory)
    assert "kite" in head.labels


def test_learning_goes_on_from_a_kept_head_as_from_a_solved_one(home: Home) -> None:
    taught(home)
    again = home.learner()
    again.active_head()
    again.add("ball", embeddings("ball", 3, start=700))
    assert again.retrain(accept_scene_change=True).promoted
    kept_at(home).unlink()
    fresh = home.learner().active_head()
    np.testing.assert_allclose(
        again.active_head().scorer.scores(codes(home)), fresh.scorer.scores(codes(home)), rtol=1e-4
    )


def test_every_file_of_a_home_is_its_owners_alone_from_the_moment_it_is_there(
    tmp_path: Path, bundle_path: Path, monkeypatch
) -> None:
    for room in ("home", "store.store", "sending.receipt"):  # closing the home afterwards is too late
        monkeypatch.setattr(f"edgetl_device.{room}.make_private", lambda _: None)
    monkeypatch.setattr(solver, "WORTH_KEEPING", 4)
    before = os.umask(0o022)
    try:
        home = Home(tmp_path / "home")
        home.install(bundle_path)
        home.install(bundle_path)
        learner = taught(home)
        learner.store.backup_if_due()
        learner._solver.keep()
        machine_mark(home.folder)
        HomeView(home, learner.store, home.bundle()).remember_empty(draw("ball", 1))
    finally:
        os.umask(before)
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.folder.rglob("*") if path.is_file()}
    assert {"bundle.edgetl", "device.sqlite", "device.head", "device.summary", "machine"} <= files.keys()
    assert not {name: oct(mode) for name, mode in files.items() if mode != 0o600}


def test_forgetting_overwrites_and_removes_it(home: Home) -> None:
    learner = taught(home)
    row = learner.active_head().novelty.known[-1].tobytes()  # of a sample
    assert row in kept_at(home).read_bytes()
    second = kept_at(home).with_suffix(".second")
    os.link(kept_at(home), second)  # what the disk would still hold
    learner.forget([sample.id for sample in learner.samples()])
    assert not kept_at(home).exists()
    assert not any(second.read_bytes())


def test_nothing_that_another_process_forgot_is_written(home: Home) -> None:
    learner = taught(home)
    row = learner.active_head().novelty.known[-1].tobytes()
    kept_at(home).unlink()
    other = home.learner()
    other.forget([sample.id for sample in other.samples()])
    learner.keep_head()
    assert row not in kept_at(home).read_bytes()


def test_another_version_another_bundle_or_other_code_does_not_use_it(home: Home, monkeypatch) -> None:
    learner = taught(home)
    learner.rollback()
    assert home.learner().active_head().labels == ("ball", "box")
    learner.rollback(learner.versions()[-1].id)
    used: list[object] = []
    monkeypatch.setattr(solver, "read_head", lambda *arguments: used.append(arguments) or read_head(*arguments))
    home.learner().active_head()
    assert len(used) == 1
    monkeypatch.setattr(solver, "code_of_heads", lambda: "another")
    home.learner().active_head()
    assert len(used) == 1


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "not a head"])
def test_a_damaged_file_is_not_used(home: Home, damage: str, monkeypatch) -> None:
    learner = taught(home)
    expected, path = learner.active_head(), kept_at(home)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "not a head":
        row = learner.version(learner.active_version)
        learner.store.keep_head(
            learner._solver._head_key(row), b'{"rule": "gaussian", "head": {"kind": "os"}, "arrays": []}\n'
        )
    else:
        path.write_bytes({"flipped": bytes(content), "short": bytes(content[:-9]), "empty": b""}[damage])
    assert_same(home.learner().active_head(), expected, codes(home))


def test_without_the_factorys_precision_it_is_solved_anew(home: Home) -> None:
    learner = taught(home)
    content = head_bytes(learner.active_head(), learner.factory.solved)
    assert content is not None and len(content) < home.solved_path.stat().st_size + (1 << 20)
    home.solved_path.unlink()
    assert "kite" in home.learner().active_head().labels


def test_a_head_of_another_package_is_not_kept(home: Home) -> None:
    head = taught(home).active_head()
    stranger = type("Stranger", (), {"labels": head.labels})()
    assert head_bytes(replace(head, scorer=stranger), None) is None


def test_classifying_loads_only_what_it_needs(home: Home, tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), draw("ball", 1))
    program = (
        "import sys, json\nfrom edgetl_device.cli import main\n"
        f"sys.argv = ['edgetl-device', '--home', {str(home.folder)!r}, 'classify', {str(tmp_path / 'a.png')!r}]\n"
        "try: main()\nexcept SystemExit: pass\nprint(json.dumps(sorted(sys.modules)))"
    )
    command = [sys.executable, "-c", program]
    subprocess.run(command, check=True, capture_output=True)  # solves, and keeps
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    needless = "rich cryptography ssl asyncio multiprocessing starlette uvicorn websockets PIL"
    if int(np.__version__.split(".")[0]) > 1:  # NumPy 1 loads all of itself, whoever asks for it
        needless += " numpy.ma numpy.fft numpy.random"
    assert not set(needless.split()) & loaded
    rooms = {name.split(".")[1] for name in loaded if name.startswith("edgetl_device.")}
    assert not {"inspection", "app", "web", "camera", "sending", "doctor", "parts", "device"} & rooms
    assert not {"retraining", "gate", "taught_health", "reliability", "review"} & {
        name.split(".")[-1] for name in loaded if name.startswith("edgetl_device.learning.")
    }
    assert {name for name in loaded if name.startswith("edgetl_device.cli.")} <= {
        f"edgetl_device.cli.{name}" for name in ("classify", "looking_options", "options")
    }


def test_the_factory_that_is_installed_reads_its_members_when_they_are_asked_for(home: Home) -> None:
    bundle = home.bundle()
    whole = BundleContent(bundle)
    assert bundle.members["backbone.tflite"] and set(bundle.members) == set(bundle.manifest["members"])
    replaced = home.bundle_path.read_bytes()
    home.bundle_path.unlink()
    home.bundle_path.write_bytes(b"another file")
    assert whole.statistics.labels == ("ball", "box")  # of the file that was opened
    home.bundle_path.write_bytes(replaced)


@pytest.mark.slow
def test_watching_loads_nothing_for_nobodys_sake(home: Home) -> None:
    pytest.importorskip("starlette")
    program = (
        "import sys, json, threading\nfrom pathlib import Path\nfrom edgetl_device.app.app import App\n"
        "from edgetl_device.camera import open_camera\nfrom edgetl_device.home import Home\n"
        "from edgetl_device.web import serve\n"
        f"with App(Home(Path({str(home.folder)!r})), open_camera('parts'), max_frames=3) as app, serve(app, port=0):\n"
        "    app.pipeline.wait(60)\n"
        "    assert app.inspecting._backbone is None\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    needless = {"rich", "cryptography", "prometheus_client", "PIL", "edgetl_device.learning.retraining"}
    assert not needless & loaded


def test_who_still_has_the_store_that_was_replaced_keeps_no_head_of_it(home: Home, tmp_path: Path) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 12))
    learner.retrain(accept_scene_change=True)
    learner.store.backup(tmp_path / "backup.sqlite")
    restore_database(tmp_path / "backup.sqlite", home.store_path)
    head_path(home.store_path).unlink(missing_ok=True)
    learner.keep_head()
    assert not head_path(home.store_path).exists()
