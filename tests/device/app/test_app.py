"""The app: teaching, learning beside recognition, and changes from elsewhere."""

import subprocess
import sys
import threading
import time
from itertools import cycle

import numpy as np
import pytest
from conftest import build_bundle, draw, tiny_backbone

from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera
from edgetl_device.errors import CameraError, InputError, MismatchError
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Classifier
from edgetl_device.photos import thumbnail
from edgetl_device.store.store import Store

SOON_S = 20.0


def showing(kind: str, fps: float = 100.0) -> FakeCamera:
    """A camera in front of things of one kind."""
    return FakeCamera(cycle([draw(kind, 700 + number) for number in range(20)]), fps=fps, finite=False)


def until(condition) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def burst(app: App, count: int) -> list:
    with app.pipeline.subscribe() as subscription:
        return [subscription.get(SOON_S) for _ in range(count)]


def test_teaching_stores_the_embeddings_that_recognition_made(home: Home) -> None:
    with App(home, showing("kite")) as app:
        recognitions = burst(app, 4)
        app.pipeline.stop(SOON_S)
        app._backbone.embed_photo = None  # a second inference would fail
        ids = app.teach("kite", recognitions)
        ((stored, labels, _, raw),) = app._learner.store.embeddings(app.bundle.backbone_digest, 64)
    assert stored == ids and labels == ["kite"] * 4
    np.testing.assert_array_equal(raw, np.stack([recognition.raw for recognition in recognitions]))


def test_a_taught_thing_is_recognised_live_and_gone_after_a_rollback(home: Home) -> None:
    with App(home, showing("kite")) as app:
        app.teach("kite", burst(app, 8))
        outcome = app.retrain()
        assert outcome.promoted and app.pipeline.version == outcome.version == 2 and "kite" in app.status()["labels"]
        until(lambda: app.pipeline.latest().version == 2 and app.pipeline.latest().prediction.label == "kite")
        until(lambda: not app.pipeline.latest().prediction.unknown)
        assert app.classify(draw("kite", 5)).label == "kite"
        assert app.rollback() == 1
        until(lambda: app.pipeline.latest().version == 1)
        assert dict(app.pipeline.latest().prediction.top).keys() == {"ball", "box"}


def test_photos_can_be_taught_while_the_camera_runs_and_give_their_own_embeddings(home: Home) -> None:
    photos = [draw("ring", number) for number in range(5)]
    with App(home, showing("box", fps=1000.0)) as app:
        until(lambda: app.pipeline.latest() is not None)
        app.teach_photos("ring", photos)
        ((_, _, _, raw),) = app._learner.store.embeddings(app.bundle.backbone_digest, 64)
    backbone = tiny_backbone()
    np.testing.assert_array_equal(raw, np.stack([backbone.embed(photo) for photo in photos]))


def test_forgetting_takes_effect_at_once_in_each_of_its_three_ways(home: Home) -> None:
    with App(home, showing("kite")) as app:
        ids = app.teach("kite", burst(app, 6))
        app.retrain()
        assert app.forget(ids[:2]) == 2 and len(app.samples("kite")) == 4
        assert app.forget(label="kite") == 4 and app.status()["labels"] == ["ball", "box"]
        until(lambda: len(app.pipeline.latest().instant.top) == 2)
        assert app.forget(label="box") == 0 and app.status()["labels"] == ["ball"]
        app.teach("box", burst(app, 1))
        assert app.status()["labels"] == ["ball", "box"] or app.retrain().promoted
        assert app.forget(everything=True) == 1 and app.samples() == []
        for wrong in ({}, {"label": "kite", "everything": True}, {"label": "nobody"}, {"ids": [99]}):
            with pytest.raises(InputError):
                app.forget(**wrong)


def test_what_another_process_learns_is_noticed(home: Home) -> None:
    with App(home, showing("kite")) as app:
        other = home.learner()
        other.add("kite", np.stack([tiny_backbone().embed(draw("kite", number)) for number in range(6)]))
        assert other.retrain().promoted
        until(lambda: app.pipeline.latest() and app.pipeline.latest().version == 2)
        assert not app.notice()
        other.rollback(1)
        until(lambda: app.pipeline.latest().version == 1)
        other.hide("box")
        until(lambda: len(app.pipeline.latest().instant.top) == 1)


