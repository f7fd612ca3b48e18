"""A camera that hangs on its side, upside down, or sees a mirror: its frames as a person would want to see them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np

from ..errors import InputError
from ..photos import Image
from .source import Camera

TURNS = (0, 90, 180, 270)


def laid(image: Image, turn: int, mirror: bool) -> Image:
    """(h, w, 3) uint8 → the same turned clockwise by so many degrees, then mirrored left to right; contiguous.

    >>> laid(np.zeros((480, 640, 3), np.uint8), 90, False).shape
    (640, 480, 3)
    """
    turned = np.rot90(image, -turn // 90)
    return np.ascontiguousarray(turned[:, ::-1] if mirror else turned)


class LaidCamera:
    """Another camera, its frames turned and mirrored: whatever comes after it sees no others.

    Args:
        camera: whose frames these are.
        turn: degrees clockwise, one of :data:`TURNS`.
        mirror: left to right, after turning.

    Raises:
        InputError: it cannot be turned so.
    """

    def __init__(self, camera: Camera, turn: int, mirror: bool) -> None:
        if turn not in TURNS:
            raise InputError(f"frames can be turned by {', '.join(map(str, TURNS))} degrees, got {turn}")
        self._camera, self._turn, self._mirror = camera, turn, mirror

    @property
    def name(self) -> str:
        """Of the camera."""
        return self._camera.name

    @property
    def live(self) -> bool:
        """As the camera is."""
        return self._camera.live

    @property
    def finite(self) -> bool:
        """As the camera is."""
        return self._camera.finite

    def frames(self) -> Generator[Image, None, None]:
        """The camera's frames, laid; raises as it does."""
        with closing(self._camera.frames()) as images:
            for image in images:
                yield laid(image, self._turn, self._mirror)

    def close(self) -> None:
        """End a running :meth:`frames`."""
        self._camera.close()
