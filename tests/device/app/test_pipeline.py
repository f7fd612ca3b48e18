"""The pipeline: nothing is lost that should not be, nobody slows anybody, and cameras may come and go."""

import gc
import logging
import os
import threading
import time
from itertools import repeat
from pathlib import Path

import numpy as np
import pytest
from conftest import draw, tiny_backbone
from mjpeg import mjpeg_server

from edgetl_device.app.background import Listener, Periodic
from edgetl_device.app.pipeline import _TOGETHER, Pipeline
from edgetl_device.camera import FakeCamera
from edgetl_device.camera.network import NetworkCamera
from edgetl_device.errors import CameraError
from edgetl_device.home import Home
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.classifier import Classifier

SOON_S = 20.0  # upper bound of every wait; a working pipeline is a thousand times faster
IMAGES = [draw(("ball", "box")[number % 2], number) for number in range(40)]


@pytest.fixture
def classifier(home: Home) -> Classifier:
    return home.learner().classifier(tiny_backbone())


def until(condition) -> None:
    """Wait for something that other threads do."""
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def collect(pipeline: Pipeline, before=None) -> list:
    """Run to the end; everything recognised, in order."""
    found: list = []
    deliver = pipeline._deliver
    pipeline._deliver = lambda recognition: (
        found.append(recognition),
        deliver(recognition),
        before and before(recognition),
    )
    with pipeline:
        assert pipeline.wait(SOON_S)
    return found


def same(found, expected) -> None:
    """Several frames at once and one by one differ in the last bits of a matrix product."""
    assert (found.label, found.unknown) == (expected.label, expected.unknown)
    assert dict(found.top) == pytest.approx(dict(expected.top), abs=1e-5)


class Held:
    """An interpreter that computes only while it is let."""

    def __init__(self, backbone: Backbone) -> None:
        self.inner, self.runtime = backbone.interpreter, backbone.runtime
        self.go = threading.Event()
        backbone.interpreter = self

    def __call__(self, photo):
        assert self.go.wait(SOON_S)
        return self.inner(photo)


def threads_and_files() -> tuple[set[threading.Thread], int]:
    gc.collect()
    return set(threading.enumerate()), len(list(Path("/proc/self/fd").iterdir())) if os.name == "posix" else 0


def nothing_is_left_since(before: tuple[set[threading.Thread], int]) -> bool:
    """What another test left may end meanwhile."""
    threads, files = threads_and_files()
    return threads <= before[0] and files <= before[1]


# frames --------------------------------------------------------------------------------------------------------------


def test_each_frame_of_a_recording_is_recognised_once_as_the_classifier_would(classifier) -> None:
    recognitions = collect(Pipeline(FakeCamera(IMAGES, live=False), classifier, version=7))
    assert [recognition.frame.number for recognition in recognitions] == list(range(1, 41))
    for recognition, image in zip(recognitions, IMAGES, strict=True):
        same(recognition.instant, classifier.classify(image, top=2))
        np.testing.assert_array_equal(recognition.raw, classifier.backbone.embed(image))
        assert recognition.version == 7 and recognition.frame.image is image


def test_of_a_live_camera_the_latest_frame_wins(classifier) -> None:
    held = Held(classifier.backbone)
    pipeline = Pipeline(FakeCamera(IMAGES[:10], live=True), classifier)
    found: list[int] = []
    pipeline._deliver = lambda recognition: found.append(recognition.frame.number)
    with pipeline:
        until(lambda: pipeline._feeds[""].number == 10)
        held.go.set()
        assert pipeline.wait(SOON_S)
        # One frame may be with the backbone when the others come, one may be taken at the last recognition.
        assert found[-1] == 10 and len(found) <= 3
        assert pipeline.health().dropped == 10 - len(found)


def test_listeners_that_never_take_anything_hold_nothing_up_and_get_the_newest_later(classifier) -> None:
    pipeline = Pipeline(FakeCamera(IMAGES, live=False), classifier)
    stalled = [pipeline.subscribe() for _ in range(4)]
    told, taken = [], []
    pipeline.subscribe(notify=lambda: told.append(1))
    eager = pipeline.subscribe(notify=lambda: taken.append(eager.get(0)))
    recognitions = collect(pipeline)
    assert len(recognitions) == 40 and len(told) == 2  # that there is something, and the end
    assert [recognition.frame.number for recognition in taken[:-1]] == list(range(1, 41)) and taken[-1] is None
    for subscription in stalled:
        assert subscription.get(0).frame.number == 40
        assert subscription.get(0) is None and subscription.ended


