"""Child processes that run what strangers made: they end with the program that started them, and have limits.

It needs only the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux: https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html


def end_with(parent: int) -> None:
    """Have this process killed when the one that started it ends, in whatever way; only Linux does that.

    Args:
        parent: its process id; where it has ended before this call, this process ends now. 0 where it is not known.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if parent and os.getppid() != parent:
        os._exit(1)


def data_bytes() -> int:
    """Of memory that this process has for writing; 0 where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), 0)


def limit(*, data_bytes: int, cpu_s: int, file_bytes: int) -> None:
    """Bound what this process may take, and have it end first where the memory gets short.

    Args:
        data_bytes: of memory that it writes to.
        cpu_s: of processor time, seconds.
        file_bytes: of the largest file that it writes.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_DATA, data_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
    ):
        soft, hard = resource.getrlimit(kind)
        if hard == resource.RLIM_INFINITY or hard > most:
            resource.setrlimit(kind, (most, most))
        elif soft == resource.RLIM_INFINITY or soft > hard:
            resource.setrlimit(kind, (hard, hard))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
