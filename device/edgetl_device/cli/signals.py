"""Ending a long-running command on SIGTERM and SIGINT, in order."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class Ending:
    """While it is entered, SIGTERM and SIGINT ask for the end instead of forcing it; a second SIGINT forces it.

    Attributes:
        asked: set once the end was asked for.
        interrupted: whether it was by SIGINT.
    """

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.interrupted = False
        self._before: dict[signal.Signals, Any] = {}

    def ask(self) -> None:
        """Ask for the end; from any thread."""
        self.asked.set()

    def __enter__(self) -> Ending:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
        self.asked.set()
