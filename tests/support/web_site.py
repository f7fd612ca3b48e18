"""What the web tests share: the real app and the real server round a scripted camera, and a plain client."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
from conftest import draw
from openapi_contract import check
from websockets.sync.client import ClientConnection, connect

from edgetl_device.app.app import App
from edgetl_device.app.history import HistorySettings
from edgetl_device.camera import FakeCamera
from edgetl_device.home import Home
from edgetl_device.web import hash_password
from edgetl_device.web.server import Server

PASSWORD = "correct horse battery"
PASSWORD_HASH = hash_password(PASSWORD)


def laid_part(seed: int, *, scratched: bool = False, size: int = 64) -> np.ndarray:
    """A (size, size, 3) uint8 BGR photo of a part that always lies in the same place; a bad one has a bright scratch."""
    generator = np.random.default_rng(seed)
    light = 1 + 0.03 * generator.standard_normal()
    image = light * draw("ball", 900, size) + generator.normal(0, 5, (size, size, 3))
    photo = np.clip(image, 0, 255).astype(np.uint8)
    return cv2.line(photo, (10, 52), (56, 8), (255, 255, 255), 7) if scratched else photo


class Scene:
    """What the scripted camera is pointed at: one kind of thing, until another is shown."""

    def __init__(self, kind: str, size: int = 64) -> None:
        self.kind = kind
        self._drawn: dict[str, list[np.ndarray]] = {}
        self._size = size

    def __iter__(self) -> Iterator[np.ndarray]:
        for number in itertools.count():
            kind = self.kind
            if kind not in self._drawn:
                self._drawn[kind] = [draw(kind, seed, self._size) for seed in range(500, 524)]
            yield self._drawn[kind][number % 24]


@dataclass
class Site:
    """A running site."""

    app: App
    server: Server
    scene: Scene

    @property
    def url(self) -> str:
        return self.server.url


@contextmanager
def running(
    home: Home,
    password_hash: str | None = None,
    kind: str = "ball",
    fps: float | None = 30,
    proxies: Sequence[str] = (),
    size: int = 64,
    history: HistorySettings | None = None,
) -> Iterator[Site]:
    """An app that watches a scene, and its page."""
    scene = Scene(kind, size)
    with App(home, FakeCamera(scene, fps=fps, finite=False), history=history) as app:
        server = Server(app, "127.0.0.1", 0, password_hash, (), proxies)
        server.start()
        try:
            until(lambda: app.pipeline.latest() is not None)
            yield Site(app, server, scene)
        finally:
            assert server.stop(5.0), "the server did not end"


def until(condition: Any, timeout_s: float = 20.0) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One visitor; keeps no connection open, and its cookie only if asked to log in."""

    def __init__(self, url: str) -> None:
        self.host = urlsplit(url).netloc
        self.headers: dict[str, str] = {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request; a dict becomes JSON; ``Content_Type`` stands for ``Content-Type``."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body = json.dumps(body)
            sent = {"Content-Type": "application/json"} | sent
        connection = http.client.HTTPConnection(self.host, timeout=30)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
            check(method, path, answer.status, answer.headers.get_content_type(), answer.body)
            return answer
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.ask("POST", path, {} if body is None else body, **headers)

    def log_in(self, password: str = PASSWORD) -> Answer:
        answer = self.post("/api/v1/login", {"password": password})
        if answer.status == 204:
            self.headers["Cookie"] = answer.headers["Set-Cookie"].partition(";")[0]
        return answer

    def watch(self, **headers: str) -> ClientConnection:
        """The live picture's WebSocket."""
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        host = sent.pop("Host", None)
        name, _, port = self.host.partition(":")
        reached = socket.create_connection((name, int(port)), timeout=10)
        return connect(
            f"ws://{host or self.host}/api/v1/live",
            sock=reached,
            additional_headers=sent,
            compression=None,
            proxy=None,
            ping_interval=None,
        )
