"""Teaching from Home Assistant, through a real broker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the extra [mqtt])")

from broker import components, needs_mosquitto, state
from recognitions import recognition
from web_site import Scene

from edgetl_device.app.app import App
from edgetl_device.app.background import Listener
from edgetl_device.app.sinks import mqtt_teaching
from edgetl_device.app.sinks.mqtt import MqttSink
from edgetl_device.app.sinks.mqtt_address import parsed_address
from edgetl_device.camera import FakeCamera
from edgetl_device.home import Home

CONFIG = f"homeassistant/device/{parsed_address('mqtt://h/cam').device_id}/config"


@contextmanager
def taught(home: Home, kind: str, spec: str) -> Iterator[tuple[App, Scene]]:
    """An app that watches a scene, and the sink beside it, as `run` opens it."""
    scene = Scene(kind)
    with App(home, FakeCamera(scene, fps=30, finite=False)) as app:
        sink = MqttSink(spec, hold_s=0.0)
        sink.attach(app)
        beside = Listener("mqtt", app.pipeline, sink)
        beside.start()
        try:
            yield app, scene
        finally:
            sink.close()
            beside.stop()


def result(text: str) -> Callable[[bytes], bool]:
    return lambda payload: text in json.loads(payload)["result"]


@needs_mosquitto
@pytest.mark.slow
def test_a_thing_is_taught_from_home_assistant_past_the_checks_of_the_page(home, running, heard, monkeypatch) -> None:
    monkeypatch.setattr(mqtt_teaching, "TEACH_S", 0.6)
    spec = f"mqtt://127.0.0.1:{running.port}/cam?teach=yes"
    with taught(home, "kite", spec) as (app, _):
        heard.until("cam/camera", lambda payload: payload == b"ON")
        heard.publish("cam/teach/now", b"PRESS", retain=True)  # of another day
        heard.publish("cam/teach/now", b"PRESS")
        heard.until("cam/teach", result("choose a label first"))
        heard.publish("cam/teach/label", b"a/b")
        heard.until("cam/teach", result("no label: "))
        heard.publish("cam/teach/label", b"bal")
        heard.until(
            "cam/teach", lambda payload: json.loads(payload) == {"label": "bal", "known": None, "result": "ready"}
        )
        heard.publish("cam/teach/now", b"PRESS")
        heard.until("cam/teach", result("did you mean"))
        assert not app.samples()
        heard.publish("cam/teach/label", b"kite")
        heard.publish("cam/teach/now", b"something else")
        heard.publish("cam/teach/now", b"PRESS")
        heard.until("cam/teach", result("looking"))
        heard.until("cam/teach", result("samples of kite: "))
        assert 3 <= len(app.samples("kite")) <= 7
        heard.until("cam/state", state("kite"))
        found = components(heard.until(CONFIG, lambda payload: b'"kite"' in payload))
        assert found["teach_label"]["options"] == ["ball", "box", "kite", "(nothing)"]
        app.forget(label="kite")
        app.retrain()
        heard.until(CONFIG, lambda payload: b'"kite"' not in payload)


@needs_mosquitto
def test_nobody_teaches_a_device_that_was_not_told_to_allow_it(home, running, heard) -> None:
    with taught(home, "ball", f"mqtt://127.0.0.1:{running.port}/cam") as (app, _):
        found = components(heard.until(CONFIG, bool))
        assert not any("teach" in key for key in found)
        heard.publish("cam/teach/label", b"ball")
        heard.publish("cam/teach/now", b"PRESS")
        heard.until("cam/camera", lambda payload: payload == b"ON")
        assert heard.last("cam/teach") is None and not app.samples()


def test_a_press_without_a_picture_teaches_nothing_later(monkeypatch) -> None:
    told = []
    teaching = mqtt_teaching.Teaching(None, lambda label, result: told.append(result))
    teaching.choose(b"ball")
    teaching.press(b"PRESS")
    monkeypatch.setattr(mqtt_teaching, "PATIENCE_S", 0.0)
    teaching.give_up()
    teaching.look(recognition("ball", time.monotonic()))  # an hour later the camera is back
    assert told == ["ready", "looking …", "nothing learned: no frame from the camera"]
