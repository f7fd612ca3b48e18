"""One learner at a time: a file lock that the operating system takes away when its holder dies."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError
from ..files import make_folder

log = logging.getLogger("edgetl.lock")

try:
    import fcntl
except ImportError:  # Windows: SQLite's own locks keep the file sound, but two learners may overtake each other
    fcntl = None  # type: ignore[assignment]

WAIT_S = 10.0
_POLL_S = 0.01
_SAY_AFTER_S = 1.0


def lock_path(store: Path) -> Path:
    """The lock file beside a store."""
    return store.with_suffix(".lock")


class _Holding:
    """What this process holds of one lock file: ``flock`` tells processes apart, the other lock tells threads apart."""

    def __init__(self) -> None:
        self.thread = threading.RLock()
        self.depth = 0
        self.handle: int | None = None


_holdings: dict[str, _Holding] = {}
_registry = threading.Lock()


def _holding_of(path: Path) -> _Holding:
    with _registry:
        return _holdings.setdefault(os.path.realpath(path), _Holding())


def _forget_after_fork() -> None:
    """A child holds none of its parent's locks; its copies of the handles would keep them alive beyond the parent."""
    global _registry
    for holding in _holdings.values():
        if holding.handle is not None:
            os.close(holding.handle)
    _holdings.clear()
    _registry = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


class LearningLock:
    """Held while something is learned or forgotten, so that a head is judged on the samples it was fitted on.

    Reading, and so recognising, needs no lock. A thread that holds it may take it again, through this object or any
    other one of the same file. ``flock`` ends with the process, however that ends: no stale lock is ever left behind.

    Args:
        path: of the lock file, made if missing; it holds the number of the process that holds the lock.
        wait_s: how long to wait for another process or thread.
        when_taken: called each time the lock was given, before anything is done under it.
    """

    def __init__(self, path: Path, wait_s: float = WAIT_S, when_taken: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.wait_s = wait_s
        self._when_taken = when_taken

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            StorageError: another process or thread held it all the time, or there is no file to lock.
        """
        holding = _holding_of(self.path)
        started = time.monotonic()
        if not holding.thread.acquire(timeout=max(0.0, self.wait_s)):
            raise StorageError(
                "another part of this program is learning right now: nothing was changed; try again in a moment"
            )
        try:
            if holding.depth == 0:
                holding.handle = self._take(started)
            holding.depth += 1
            try:
                self._when_taken()
                yield
            finally:
                holding.depth -= 1
                if holding.depth == 0 and holding.handle is not None:
                    handle, holding.handle = holding.handle, None
                    os.close(handle)  # and with it the lock
        finally:
            holding.thread.release()

    def _take(self, started: float) -> int | None:
        if fcntl is None:
            return None
        said = False
        while True:
            handle = self._open()
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current(handle):
                    _sign(handle)
                    return handle
            except BlockingIOError:
                said = self._explain_or_refuse(handle, time.monotonic() - started, said)
                time.sleep(_POLL_S)
            except BaseException:  # also Ctrl-C while waiting
                os.close(handle)
                raise
            os.close(handle)

    def _open(self) -> int:
        try:
            make_folder(self.path.parent)
            return os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(f"cannot open {self.path}: {error.strerror or error}") from None

    def _is_current(self, handle: int) -> bool:
        """Whether the file that was locked is still the one at the path: a home may be deleted meanwhile."""
        try:
            return os.path.samestat(os.fstat(handle), self.path.stat())
        except OSError:
            return False

    def _explain_or_refuse(self, handle: int, waited_s: float, said: bool) -> bool:
        """Log once who is learning, or raise StorageError once the wait is over. → whether it was logged."""
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
        who = f"another program{f' (process {holder})' if holder else ''} is learning on this device right now"
        if waited_s >= self.wait_s:
            raise StorageError(f"{who}: nothing was changed; try again in a moment") from None
        if waited_s > _SAY_AFTER_S and not said:
            log.warning("%s: waiting up to %.0f s", who, self.wait_s)
            return True
        return said


def _sign(handle: int) -> None:
    """Write this process's number into the lock file."""
    number = str(os.getpid()).encode()
    try:
        if os.pread(handle, 32, 0) != number:
            os.ftruncate(handle, 0)
            os.pwrite(handle, number, 0)
    except OSError:  # a full disk: the number is only for the message
        pass
