"""Frames that do not come from a camera: a video file, photos, the built-in rendered world."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path

from ..errors import CameraError, PhotoError
from ..photo_folders import PhotoFolder, photos_in
from ..photos import Image, read_photo
from ..printable import printable
from .capture import frames_of, open_capture
from .source import paced

log = logging.getLogger("edgetl.camera")

PHOTOS_PER_S = 2.0
PARTS_FPS = 15.0
_AV1 = ("AV01", "AV1")  # no wheel of OpenCV has a decoder for it
_ONE_THREAD_PIXELS = 1280 * 720  # up to here one thread decodes as fast as many, and leaves the others to the backbone


class VideoFile:
    """A video file.

    Args:
        path: any file that OpenCV's FFmpeg reads.
        loop: begin again at its end, for ever.
        pace: play at the file's own frame rate; otherwise every frame, as fast as it is taken.
    """

    def __init__(self, path: Path, *, loop: bool = False, pace: bool = True) -> None:
        self.name = path.name
        self.live = pace
        self.finite = True
        self._path = path
        self._loop = loop
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """The file's frames; raises CameraError where it is not a video."""
        import cv2

        threads = {cv2.CAP_PROP_N_THREADS: 1}
        while not self._closed.is_set():
            shown = False
            with open_capture(str(self._path), cv2.CAP_FFMPEG, threads) as capture:
                codec = 0
                if not capture.isOpened():
                    raise CameraError(
                        f"{self._path} cannot be read as a video: expected MP4 (H.264) or another common kind"
                    )
                pixels = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
                if threads and pixels > _ONE_THREAD_PIXELS:
                    threads = {}
                    continue
                fps, codec = capture.get(cv2.CAP_PROP_FPS), int(capture.get(cv2.CAP_PROP_FOURCC))
                pace = (fps if 1 <= fps <= 240 else 30.0) if self.live else None
                for image in paced(frames_of(capture), pace, self._closed):
                    shown = True
                    yield image
            if not shown and not self._closed.is_set():
                raise CameraError(_undecodable(self._path, codec))
            if not self._loop:
                return

    def close(self) -> None:
        """End a running :meth:`frames`."""
        self._closed.set()


def _undecodable(path: Path, codec: int) -> str:
    """Why a film that can be opened has no frames.

    Args:
        codec: its four-character code, as OpenCV has it.
    """
    name = printable(codec.to_bytes(4, "little", signed=False).decode("latin-1").strip("\0 "))
    if name.upper() in _AV1:
        return (
            f"{path} is an AV1 video, which this OpenCV cannot decode: convert it, for example with "
            "`ffmpeg -i IN.mp4 -c:v libx264 OUT.mp4`"
        )
    return (
        f"{path} has no frame that can be decoded (codec {name or 'unknown'}): it is damaged, or this OpenCV cannot "
        "decode it; `ffmpeg -i IN.mp4 -c:v libx264 OUT.mp4` converts what FFmpeg can"
    )


class Photos:
    """Photos of a folder, or a single one, in the order of their names; those that cannot be read are skipped.

    Args:
        path: a photo, or a folder with photos directly or deeper inside.
        loop: begin again at the end, for ever.
        pace: two photos a second; otherwise as fast as they are taken.
    """

    def __init__(self, path: Path, *, loop: bool = False, pace: bool = True) -> None:
        self.name = f"photos in {path.name}" if path.is_dir() else path.name
        self.live = False
        self.finite = True
        self._path = path
        self._loop = loop
        self._fps = PHOTOS_PER_S if pace else None
        self._closed = threading.Event()

    def frames(self) -> Generator[Image, None, None]:
        """The photos; raises CameraError where there are none."""
        shown = True
        while shown and not self._closed.is_set():
            shown = False
            for image in paced(self._read(), self._fps, self._closed):
                shown = True
                yield image
            if not self._loop:
                break
        if not shown and not self._closed.is_set():
            raise CameraError(f"no photos in {self._path} that can be read (JPEG, PNG, BMP, WebP, TIFF)")

    def close(self) -> None:
        """End a running :meth:`frames`."""
        self._closed.set()

    def _read(self) -> Iterator[Image]:
        content = photos_in(self._path) if self._path.is_dir() else PhotoFolder((self._path,), ())
        for unused in content.unused:
            log.warning("skipped: %s", unused)
        for path in content.photos:
            try:
                yield read_photo(path)
            except PhotoError as error:
                log.warning("skipped: %s", error)


class PartsCamera:
    """The built-in world: rendered machine parts slide over a bench (:mod:`edgetl_device.parts`).

    Args:
        light: ``normal``, ``dim``, ``warm`` or ``harsh``.
        pace: 15 frames a second; otherwise as fast as they are taken.
        seed: of bench, light and parts.
    """

    def __init__(self, light: str = "normal", *, pace: bool = True, seed: int = 0) -> None:
        from .. import parts

        self.name = f"rendered parts, {light} light"
        self.live = pace
        self.finite = False
        self._closed = threading.Event()
        self._begin = partial(parts.stream, light=light, fps=PARTS_FPS, seed=seed)
        self._stream = self._begin()

    def frames(self) -> Generator[Image, None, None]:
        """Endless; goes on where the last connection was."""
        yield from paced(self._images(), PARTS_FPS if self.live else None, self._closed)

    def _images(self) -> Iterator[Image]:
        try:
            for image, _ in self._stream:
                yield image
        except Exception:  # which ends a stream for good
            self._stream = self._begin()
            raise

    def close(self) -> None:
        """End a running :meth:`frames`."""
        self._closed.set()
