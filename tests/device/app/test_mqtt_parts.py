"""Parts asked for by message, through a real broker."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the extra [mqtt])")

from broker import needs_mosquitto
from recognitions import recognition
from web_site import laid_part

from edgetl_device.app.app import App
from edgetl_device.app.background import Listener, Taker
from edgetl_device.app.sinks import part_requests
from edgetl_device.app.sinks.mqtt import MqttSink
from edgetl_device.camera import FakeCamera


@needs_mosquitto
def test_a_part_is_asked_for_by_message_and_counted_once(home, running, heard) -> None:
    frames = [laid_part(seed, scratched=True) for seed in range(20)]
    with App(home, FakeCamera(frames * 500, fps=30, finite=False), part_trigger="request") as app:
        sink = MqttSink(f"mqtt://127.0.0.1:{running.port}/cam?parts=yes", hold_s=0.0)
        sink.attach(app)
        beside = Listener("mqtt", app.pipeline, sink)
        taker = Taker("mqtt (parts)", app.inspecting.listen(), sink.part)
        beside.start()
        taker.start()
        try:
            heard.until("cam/camera", lambda payload: payload == b"ON")
            heard.publish("cam/part/now", b"PRESS")
            heard.until("cam/part/problem", lambda payload: b"nothing to compare with yet" in payload)
            app.inspecting.teach("good", [laid_part(seed) for seed in range(900, 908)])
            heard.publish("cam/part/now", b"something else")
            heard.publish("cam/part/now", b"PRESS")
            told = json.loads(heard.until("cam/part", bool))
            assert told["verdict"] == "bad" and app.inspecting.shift()["bad"] == told["bad_parts"] == 1
        finally:
            sink.close()
            beside.stop()
            taker.stop()


def test_a_request_without_a_picture_inspects_nothing_later(monkeypatch) -> None:
    told: list[str] = []
    requests = part_requests.PartRequests(None, told.append)
    requests.press()
    monkeypatch.setattr(part_requests, "PATIENCE_S", 0.0)
    requests.give_up()
    requests.look(recognition("ball", time.monotonic()))
    assert told == ["no frame from the camera"]
