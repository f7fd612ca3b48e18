"""Requests that mean harm: none stops the page, none is answered by a crash, none writes a line into a log."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator

import pytest

pytest.importorskip("starlette")

from hostile_requests import CORPUS, KEY, UPGRADE
from web_site import PASSWORD_HASH, Client, Site, running, until
from websockets.exceptions import ConnectionClosed

from edgetl_device.home import Home
from edgetl_device.web import protocol


@pytest.fixture(scope="module")
def opened(tmp_path_factory, bundle_path) -> Iterator[Site]:
    home = Home(tmp_path_factory.mktemp("open"))
    home.install(bundle_path)
    with running(home) as site:
        yield site


def connected(site: Site) -> socket.socket:
    name, _, port = Client(site.url).host.partition(":")
    return socket.create_connection((name, int(port)), timeout=20)


def answer(site: Site, request: bytes) -> bytes:
    """What comes back until nothing more does; a request that is not whole is answered by nothing."""
    received = b""
    with connected(site) as channel:
        try:
            channel.sendall(request.replace(b"HOST", Client(site.url).host.encode()))
            channel.settimeout(1.0)
            while (data := channel.recv(65536)) and len(received) < 1 << 20:
                received += data
                channel.settimeout(0.05)
        except (ConnectionError, TimeoutError):
            pass
    return received


def test_the_corpus_is_large_enough() -> None:
    assert len(CORPUS) >= 80


@pytest.mark.slow
def test_no_request_is_answered_by_a_crash_or_changes_anything(opened, caplog) -> None:
    before = Client(opened.url).get("/api/v1/status").json
    for name, request in CORPUS.items():
        received = answer(opened, request)
        statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", received)}
        assert not {status for status in statuses if status >= 500} - {503}, (name, received[:400])
        assert b"Traceback" not in received and b"\x1b" not in received.partition(b"\xff\xd8")[0], name
    after = Client(opened.url).get("/api/v1/status").json
    assert {key: after[key] for key in ("bundle", "samples", "version", "labels")} == {
        key: before[key] for key in ("bundle", "samples", "version", "labels")
    }
    assert not list(opened.app.home.folder.glob(".uploading*"))
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    assert len(caplog.records) < 60


@pytest.mark.slow
def test_behind_a_password_no_request_of_a_stranger_reaches_the_app(home, caplog) -> None:
    with running(home, PASSWORD_HASH) as site:
        for name, request in CORPUS.items():
            statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer(site, request))}
            if not name.startswith(("pipelined", "garbage behind")):  # the two that ask for /healthz
                assert statuses <= {400, 401, 403, 404, 405, 408, 413, 415, 429, 431}, name
        assert not site.app.samples() and len(site.app.versions()) == 1
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


# clients that say nothing, or little ---------------------------------------------------------------------------------


def head(site: Site, request: str) -> bytes:
    return request.replace("HOST", Client(site.url).host).encode()


def idle(site: Site, number: int) -> socket.socket:
    return connected(site)


def slow_header(site: Site, number: int) -> socket.socket:
    channel = connected(site)
    channel.sendall(b"GET / HTTP/1.1\r\nX: ")
    return channel


def slow_body(site: Site, number: int) -> socket.socket:
    channel = connected(site)
    path = ("classify", "login", "learn?label=x")[number % 3]
    channel.sendall(
        head(
            site,
            f"POST /api/v1/{path} HTTP/1.1\r\nHost: HOST\r\nContent-Type: image/png\r\nContent-Length: 9999\r\n\r\nx",
        )
    )
    return channel


def slow_reader(site: Site, number: int) -> socket.socket:
    channel = connected(site)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    channel.sendall(head(site, "GET /static/app.css HTTP/1.1\r\nHost: HOST\r\n\r\n" * 50))
    return channel


def slow_viewer(site: Site, number: int) -> socket.socket:
    channel = connected(site)
    channel.sendall(head(site, f"GET /api/v1/live HTTP/1.1\r\nHost: HOST\r\n{UPGRADE}{KEY}\r\n"))
    return channel


def garbage(site: Site, number: int) -> socket.socket:
    channel = connected(site)
    channel.sendall(bytes(range(number % 200 + 20)))
    return channel


@pytest.mark.slow
def test_the_page_answers_beside_two_hundred_idle_and_fifty_slow_clients(opened, caplog) -> None:
    kinds = (slow_header, slow_body, slow_reader, slow_viewer, garbage)
    channels = [idle(opened, number) for number in range(200)]
    channels += [kinds[number % len(kinds)](opened, number) for number in range(50)]
    try:
        assert len(opened.server.connections) <= protocol.MAX_CONNECTIONS
        for _ in range(3):
            for path in ("/healthz", "/", "/static/main.js", "/api/v1/status", "/metrics"):
                assert Client(opened.url).get(path).status == 200, path
            channels += [idle(opened, number) for number in range(60)]
    finally:
        for channel in channels:
            channel.close()
    until(lambda: len(opened.server.connections) == 0, 60)
    assert len(caplog.records) < 40, [record.getMessage() for record in caplog.records]


def test_one_address_cannot_take_all_places(opened) -> None:
    channels = [idle(opened, number) for number in range(protocol.MAX_PER_ADDRESS + 30)]
    try:
        assert Client(opened.url).get("/healthz").status == 200
        assert len(opened.server.connections) <= protocol.MAX_PER_ADDRESS
    finally:
        for channel in channels:
            channel.close()


@pytest.mark.parametrize("client", [idle, slow_header, slow_body, slow_reader])
def test_who_is_too_slow_is_cut_off(opened, monkeypatch, client) -> None:
    monkeypatch.setattr(protocol, "HEADER_S", 0.5)
    monkeypatch.setattr(protocol, "BLOCKED_S", 0.5)
    monkeypatch.setattr("edgetl_device.web.bodies.GRACE_S", 0.5)
    with client(opened, 0) as channel:
        if client is slow_reader:
            until(lambda: len(opened.server.connections) == 0, 60)
            return
        received = b"x"
        while received:  # a refusal, then the end
            try:
                received = channel.recv(65536)
            except ConnectionError:
                break


def test_who_sends_a_header_byte_by_byte_is_cut_off_too(opened, monkeypatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_S", 0.5)
    stop = threading.Event()
    with slow_header(opened, 0) as channel, pytest.raises(ConnectionError):
        while not stop.wait(0.05):
            channel.sendall(b"x")


def test_bodies_in_memory_are_bounded_together(opened, monkeypatch) -> None:
    api = (
        next(route for route in opened.server.site.routes if getattr(route, "path", "") == "/api/v1")
        .routes[0]
        .endpoint.__self__
    )
    monkeypatch.setattr(api._work._memory, "_free", 1000)
    refused = Client(opened.url).ask("POST", "/api/v1/classify", bytes(5000), Content_Type="image/png")
    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert api._work._memory._free == 1000


def test_a_viewer_that_floods_the_socket_ends_and_others_go_on(opened) -> None:
    with Client(opened.url).watch() as viewer, pytest.raises(ConnectionClosed):
        for _ in range(200_000):
            viewer.send(b"x" * 4000)
    assert Client(opened.url).get("/healthz").status == 200
