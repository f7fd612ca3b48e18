"""The live picture: back-pressure, stalled and dead viewers, limits."""

from __future__ import annotations

import gc
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette")

from web_site import Client, Site, running, until
from websockets.exceptions import ConnectionClosed

from edgetl_device.web import pictures, streams
from edgetl_device.web.live import FULL, STALLED, UNREADABLE
from edgetl_device.web.pictures import MAX_VIEWERS


@pytest.fixture
def site(home) -> Iterator[Site]:
    with running(home) as site:
        yield site


def viewers(site: Site) -> int:
    return site.server.site.live.viewers


def next_picture(socket_, **wish) -> tuple[dict, bytes]:
    while True:
        message = json.loads(socket_.recv(timeout=10))
        jpeg = socket_.recv(timeout=10) if message["picture"] else b""
        socket_.send(json.dumps({"ack": message.get("number"), **wish}))
        if jpeg:
            return message, jpeg


def test_a_viewer_gets_the_picture_and_what_is_seen_in_it(site) -> None:
    with Client(site.url).watch() as watching:
        message, jpeg = next_picture(watching)
        later, _ = next_picture(watching)
    assert message["label"] == "ball" and message["health"]["camera"] == "fake camera"
    assert later["number"] > message["number"]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (64, 64, 3)


def test_the_next_picture_comes_only_after_the_last_was_taken_and_is_the_newest(site) -> None:
    with Client(site.url).watch() as watching:
        first = json.loads(watching.recv(timeout=10))
        watching.recv(timeout=10)
        with pytest.raises(TimeoutError):
            watching.recv(timeout=0.7)
        before = site.app.pipeline.latest().frame.number
        watching.send("{}")
        second = json.loads(watching.recv(timeout=10))
        assert second["number"] >= before - 15 and second["number"] > first["number"] + 5


def test_large_pictures_are_made_smaller_and_small_ones_are_left_alone() -> None:
    shape = cv2.imdecode(np.frombuffer(pictures.encoded(np.zeros((1080, 1920, 3), np.uint8)), np.uint8), 1).shape
    assert shape == (360, 640, 3)
    shape = cv2.imdecode(np.frombuffer(pictures.encoded(np.zeros((48, 64, 3), np.uint8)), np.uint8), 1).shape
    assert shape == (48, 64, 3)


def test_each_frame_is_encoded_once_however_many_look_on_and_not_at_all_when_nobody_does(site, monkeypatch) -> None:
    counted: list[int] = []
    sent: list[int] = []
    real, picture = pictures.encoded, pictures.Picture
    monkeypatch.setattr(pictures, "encoded", lambda image: counted.append(1) or real(image))
    monkeypatch.setattr(pictures, "Picture", lambda seen, jpeg: sent.append(seen.frame.number) or picture(seen, jpeg))
    time.sleep(0.3)
    assert not counted
    with ExitStack() as stack:
        sockets = [stack.enter_context(Client(site.url).watch()) for _ in range(4)]
        numbers = [[next_picture(each)[0]["number"] for _ in range(5)] for each in sockets]
    until(lambda: viewers(site) == 0)
    until(lambda: site.server.site.live._encoding is None)
    assert {number for seen in numbers for number in seen} <= set(sent) and len(set(sent)) == len(sent)
    assert len(sent) <= len(counted) <= len(sent) + 1  # the last may have had nobody to go to
    settled = len(counted)
    time.sleep(0.3)
    assert len(counted) == settled


def test_stalled_viewers_hold_up_neither_recognition_nor_the_viewer_beside_them(site) -> None:
    with ExitStack() as stack:
        stalled = [stack.enter_context(Client(site.url).watch()) for _ in range(4)]
        until(lambda: viewers(site) == 4)
        awake = stack.enter_context(Client(site.url).watch())
        seen = [next_picture(awake)[0]["number"] for _ in range(10)]
        assert len(set(seen)) == 10 and site.app.pipeline.latest().frame.number >= seen[-1]
        for each in stalled:
            assert json.loads(each.recv(timeout=10))["number"] <= seen[0] and each.recv(timeout=10)
            with pytest.raises(TimeoutError):  # one picture is all that was ever sent and kept for it
                each.recv(timeout=0.05)


def test_a_viewer_that_takes_nothing_any_more_is_let_go(site, monkeypatch) -> None:
    monkeypatch.setattr(streams, "STALL_S", 0.4)
    with Client(site.url).watch() as watching:
        watching.recv(timeout=10)
        until(lambda: viewers(site) == 0, 5)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                watching.recv(timeout=10)
        assert closed.value.rcvd.code == STALLED


def test_a_viewer_that_vanishes_leaves_nothing_behind(site) -> None:
    before = site.app.pipeline._deliveries._subscriptions  # the app's own
    for _ in range(5):
        with Client(site.url).watch() as watching:
            next_picture(watching)
            watching.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: viewers(site) == 0)
    until(lambda: site.app.pipeline._deliveries._subscriptions == before)
    until(lambda: not site.server._server.server_state.connections)


def test_more_viewers_than_places_are_told_so(site) -> None:
    with ExitStack() as stack:
        inside = [stack.enter_context(Client(site.url).watch()) for _ in range(MAX_VIEWERS)]
        until(lambda: viewers(site) == MAX_VIEWERS)
        with Client(site.url).watch() as outside, pytest.raises(ConnectionClosed) as closed:
            outside.recv(timeout=10)
        assert closed.value.rcvd.code == FULL and f"all {MAX_VIEWERS} places" in closed.value.rcvd.reason
        assert Client(site.url).get("/stream.mjpg").status == 503
        inside.pop().close()
        until(lambda: viewers(site) == MAX_VIEWERS - 1)
        next_picture(stack.enter_context(Client(site.url).watch()))


