"""One finding, and the machine that is examined: tests bring another root folder and other commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from .. import v4l2
from ..errors import EdgetlError

_TIMEOUT_S = 120.0  # importing OpenCV from a slow SD card on a cold cache takes half a minute


@dataclass(frozen=True)
class Check:
    """One finding.

    Args:
        name: what was looked at.
        ok: whether it is as it should be.
        detail: what was found.
        fix: the exact remedy; empty where nothing is wrong.
        needed: whether edgetl cannot work without it; else it is a warning.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    needed: bool = True


class System:
    """Files and commands of the machine.

    Args:
        root: where ``/proc``, ``/sys``, ``/dev`` and ``/usr`` are.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """``/sys/…`` → the path under :attr:`root`."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """Content of a file without NULs and blanks around it; "" if it cannot be read."""
        try:
            return self.path(name).read_bytes().decode(errors="replace").strip("\0 \n")
        except OSError:
            return ""

    def video_device(self, name: str) -> bytes | None:
        """What a V4L2 device says of itself; None if it cannot be asked."""
        return v4l2.capabilities(self.path(name))

    def command(self, *arguments: str) -> str | None:
        """What a program prints; None if it is missing or fails."""
        program = shutil.which(arguments[0])
        if program is None:
            return None
        try:
            done = subprocess.run([program, *arguments[1:]], capture_output=True, text=True, timeout=10, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    def python(self, code: str) -> tuple[int, str]:
        """Run code in a child of this Python → exit status (negative: killed by a signal), last line it said."""
        try:
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            return 1, f"no answer within {_TIMEOUT_S:.0f} s"
        lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
        return done.returncode, lines[-1] if lines else ""


Examination = Callable[[System, Path], Check]


def guarded(name: str, check: Examination, system: System, home: Path) -> Check:
    """Run a check; one that fails itself is a finding, not the end of the examination."""
    try:
        return replace(check(system, home), name=name)
    except EdgetlError as error:
        return Check(name, False, str(error), "fix that first")
    except ImportError as error:  # the checks of the packages say what to do
        return Check(name, False, f"cannot be checked: {error}", "fix the packages first", needed=False)
    except Exception as error:
        detail = f"the check itself failed: {type(error).__name__}: {error}"
        return Check(name, False, detail, "please report this, with the output of --json", needed=False)
