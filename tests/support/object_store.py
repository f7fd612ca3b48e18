"""An S3 server on the loopback: moto's (https://docs.getmoto.org/en/latest/docs/server_mode.html)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest


@contextmanager
def object_store(folder: Path, log: Path) -> Iterator[str]:
    """A bucket ``photos`` with what a folder holds → the query of addresses in it; skips where moto is not installed."""
    from processes import wait_for
    from pyarrow import fs

    command = shutil.which("moto_server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if command is None:
        pytest.skip("needs moto's S3 server (pip install 'moto[s3,server]')")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with log.open("w") as said:
        server = subprocess.Popen([command, "-H", "127.0.0.1", "-p", str(port)], stdout=said, stderr=said)
    try:
        wait_for(lambda: "Running on" in log.read_text() or server.poll() is not None)
        assert server.poll() is None, log.read_text()
        endpoint = f"http://127.0.0.1:{port}"
        store = fs.S3FileSystem(
            endpoint_override=endpoint, access_key="key", secret_key="secret", allow_bucket_creation=True
        )
        store.create_dir("photos")
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                with store.open_output_stream(f"photos/{path.relative_to(folder).as_posix()}") as stream:
                    stream.write(path.read_bytes())
        yield f"endpoint_override={quote(endpoint, safe='')}"
    finally:
        server.terminate()
        server.wait()
