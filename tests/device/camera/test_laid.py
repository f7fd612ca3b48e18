"""A camera that hangs on its side: its frames come upright, and everything else of it stays."""

from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgetl_device import console
from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera
from edgetl_device.camera.laid import LaidCamera, laid
from edgetl_device.cli import program
from edgetl_device.errors import CameraError, InputError

FRAME = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize(
    ("turn", "code"),
    [(0, None), (90, cv2.ROTATE_90_CLOCKWISE), (180, cv2.ROTATE_180), (270, cv2.ROTATE_90_COUNTERCLOCKWISE)],
)
@pytest.mark.parametrize("mirror", [False, True])
def test_frames_are_turned_clockwise_and_then_mirrored(turn: int, code: int | None, mirror: bool) -> None:
    expected = FRAME if code is None else cv2.rotate(FRAME, code)
    expected = cv2.flip(expected, 1) if mirror else expected
    with closing(LaidCamera(FakeCamera([FRAME]), turn, mirror).frames()) as frames:
        found = next(frames)
    assert np.array_equal(found, expected) and found.flags.c_contiguous
    assert np.array_equal(laid(FRAME, turn, mirror), found)


def test_the_rest_is_the_cameras_own_and_its_errors_are_too() -> None:
    camera = FakeCamera([FRAME, CameraError("unplugged")], finite=False)
    turned = LaidCamera(camera, 90, False)
    assert (turned.name, turned.live, turned.finite) == (camera.name, camera.live, camera.finite)
    with closing(turned.frames()) as frames, pytest.raises(CameraError, match="unplugged"):
        list(frames)
    turned.close()
    assert list(LaidCamera(camera, 90, False).frames()) == []
    with pytest.raises(InputError, match="turned by 0, 90, 180, 270 degrees, got 45"):
        LaidCamera(camera, 45, False)


def test_what_is_recognised_taught_and_shown_is_the_upright_picture(home) -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :32] = 255
    with App(home, LaidCamera(FakeCamera([frame] * 50, fps=50), 90, False)) as app:
        assert app.pipeline.wait(10.0)
        shown = app.pipeline.latest().frame.image
    assert shown.shape == (64, 48, 3) and shown[:32].min() == 255 and shown[32:].max() == 0


def test_run_takes_both_options(home, tmp_path: Path, capsys) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((60, 80, 3), np.uint8))
    words = ["--home", str(home.folder), "run", "--camera", str(tmp_path / "one.png"), "--no-web", "--jsonl"]
    assert console.run(program, "edgetl-device", [*words, "--turn", "90", "--mirror"]) == 0
    assert '"label"' in capsys.readouterr().out
    assert console.run(program, "edgetl-device", [*words, "--turn", "45"]) == 2
    assert "--turn 45: expected 0, 90, 180 or 270" in capsys.readouterr().err
