"""Which frames of a running app are kept for review."""

import time
from collections.abc import Sequence
from itertools import chain, repeat

import numpy as np
import pytest
from conftest import draw, embeddings
from test_app import showing, until

from edgetl_device.app import reviewing
from edgetl_device.app.app import App
from edgetl_device.app.pipeline import Recognition
from edgetl_device.camera import FakeCamera, Frame
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Prediction
from edgetl_device.store.lock import LearningLock


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3)).astype(np.uint8)


def told(first: str, probability: float, second: str = "other", *, unknown: bool = False) -> Prediction:
    return Prediction(first, probability, unknown, ((first, probability), (second, 1 - probability)))


def seen_by(app: App, predictions: Sequence[Prediction]) -> None:
    """Let the review see frames that were called so, each of another thing, a tenth of a second apart."""
    for number, prediction in enumerate(predictions):
        image = noise(number)
        raw = app._backbone.embed(image)
        frame = Frame(image, number, number / 10)
        app.reviewing._see(Recognition(frame, raw, prediction, prediction, 1, app.bundle.backbone_digest))


@pytest.fixture
def app(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reviewing, "ALIKE", 0.99999)  # to the tiny backbone any noise looks much the same
    app = App(home, showing("kite"))  # not started: what its review sees is what the test shows it
    app.reviewing._keep_s = 0.0
    yield app
    app.stop()


def test_what_is_unknown_is_kept_with_its_picture_once(home: Home) -> None:
    scene = noise(3)
    with App(home, FakeCamera(repeat(scene), fps=100.0, finite=False)) as app:
        app.reviewing._keep_s = 0.0
        until(app.reviewing.frames)
        seen = app.pipeline.health().frames
        until(lambda: app.pipeline.health().frames > seen + 20)
        (frame,) = app.reviewing.frames()
        assert app.reviewing.thumbnail(frame.id) == frame.jpeg and frame.jpeg[:2] == b"\xff\xd8"
        assert frame.why in ("unknown", "uncertain")
        np.testing.assert_array_equal(frame.raw, app._backbone.embed(scene))
        assert app.reviewing.drop([frame.id]) == 1
        seen = app.pipeline.health().frames
        until(lambda: app.pipeline.health().frames > seen + 20)
        assert not app.reviewing.frames()  # what was dropped does not come back at once


def test_what_is_recognised_is_not_kept(app: App) -> None:
    seen_by(app, [told("ball", 0.97)] * 5)
    assert not app.reviewing.frames()


def test_each_reason_is_told(app: App) -> None:
    seen_by(app, [told("ball", 0.55), told("ball", 0.9, unknown=True)])
    assert {frame.why for frame in app.reviewing.frames()} == {"uncertain", "unknown"}


def test_a_frame_that_differs_from_both_neighbours_is_kept_and_a_change_is_none(app: App) -> None:
    sure = [told(label, 0.97) for label in ("ball", "ball", "box", "box", "ball", "box", "box")]
    seen_by(app, sure)
    (frame,) = app.reviewing.frames()
    assert (frame.why, frame.label) == ("differs", "box") or (frame.why, frame.label) == ("differs", "ball")
    np.testing.assert_array_equal(frame.raw, app._backbone.embed(noise(4)))


def test_photos_of_a_folder_are_no_neighbours(app: App) -> None:
    app.reviewing._live = False
    seen_by(app, [told(label, 0.97) for label in ("ball", "box", "ball")])
    assert not app.reviewing.frames()


def test_of_many_frames_the_most_doubtful_one_is_written(app: App) -> None:
    app.reviewing._keep_s = 3600.0
    app.reviewing._kept_s = time.monotonic()
    writes = []
    keep = app._learner.store.review.keep
    app._learner.store.review.keep = lambda *frame: writes.append(frame) or keep(*frame)
    seen_by(app, [told("ball", p) for p in (0.59, 0.58, 0.51, 0.57, 0.55)])
    assert not writes
    app.reviewing._kept_s = float("-inf")
    seen_by(app, [told("ball", 0.99)])
    assert len(writes) == 1 and writes[0][0].probability == 0.51


def test_nothing_is_kept_where_that_was_not_wished(home: Home) -> None:
    for wishes in ({"review": False}, {"thumbnails": False}):
        with App(home, FakeCamera(chain(noise(n) for n in range(40)), fps=200.0, finite=True), **wishes) as app:
            app.pipeline.wait(20)
            assert not app.reviewing.frames()


def test_another_process_that_learns_is_not_waited_for(app: App) -> None:
    import threading

    held, done = threading.Event(), threading.Event()

    def learn() -> None:
        with LearningLock(app._learner.store.database.lock.path)():
            held.set()
            done.wait(20)

    other = threading.Thread(target=learn)
    other.start()
    held.wait(20)
    began_s = time.monotonic()
    seen_by(app, [told("ball", 0.5)])
    assert time.monotonic() - began_s < 2.0 and not app.reviewing.frames()
    done.set()
    other.join()


def known(app: App) -> tuple[str, ...]:
    app._learner.retrain(accept_scene_change=True)
    return app._learner.active_head().labels


def forget_and_label(app: App, count: int) -> list[list[int]]:
    """Hide a label of the factory, and call so many frames so, each by itself."""
    seen_by(app, [told("box", 0.5 - number / 100) for number in range(count)])
    app._learner.forget_label("ball")
    assert known(app) == ("box",)
    labellings = [app.reviewing.label("ball", [frame.id]) for frame in app.reviewing.frames()]
    assert len(labellings) == count and known(app) == ("ball", "box")
    return labellings


def test_undoing_hides_no_label_that_was_taught_since(app: App) -> None:
    (ids,) = forget_and_label(app, 1)
    app._learner.add("ball", embeddings("ball", 5))
    app.reviewing.undo(ids)
    assert known(app) == ("ball", "box")


def test_the_last_undoing_hides_a_label_again_in_whichever_order(app: App) -> None:
    first, second = forget_and_label(app, 2)
    app.reviewing.undo(first)
    assert known(app) == ("ball", "box")
    app.reviewing.undo(second)
    assert known(app) == ("box",)


def test_labelled_frames_are_recognised(home: Home) -> None:
    with App(home, showing("kite")) as app:
        app.reviewing._keep_s = 0.0
        until(app.reviewing.frames)
        ids = [frame.id for frame in app.reviewing.frames()]
        samples = app.reviewing.label("kite", ids)
        assert len(samples) == len(ids) and app.thumbnail(samples[0])
        app.teach_photos("kite", [draw("kite", number) for number in range(6)])
        assert app.retrain().promoted
