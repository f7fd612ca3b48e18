"""``mqtt``: states for a broker, entities for Home Assistant, and, if it is allowed, commands from there."""

from __future__ import annotations

import json
import logging
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ...labels import NOTHING
from ...photos import jpeg
from ..subscription import Recognition
from .home_assistant import MAX_KEPT, MAX_LABELS, Discovery, Topics
from .mqtt_address import MqttAddress, identifier, parsed_address
from .mqtt_broker import Broker
from .mqtt_teaching import PRESS, Teaching
from .part_requests import PartRequests
from .sink import HOLD_S, UNKNOWN, Changes

if TYPE_CHECKING:
    from ..app import App
    from ..inspecting import PartVerdict

log = logging.getLogger("edgetl.sinks")

REFRESH_S = 10.0  # a label that stays: its probability is told no more often
REFRESH_BY = 0.05  # and only where it moved so far
SNAPSHOT_SIDE = 640  # pixels of a picture's longer side


class MqttSink:
    """Tells a broker what is recognised; however long that is away, it costs recognition nothing.

    Topics, all kept by the broker (*retained*): ``PREFIX/availability`` (``online``, by its last will ``offline``),
    ``PREFIX/camera`` (``ON``, ``OFF``), ``PREFIX/state`` (JSON, at each change of label), ``PREFIX/snapshot`` (JPEG),
    ``PREFIX/part`` (JSON, of each inspected part).
    With ``parts=yes`` the command ``PREFIX/part/now`` asks for one, and ``PREFIX/part/problem`` says why there is none.
    With ``teach=yes`` also ``PREFIX/teach`` (JSON), and the commands ``PREFIX/teach/label`` and ``PREFIX/teach/now``.

    Args:
        argument: the broker's address, as :func:`~edgetl_device.app.sinks.mqtt_address.parsed_address` reads it.
        hold_s: how long a label must last before it counts, seconds.

    Raises:
        InputError: it is no such address, or paho-mqtt is not installed.
    """

    def __init__(self, argument: str, *, hold_s: float = HOLD_S) -> None:
        self.address: MqttAddress = parsed_address(argument)
        address = self.address
        self._topics = Topics(address.prefix, address.device_id, address.name)
        self._discovery = Discovery(self._topics, snapshot=address.snapshot, teach=address.teach)
        self.broker = Broker(address, self._topics.availability, self._tick)
        self._changes = Changes(hold_s, None)
        self._app: App | None = None
        self._teaching: Teaching | None = None
        self._requests: PartRequests | None = None
        self._known: tuple[Any, ...] | None = None
        self._labels: frozenset[str] = frozenset()
        self._told: tuple[str, float] = ("", 0.0)
        self._told_s = float("-inf")
        self._started = False
        self._starting = threading.Lock()  # labels and parts come in two threads

    def attach(self, app: App) -> None:
        """Connect, and say how things stand before anything is recognised."""
        self._app = app
        if self.address.teach:
            self._teaching = Teaching(app, self._tell_teaching)
            self.broker.on(self._topics.teach_label, self._teaching.choose)
            self.broker.on(self._topics.teach_now, self._teaching.press)
            self._teaching.begin()
        if self.address.parts:
            self._requests = PartRequests(app, self._tell_problem)
            self.broker.on(self._topics.part_now, self._part_now)
        self._start()

    def __call__(self, recognition: Recognition) -> None:
        """Take a recognition: what changed is left for the thread that sends."""
        self._start()
        self._learn_labels(recognition)
        label = self._changes(recognition)
        probability = recognition.prediction.probability
        if label is not None:
            self._tell(label, recognition)
            if self.address.snapshot:
                self.broker.outbox.put(self._topics.snapshot, jpeg(recognition.frame.image, SNAPSHOT_SIDE))
        elif self._told[0] not in ("", UNKNOWN) and self._told[0] == recognition.prediction.label:
            moved = abs(probability - self._told[1]) >= REFRESH_BY and not recognition.prediction.unknown
            if moved and time.monotonic() - self._told_s >= REFRESH_S:
                self._tell(self._told[0], recognition)
        if self._teaching is not None:
            self._teaching.look(recognition)
        if self._requests is not None:
            self._requests.look(recognition)

    def _part_now(self, payload: bytes) -> None:
        if payload == PRESS and self._requests is not None:
            self._requests.press()

    def part(self, verdict: PartVerdict) -> None:
        """Take an inspected part; Home Assistant gets its entities with the first."""
        self._start()
        self.broker.outbox.put(self._topics.part, _json(verdict.to_json()))
        if not self._discovery.inspects:
            self._discovery.inspects = True
            if self._known is not None:
                self._discover()

    def close(self) -> None:
        """Say goodbye."""
        self.broker.stop()

    def _start(self) -> None:
        with self._starting:
            if self._started:
                return
            self._started = True
        if self.address.discovery is not None:
            self._discovery_topic = f"{self.address.discovery}/device/{self.address.device_id}/config"
            self.broker.on_kept(self._discovery_topic, self._remember, MAX_KEPT)
        self.broker.start()

    def _learn_labels(self, recognition: Recognition) -> None:
        """Another head, another bundle: other labels."""
        known = (recognition.version, recognition.backbone)
        if known == self._known:
            return
        self._known = known
        labels = tuple(sorted(label for label, _ in recognition.prediction.top))
        if len(labels) > MAX_LABELS:
            log.warning("only %d of %d labels get an entity in Home Assistant", MAX_LABELS, len(labels))
        self._labels = frozenset(labels)
        self._discovery.know(labels, "" if self._app is None else self._app.bundle.name)
        self._discover()
        if self._teaching is not None:
            self._teaching.begin()  # which of the labels is known

    def _remember(self, payload: bytes) -> None:
        self._discovery.remember(payload)
        if self._known is not None:
            self._discover()

    def _discover(self) -> None:
        if self.address.discovery is not None:
            self.broker.outbox.put(self._discovery_topic, self._discovery.message())

    def _tell(self, label: str, recognition: Recognition) -> None:
        prediction = recognition.prediction
        self._told, self._told_s = (label, prediction.probability), time.monotonic()
        state = {
            "label": label,
            "id": "" if label == UNKNOWN else identifier(label),
            "probability": round(prediction.probability, 4),
            "unknown": label == UNKNOWN,
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "version": recognition.version,
        }
        self.broker.outbox.put(self._topics.state, _json(state))

    def _tell_teaching(self, label: str, result: str) -> None:
        known = label if label in self._labels or label == NOTHING else None
        self.broker.outbox.put(self._topics.teach, _json({"label": label, "known": known, "result": result}))

    def _tell_problem(self, reason: str) -> None:
        self.broker.outbox.put(self._topics.part_problem, reason.encode("utf-8", "backslashreplace"))

    def _tick(self) -> None:
        if self._app is not None:
            health = self._app.pipeline.health()
            there = health.running and health.error is None and health.frames > 0
            self.broker.outbox.put(self._topics.camera, b"ON" if there else b"OFF")
        if self._teaching is not None:
            self._teaching.give_up()
        if self._requests is not None:
            self._requests.give_up()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
