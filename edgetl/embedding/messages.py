"""Messages of any length through a pipe; of its own because a new process takes 30 ms to import ``multiprocessing``."""

from __future__ import annotations

import os
import struct

_LENGTH = struct.Struct("<Q")


def send(pipe: int, message: bytes) -> None:
    """Write one; waits while the pipe is full. Raises BrokenPipeError where nobody can read it any more."""
    for part in (_LENGTH.pack(len(message)), message):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(pipe, rest) :]


def receive(pipe: int) -> bytes:
    """Read one, and wait for it; raises EOFError where nobody can write it any more."""
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    return _exactly(pipe, length)


def _exactly(pipe: int, count: int) -> bytes:
    first = os.read(pipe, count)
    if len(first) == count:
        return first
    parts, missing = [first], count - len(first)
    while missing and parts[-1]:
        parts.append(os.read(pipe, missing))
        missing -= len(parts[-1])
    if missing:
        raise EOFError
    return b"".join(parts)
