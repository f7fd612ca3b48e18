"""Feed: the frames of one camera, connection after connection, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing

from ..addresses import without_secrets
from ..camera import STALL_S, Camera, Frame
from ..camera.source import as_bgr
from ..errors import CameraError, EdgetlError
from ..printable import printable

log = logging.getLogger("edgetl.pipeline")

_STEADY_S = 5.0  # a connection that lasted so long starts again with the shortest pause


class Feed:
    """Reads one camera; one that fails is connected again with growing pauses, for ever.

    Args:
        name: of the camera, given by a person; empty for the only one.
        camera: where frames come from.
        take: gets each frame; whether an earlier one was dropped for it is counted.
        backoff_s: first and longest pause, seconds.
        patient: a camera that never worked may come later.
        stopping: set when no more frames are wanted.

    Attributes:
        number: frames captured.
        dropped: captured, but replaced by newer ones.
        reconnects: how often the camera was connected again.
        captured_s: when the newest frame came, by the monotonic clock; None before the first.
        error: why the camera is away, or None.
    """

    def __init__(
        self,
        name: str,
        camera: Camera,
        take: Callable[[Feed, Frame], int],
        *,
        backoff_s: tuple[float, float],
        patient: bool,
        stopping: threading.Event,
    ) -> None:
        self.name, self.camera = name, camera
        self._take, self._backoff_s, self._patient, self._stopping = take, backoff_s, patient, stopping
        self.number = self.dropped = self.reconnects = 0
        self.captured_s: float | None = None
        self.error: str | None = None

    @property
    def problem(self) -> str | None:
        """Why no frames come now; None while they do."""
        age_s = None if self.captured_s is None else time.monotonic() - self.captured_s
        if self.error is None and age_s is not None and age_s > STALL_S:
            return f"{self.camera.name} has sent no frame for {age_s:.0f} s"
        return self.error

    def run(self) -> None:
        """Until the camera is at its end, or no more is wanted.

        Raises:
            EdgetlError: a file is damaged, or the camera never worked and is not waited for.
        """
        pause_s, longest_s = self._backoff_s
        told = None
        while not self._stopping.is_set():
            began_s = time.monotonic()
            try:
                self._connection()
                if self.camera.finite or self._stopping.is_set():
                    return
                self.error = f"{self.camera.name} has ended"
            except Exception as error:  # drivers raise what they like; a camera must not end the program
                log.info("the camera failed", exc_info=not isinstance(error, EdgetlError))
                failure = error if isinstance(error, EdgetlError) else self._unexpected(error)
                if self.camera.finite or not (self.number or self._patient):
                    raise failure from None  # a camera that never worked is a mistake rather than a fault
                self.error = str(failure)
            if time.monotonic() - began_s > _STEADY_S:
                pause_s = self._backoff_s[0]
            level = logging.INFO if self.error == told else logging.WARNING  # a camera may be away for days
            log.log(level, "%s; trying again in %.1f s", self._named(self.error), pause_s)
            told = self.error
            self._stopping.wait(pause_s)
            pause_s = min(2 * pause_s, longest_s)
            self.reconnects += 1

    def _connection(self) -> None:
        """Pass on the frames of one connection."""
        with closing(self.camera.frames()) as images:
            for given in images:
                if self._stopping.is_set():
                    return
                image = as_bgr(given, self.camera.name)
                self.captured_s = time.monotonic()
                self.error = None
                self.number += 1
                self.dropped += self._take(self, Frame(image, self.number, self.captured_s))

    def _named(self, problem: str) -> str:
        return f"{self.name}: {problem}" if self.name else problem

    def _unexpected(self, error: Exception) -> CameraError:
        """A driver's own exception, in one line."""
        reason = printable(without_secrets(f"{type(error).__name__}: {error}"), 200)
        return CameraError(f"{self.camera.name} failed ({reason}): check that it is connected and not in use")