def test_a_listener_that_takes_its_time_or_fails_bothers_nobody(classifier, caplog) -> None:
    pipeline = Pipeline(FakeCamera(IMAGES, live=False), classifier)
    blocked, release = [], threading.Event()
    slow = Listener("slow", pipeline, lambda recognition: (blocked.append(recognition), release.wait(SOON_S)))
    broken = Listener("broken", pipeline, lambda recognition: 1 / 0)
    gone = pipeline.subscribe(notify=lambda: (_ for _ in ()).throw(RuntimeError("Event loop is closed")))
    slow.start(), broken.start()
    assert len(collect(pipeline)) == 40
    release.set()
    assert slow.stop(SOON_S) and broken.stop(SOON_S)
    assert "broken failed and is off" in caplog.text and gone.get(0) is not None


def test_a_head_is_swapped_between_two_frames_without_losing_one(home: Home, classifier) -> None:
    learner = home.learner()
    learner.add("kite", np.stack([classifier.backbone.embed(draw("kite", number)) for number in range(6)]))
    learner.retrain()
    other = learner.classifier(classifier.backbone)
    pipeline = Pipeline(FakeCamera(IMAGES, live=False), classifier, version=1)
    recognitions = collect(pipeline, lambda recognition: recognition.frame.number == 15 and pipeline.swap(other, 2))
    versions = [recognition.version for recognition in recognitions]
    assert [recognition.frame.number for recognition in recognitions] == list(range(1, 41))
    assert versions == sorted(versions) and set(versions) == {1, 2} and versions.index(2) in range(15, 15 + _TOGETHER)
    for recognition, image in zip(recognitions, IMAGES, strict=True):
        used = other if recognition.version == 2 else classifier
        same(recognition.instant, used.classify(image, top=3))


def test_it_ends_after_the_frames_asked_for(classifier) -> None:
    assert len(collect(Pipeline(FakeCamera(repeat(IMAGES[0]), live=False), classifier, max_frames=17))) == 17


# faults --------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_drops_leave_no_thread_and_no_connection_behind(classifier) -> None:
    before = threads_and_files()
    sessions = [
        [*IMAGES[:3], CameraError("unplugged") if number % 2 else OSError("no such device")] for number in range(101)
    ]
    camera = FakeCamera(*sessions, live=False, finite=False)
    with Pipeline(camera, classifier, backoff_s=(0.001, 0.001)) as pipeline:
        until(lambda: pipeline.health().frames == 303)
        until(lambda: pipeline.health().reconnects >= 101)
        assert len(set(threading.enumerate()) - before[0]) == 3 and camera.open == 0
        assert "it has no more sessions" in str(pipeline.health().error)
    assert nothing_is_left_since(before) and camera.connections == 101


@pytest.mark.slow
@pytest.mark.once
def test_a_network_camera_that_drops_a_hundred_times_leaves_no_descriptor_behind(classifier) -> None:
    with mjpeg_server(frames=5) as url:
        with Pipeline(NetworkCamera(url), classifier, backoff_s=(0.001, 0.001)) as pipeline:
            until(lambda: pipeline.health().reconnects >= 3)  # whatever is made once is there now
        before = threads_and_files()
        with Pipeline(NetworkCamera(url), classifier, backoff_s=(0.001, 0.001)) as pipeline:
            until(lambda: pipeline.health().reconnects >= 100)
            assert pipeline.health().frames >= 100
    after = threads_and_files()
    assert len(after[0]) <= len(before[0]) and after[1] <= before[1] + 2  # a server's thread may be about to end


def test_a_stall_is_told_and_the_camera_comes_back(classifier) -> None:
    camera = FakeCamera([IMAGES[0], 60.0], [IMAGES[1], 60.0], finite=False, stall_s=0.05)
    with Pipeline(camera, classifier, backoff_s=(1.0, 1.0)) as pipeline:
        until(lambda: pipeline.health().error == "fake camera sent no frame for 0.05 s")
        until(lambda: pipeline.health().frames == 2)
        assert pipeline.health().reconnects >= 1 and camera.connections == 2


def test_pauses_grow_and_never_beyond_the_longest_and_the_same_fault_is_told_once(classifier, caplog) -> None:
    caplog.set_level(logging.INFO)
    camera = FakeCamera([IMAGES[0]], finite=False)
    with Pipeline(camera, classifier, backoff_s=(0.001, 0.004)) as pipeline:
        until(lambda: pipeline.health().reconnects >= 6)
    tries = [record for record in caplog.records if "trying again" in record.msg]
    assert [record.args[1] for record in tries][:6] == [0.001, 0.002, 0.004, 0.004, 0.004, 0.004]
    told = [record.args[0] for record in tries if record.levelno == logging.WARNING]
    assert told == ["fake camera has ended", "fake camera is gone: it has no more sessions"]


