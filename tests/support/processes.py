"""Processes that a test waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def descendants(process: int) -> set[int]:
    """The children of a process, and theirs."""
    found: set[int] = set()
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended
            found |= {int(child) for child in path.read_text().split()}
    return found | {deeper for child in found for deeper in descendants(child)}


def is_running(process: int) -> bool:
    """Whether it is there, and not only waits for its exit code to be taken."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition: Callable[[], Any], within_s: float = 30.0) -> Any:
    """What a condition gives as soon as that is true."""
    for _ in range(round(within_s / 0.05)):
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen")
