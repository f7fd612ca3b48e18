"""Parts on request: a message, or a light barrier, says that one lies before the camera, and it is inspected."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import EdgetlError
from ...printable import printable
from ..subscription import Recognition

if TYPE_CHECKING:
    from ..app import App

MAX_REASON = 250  # characters
PATIENCE_S = 5.0  # for the camera's next frame: later it is another part


class PartRequests:
    """What was asked for, and is answered with the camera's next frame.

    The verdict goes the way of all verdicts: it is counted, and every sink is told.

    Args:
        app: the running app.
        tell: called with the reason where there is no verdict, and with nothing where there is one.
    """

    def __init__(self, app: App, tell: Callable[[str], None]) -> None:
        self._app, self._tell = app, tell
        self._lock = threading.Lock()  # requests come from a thread of their own, frames from the sink's
        self._asked_s: float | None = None

    def press(self) -> None:
        """A part lies there now; asking again before there is a verdict changes nothing."""
        with self._lock:
            if self._asked_s is None:
                self._asked_s = time.monotonic()

    def look(self, recognition: Recognition) -> None:
        """A frame: inspected if it is of the camera that inspects, and was captured after the request."""
        with self._lock:
            if self._asked_s is None or recognition.frame.time_s < self._asked_s:
                return
            if recognition.name.camera != self._app.inspecting.camera:
                return
            self._asked_s = None
        try:
            self._app.inspecting.check(recognition.frame.image, recognition.frame.number)
            self._tell("")  # the broker keeps no reason that is past
        except EdgetlError as error:
            self._tell(printable(error, MAX_REASON))

    def give_up(self) -> None:
        """Called again and again: without frames there is no verdict."""
        with self._lock:
            late = self._asked_s is not None and time.monotonic() - self._asked_s > PATIENCE_S
            if late:
                self._asked_s = None
        if late:
            self._tell("no frame from the camera")