@pytest.mark.slow
def test_another_bundle_takes_over_without_a_gap_and_old_moments_cannot_be_taught_to_it(home: Home, tmp_path) -> None:
    other = build_bundle(tmp_path / "other.edgetl", ("kite", "ring"))
    with App(home, showing("kite")) as app:
        old = burst(app, 1)
        assert app.install(other).name == "other" and app.bundle.name == "other"
        until(lambda: app.pipeline.latest().prediction.label == "kite")
        assert not app.notice() and app.status()["bundle"]["name"] == "other"
        changed = [type(old[0])(**{**vars(old[0]), "backbone": "another"})]
        with pytest.raises(MismatchError, match="a different bundle was installed"):
            app.teach("kite", changed)
        numbers = [recognition.frame.number for recognition in burst(app, 3)]
        assert numbers == sorted(numbers) and app.pipeline.health().reconnects == 0


@pytest.mark.slow
def test_samples_that_a_new_bundle_refuses_to_learn_are_told_in_the_log(home: Home, tmp_path, caplog) -> None:
    other = build_bundle(tmp_path / "other.edgetl", ("ball", "box", "ring"))
    with App(home, showing("box")) as app:
        app.teach_photos("ball", [draw("box", number) for number in range(700, 712)])
        app.install(other)
        assert app.pipeline.version == app.versions()[0].id and app.versions()[1].state == "rejected"
    (told,) = [record.message for record in caplog.records if record.name == "edgetl.home"]
    assert "(not learned: " in told and "`edgetl-device samples`" in told


@pytest.mark.slow
def test_a_bundle_installed_by_another_process_is_noticed(home: Home, tmp_path) -> None:
    other = build_bundle(tmp_path / "other.edgetl", ("kite", "ring"))
    with App(home, showing("ring")) as app:
        Home(home.folder).install(other)
        until(lambda: app.bundle.name == "other")
        until(lambda: app.pipeline.latest() and app.pipeline.latest().prediction.label == "ring")


@pytest.mark.slow
def test_a_restored_store_is_noticed_and_what_is_taught_afterwards_goes_there(home: Home, tmp_path) -> None:
    with App(home, showing("kite")) as app:
        app.teach_photos("kite", [draw("kite", number) for number in range(6)])
        assert app.retrain().version == 2
        with app._lock:  # as whatever the app does itself: nobody else may use the connection meanwhile
            app._learner.store.backup(tmp_path / "copy.sqlite")
        app.teach_photos("ring", [draw("ring", number) for number in range(6)])
        assert app.retrain().version == 3
        command = [sys.executable, "-m", "edgetl_device", "restore", str(tmp_path / "copy.sqlite")]
        subprocess.run([*command, "--home", str(home.folder)], check=True, capture_output=True)
        until(lambda: app.pipeline.version == 2)
        assert app.status()["labels"] == ["ball", "box", "kite"]
        assert len(app.samples()) == 6 and len(app.versions()) == 2
        (sample,) = app.teach_photos("box", [draw("box", 1)])
        assert home.learner().samples()[-1].id == sample
    (aside,) = home.folder.glob("device.sqlite.replaced-*[0-9]")
    assert len(Store(aside).samples(app.bundle.backbone_digest)) == 12


def test_many_threads_may_use_an_app_at_once(home: Home) -> None:
    failures: list[BaseException] = []
    with App(home, showing("kite")) as app:
        recognitions = burst(app, 2)

        def use(number: int) -> None:
            try:
                for _ in range(5):
                    app.teach(f"thing {number}", recognitions)
                    app.status(), app.samples(), app.versions()
                    if number == 0:
                        app.retrain(accept_scene_change=True)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures and len(app.samples()) == 60


def test_status_is_what_the_program_tells_and_the_cameras_health(home: Home) -> None:
    with App(home, showing("box")) as app:
        until(lambda: app.pipeline.latest() is not None)
        status = app.status()
    assert status["version"] == 1 and status["labels"] == ["ball", "box"] and status["camera"]["frames"] > 0