def test_a_camera_that_never_worked_ends_the_pipeline_with_the_reason(classifier) -> None:
    with (
        Pipeline(FakeCamera(finite=False), classifier) as pipeline,
        pytest.raises(CameraError, match="no more sessions"),
    ):
        pipeline.wait(SOON_S)


def test_a_camera_that_never_worked_can_be_waited_for(classifier) -> None:
    absent = [CameraError("no camera found")]
    camera = FakeCamera(absent, absent, [IMAGES[0]], finite=False)
    with Pipeline(camera, classifier, backoff_s=(0.05, 0.05), wait_for_camera=True) as pipeline:
        until(lambda: pipeline.is_waiting)
        assert pipeline.health().error == "no camera found" and pipeline.health().running
        until(lambda: pipeline.health().frames == 1)
        assert not pipeline.is_waiting and camera.connections == 3


def test_a_recording_that_fails_is_not_waited_for(classifier) -> None:
    camera = FakeCamera([CameraError("damaged")], live=False)
    with Pipeline(camera, classifier, wait_for_camera=True) as pipeline, pytest.raises(CameraError, match="damaged"):
        pipeline.wait(SOON_S)


def test_a_drivers_own_exception_from_a_camera_that_never_worked_is_one_line(classifier) -> None:
    broken = FakeCamera([RuntimeError("rtsp://u:hunter2@cam/s:\nno memory")], finite=False)
    with Pipeline(broken, classifier) as pipeline, pytest.raises(CameraError) as caught:
        pipeline.wait(10)
    assert str(caught.value).startswith(r"fake camera failed (RuntimeError: rtsp://cam/s:\nno memory): check that")


def test_a_recording_that_fails_ends_the_pipeline_with_the_reason(classifier) -> None:
    camera = FakeCamera([IMAGES[0], CameraError("damaged")], live=False)
    with Pipeline(camera, classifier) as pipeline, pytest.raises(CameraError, match="damaged"):
        pipeline.wait(SOON_S)


def test_a_backbone_that_fails_ends_the_pipeline_instead_of_leaving_it_silent(classifier, caplog) -> None:
    class Broken:
        runtime = "broken"

        def __call__(self, photo):
            raise RuntimeError("delegate is gone")

    classifier.backbone.interpreter = Broken()
    pipeline = Pipeline(FakeCamera(repeat(IMAGES[0]), live=False), classifier)
    subscription = pipeline.subscribe()
    with pipeline, pytest.raises(RuntimeError, match="delegate is gone"):
        pipeline.wait(SOON_S)
    assert subscription.ended and not pipeline.health().running and "inference failed" in caplog.text


@pytest.mark.slow
def test_stopping_ends_a_stalled_camera_and_all_threads(classifier) -> None:
    before = threads_and_files()
    pipeline = Pipeline(FakeCamera([IMAGES[0], 60.0], finite=False, stall_s=60.0), classifier)
    pipeline.start()
    until(lambda: pipeline.latest() is not None)
    assert pipeline.stop(SOON_S) and nothing_is_left_since(before)
    assert pipeline.wait(0) and not pipeline.health().running


def test_a_pipeline_that_was_never_started_can_be_stopped(classifier) -> None:
    assert Pipeline(FakeCamera(), classifier).stop() and Periodic("never", 1.0, print).stop()


def test_what_is_called_again_and_again_survives_its_failures(caplog) -> None:
    calls: list[int] = []
    again = Periodic("again", 0.001, lambda: (calls.append(1), 1 / 0))
    again.start()
    until(lambda: len(calls) >= 3)
    assert again.stop(SOON_S) and "again failed" in caplog.text


def test_health_tells_rates_and_ages(classifier) -> None:
    with Pipeline(FakeCamera(IMAGES, fps=200.0, finite=False, stall_s=60.0), classifier) as pipeline:
        until(lambda: pipeline.health().frames >= 20)
        health = pipeline.health()
    assert health.camera == "fake camera" and health.running and health.error is None
    assert health.fps > 0 and health.last_frame_age_s >= 0 and health.inference_ms > 0
    assert health.last_inference_age_s >= 0 and health.seconds > 0
