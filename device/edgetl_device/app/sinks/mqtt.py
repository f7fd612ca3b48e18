"""``mqtt``: states for a broker, entities for Home Assistant, and, if it is allowed, commands from there."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Collection, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ...labels import NOTHING
from ...photos import jpeg
from ...region import cut, region_of
from ...view_names import ViewName
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
    ``PREFIX/part`` (JSON, of each inspected part). Where cameras and regions have names, these are in the topics of
    camera, state and snapshot: ``PREFIX/CAMERA/camera``, ``PREFIX/CAMERA/REGION/state``.
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
        self._known: dict[ViewName, tuple[Any, ...]] = {}
        self._labels: Mapping[ViewName, tuple[str, ...]] = {}
        self._knowing = threading.Lock()  # views come with frames, and go in the broker's thread
        self._told: dict[ViewName, tuple[str, float, float]] = {}  # label, probability and when
        self._started = False
        self._starting = threading.Lock()  # labels and parts come in two threads

    def attach(self, app: App) -> None:
        """Connect, and say how things stand before anything is recognised."""
        self._app = app
        if self.address.teach:
            self._teaching = Teaching(app, self._tell_teaching)
            self.broker.on(self._topics.teach_label, self._teaching.choose)
            self.broker.on(self._topics.teach_now, self._teaching.press)
            self.broker.on(self._topics.teach_view, self._teaching.choose_view)
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
        told, told_probability, told_s = self._told.get(recognition.name, ("", 0.0, float("-inf")))
        if label is not None:
            self._tell(label, recognition)
            if self.address.snapshot:
                image = recognition.frame.image
                if recognition.name.region:
                    image = cut(image, region_of(list(recognition.part)))
                self.broker.outbox.put(self._topics.of(recognition.name).snapshot, jpeg(image, SNAPSHOT_SIDE))
        elif told not in ("", UNKNOWN) and told == recognition.prediction.label:
            moved = abs(probability - told_probability) >= REFRESH_BY and not recognition.prediction.unknown
            if moved and time.monotonic() - told_s >= REFRESH_S:
                self._tell(told, recognition)
        if self._teaching is not None:
            self._teaching.look(recognition)
        if self._requests is not None:
            self._requests.look(recognition)

    def keep_only(self, names: Collection[ViewName]) -> None:
        """Take from the broker what it keeps of views that there are no more."""
        if any(name not in names for name in self._labels):
            self._know({})

    def _part_now(self, payload: bytes) -> None:
        if payload == PRESS and self._requests is not None:
            self._requests.press()

    def part(self, verdict: PartVerdict) -> None:
        """Take an inspected part; Home Assistant gets its entities with the first."""
        self._start()
        self.broker.outbox.put(self._topics.part, _json(verdict.to_json()))
        if not self._discovery.inspects:
            self._discovery.inspects = True
            if self._known:
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
        """Another head, another bundle, another view: other labels."""
        known: tuple[Any, ...] = (recognition.version, recognition.backbone)
        if recognition.group is not None:  # its head has no number here
            known = (recognition.group, *sorted(label for label, _ in recognition.prediction.top))
        if known == self._known.get(recognition.name):
            return
        self._known[recognition.name] = known
        labels = tuple(sorted(label for label, _ in recognition.prediction.top))
        if len(labels) > MAX_LABELS:
            log.warning("only %d of %d labels get an entity in Home Assistant", MAX_LABELS, len(labels))
        self._know({recognition.name: labels})

    def _know(self, new: Mapping[ViewName, tuple[str, ...]]) -> None:
        """What is recognised has changed: labels of views are new, or views are gone."""
        with self._knowing:
            labels = {**self._labels, **new}
            views = list(labels) if self._app is None else [view.name for view in self._app.pipeline.views]
            for gone in labels.keys() - set(views):
                self._known.pop(gone, None)
                self._told.pop(gone, None)
                self._changes.forget(gone)  # what comes again under its name is told again
                for topic in (self._topics.of(gone).state, self._topics.of(gone).snapshot):
                    self.broker.outbox.put(topic, b"")  # the broker keeps it no longer
            self._labels = {name: labels[name] for name in views if name in labels}
            self._discovery.know(self._labels, "" if self._app is None else self._app.bundle.name)
        self._discover()
        if self._teaching is not None:
            self._teaching.begin()  # which of the labels is known

    def _remember(self, payload: bytes) -> None:
        self._discovery.remember(payload)
        if self._known:
            self._discover()

    def _discover(self) -> None:
        if self.address.discovery is not None:
            self.broker.outbox.put(self._discovery_topic, self._discovery.message())

    def _tell(self, label: str, recognition: Recognition) -> None:
        prediction = recognition.prediction
        self._told[recognition.name] = label, prediction.probability, time.monotonic()
        state = {
            **recognition.name.to_json(),
            "label": label,
            "id": "" if label == UNKNOWN else identifier(label),
            "probability": round(prediction.probability, 4),
            "unknown": label == UNKNOWN,
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "version": recognition.version,
        }
        self.broker.outbox.put(self._topics.of(recognition.name).state, _json(state))

    def _tell_teaching(self, label: str, result: str) -> None:
        known = label if label == NOTHING or any(label in some for some in self._labels.values()) else None
        view = self._teaching.view if self._teaching is not None and len(self._labels) > 1 else None
        told = {"label": label, "known": known, "result": result}
        self.broker.outbox.put(self._topics.teach, _json(told if view is None else {**told, "view": view}))

    def _tell_problem(self, reason: str) -> None:
        self.broker.outbox.put(self._topics.part_problem, reason.encode("utf-8", "backslashreplace"))

    def _tick(self) -> None:
        if self._app is not None:
            for camera in self._app.cameras:
                health = self._app.pipeline.health(camera)
                there = health.running and health.error is None and health.frames > 0
                self.broker.outbox.put(self._topics.of(ViewName(camera)).camera, b"ON" if there else b"OFF")
            self.keep_only(self._app.pipeline.names)
        if self._teaching is not None:
            self._teaching.give_up()
        if self._requests is not None:
            self._requests.give_up()


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
