"""A camera that changes in mid-stream: size, colours, rate, down to one pixel; or sends what is no frame."""

from __future__ import annotations

from itertools import cycle

import numpy as np
import pytest
from conftest import draw

from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera
from edgetl_device.camera.source import as_bgr
from edgetl_device.errors import CameraError
from edgetl_device.home import Home


def of_size(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)


def recognised(home: Home, *frames: object, **camera: object):
    with App(home, FakeCamera(frames, live=False, **camera)) as app, app.pipeline.subscribe() as subscription:
        found = []
        while (recognition := subscription.get(20)) is not None:
            found.append(recognition)
        app.pipeline.wait(20)
        return found, app.pipeline.health()


def test_every_size_is_recognised_in_one_stream(home: Home) -> None:
    sizes = [(64, 64), (480, 640), (640, 480), (1, 1), (1, 2000), (2000, 1), (3, 3), (64, 64)]
    _, health = recognised(home, *(of_size(*size) for size in sizes))
    assert health.frames == len(sizes) and not health.reconnects


def test_frames_of_one_pixel_are_taught_and_shown_like_others(home: Home) -> None:
    camera = FakeCamera(cycle([of_size(1, 1)]), fps=100, finite=False)
    with App(home, camera) as app, app.pipeline.subscribe() as seen:
        burst = [recognition for _ in range(3) if (recognition := seen.get(10)) is not None]
        ids = app.teach("dot", burst)
        assert len(ids) == 3 and app.retrain(accept_scene_change=True).promoted
        assert app.forget(ids)


def test_grey_and_transparent_frames_are_those_in_colour(home: Home) -> None:
    colour = draw("ball", 1)
    grey = np.ascontiguousarray(colour[:, :, 0])
    as_colour = np.repeat(grey[:, :, None], 3, axis=2)
    transparent = np.concatenate([colour, np.full((*colour.shape[:2], 1), 255, np.uint8)], axis=2)
    np.testing.assert_array_equal(as_bgr(grey, "it"), as_colour)
    np.testing.assert_array_equal(as_bgr(grey[:, :, None], "it"), as_colour)
    np.testing.assert_array_equal(as_bgr(transparent, "it"), colour)
    assert as_bgr(colour, "it") is colour
    _, health = recognised(home, colour, grey, transparent, grey[:, :, None])
    assert health.frames == 4


@pytest.mark.parametrize(
    "frame",
    [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint16), np.zeros((4, 4, 2), np.uint8),
     np.zeros((0, 4, 3), np.uint8), np.zeros(7, np.uint8), None, "frame"],
)  # fmt: skip
def test_what_is_no_frame_is_one_line_and_the_camera_is_connected_anew(home: Home, frame: object) -> None:
    with pytest.raises(CameraError, match=r"^it sent .*: expected frames \(height, width, 3\) uint8, in BGR$"):
        as_bgr(frame, "it")
    camera = FakeCamera([draw("ball", 1), frame], [draw("ball", 2)] * 3, finite=False)
    with App(home, camera) as app, app.pipeline.subscribe() as subscription:
        numbers = [recognition.frame.number for _ in range(2) if (recognition := subscription.get(20)) is not None]
        assert max(numbers) >= 2 and app.pipeline.health().reconnects >= 1


def test_a_rate_that_changes_drops_frames_of_a_live_camera_and_nothing_else(home: Home) -> None:
    burst = [draw("ball", number) for number in range(30)]
    with App(home, FakeCamera([*burst, 0.3, *burst], live=True)) as app:
        app.pipeline.wait(30)
        health = app.pipeline.health()
    assert health.frames + health.dropped == 60
