"""A web server that webhooks are sent to: remembers what it gets, and answers as it is told."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """What it got, and what it answers next: (status, headers); when the list is at its end, 204."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.got: list[Received] = []
        self.changed = threading.Condition()
        self.url = ""

    def until(self, count: int, timeout_s: float = 15.0) -> list[Received]:
        """All that came, as soon as there is so much."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.got) >= count, timeout_s), f"{len(self.got)} came"
            return list(self.got)


@contextmanager
def receiver(certificate: str | None = None, key: str | None = None) -> Iterator[Receiver]:
    """The server, while the block runs; with a certificate it speaks HTTPS."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with state.changed:
                state.got.append(Received(self.path, headers, body))
                status, more = state.answers.pop(0) if state.answers else (204, {})
                state.changed.notify_all()
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # what follows a redirect in the wrong way asks so

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.url = f"http{'' if certificate is None else 's'}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
