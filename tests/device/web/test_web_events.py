"""Changes of label as server-sent events."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

pytest.importorskip("starlette")

from recognitions import recognition
from web_site import PASSWORD, PASSWORD_HASH, Client, running, until

from edgetl_device.web import events, streams
from edgetl_device.web.openapi import document


class Stream:
    """What an EventSource of a browser would read."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.comments: list[str] = []

    def next(self) -> dict[str, str]:
        """The fields of the next event, or of the block that sets ``retry``; empty at the end."""
        fields: dict[str, str] = {}
        while line := self._response.readline().decode():
            if line == "\n" and fields:
                return fields
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif value:
                self.comments.append(value)
        return {}


@contextmanager
def stream(client: Client, **headers: str) -> Iterator[Stream]:
    connection = http.client.HTTPConnection(client.host, timeout=20)
    sent = client.headers | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", "/api/v1/events", headers=sent)
    response = connection.getresponse()
    try:
        assert response.status == 200, response.read()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        yield Stream(response)
    finally:
        response.close()
        connection.close()


@pytest.mark.slow
def test_a_change_of_label_arrives_and_who_was_cut_off_misses_none(home) -> None:
    with running(home, kind="ball") as site:
        client = Client(site.url)
        with stream(client) as first:
            assert first.next() == {"retry": "3000"}
            event = first.next()
            assert event["event"] == "change"
            told = json.loads(event["data"])
            assert (told["label"], told["before"], told["unknown"]) == ("ball", None, False)
        site.scene.kind = "box"
        until(lambda: site.server.site.events._count >= 2)
        with stream(client, Last_Event_ID=event["id"]) as again:
            again.next()
            missed = json.loads(again.next()["data"])
            assert missed["before"] == "ball"
        with stream(client, Last_Event_ID="00000000-7") as stranger:
            stranger.next()
            newest = stranger.next()
            assert newest["id"].partition("-")[0] == event["id"].partition("-")[0] != "00000000"
        until(lambda: site.server.site.events.streams == 0)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(document()["components"]["schemas"]["Change"]).validate(told)


def test_ten_thousand_changes_are_few_in_memory_and_in_order(home) -> None:
    with running(home) as site:
        hub = events.Events(site.app, hold_s=0.0)
        for number in range(10_000):
            hub._notice(recognition(f"<b>thing\u2028 {number}", float(number)))
        assert len(hub.since(0)) == events.MAX_KEPT
        middle = hub.since(0)[100]
        after = hub.since(hub.number_of(hub.name_of(middle)))
        assert [event.number for event in after] == list(range(middle.number + 1, 10_001))
        newest = hub.since(hub.number_of(None))
        assert [event.number for event in newest] == [10_000]
        assert all("\n" not in event.data and "\u2028" not in event.data for event in hub.since(0))
        for odd in (
            "",
            "x",
            "-",
            f"{hub._run}-",
            f"{hub._run}-x",
            f"{hub._run}-{10**30}",
            f"{hub._run}-99999",
            f"{hub._run}-²",
        ):
            assert hub.since(hub.number_of(odd)) == newest


@pytest.mark.slow
def test_heartbeats_come_while_nothing_changes_and_the_end_of_the_app_ends_the_stream(home, monkeypatch) -> None:
    monkeypatch.setattr(events, "WELCOME_S", 0.05)
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.1)
    with running(home) as site, stream(Client(site.url)) as following:
        following.next()
        assert following.next()["event"] == "change"
        line = following._response.readline()
        assert line == b": still there\n"
        site.server.site.events.close()
        assert following.next() == {}


def test_it_needs_the_password_and_ends_with_its_session(home, monkeypatch) -> None:
    monkeypatch.setattr(events, "WELCOME_S", 0.05)
    with running(home, PASSWORD_HASH) as site:
        assert Client(site.url).get("/api/v1/events").status == 401
        assert Client(site.url).get("/api/v1/events", Sec_Fetch_Site="cross-site").status == 403
        client = Client(site.url)
        client.log_in(PASSWORD)
        with stream(client) as following:
            following.next()
            client.post("/api/v1/logout")
            until(lambda: site.server.site.events.streams == 0)
            while following.next():
                pass


def test_more_streams_than_places_are_told_so(home, monkeypatch) -> None:
    monkeypatch.setattr(events, "MAX_STREAMS", 2)
    with running(home) as site, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(stream(Client(site.url)))
        until(lambda: site.server.site.events.streams == 2)
        refused = Client(site.url).get("/api/v1/events")
        assert refused.status == 503 and "all 2 places" in refused.json["error"]


@pytest.mark.slow
def test_a_client_that_takes_nothing_is_let_go_and_holds_no_queue(home, monkeypatch) -> None:
    monkeypatch.setattr(streams, "STALL_S", 0.4)
    monkeypatch.setattr(events, "_written", lambda *_: "data: " + "x" * 400_000 + "\n\n")
    with running(home) as site, socket.socket() as lazy:
        name, port = Client(site.url).host.split(":")
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((name, int(port)))
        lazy.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        hub = site.server.site.events
        until(lambda: hub.streams == 1)
        for number in range(40):
            hub._notice(recognition(f"thing {number // 2}", 1e9 + number))
        until(lambda: hub.streams == 0, 15)
