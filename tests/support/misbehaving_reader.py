"""Readers that go wrong, run by the test of the confined process: ``FILE`` names which."""

import ctypes
import os
import socket
import sys
from pathlib import Path

from edgetl.models.confined import answer


def work() -> dict:
    kind, folder = Path(sys.argv[1]).name, Path(sys.argv[2])
    if kind == "crash":
        ctypes.string_at(0)
    elif kind == "hang":
        (folder / "started").touch()
        while True:
            pass
    elif kind == "memory":
        return {"length": len(bytes(8 << 30))}
    elif kind == "chatter":
        sys.stdout.write("x" * (2 << 20))
    elif kind == "disk":
        (folder / "big").write_bytes(bytes(64 << 20))
    elif kind == "secrets":
        return dict(os.environ)
    elif kind == "network":
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.connect(("203.0.113.1", 9))  # sends nothing: asks only whether there is a way
    elif kind == "outside":
        (folder.parent / "outside").touch()
    return {"folder": str(folder)}


if __name__ == "__main__":
    answer(work)
