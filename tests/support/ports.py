"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket

_BELOW = 32768  # where Linux begins to hand out ports by itself: none of these is taken by chance before it is used


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    for _ in range(100):
        port = random.SystemRandom().randrange(20_000, _BELOW)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("there is no free port")
