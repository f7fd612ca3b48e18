"""The connection to an MQTT broker: one thread of the client's, one that sends, and nobody who waits for either.

paho-mqtt speaks the protocol and connects again with growing pauses. What is to be sent lies in an :class:`Outbox`:
while the broker is away or slow, of each topic only the newest payload is kept, and one message is on its way.
"""

from __future__ import annotations

import logging
import secrets
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ...printable import printable
from .mqtt_address import MqttAddress
from .outbox import Outbox

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

log = logging.getLogger("edgetl.sinks")

BACKOFF_S = (1, 60)  # first and longest pause before the next attempt to connect
KEEPALIVE_S = 30  # after one and a half of it without a sign of life, the broker tells the last will
PATIENCE_S = 20.0  # for the broker to take one message; then it is sent again
SETTLE_S = 0.5  # for what the broker has kept, before anything is sent
TICK_S = 1.0  # between two looks at what nobody reports
MAX_COMMAND = 256  # bytes of a message that is read

ONLINE, OFFLINE = b"online", b"offline"


class Broker:
    """Keeps a broker up to date.

    Args:
        address: of the broker.
        will: the topic on which it is told that this device is there or gone.
        tick: called about once a second in the thread that sends.

    Raises:
        InputError: paho-mqtt is not installed.
    """

    def __init__(self, address: MqttAddress, will: str, tick: Callable[[], None]) -> None:
        self.outbox = Outbox()
        self._address, self._will, self._tick = address, will, tick
        self._handlers: dict[str, Callable[[bytes], None]] = {}
        self._before: tuple[str, Callable[[bytes], None], int] | None = None
        self._settled = threading.Event()
        self._up = False
        self._told: str | None = None  # the trouble that was logged last
        self._client = self._made()
        self._sender = threading.Thread(target=self._send, name="mqtt-sender", daemon=True)

    def _made(self) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
        except ModuleNotFoundError:
            raise InputError("the sink mqtt needs paho-mqtt: `pip install 'edgetl-device[mqtt]'`") from None
        address = self._address
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"edgetl-{secrets.token_hex(6)}",  # two devices of one name would throw each other out for ever
            protocol=MQTTProtocolVersion(address.version),
            reconnect_on_failure=True,
        )
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.tls is not None:
            client.tls_set_context(address.tls)
        client.will_set(self._will, OFFLINE, qos=1, retain=True)
        client.reconnect_delay_set(*BACKOFF_S)
        client.max_queued_messages_set(4)  # ours is the outbox
        client.connect_timeout = 10.0
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_connect_fail = self._unreachable
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        return client

    def on(self, topic: str, handler: Callable[[bytes], None]) -> None:
        """Before the start: hand over what others publish. What the broker kept from earlier is no command of now."""
        self._handlers[topic] = handler

    def on_kept(self, topic: str, handler: Callable[[bytes], None], limit: int) -> None:
        """Before the start: hand over what the broker has kept of a topic, each time before anything is sent."""
        self._before = (topic, handler, limit)

    def start(self) -> None:
        """Begin to connect; once. Returns at once, whether the broker is there or not."""
        self.outbox.put(self._will, ONLINE)
        self._client.connect_async(self._address.host, self._address.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()
        self._sender.start()

    def stop(self, timeout_s: float = 1.0) -> None:
        """Say goodbye, if the broker takes it in time, and end both threads."""
        if self.outbox.closed:
            return
        self.outbox.close()
        with suppress(RuntimeError):  # never started
            self._sender.join(timeout_s)
        connected = self._client.is_connected()
        if connected:
            with suppress(RuntimeError, ValueError):
                self._client.publish(self._will, OFFLINE, qos=1, retain=True).wait_for_publish(timeout_s)
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, name="mqtt-end", daemon=True)
        ending.start()
        if connected:  # otherwise it waits between two attempts to connect, and ends by itself
            ending.join(timeout_s)

    # the thread that sends ---------------------------------------------------------------------------------------

    def _send(self) -> None:
        looked_s = time.monotonic()
        while not self.outbox.closed:
            taken = self.outbox.take(TICK_S)
            if taken is not None and self._settled.wait(SETTLE_S):
                self._publish(*taken)
            elif taken is not None:  # the broker has kept nothing
                self._settle()
                self.outbox.give_back(taken[0])
            if time.monotonic() - looked_s >= TICK_S:
                looked_s = time.monotonic()
                self._tick()

    def _publish(self, topic: str, payload: bytes) -> None:
        """Send one message and wait until the broker has it: what changes meanwhile is sent once, not many times."""
        try:
            message = self._client.publish(topic, payload, qos=1, retain=True)
            until_s = time.monotonic() + PATIENCE_S
            while not message.is_published() and self._client.is_connected() and not self.outbox.closed:
                message.wait_for_publish(0.05)
                if time.monotonic() > until_s:
                    break
            if message.is_published():
                return
        except (RuntimeError, ValueError):  # the connection is gone, or its queue full
            time.sleep(0.05)
        self.outbox.give_back(topic)

    def _settle(self) -> None:
        """What the broker has kept is known, or it has kept nothing: do not listen to what is sent from here."""
        self._settled.set()
        if self._before is not None:
            self._client.unsubscribe(self._before[0])

    # the client's thread -----------------------------------------------------------------------------------------

    def _connected(self, client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._tell(f"refuses the connection ({printable(reason, 80)})")
            return
        log.info("connected to the MQTT broker %s", self._address.shown)
        self._up, self._told = True, None
        topics = [self._will, *self._handlers]
        if self._before is None:
            self._settled.set()
        else:
            self._settled.clear()
            topics.append(self._before[0])
        client.subscribe([(topic, 1) for topic in topics])

    def _subscribed(self, _client: Client, _data: Any, _number: int, _reasons: Any, _properties: Any) -> None:
        """Send only now: what was on its way when the last connection broke has been sent again, so it is older."""
        self.outbox.open()

    def _disconnected(self, _client: Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        was_open, self._up = self._up, False
        self.outbox.shut()
        if self.outbox.closed:
            return
        if was_open:
            self._tell(f"is gone ({printable(reason, 80)})")
        elif self._told is None:  # without a word, as where it wants a client's certificate
            self._tell("closes the connection at once")

    def _unreachable(self, _client: Client, _data: Any) -> None:
        error = sys.exc_info()[1]  # the client calls this while it handles what went wrong
        reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or error
        self._tell(f"cannot be reached ({printable(reason, 200)})")

    def _tell(self, trouble: str) -> None:
        """Once, not at every attempt of a long night."""
        if self._told != trouble:
            self._told = trouble
            log.warning("the MQTT broker %s %s: trying again", self._address.shown, trouble)

    def _received(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # a broker that sends it is broken: the client's thread must not end for it
            return
        if self._before is not None and topic == self._before[0]:
            if message.retain and not self._settled.is_set():
                if len(message.payload) <= self._before[2]:
                    self._before[1](bytes(message.payload))
                self._settle()
        elif message.retain or len(message.payload) > MAX_COMMAND:
            return
        elif topic == self._will:
            if message.payload == OFFLINE and not self.outbox.closed:  # the will of a run that was killed, told late
                self.outbox.put(self._will, ONLINE, again=True)
        elif topic in self._handlers:
            self._handlers[topic](bytes(message.payload))
