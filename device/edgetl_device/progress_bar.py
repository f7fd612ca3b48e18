"""One bar or spinner on the terminal at a time, and lines printed around it.

What runs inside a stage takes the stage's place and number while it lasts: ``2/5 quantizing``, then
``3/5 embedding photos ━━━━ 31/400``.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_WIDEST = 34  # of a description, characters: with the bar it fits 80 columns


class _Display:
    """The bar itself, made when something is to be shown and gone when nothing is."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Counts(ProgressColumn):
            """31/400; of a spinner, the seconds that have passed."""

            def render(self, task: Any) -> Text:
                if task.total is None:
                    return Text(f"{task.elapsed or 0:.0f} s")
                return Text(f"{task.completed:.0f}/{task.total:.0f}")

        class Remaining(TimeRemainingColumn):
            """Nothing of a spinner."""

            def render(self, task: Any) -> Text:
                return Text("") if task.total is None else super().render(task)

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(24), Counts(), Remaining())
        # Lines are printed by `paused`: what rich redirects ends on stderr, wherever it was meant for.
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
        self._tasks: list[Any] = []
        self.prefix = ""

    def push(self, what: str, total: int | None) -> None:
        if self._tasks:
            self._bar.update(self._tasks[-1], visible=False)
        description = f"{self.prefix}{what}"
        if len(description) > _WIDEST:
            description = f"{description[: _WIDEST - 1]}…"
        self._tasks.append(self._bar.add_task(description, total=total))
        self._bar.start()

    def pop(self) -> bool:
        """Whether something is still shown."""
        self._bar.remove_task(self._tasks.pop())
        if self._tasks:
            self._bar.update(self._tasks[-1], visible=True)
        else:
            self._bar.stop()
        return bool(self._tasks)

    def advance(self) -> None:
        self._bar.advance(self._tasks[-1])

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._bar.stop()
        try:
            yield
        finally:
            if self._tasks:
                self._bar.start()


_lock = threading.RLock()
_display: _Display | None = None


@contextmanager
def shown(what: str, total: int | None = None, prefix: str | None = None) -> Iterator[Callable[[], None]]:
    """Show a bar, or a spinner where the total is not known, until the block ends; yields what advances it.

    Nothing is shown where stderr is no terminal.

    Args:
        what: is being done.
        total: how many there are.
        prefix: stands before this and before whatever is shown inside; None for what it is outside.
    """
    global _display
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with _lock:
        display = _display = _display or _Display()
        before = display.prefix
        display.prefix = before if prefix is None else prefix
        display.push(what, total)
    try:
        yield display.advance
    finally:
        with _lock:
            display.prefix = before
            if not display.pop():
                _display = None


@contextmanager
def paused() -> Iterator[None]:
    """Take the bar away while a line is printed."""
    with _lock:
        if _display is None:
            yield
        else:
            with _display.paused():
                yield