def test_motion_jpeg_is_a_stream_of_whole_pictures_and_ends_with_its_viewer(site) -> None:
    connection = http.client.HTTPConnection(Client(site.url).host, timeout=10)
    connection.request("GET", "/stream.mjpg")
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
    for _ in range(3):
        assert response.readline() == b"--frame\r\n" and response.readline() == b"Content-Type: image/jpeg\r\n"
        size = int(response.readline().split()[1])
        assert response.readline() == b"\r\n"
        assert cv2.imdecode(np.frombuffer(response.read(size), np.uint8), cv2.IMREAD_COLOR).shape == (64, 64, 3)
        response.readline()
    connection.close()
    response.close()
    until(lambda: viewers(site) == 0)


def test_a_stalled_motion_jpeg_viewer_is_let_go(site, monkeypatch) -> None:
    monkeypatch.setattr(streams, "STALL_S", 0.4)
    monkeypatch.setattr(pictures, "encoded", lambda image: b"\xff" * 400_000)
    name, port = Client(site.url).host.split(":")
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect((name, int(port)))
        lazy.sendall(f"GET /stream.mjpg HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        until(lambda: viewers(site) == 1)
        until(lambda: viewers(site) == 0, 15)


def test_an_unplugged_camera_is_said_to_viewers(home) -> None:
    with running(home) as site:
        with Client(site.url).watch() as watching:
            next_picture(watching)
            site.app.pipeline.stop()
            for _ in range(20):
                message = json.loads(watching.recv(timeout=10))
                if not message["picture"]:
                    break
                watching.recv(timeout=10)
                watching.send("{}")
        assert not message["picture"] and message["health"]["running"] is False


def test_class_activations_come_to_who_asks_for_them_where_the_app_has_them(site) -> None:
    with Client(site.url).watch() as watching:
        assert next_picture(watching, overlay=True)[0]["explains"] is False
    grid = np.arange(12, dtype=np.uint8).reshape(3, 4)
    site.app.activation = lambda recognition: grid
    with Client(site.url).watch() as watching:
        first, _ = next_picture(watching, overlay=True)
        second, _ = next_picture(watching)
        third, _ = next_picture(watching)
    assert first["explains"] and "overlay" not in first and "overlay" not in third
    assert second["overlay"] == {"rows": 3, "columns": 4, "values": "AAECAwQFBgcICQoL"}


def test_an_open_page_shows_the_class_activations_of_the_head_that_is_in_use_now(site) -> None:
    with Client(site.url).watch() as watching:
        assert next_picture(watching, overlay=True)[0]["explains"] is False
        for value in (1, 2):
            site.app.activation = lambda recognition, value=value: np.full((1, 1), value, np.uint8)
            next_picture(watching, overlay=True)  # may have been made before
            message, _ = next_picture(watching, overlay=True)
            assert message["explains"] and message["overlay"]["values"] == {1: "AQ==", 2: "Ag=="}[value]


@pytest.mark.parametrize("said", ["", "x", "[]", "null", '{"overlay": "yes"}', "\0" * 4000])
def test_whatever_a_viewer_says_is_an_acknowledgement(site, said) -> None:
    with Client(site.url).watch() as watching:
        watching.recv(timeout=10)
        watching.recv(timeout=10)
        watching.send(said)
        assert json.loads(watching.recv(timeout=10))["picture"]


@pytest.mark.parametrize("said", [b"{}", "[" * 4000])
def test_what_is_not_of_this_protocol_ends_the_connection_and_is_no_error_of_ours(site, caplog, said) -> None:
    with Client(site.url).watch() as watching:
        watching.recv(timeout=10)
        watching.recv(timeout=10)
        watching.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            watching.recv(timeout=10)
    assert closed.value.rcvd.code == UNREADABLE
    until(lambda: viewers(site) == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_viewer_that_says_too_much_is_cut_off(site) -> None:
    with Client(site.url).watch() as watching, pytest.raises(ConnectionClosed):
        watching.send("x" * 100_000)
        for _ in range(5):
            watching.recv(timeout=10)


@pytest.mark.slow
def test_threads_and_memory_stay_the_same_over_many_viewers(site) -> None:
    def visit() -> None:
        with Client(site.url).watch() as watching:
            next_picture(watching)
        until(lambda: viewers(site) == 0)  # or the next ones find no place on a slow machine
        Client(site.url).get("/")

    for _ in range(5):
        visit()
    gc.collect()
    threads, kept = threading.active_count(), len(gc.get_objects())
    for _ in range(30):
        visit()
    until(lambda: viewers(site) == 0)
    gc.collect()
    assert threading.active_count() <= threads + 2  # the thread pool may grow by what ran at once
    assert len(gc.get_objects()) < kept + 2000


def test_the_server_ends_at_once_with_viewers_still_there(home, caplog) -> None:
    with running(home) as site, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(Client(site.url).watch())
        connection = http.client.HTTPConnection(Client(site.url).host, timeout=10)
        connection.request("GET", "/stream.mjpg")
        response = connection.getresponse()
        until(lambda: viewers(site) == 3)
        assert site.server.stop(10.0)  # a viewer that stalls is let go after 20 s
        response.close()
        connection.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
