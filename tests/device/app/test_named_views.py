"""Whatever is told of a recognition says which camera and region it is of, where these have names."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, takewhile

import numpy as np
import pytest
from conftest import draw
from receiver import receiver
from recognitions import BAD_PART, recognition

from edgetl_device.app.app import App
from edgetl_device.app.background import Listener
from edgetl_device.app.sinks import ChangeLines, LabelCommand, PartCommand
from edgetl_device.app.sinks.sink import Changes, GroupChanges, change
from edgetl_device.app.sinks.webhook import WebhookSink
from edgetl_device.camera import FakeCamera
from edgetl_device.errors import CameraError
from edgetl_device.home import Home
from edgetl_device.home_regions import NamedRegion
from edgetl_device.view import View
from edgetl_device.view_names import ViewName

SOON_S = 20.0
PORCH, FEEDER = ViewName("porch"), ViewName("gate", "feeder")


def until(condition) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def seen(name: ViewName, label: str, time_s: float, **more):
    return replace(recognition(label, time_s), name=name, **more)


@contextmanager
def two_cameras(home: Home, gate=None) -> Iterator[App]:
    """A ball on the porch, and a box in a region before the gate."""
    halves = [np.hstack([draw("ball", 900 + n), draw("box", 900 + n)]) for n in range(10)]
    cameras = {
        "porch": FakeCamera(cycle([draw("ball", 700 + n) for n in range(10)]), fps=30, finite=False),
        "gate": gate or FakeCamera(cycle(halves), fps=30, finite=False),
    }
    with App(home, cameras, smoothing_s=0.0) as app:
        app.choose_region(NamedRegion(FEEDER, View((5000, 0, 5000, 10000))))
        yield app


def test_each_view_has_changes_of_its_own() -> None:
    changes = Changes(1.0, None)
    told = []
    for number in range(12):
        for name, label in ((PORCH, "ball"), (FEEDER, "box" if number < 6 else "cat")):
            found = changes.with_before(seen(name, label, number / 4))
            told += [(name, *found)] if found else []
    assert told == [(PORCH, "ball", None), (FEEDER, "box", None), (FEEDER, "cat", "box")]


def test_groups_of_each_view_change_by_themselves() -> None:
    changes = GroupChanges(0.0)
    worn, fine = recognition("worn", 0).prediction, recognition("fine", 0).prediction
    assert changes(seen(PORCH, "ball", 0, groups={"condition": worn})) == [("condition", "worn", None)]
    assert changes(seen(FEEDER, "box", 0, groups={"condition": fine})) == [("condition", "fine", None)]
    assert changes(seen(PORCH, "ball", 1, groups={"condition": worn})) == []
    assert changes(seen(PORCH, "ball", 2, groups={"condition": fine})) == [("condition", "fine", "worn")]


def test_a_view_that_comes_again_under_its_name_begins_anew() -> None:
    changes, of_groups = Changes(0.0, None), GroupChanges(0.0)
    asked = {"condition": seen(FEEDER, "wet", 1.0).prediction}
    told = [seen(FEEDER, "ball", 1.0, groups=asked), seen(PORCH, "box", 1.0, groups=asked)]
    first = [changes.with_before(each) for each in told], [of_groups(each) for each in told]
    assert first[0] == [("ball", None), ("box", None)] and all(first[1])
    assert [changes.with_before(each) for each in told] == [None, None]
    changes.keep_only({PORCH})
    of_groups.keep_only({PORCH})
    assert [changes.with_before(each) for each in told] == [("ball", None), None]
    assert [of_groups(each) for each in told] == [[("condition", "wet", None)], []]


def test_a_change_says_whose_it_is_and_what_was_asked() -> None:
    assert change("ball", None, seen(PORCH, "ball", 0))["camera"] == "porch"
    told = change("shut", "open", seen(FEEDER, "shut", 0, group="door"))
    assert (told["camera"], told["region"], told["group"]) == ("gate", "feeder", "door")
    assert not {"camera", "region", "group"} & set(change("ball", None, recognition("ball", 0)))


def test_lines_for_people_begin_with_the_names(capsys) -> None:
    lines = ChangeLines(lambda: None)
    lines(seen(PORCH, "ball", 0)), lines(seen(FEEDER, "box", 0)), lines(seen(PORCH, "ball", 1))
    lines.part(replace(BAD_PART, camera="porch"))
    told = [line.partition("  ")[2] for line in capsys.readouterr().out.splitlines()]
    assert told[:2] == ["porch: ball 0.88", "gate/feeder: box 0.88"] and told[2].startswith("porch: BAD part")


def test_commands_get_the_names_in_their_environment(tmp_path) -> None:
    file = tmp_path / "told"
    script = f"sh -c 'echo $EDGETL_CAMERA-$EDGETL_REGION-$EDGETL_LABEL$EDGETL_VERDICT >> {file}'"
    command = LabelCommand(script, hold_s=0.0)
    command(seen(PORCH, "ball", 0)), command(seen(FEEDER, "box", 0))
    PartCommand(script).part(replace(BAD_PART, camera="porch"))
    assert file.read_text().split() == ["porch--ball", "gate-feeder-box", "porch--bad"]
    assert "camera" not in BAD_PART.to_json()


@pytest.mark.slow
def test_webhooks_name_camera_and_region(home: Home) -> None:
    with receiver() as server, two_cameras(home) as app:
        sink = WebhookSink(server.url, hold_s=0.0)
        sink.attach(app)
        listener = Listener("webhook", app.pipeline, sink)
        listener.start()
        try:
            expected = {("porch", None, "ball"), ("gate", "feeder", "box")}

            def told() -> set[tuple[str, str | None, str]]:
                data = [json.loads(each.body)["data"] for each in list(server.got)]
                return {(each["camera"], each["region"], each["label"]) for each in data}

            until(lambda: told() >= expected)
        finally:
            sink.close()
            listener.stop()


@pytest.mark.slow
def test_a_broker_gets_topics_and_entities_for_each_view_and_hears_who_is_away(home: Home, tmp_path) -> None:
    pytest.importorskip("paho.mqtt.client")
    from broker import broker, components, listener, state

    from edgetl_device.app.sinks.mqtt import MqttSink

    halves = [np.hstack([draw("ball", 900 + n), draw("box", 900 + n)]) for n in range(10)]
    gone = threading.Event()

    def until_unplugged() -> Iterator[np.ndarray | Exception]:
        yield from takewhile(lambda _: not gone.is_set(), cycle(halves))
        yield CameraError("unplugged")

    gate = FakeCamera(until_unplugged(), fps=30, finite=False)
    with broker(tmp_path) as running, listener(running.port) as heard, two_cameras(home, gate) as app:
        sink = MqttSink(f"mqtt://127.0.0.1:{running.port}/cam?teach=yes", hold_s=0.0)
        sink.attach(app)
        beside = Listener("mqtt", app.pipeline, sink, keep_only=sink.keep_only)
        beside.start()
        try:
            told = json.loads(heard.until("cam/porch/state", state("ball")))
            assert (told["camera"], told["region"]) == ("porch", None)
            told = json.loads(heard.until("cam/gate/feeder/state", state("box")))
            assert (told["camera"], told["region"]) == ("gate", "feeder")
            heard.until("cam/porch/camera", lambda payload: payload == b"ON")
            heard.until("cam/gate/feeder/snapshot", lambda payload: payload[:2] == b"\xff\xd8")
            config = f"homeassistant/device/{sink.address.device_id}/config"
            asked = {"porch: Camera", "gate: Camera", "porch: Label", "gate/feeder: Label", "gate/feeder: ball"}
            names = lambda payload: {each.get("name") for each in components(payload).values()}  # noqa: E731
            made = components(heard.until(config, lambda payload: asked <= names(payload)))
            made = {key: each for key, each in made.items() if len(each) > 1}  # the rest is removed
            (views,) = [each["options"] for key, each in made.items() if key == "teach_view"]
            assert views == ["porch", "gate/feeder"] and len({each["unique_id"] for each in made.values()}) == len(made)

            heard.publish("cam/teach/view", "gate/feeder")
            heard.until("cam/teach", lambda payload: json.loads(payload)["view"] == "gate/feeder")
            app.remove_region(FEEDER)
            heard.until("cam/gate/feeder/state", lambda payload: payload == b"")
            app.choose_region(NamedRegion(FEEDER, View((5000, 0, 5000, 10000))))
            heard.until("cam/gate/feeder/state", lambda payload: payload and state("box")(payload))  # as before
            gone.set()
            heard.until("cam/gate/camera", lambda payload: payload == b"OFF")
            assert heard.last("cam/porch/camera") == b"ON"

            app.remove_region(FEEDER)
            heard.until("cam/gate/feeder/state", lambda payload: payload == b"")
            heard.until(config, lambda payload: "gate/feeder: Label" not in str(components(payload)))
        finally:
            sink.close()
            beside.stop()


@pytest.mark.slow
def test_metrics_have_a_line_for_each_camera(home: Home) -> None:
    pytest.importorskip("prometheus_client")
    from prometheus_client import generate_latest

    from edgetl_device.web.metrics import registry

    gate = FakeCamera(*[[CameraError("no route")]] * 100, finite=False)
    with two_cameras(home, gate) as app:
        until(lambda: app.pipeline.latest(PORCH) and app.pipeline.health("gate").error)
        text = generate_latest(registry(app, lambda: 0)).decode()
    assert 'edgetl_camera_up{camera="porch"} 1.0' in text and 'edgetl_camera_up{camera="gate"} 0.0' in text
    assert 'edgetl_frames_total{camera="gate"} 0.0' in text


@pytest.mark.slow
def test_rest_and_the_live_picture_tell_views_apart(home: Home) -> None:
    pytest.importorskip("starlette")
    from web_site import Client

    from edgetl_device.web.server import Server

    with two_cameras(home) as app:
        server = Server(app, "127.0.0.1", 0, None, (), ())
        server.start()
        try:
            client = Client(server.url)
            until(lambda: len(app.pipeline.latest_of_each()) == 2)
            assert client.get("/api/v1/prediction").status == 400
            assert client.get("/api/v1/prediction?camera=gate").json["region"] == "feeder"
            assert client.get("/api/v1/prediction?camera=porch").json["label"] == "ball"
            views = client.get("/api/v1/views").json
            assert [(each["camera"], each["region"]) for each in views["views"]] == [
                ("porch", None),
                ("gate", "feeder"),
            ]
            assert [each["camera"] for each in views["cameras"]] == ["porch", "gate"]
            assert client.get("/api/v1/status").json["views"][1]["region"] == "feeder"

            told = client.post("/api/v1/learn", {"label": "hinge", "frames": 3})
            assert told.status == 400 and "say which view is meant: porch, gate/feeder" in told.json["error"]
            told = client.post("/api/v1/learn", {"label": "hinge", "frames": 3, "camera": "gate", "interval_ms": 0})
            assert told.status == 200 and app._learner.store.views.place_of(told.json["ids"]) == [tuple(FEEDER)] * 3

            wrong = client.post("/api/v1/regions", {"camera": "porch", "region": "a/b", "area": [0, 0, 1, 1]})
            assert wrong.status == 400 and "the name of a region" in wrong.json["error"]
            made = client.post(
                "/api/v1/regions", {"camera": "porch", "region": "door", "area": [0, 0, 0.5, 1], "group": "door"}
            ).json
            assert made["regions"][-1] == {
                "camera": "porch", "region": "door", "area": [0, 0, 0.5, 1], "find": False, "group": "door",
            }  # fmt: skip
            until(lambda: app.pipeline.latest(ViewName("porch", "door")))
            told = client.post("/api/v1/learn", {"label": "shut", "camera": "porch", "region": "door"})
            assert told.json["groups"].keys() == {"door"} and app.groups() == ("door",)
            renamed = client.post("/api/v1/regions/rename", {"camera": "porch", "region": "door", "name": "front"}).json
            assert renamed["regions"][-1]["region"] == "front"
            changed = client.post(
                "/api/v1/regions", {"camera": "gate", "region": "feeder", "area": [0, 0, 0.5, 1]}
            ).json
            assert changed["others"] == {"hinge": 3}
            left = client.post("/api/v1/regions/remove", {"camera": "porch", "region": "front"}).json
            assert [each["region"] for each in left["regions"]] == ["feeder"]

            with client.watch() as socket:
                places = set()
                for _ in range(12):
                    message = json.loads(socket.recv(10))
                    places |= {(message["camera"], message["region"])} if message["picture"] else set()
                    if message["picture"]:
                        socket.recv(10)
                    socket.send(json.dumps({"ack": 0}))
                assert places == {("porch", None), ("gate", "feeder")}
                assert [each["camera"] for each in message["cameras"]] == ["porch", "gate"]
        finally:
            assert server.stop(5.0)


@pytest.mark.slow
def test_a_frame_is_encoded_once_whoever_watches_which_of_its_regions(home: Home, monkeypatch) -> None:
    pytest.importorskip("starlette")
    from web_site import Client

    from edgetl_device.web import pictures
    from edgetl_device.web.server import Server

    encoded, count = pictures.encoded, []
    monkeypatch.setattr(pictures, "encoded", lambda image: count.append(id(image)) or encoded(image))
    frames = [np.hstack([draw("ball", n), draw("box", n)]) for n in range(30)]
    with App(home, FakeCamera([*frames, 60.0], fps=10, finite=False, stall_s=60.0), smoothing_s=0.0) as app:
        for name, x in (("left", 0), ("right", 5000)):
            app.choose_region(NamedRegion(ViewName("", name), View((x, 0, 5000, 10000))))
        server = Server(app, "127.0.0.1", 0, None, (), ())
        server.start()
        try:
            time.sleep(0.5)
            assert count == []  # nobody watches
            with Client(server.url).watch() as socket, Client(server.url).watch() as other:
                for _ in range(16):
                    for each in (socket, other):
                        if json.loads(each.recv(10))["picture"]:
                            each.recv(10)
                        each.send(json.dumps({"ack": 0}))
            assert len(count) == len(set(count)) > 3
        finally:
            assert server.stop(5.0)
