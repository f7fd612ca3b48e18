"""The MQTT sink against a real broker."""

from __future__ import annotations

import gc
import json
import logging
import re
import time
from collections.abc import Callable

import pytest

pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the extra [mqtt])")

from broker import Mosquitto, broker, components, listener, needs_mosquitto, state
from certificates import certificates
from recognitions import recognition
from test_home_assistant import NASTY

from edgetl_device.app.sinks.mqtt import MqttSink
from edgetl_device.app.sinks.mqtt_address import identifier, parsed_address
from edgetl_device.app.sinks.opening import refuse_password
from edgetl_device.app.sinks.outbox import Outbox
from edgetl_device.errors import InputError

CONFIG = "homeassistant/device/{}/config"


@pytest.fixture
def opened() -> Callable[..., MqttSink]:
    """Sinks that are closed at the end."""
    sinks = []

    def opening(spec: str, **options: float) -> MqttSink:
        sinks.append(MqttSink(spec, hold_s=0.0, **options))
        return sinks[-1]

    yield opening
    for sink in sinks:
        sink.close()


# addresses -------------------------------------------------------------------------------------------------------


def test_an_address_holds_all_that_is_asked_for(tmp_path) -> None:
    file = tmp_path / "password"
    file.write_text("pass/word@1\n")
    file.chmod(0o600)
    read = parsed_address(
        f"mqtts://house@broker.lan/porch/cam?password-file={file}&version=5&teach=yes&snapshot=no&name=Porch"
    )
    assert (read.host, read.port, read.user, read.password) == ("broker.lan", 8883, "house", "pass/word@1")
    assert (read.prefix, read.version, read.name, read.teach, read.snapshot) == ("porch/cam", 5, "Porch", True, False)
    assert read.tls is not None and read.tls.check_hostname and read.discovery == "homeassistant"
    assert "pass/word" not in repr(read)
    plain = parsed_address("mqtt://user:p%40ss@host:99?discovery=no")
    assert (plain.port, plain.password, plain.tls, plain.discovery) == (99, "p@ss", None, None)
    assert plain.prefix.startswith("edgetl/") and plain.version == 4


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "expected mqtt://HOST"),
        ("http://host", "expected mqtt://HOST"),
        ("mqtt://host:99999", "port"),
        ("mqtt://a..b", "no address"),
        ("mqtt://host/a+b", r"\+, #"),
        ("mqtt://host/$SYS", "begin with"),
        ("mqtt://host/a#b", "#"),
        ("mqtt://host?nonsense=1", "none of ca, cert"),
        ("mqtt://host?teach=maybe", "expected yes or no"),
        ("mqtt://host?version=4", "3.1.1 or 5"),
        ("mqtt://host?ca=x", "mqtts://"),
        ("mqtt://:pw@host", "needs a user"),
        ("mqtts://host?ca=/nowhere", "No such file"),
        ("mqtts://host?cert=x", "belong together"),
        ("mqtt://u@host?password-file=/nowhere", "No such file"),
        ("mqtt://host/" + "x" * 300, "200 bytes"),
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_one_line(address: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        parsed_address(address)
    assert "\n" not in str(refused.value)


def test_a_password_on_the_command_line_is_refused_and_a_variable_is_not() -> None:
    with pytest.raises(InputError, match="--sink-file") as refused:
        refuse_password("mqtt:mqtts://user:hunt/er2@host/x")
    assert "hunt" not in str(refused.value)
    for spec in (
        "mqtt:mqtts://user:${PW}@host",
        "mqtt:mqtts://user@host",
        "command:curl http://u:p@host",
        "own:x://u:p@h",
    ):
        refuse_password(spec)


def test_identifiers_are_safe_in_topics_and_differ() -> None:
    names = [*NASTY, "a b", "a_b", "A b", "", "x" * 100, "y" * 100 + "1", "y" * 100 + "2", "\ud800"]
    made = [identifier(name) for name in names]
    assert len(set(made)) == len(names) and all(re.fullmatch("[a-z0-9_]{8,49}", each) for each in made)


# what waits ------------------------------------------------------------------------------------------------------


def test_an_hour_without_a_broker_leaves_one_payload_a_topic() -> None:
    outbox = Outbox()
    for number in range(10_000):
        outbox.put("state", b"%d" % number)
        outbox.put("snapshot", bytes(1000))
    assert outbox.take(0) is None  # there is no connection
    assert len(outbox) == 2 and outbox.size_bytes < 1100
    outbox.open()
    assert [outbox.take(0), outbox.take(0), outbox.take(0)] == [("state", b"9999"), ("snapshot", bytes(1000)), None]
    outbox.put("state", b"9999")
    assert outbox.take(0) is None  # the other end has it
    outbox.open()  # it was started again, and has nothing
    assert outbox.take(0) == ("state", b"9999")
    outbox.put("snapshot", b"new")
    outbox.give_back("state")
    assert outbox.take(0) == ("snapshot", b"new") and outbox.take(0) == ("state", b"9999")


# a real broker ---------------------------------------------------------------------------------------------------


@needs_mosquitto
@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_label_picture_and_entities_reach_the_broker_and_its_last_will_says_goodbye(
    running, heard, opened, version
) -> None:
    sink = opened(f"mqtt://127.0.0.1:{running.port}/porch/cam?version={version}")
    sink(recognition("Käfer/1", 1.0))
    told = json.loads(heard.until("porch/cam/state", state("Käfer/1")))
    assert told["id"] == identifier("Käfer/1") and told["probability"] == 0.875 and not told["unknown"]
    assert told["version"] == 3 and told["time"].endswith("+00:00")
    sink(recognition("Käfer/1", 2.0, unknown=True))
    assert json.loads(heard.until("porch/cam/state", state("unknown")))["id"] == ""
    assert heard.until("porch/cam/snapshot", bool)[:2] == b"\xff\xd8"
    found = components(heard.until(CONFIG.format(sink.address.device_id), bool))
    assert {"label", "camera", "snapshot", f"is_{identifier('Käfer/1')}"} == set(found)
    assert heard.last("porch/cam/availability") == b"online"
    sink.close()
    heard.until("porch/cam/availability", lambda payload: payload == b"offline")


@needs_mosquitto
def test_a_connection_that_breaks_is_told_by_the_last_will(running, heard, opened) -> None:
    sink = opened(f"mqtt://127.0.0.1:{running.port}/cam?discovery=no&snapshot=no")
    sink(recognition("box", 1.0))
    heard.until("cam/state", bool)
    sink.broker._client._sock.close()  # as where its power went away
    heard.until("cam/availability", lambda payload: payload == b"offline")
    assert not any("homeassistant" in topic or "snapshot" in topic for topic, *_ in heard.heard)


@needs_mosquitto
@pytest.mark.slow
def test_a_broker_that_is_killed_gets_everything_again_and_the_newest_state_wins(tmp_path, opened, caplog) -> None:
    caplog.set_level(logging.INFO)
    with broker(tmp_path) as running:
        sink = opened(f"mqtt://127.0.0.1:{running.port}/cam")
        sink.broker._client.reconnect_delay_set(1, 1)
        with listener(running.port) as heard:
            sink(recognition("box", 1.0))
            heard.until("cam/state", state("box"))
        running.kill()
        started = time.process_time()
        for number in range(2000):
            sink(recognition(f"thing {number}", 2.0 + number))
        assert time.process_time() - started < 2.0 and len(sink.broker.outbox) <= 4
        running.start()
        with listener(running.port) as heard:
            heard.until("cam/state", state("thing 1999"))
            heard.until(CONFIG.format(sink.address.device_id), bool)
            heard.until("cam/availability", lambda payload: payload == b"online")
            assert sum(topic == "cam/state" for topic, *_ in heard.heard) <= 3
        assert caplog.text.count("trying again") <= 3


@needs_mosquitto
def test_a_broker_that_is_not_there_yet_keeps_nobody_waiting(tmp_path, opened) -> None:
    absent = Mosquitto(tmp_path)
    started = time.monotonic()
    sink = opened(f"mqtt://127.0.0.1:{absent.port}/cam")
    sink(recognition("box", 1.0))
    sink.close()
    assert time.monotonic() - started < 2.5


@needs_mosquitto
def test_the_late_will_of_a_killed_run_does_not_stay(running, heard, opened) -> None:
    opened(f"mqtt://127.0.0.1:{running.port}/cam")(recognition("box", 1.0))
    heard.until("cam/availability", lambda payload: payload == b"online")
    heard.publish("cam/availability", b"offline", retain=True)
    heard.until("cam/availability", lambda payload: payload == b"online")


@needs_mosquitto
def test_a_label_that_was_forgotten_while_nothing_ran_is_removed(running, heard, opened) -> None:
    old = opened(f"mqtt://127.0.0.1:{running.port}/cam")
    old(recognition("box", 1.0))
    topic = CONFIG.format(old.address.device_id)
    heard.until(topic, bool)
    old.close()
    opened(f"mqtt://127.0.0.1:{running.port}/cam")(recognition("ball", 1.0))
    found = components(heard.until(topic, lambda payload: b"ball" in payload))
    assert found[f"is_{identifier('box')}"] == {"platform": "binary_sensor"}
    sent = [payload for name, payload, _ in heard.heard if name == topic]
    assert len(sent) == 2  # once each: Home Assistant drops parts of what follows too soon


@needs_mosquitto
@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket"
)  # the client forgets one whose handshake failed
def test_tls_verifies_the_broker_and_shows_the_client_s_certificate(tmp_path, opened, caplog) -> None:
    files = certificates(tmp_path)
    settings = [f"cafile {files['authority']}", f"certfile {files['server']}", f"keyfile {files['server-key']}"]
    refused: list[MqttSink] = []
    own = f"ca={files['authority']}&cert={files['client']}&key={files['client-key']}"
    with broker(tmp_path, *settings, "require_certificate true") as running:
        as_client = {"ca_certs": files["authority"], "certfile": files["client"], "keyfile": files["client-key"]}
        with listener(running.port, **as_client) as heard:
            opened(f"mqtts://localhost:{running.port}/cam?{own}")(recognition("box", 1.0))
            heard.until("cam/state", state("box"))
            for wrong in (own.replace(files["authority"], files["stranger"]), f"ca={files['authority']}"):
                refused.append(opened(f"mqtts://localhost:{running.port}/other?{wrong}"))
                refused[-1](recognition("box", 1.0))
            until_told(caplog, "self-signed certificate", 1)
            until_told(caplog, "trying again", 2)
            assert heard.last("other/state") is None
            threads = [sink.broker._client._thread for sink in refused]  # each forgets itself when it ends
            for sink, thread in zip(refused, threads, strict=True):
                sink.close()
                thread.join(5)
    gc.collect()  # here, where the filter is
    with pytest.raises(InputError, match="cert="):
        parsed_address(f"mqtts://h?cert={files['client']}&key={files['server-key']}")


