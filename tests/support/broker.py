"""A real broker: mosquitto on the loopback, which can be killed and started again, and certificates for it."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from ports import free_port

mqtt = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the extra [mqtt])")
MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed here")


class Mosquitto:
    """A broker that keeps nothing on disk.

    Args:
        folder: for its configuration.
        settings: further lines of its configuration.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        self.port = free_port()
        self._file = folder / f"mosquitto-{self.port}.conf"
        lines = [f"listener {self.port} 127.0.0.1", "persistence false", "user root", *settings]
        if not any(line.startswith("allow_anonymous") for line in settings):
            lines.append("allow_anonymous true")
        self._file.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin to listen, as it was or again; what was kept before is gone."""
        self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(self._file)], stderr=subprocess.DEVNULL)
        for _ in range(500):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, "mosquitto does not start here"
            time.sleep(0.01)
        raise AssertionError("mosquitto does not listen")

    def kill(self) -> None:
        """As if its power went away."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@contextmanager
def broker(folder: Path, *settings: str) -> Iterator[Mosquitto]:
    """A running broker."""
    running = Mosquitto(folder, *settings)
    running.start()
    try:
        yield running
    finally:
        running.kill()


class Listener:
    """Somebody else on the same broker: remembers what it hears, and publishes."""

    def __init__(self, port: int, **tls: str) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self._changed = threading.Condition()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        if tls:
            self._client.tls_set(**tls)
        self._client.on_message = self._hear
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("localhost" if tls else "127.0.0.1", port)
        self._client.loop_start()

    def _hear(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.heard.append((message.topic, message.payload, message.retain))
            self._changed.notify_all()

    def last(self, topic: str) -> bytes | None:
        """The newest payload of a topic."""
        return next((payload for name, payload, _ in reversed(self.heard) if name == topic), None)

    def until(self, topic: str, condition, timeout_s: float = 15.0) -> bytes:
        """The newest payload of a topic, as soon as the condition holds for it."""
        with self._changed:
            done = self._changed.wait_for(
                lambda: self.last(topic) is not None and condition(self.last(topic)), timeout_s
            )
            assert done, f"{topic} is {self.last(topic)!r}; heard {sorted({name for name, *_ in self.heard})}"
            payload = self.last(topic)
            assert payload is not None
            return payload

    def publish(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def listener(port: int, **tls: str) -> Iterator[Listener]:
    heard = Listener(port, **tls)
    try:
        yield heard
    finally:
        heard.close()


def components(payload: bytes) -> dict[str, dict[str, object]]:
    """Of a discovery message."""
    return json.loads(payload)["components"]


def state(label: str) -> Callable[[bytes], bool]:
    """Whether a payload tells this label."""
    return lambda payload: json.loads(payload)["label"] == label
