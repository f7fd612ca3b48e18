"""An S3 server on the loopback: moto's (https://docs.getmoto.org/en/latest/docs/server_mode.html)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from ports import free_port


@contextmanager
def object_store(folder: Path, log: Path) -> Iterator[str]:
    """A bucket ``photos`` with what a folder holds → the query of addresses in it; skips where moto is not installed."""
    from processes import wait_for

    pytest.importorskip("moto", reason="needs moto's S3 server (pip install 'moto[s3]' flask flask-cors)")
    command = [sys.executable, "-m", "moto.server"]
    port = free_port()
    with log.open("w") as said:
        server = subprocess.Popen([*command, "-H", "127.0.0.1", "-p", str(port)], stdout=said, stderr=said)
    try:
        wait_for(lambda: "Running on" in log.read_text() or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        endpoint = f"http://127.0.0.1:{port}"
        _put(f"{endpoint}/photos", b"")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                _put(f"{endpoint}/photos/{path.relative_to(folder).as_posix()}", path.read_bytes())
        yield f"endpoint_override={quote(endpoint, safe='')}"
    finally:
        server.terminate()
        server.wait()


def _put(url: str, data: bytes) -> None:
    kind = {"Content-Type": "application/octet-stream"}  # else it is read as a form, and waited for again
    with urlopen(Request(url, data, kind, method="PUT"), timeout=30) as answer:
        assert answer.status == 200