@needs_mosquitto
@pytest.mark.slow
def test_a_wrong_password_is_told_once_without_it_and_tried_again(tmp_path, opened, caplog) -> None:
    import subprocess

    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "house", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    with broker(tmp_path, "allow_anonymous false", f"password_file {passwords}") as running:
        sink = opened(f"mqtt://house:hunt2@127.0.0.1:{running.port}/cam")
        sink.broker._client.reconnect_delay_set(1, 1)
        sink(recognition("box", 1.0))
        until_told(caplog, "refuses the connection (Not authorized)", 1)
        time.sleep(1.5)
        assert caplog.text.count("refuses the connection") == 1 and "hunt2" not in caplog.text


def until_told(caplog: pytest.LogCaptureFixture, text: str, times: int) -> None:
    end = time.monotonic() + 15
    while caplog.text.count(text) < times:
        assert time.monotonic() < end, caplog.text
        time.sleep(0.02)


def test_a_topic_that_is_no_text_ends_no_thread() -> None:
    from paho.mqtt.client import MQTTMessage

    heard: list[bytes] = []
    sink = MqttSink("mqtt://127.0.0.1/cam")
    sink.broker.on("cam/x", heard.append)
    for topic in (b"\xff\xfe", b"cam/x"):
        message = MQTTMessage(topic=topic)
        message.payload = b"now"
        sink.broker._received(sink.broker._client, None, message)
    assert heard == [b"now"]


def test_without_paho_the_refusal_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(InputError, match=re.escape("pip install 'edgetl-device[mqtt]'")):
        MqttSink("mqtt://127.0.0.1")
