"""From what a person types to a camera."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ..addresses import expanded, is_address, shown_address
from ..errors import CameraError, InputError
from ..extensions import CAMERAS, call_factory, extension_names, load_extension
from ..photo_folders import why_unused
from ..photos import Image
from ..printable import printable
from ..v4l2 import v4l2_cameras
from ..view_names import check_name
from .capture import V4L2Camera, check_device
from .network import NetworkCamera
from .picamera import PiCamera, load_picamera2, pi_cameras
from .recorded import PartsCamera, Photos, VideoFile
from .source import Camera

SPECS = "auto, a number, /dev/v4l/by-id/…, picamera2, an rtsp:// or http:// address, a video, a photo folder, or parts"


_OF_ADDRESSES = ":/\\@$?&"  # no name holds them, and before a `=` most addresses and paths do


@dataclass(frozen=True)
class DetectedCamera:
    """One camera of this machine: the value for ``--camera``, and its model."""

    spec: str
    model: str


def find_cameras() -> list[DetectedCamera]:
    """USB cameras, then CSI cameras where picamera2 can be used."""
    usb = [DetectedCamera(str(device), model) for device, model in v4l2_cameras()]
    csi = [DetectedCamera(f"picamera2:{number}", model) for number, model in enumerate(pi_cameras())]
    return usb + csi


def open_camera(spec: str, *, loop: bool = False, pace: bool = True, wait: bool = False) -> Camera:
    """The camera that a person named; it connects when its frames are asked for.

        >>> from edgetl_device import open_camera
        >>> camera = open_camera("photos", pace=False)
        >>> [image.shape for image in camera.frames()]
        [(64, 64, 3), (64, 64, 3)]

    Args:
        spec: ``auto`` (the first of :func:`find_cameras`), ``0`` (``/dev/video0``), a device path, ``picamera2`` or
            ``picamera2:1``, an ``rtsp``, ``rtsps``, ``http`` or ``https`` address (of a stream or of a still picture;
            ``${NAME}`` in it is what the environment says), a video file, a photo or a folder of
            photos, ``parts`` or ``parts:dim``, or ``NAME`` or ``NAME:ARGUMENT`` of a camera that a package adds
            (:data:`~edgetl_device.extensions.CAMERAS`).
        loop: files begin again at their end.
        pace: files and ``parts`` play at their own frame rate; otherwise every frame, as fast as it is taken.
        wait: a USB or CSI camera that is not there yet is no error before its frames are asked for.

    Raises:
        CameraError: there is no such camera, and what to do about it.
    """
    spec = expanded(spec)
    kind, _, detail = spec.partition(":")
    if spec == "auto":
        return AutoCamera(wait=wait)
    if spec.isdecimal() or spec.startswith("/dev/"):
        device = Path(f"/dev/video{int(spec)}" if spec.isdecimal() else spec)
        if device.exists() or not wait:
            check_device(device)
        return V4L2Camera(device)
    if kind == "picamera2" and (not detail or detail.isdecimal()):
        load_picamera2()
        return PiCamera(int(detail or 0))
    if is_address(spec):
        return NetworkCamera(spec)
    if kind == "parts":
        return PartsCamera(detail or "normal", pace=pace)
    if (added := _added_camera(kind, detail)) is not None:
        return added
    path = Path(spec).expanduser()
    if (spec and path.is_dir()) or (path.is_file() and not why_unused(path)):
        return Photos(path, loop=loop, pace=pace)
    if path.is_file():
        return VideoFile(path, loop=loop, pace=pace)
    names = ", ".join(extension_names(CAMERAS))
    shown = printable(shown_address(spec), 200) if "@" in spec or "://" in spec else printable(spec, 200)
    raise CameraError(f"no camera, file or folder '{shown}': expected {SPECS}" + (f", or {names}" if names else ""))


def named_spec(text: str) -> tuple[str, str]:
    """``porch=0`` → the name, and what :func:`open_camera` opens; an empty name where the text has none.

    What is before the first ``=`` is no name where it cannot be one, as in ``http://cam/x?size=1``, and where a file is
    called like the whole text.

        >>> named_spec("porch=rtsp://cam/x?a=b"), named_spec("rtsp://cam/x?a=b"), named_spec("0")
        (('porch', 'rtsp://cam/x?a=b'), ('', 'rtsp://cam/x?a=b'), ('', '0'))

    Raises:
        InputError: it is no name that a camera can have, or nothing is behind it.
    """
    name, equals, spec = text.partition("=")
    if not equals or set(name) & set(_OF_ADDRESSES) or Path(text).expanduser().exists():
        return "", text
    clean = check_name(name, "camera")
    if not spec.strip():
        raise InputError(f"--camera {clean}=: expected what it is behind the name: {SPECS}")
    return clean, spec.strip()


def _added_camera(name: str, argument: str) -> Camera | None:
    """The camera of an installed extension; None where no package adds one of that name."""
    factory = load_extension(CAMERAS, name) if name else None
    if factory is None:
        return None
    camera = call_factory(factory, CAMERAS, name, argument)
    missing = [part for part in ("name", "live", "finite", "frames", "close") if not hasattr(camera, part)]
    if missing:
        raise CameraError(f"{name!r} ({CAMERAS}) returned {type(camera).__name__}, which lacks {', '.join(missing)}")
    return cast(Camera, camera)


class AutoCamera:
    """Whatever camera there is, looked for anew at each connection: it may come back under another number.

    Args:
        wait: it may come later; otherwise there must be one.
    """

    live = True
    finite = False

    def __init__(self, wait: bool = False) -> None:
        self._camera: V4L2Camera | PiCamera | None = None
        self._closed = False
        with suppress(*(CameraError,) * wait):
            self._camera = _first()

    @property
    def name(self) -> str:
        """Of the camera in use."""
        return self._camera.name if self._camera is not None else "none yet"

    def frames(self) -> Generator[Image, None, None]:
        """Frames of the first camera found."""
        self._camera = _first()
        if self._closed:
            self._camera.close()
        yield from self._camera.frames()

    def close(self) -> None:
        """End a running :meth:`frames`."""
        self._closed = True
        if self._camera is not None:
            self._camera.close()


def _first() -> V4L2Camera | PiCamera:
    for device, model in v4l2_cameras():
        return V4L2Camera(device, model)
    if pi_cameras():
        return PiCamera()
    raise CameraError(
        "no camera found: plug in a USB camera; for a CSI camera "
        "`sudo apt install -y --no-install-recommends python3-picamera2` and make the environment with "
        "`--system-site-packages`; without a camera, `--camera parts` shows rendered machine parts"
    )
