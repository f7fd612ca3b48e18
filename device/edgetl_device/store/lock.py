"""One learner at a time: a file lock that the operating system takes away when its holder dies."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StorageError

log = logging.getLogger("edgetl.lock")

try:
    import fcntl
except ImportError:  # Windows: SQLite's own locks keep the file sound, but two learners may overtake each other
    fcntl = None  # type: ignore[assignment]

WAIT_S = 10.0
_POLL_S = 0.05
_TELL_AFTER_S = 1.0


def lock_path(store: Path) -> Path:
    """The lock file beside a store."""
    return store.with_suffix(".lock")


class LearningLock:
    """Held while something is learned or forgotten, so that a head is judged on the samples it was fitted on.

    Reading, and so recognising, needs no lock. A thread that holds it may take it again. ``flock`` ends with the
    process, however that ends: no stale lock is ever left behind.

    Args:
        path: of the lock file, made if missing; it holds the number of the process that holds the lock.
        wait_s: how long to wait for another process.
    """

    def __init__(self, path: Path, wait_s: float = WAIT_S) -> None:
        self.path = path
        self.wait_s = wait_s
        self._thread = threading.RLock()
        self._depth = 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Hold the lock.

        Raises:
            StorageError: another process held it all the time.
        """
        with self._thread:
            handle = self._take() if self._depth == 0 else None
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if handle is not None:
                    os.close(handle)  # and with it the lock

    def _take(self) -> int | None:
        if fcntl is None:
            return None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"cannot open {self.path}: {error.strerror or error}") from None
        started, told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waited = time.monotonic() - started
                holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
                who = f"another program{f' (process {holder})' if holder else ''} is learning on this device right now"
                if waited >= self.wait_s:
                    os.close(handle)
                    raise StorageError(f"{who}: nothing was changed; try again in a moment") from None
                if waited > _TELL_AFTER_S and not told:
                    log.warning("%s: waiting up to %.0f s", who, self.wait_s)
                    told = True
                time.sleep(_POLL_S)
            except BaseException:  # also Ctrl-C while waiting
                os.close(handle)
                raise
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        except OSError:  # a full disk: the number is only for the message
            pass
        return handle
