"""The Raspberry Pi's own (CSI) cameras, through picamera2, which comes from apt and is imported only when chosen."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from concurrent.futures import TimeoutError as JobTimeoutError  # until Python 3.11 not the built-in one
from pathlib import Path
from typing import Any

from ..errors import CameraError
from ..photos import Image
from ..printable import printable
from .source import STALL_S

SIZE = (640, 480)  # (width, height), as picamera2 wants it
_FULL_VIEW = {  # binned modes of Raspberry Pi's own sensors that show everything
    "ov5647": ((1296, 972), 10),
    "imx219": ((1640, 1232), 10),
    "imx477": ((2028, 1520), 12),
    "imx708": ((2304, 1296), 10),
}
_APT = Path("/usr/lib/python3/dist-packages/picamera2")


class PiCamera:
    """A CSI camera.

    Args:
        number: 0, or 1 for the second connector of a Pi 5.
    """

    live = True
    finite = False

    def __init__(self, number: int = 0) -> None:
        self.name = f"Raspberry Pi camera {number}"
        self._number = number
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """Frames until it stops answering, which raises CameraError."""
        picamera2 = load_picamera2()
        if self._closed.is_set():
            return
        try:
            camera = picamera2.Picamera2(self._number)
        except Exception as error:  # IndexError, RuntimeError, and what libcamera's binding raises
            raise CameraError(
                f"{self.name} cannot be opened ({printable(error, 200)}): check the ribbon cable, "
                "`rpicam-hello --list-cameras`, and that no other program uses it"
            ) from None
        try:
            self._start(picamera2, camera)
            while not self._closed.is_set():
                job = camera.capture_array("main", wait=False)
                try:
                    yield camera.wait(job, timeout=STALL_S)
                except JobTimeoutError:
                    raise CameraError(f"{self.name} sent no frame for {STALL_S:g} s: check the ribbon cable") from None
        finally:
            camera.close()

    def _start(self, picamera2: Any, camera: Any) -> None:
        # libcamera names formats by the order of bytes in a word: RGB888 is B, G, R in memory.
        main = {"size": SIZE, "format": "RGB888"}
        try:
            sensor = full_view(camera, _model(picamera2, self._number))
            wish = {"sensor": sensor} if sensor else {}
            camera.configure(camera.create_video_configuration(main=main, **wish))
            camera.start()
        except Exception as error:  # libcamera and its binding raise what they like
            raise CameraError(
                f"{self.name} cannot be started ({printable(error, 200)}): end other programs that use it "
                "(`sudo fuser /dev/media*`); where memory is short, add `cma=256M` to /boot/firmware/cmdline.txt"
            ) from None

    def close(self) -> None:
        """End a running :meth:`frames` after its current frame."""
        self._closed.set()


def full_view(camera: Any, model: str) -> dict[str, Any] | None:
    """The sensor mode that shows the whole field of view, as picamera2's ``sensor=`` wants it; None where unknown.

    Left to itself, picamera2 takes a mode of the size that is asked for, which for small sizes is a cropped one: of a
    camera v2 the middle 1280 × 960 of 3280 × 2464. Of the modes with the largest crop the smallest that is large enough
    is taken, and of these the fastest. https://datasheets.raspberrypi.com/camera/picamera2-manual.pdf, section 4.2.2
    """
    if model in _FULL_VIEW:  # asking the sensor takes a second and a half
        size, bits = _FULL_VIEW[model]
        return {"output_size": size, "bit_depth": bits}
    modes = [mode for mode in getattr(camera, "sensor_modes", ()) if "size" in mode and "bit_depth" in mode]
    if not modes:
        return None

    def view(mode: Any) -> int:
        _, _, width, height = mode.get("crop_limits", (0, 0, *mode["size"]))
        return int(width) * int(height)

    widest = max(map(view, modes))
    whole = [mode for mode in modes if view(mode) >= 0.97 * widest]  # binning may lose a few rows
    enough = [mode for mode in whole if mode["size"][0] >= SIZE[0] and mode["size"][1] >= SIZE[1]] or whole
    best = min(enough, key=lambda mode: (mode["size"][0] * mode["size"][1], -mode.get("fps", 0.0)))
    return {"output_size": tuple(best["size"]), "bit_depth": best["bit_depth"]}


def load_picamera2() -> Any:
    """The module picamera2; raises CameraError that says how to get it into this environment."""
    try:
        import picamera2  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        if _APT.exists() and sys.prefix != sys.base_prefix:
            fix = f"set `include-system-site-packages = true` in {Path(sys.prefix) / 'pyvenv.cfg'}"
        else:
            apt = "sudo apt install -y --no-install-recommends python3-picamera2"
            fix = f"`{apt}`, and make the environment with `--system-site-packages`"
        raise CameraError(f"picamera2 is not visible from this Python ({error}): {fix}") from None
    return picamera2


def _model(picamera2: Any, number: int) -> str:
    """Of a CSI camera, as ``imx708``; wide and infrared ones have a suffix."""
    cameras = _csi(picamera2)
    return cameras[number].partition("_")[0] if number < len(cameras) else ""


def pi_cameras() -> list[str]:
    """Models of the CSI cameras, by number; none where picamera2 cannot be used."""
    try:
        return _csi(load_picamera2())
    except Exception:  # it is installed and does not work: whoever names the camera is told why
        return []


def _csi(picamera2: Any) -> list[str]:
    # libcamera lists USB cameras too, which V4L2 serves with less.
    cameras = picamera2.Picamera2.global_camera_info()
    return [str(camera["Model"]) for camera in cameras if "usb" not in str(camera.get("Id", "")).lower()]
