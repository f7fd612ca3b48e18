"""Reads of files from strangers, in a process of their own that can do little harm.

The process gets limits on memory, time and the size of files, an environment without secrets, and an empty folder to
write to; it ends when the program ends that started it. Where Bubblewrap is installed it sees the file system
read-only and no network; else, where ``unshare`` of util-linux may make namespaces, no network. What dies or hangs in
there is one line for the user.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgetl_device.child_process import data_bytes, end_with
from edgetl_device.errors import InputError

_KEPT = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
_MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a confined process may use.

    Args:
        memory_bytes: of address space.
        seconds: of time, by the clock.
        file_bytes: of the largest file that it writes.
        growth_bytes: of memory that it may take once it has called :func:`limit_growth`; 0 where it does not.
    """

    memory_bytes: int
    seconds: int
    file_bytes: int
    growth_bytes: int = 0


def checked_file(path: Path, max_bytes: int) -> int:
    """The size of a regular file; InputError for a pipe, a device, or a file that is too large to be a model."""
    try:
        status = path.stat()  # follows links: the caches of model hubs consist of them
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is no regular file")
    if status.st_size > max_bytes:
        raise InputError(f"{path} takes {status.st_size >> 20} MB: edgetl reads models of up to {max_bytes >> 20} MB")
    return status.st_size


def run_confined(module: str, path: Path, folder: Path, limits: Limits, shown: Path | None = None) -> dict[str, Any]:
    """Run ``python -m MODULE PATH FOLDER`` confined → what it answers, see :func:`answer`.

    Args:
        folder: an empty folder, the only place where the process is meant to write.
        shown: the path for messages; default is ``path``.

    Raises:
        InputError: it refused the file, crashed, or took more than its limits; the message begins with the path.
    """
    parent = 0 if _tools()[0] else os.getpid()  # Bubblewrap numbers processes anew, and ends them itself
    numbers = ",".join(str(value) for value in (*astuple(limits), parent))
    command = [*_walls(folder), sys.executable, "-P", "-m", module, str(path.absolute()), str(folder), numbers]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=_environment(),
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            raise InputError(
                f"{shown or path} took more than {limits.seconds} s to read: it is damaged, or made to harm"
            ) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return _result(output, process.returncode, shown or path)


def answer(work: Callable[[], dict[str, Any]]) -> None:
    """In the confined process: take on the limits of the command line, work, and tell the parent how it went."""
    memory, seconds, file, _, parent = (int(part) for part in sys.argv[3].split(","))
    end_with(parent)
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, 2 * seconds),  # of two cores, as TensorFlow uses several
        (resource.RLIMIT_FSIZE, file),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    try:
        result: dict[str, Any] = {"done": work()}
    except InputError as error:
        result = {"refused": str(error)}
    except MemoryError:
        result = {"refused": "it needs more memory than a model of its size should"}
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()


def limit_growth() -> None:
    """In the confined process, once a framework is loaded: it may take only ``growth_bytes`` more from here on."""
    if taken := data_bytes():  # only Linux tells, and keeps to such a limit
        most = taken + int(sys.argv[3].split(",")[3])
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # each thread reserves memory
        "OMP_NUM_THREADS": "2",
        "TF_NUM_INTEROP_THREADS": "2",
        "TF_NUM_INTRAOP_THREADS": "2",
        "HDF5_PLUGIN_PRELOAD": "::",  # no filters from shared libraries
        "CUDA_VISIBLE_DEVICES": "",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _result(output: bytes, code: int, path: Path) -> dict[str, Any]:
    try:
        result = json.loads(output) if len(output) <= _MAX_ANSWER_BYTES else {}
    except (ValueError, RecursionError):
        result = {}
    if isinstance(result, dict) and isinstance(result.get("refused"), str):
        raise InputError(f"{path}: {result['refused']}")
    done = result.get("done") if isinstance(result, dict) else None
    if not isinstance(done, dict):
        raise InputError(f"{path} cannot be read: it is damaged, or made to harm (its reader ended with {code})")
    return done


def _walls(folder: Path) -> list[str]:
    """The command that keeps a process from the network, and from writing outside a folder where that is possible."""
    bubblewrap, unshare = _tools()
    if bubblewrap:
        read_only = [bubblewrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        return [*read_only, "--bind", str(folder), str(folder), "--unshare-all", "--die-with-parent", "--"]
    return [unshare, "--user", "--net", "--"] if unshare else []


@cache
def _tools() -> tuple[str, str]:
    """Bubblewrap and ``unshare``, each empty where it is missing or may not make namespaces."""
    bubblewrap = shutil.which("bwrap") or ""
    if bubblewrap and not _works([bubblewrap, "--ro-bind", "/", "/", "--unshare-all", "--", "true"]):
        bubblewrap = ""
    unshare = shutil.which("unshare") or ""
    if unshare and not _works([unshare, "--user", "--net", "--", "true"]):
        unshare = ""
    return bubblewrap, unshare


def _works(command: list[str]) -> bool:
    with suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    return False
