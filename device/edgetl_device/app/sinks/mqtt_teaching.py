"""Teaching from afar: a label is chosen, a button pressed, and what the camera sees for two seconds is learned as it.

It goes the way of the page's teaching: through the check for slips of known labels, into the store, past the gate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import EdgetlError
from ...labels import check_sample_label
from ...printable import printable
from ..subscription import Recognition

if TYPE_CHECKING:
    from ..app import App
    from ..captured import CapturedSample

TEACH_S = 2.0  # how long it looks
INTERVAL_S = 0.1  # between two frames that are kept
PATIENCE_S = 5.0  # for the camera's next frame
MAX_RESULT = 250  # characters; Home Assistant shows states of up to 255
PRESS = b"PRESS"


class Teaching:
    """What is to be taught, and what came of it.

    Args:
        app: the running app.
        tell: called when there is something new to say: the chosen label, and the result of the last lesson.
    """

    def __init__(self, app: App, tell: Callable[[str, str], None]) -> None:
        self._app, self._tell = app, tell
        self._lock = threading.Lock()  # commands come from the client's thread, frames from the sink's
        self._label = ""
        self._view = ""  # what a person calls the view that teaches; the first, before one was chosen
        self._result = "nothing taught yet"
        self._pressed_s: float | None = None
        self._began_s = self._last_s = 0.0
        self._captured: list[CapturedSample] = []

    def begin(self) -> None:
        """Say how things stand."""
        self._tell(self._label, self._result)

    def choose(self, payload: bytes) -> None:
        """The label to teach next, as UTF-8."""
        try:
            self._label = check_sample_label(payload.decode())
        except (EdgetlError, UnicodeDecodeError) as error:
            self._say(f"no label: {error}")
        else:
            self._say("ready")

    @property
    def view(self) -> str:
        """What a person calls the view that teaches."""
        views = self._app.pipeline.views
        return next((each for each in views if each.name.shown == self._view), views[0]).name.shown

    def choose_view(self, payload: bytes) -> None:
        """The view that teaches next, as a person calls it, in UTF-8."""
        name = payload.decode("utf-8", "replace")
        if name in [each.name.shown for each in self._app.pipeline.views]:
            self._view = name
            self._say("ready")
        else:
            self._say(f"no view {name}")

    def press(self, payload: bytes) -> None:
        """The button: look from now on; while it looks, pressing again changes nothing."""
        if payload != PRESS:
            return
        if not self._label:
            self._say("choose a label first")
            return
        with self._lock:
            if self._pressed_s is not None:
                return
            self._pressed_s, self._captured = time.monotonic(), []
        self._say("looking …")

    def look(self, recognition: Recognition) -> None:
        """A frame of the view that teaches: kept while the button's two seconds last, learned when they are over."""
        now_s = time.monotonic()
        with self._lock:
            if self._pressed_s is None or recognition.frame.time_s < self._pressed_s:
                return
            if any(recognition.name) and recognition.name.shown != self.view:
                return
            if not self._captured:
                self._began_s = now_s
            elif now_s - self._last_s < INTERVAL_S:
                return
            label, began_s, self._last_s = self._label, self._began_s, now_s
            if now_s - began_s < TEACH_S:
                self._captured.append(self._app.capture(recognition))
                return
            captured, self._captured = self._captured, []
        try:
            self._say(self._learned(label, captured, recognition.group))
        finally:
            self._pressed_s = None

    def give_up(self) -> None:
        """Called again and again: without frames there is nothing to teach, and an hour later it is another scene."""
        with self._lock:
            late = self._pressed_s is not None and time.monotonic() - max(self._pressed_s, self._last_s) > PATIENCE_S
            if late:
                self._pressed_s, self._captured = None, []
        if late:
            self._say("nothing learned: no frame from the camera")

    def _learned(self, label: str, captured: list[CapturedSample], group: str | None) -> str:
        try:
            self._app.refuse_slip(label, "teach it on the page", group)
            stored = len(self._app.teach(*(("", captured, {group: label}) if group else (label, captured))))
        except EdgetlError as error:
            return f"nothing learned: {error}"
        try:
            reason = self._app.retrain(group=group).reason
        except EdgetlError as error:
            reason = f"no new head: {error}"
        return f"stored {stored} samples of {label}: {reason}"

    def _say(self, result: str) -> None:
        self._result = printable(result, MAX_RESULT)
        self._tell(self._label, self._result)
