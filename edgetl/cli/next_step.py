"""The next command, as it can be copied into a shell."""

from __future__ import annotations

import shlex

from edgetl_device.console import say


def say_next(*words: object, first: str = "next") -> None:
    """A line with the command to give next; names with blanks are quoted."""
    say(f"{first}: {shlex.join(str(word) for word in words)}")
