"""Native code writes to file descriptor 2 behind Python's back; here it becomes ordinary log records."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger("edgetl.native")


@contextmanager
def captured_stderr() -> Iterator[list[str]]:
    """While the block runs, collect what native code says; afterwards the list holds its lines.

    They are logged too, so ``-v`` shows them.
    """
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        original = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield lines
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            kept.seek(0)
            lines += kept.read().decode(errors="replace").splitlines()
            for line in lines:
                log.info("%s", line)