def test_what_cannot_be_taught_is_refused(home: Home) -> None:
    with App(home, showing("box")) as app:
        for label, recognitions in (("kite", []), ("unknown", burst(app, 1)), ("", burst(app, 1))):
            with pytest.raises(InputError):
                app.teach(label, recognitions)
        with pytest.raises(InputError, match="nothing to learn as kite: no photo"):
            app.teach_photos("kite", [])
        assert app.samples() == []


def test_a_taught_sample_keeps_its_picture_until_it_is_forgotten_and_only_if_wanted(home: Home) -> None:
    with App(home, showing("kite")) as app:
        recognitions = burst(app, 2)
        first, second = app.teach("kite", recognitions)
        assert app.thumbnail(second) == thumbnail(recognitions[1].frame.image) != thumbnail(recognitions[0].frame.image)
        (photo,) = app.teach_photos("ring", [draw("ring", 1)])
        assert app.thumbnail(photo) and app.thumbnail(99) is None
        app.forget([first])
        assert app.thumbnail(first) is None
    with App(home, showing("kite"), thumbnails=False) as app:
        assert app.thumbnail(app.teach("kite", burst(app, 1))[0]) is None


def learned(home: Home) -> None:
    """Make version 2."""
    learner = home.learner()
    learner.add("kite", np.stack([tiny_backbone().embed(draw("kite", number)) for number in range(6)]))
    assert learner.retrain().version == 2
    learner.store.close()


def test_a_head_that_makes_recognition_fail_three_times_is_rolled_back_at_the_next_start(
    home: Home, monkeypatch
) -> None:
    learned(home)
    classify = Classifier.classify_codes

    def fails(self, codes, top=3):
        if "kite" in self.head.labels:
            raise FloatingPointError("a head that cannot be evaluated")
        return classify(self, codes, top)

    monkeypatch.setattr(Classifier, "classify_codes", fails)
    for _ in range(3):
        with App(home, showing("kite")) as app, pytest.raises(FloatingPointError):
            app.pipeline.wait(SOON_S)
        assert app.pipeline.version == 2
    with App(home, showing("kite")) as app:
        until(lambda: app.pipeline.latest() is not None)
        assert app.pipeline.latest().version == 1 and app.pipeline.failure is None
        assert [row.state for row in app.versions()][1] not in ("factory", "promoted")


def test_short_runs_and_missing_cameras_are_no_failures_of_the_head(home: Home) -> None:
    learned(home)
    for _ in range(4):
        with App(home, FakeCamera(finite=False)) as app, pytest.raises(CameraError):
            app.pipeline.wait(SOON_S)
    for _ in range(4):
        with App(home, showing("kite"), max_frames=1) as app:
            app.pipeline.wait(SOON_S)
    with App(home, showing("kite")) as app:
        until(lambda: app.pipeline.latest() is not None)
        assert app.pipeline.version == 2


def test_the_drift_of_the_stream_is_watched_and_kept(home: Home, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.app.app.NOTICE_S", 0.002)
    noise = np.random.default_rng(0).integers(0, 256, (60, 64, 64, 3), np.uint8)
    with App(home, FakeCamera(cycle(list(noise)), fps=300.0, finite=False)) as app:
        until(lambda: app.status()["drift"]["state"] == "drifting")
    assert home.status(home.learner())["drift"]["state"] == "drifting"


def test_a_captured_sample_holds_its_embedding_and_a_small_picture_and_no_frame(home) -> None:
    with App(home, FakeCamera(cycle([np.full((2160, 3840, 3), 90, np.uint8)]), fps=30, finite=False)) as app:
        (recognition,) = burst(app, 1)
        captured = app.capture(recognition)
        held = [value for value in vars(captured).values() if isinstance(value, np.ndarray)]
        assert recognition.frame.image.nbytes > 20e6 > 20e3 > len(captured.picture) + sum(each.nbytes for each in held)
        assert all(each.base is None or each.base.nbytes < 1e6 for each in held)
        assert len(app.teach("grey", [captured, recognition])) == 2
        assert app.thumbnail(app.samples()[0].id) == captured.picture
