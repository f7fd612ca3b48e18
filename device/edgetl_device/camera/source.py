"""What a camera is, and what its kinds share."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import CameraError
from ..photos import Image

STALL_S = 5.0  # a camera that sends nothing for so long counts as gone


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame as it was captured.

    Args:
        image: (height, width, 3) uint8 BGR; nobody writes to it.
        number: 1, 2, … over all reconnections of a camera, dropped frames included.
        time_s: :func:`time.monotonic` at capture, seconds.
    """

    image: Image
    number: int
    time_s: float


class Camera(Protocol):
    """The seam: where frames come from. :class:`~edgetl_device.camera.fake.FakeCamera` is the one for tests.

    A camera is a description until :meth:`frames` is called; each call connects anew.

    """

    @property
    def name(self) -> str:
        """For a person; without passwords."""

    @property
    def live(self) -> bool:
        """Frames come in their own time, so late ones are dropped; otherwise the next one waits until it is wanted."""

    @property
    def finite(self) -> bool:
        """The end of the frames is the end, as with a file, and an error is too; otherwise both are to recover from."""

    def frames(self) -> Generator[Image, None, None]:
        """Connect and yield (height, width, 3) uint8 BGR; the connection is gone when the generator is closed.

        Raises:
            CameraError: it cannot be opened, or nothing came for ``STALL_S`` seconds.
        """

    def close(self) -> None:
        """Make a running :meth:`frames` end soon and later ones yield nothing; may be called from any thread."""


def as_bgr(image: npt.NDArray[Any], name: str) -> Image:
    """What a driver gave, which may change in mid-stream: grey and transparent frames become (height, width, 3) BGR.

    Raises:
        CameraError: it is no frame of 8 bits.
    """
    shape: tuple[int, ...] = getattr(image, "shape", ())
    channels = shape[2] if len(shape) == 3 else 1 if len(shape) == 2 else 0
    if getattr(image, "dtype", None) != np.uint8 or channels not in (1, 3, 4) or 0 in shape:
        kind = f"{shape} {image.dtype}" if hasattr(image, "dtype") else type(image).__name__
        raise CameraError(f"{name} sent {kind}: expected frames (height, width, 3) uint8, in BGR")
    if channels == 3:
        return image
    import cv2

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_BGRA2BGR), np.uint8)


def paced(images: Iterable[Image], fps: float | None, closed: threading.Event) -> Iterator[Image]:
    """The same images, at most ``fps`` a second (None: as fast as they come), until ``closed``."""
    due_s = time.monotonic()
    for image in images:
        if fps is not None:
            closed.wait(max(0.0, due_s - time.monotonic()))
            due_s = max(due_s, time.monotonic() - 1.0 / fps) + 1.0 / fps  # what was late is not made up for in a rush
        if closed.is_set():
            return
        yield image
