"""What is wrong with this device, and the exact command that fixes it.

Nothing here imports NumPy, OpenCV or a runtime before a child process has shown that they load: an environment in which
they do not is what a doctor is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import connections, hardware, software, state
from .check import Check, System, guarded


def examine(home: Path, system: System | None = None) -> Iterator[Check]:
    """All checks, in the order in which faults follow from each other: software, state,
    connections, hardware."""
    system = system or System()
    for kind in (software.CHECKS, state.CHECKS, connections.CHECKS, hardware.CHECKS):
        for name, check in kind:
            yield guarded(name, check, system, home)


__all__ = ["Check", "System", "examine"]
