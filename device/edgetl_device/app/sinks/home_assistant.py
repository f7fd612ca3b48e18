"""What Home Assistant is told about a camera, so that it makes the entities by itself.

One message for the whole device: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
A label never gets into a topic or a template: both hold its identifier, and the label stands where it is shown only.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from typing import Any

from ... import __version__
from ...labels import MAX_LENGTH, NOTHING
from ...printable import printable
from ...strict_json import parsed
from .mqtt_address import identifier

MAX_LABELS = 200  # that get an entity of their own; whoever has more watches the sensor
MAX_KEPT = 1 << 20  # bytes of an earlier message that is read

_KEY = re.compile(r"[a-z0-9_]{1,64}")
_PLATFORMS = ("binary_sensor", "button", "image", "select", "sensor", "text")


class Topics:
    """Where a camera's states and commands are, and what it is called.

    Args:
        prefix: of all topics.
        device_id: names it among all devices.
        name: for people.
    """

    def __init__(self, prefix: str, device_id: str, name: str) -> None:
        self.device_id, self.name = device_id, name
        self.availability = f"{prefix}/availability"
        self.camera = f"{prefix}/camera"
        self.state = f"{prefix}/state"
        self.snapshot = f"{prefix}/snapshot"
        self.part = f"{prefix}/part"
        self.part_now = f"{prefix}/part/now"
        self.part_problem = f"{prefix}/part/problem"
        self.teach = f"{prefix}/teach"
        self.teach_label = f"{prefix}/teach/label"
        self.teach_now = f"{prefix}/teach/now"


class Discovery:
    """The message for a device, and what it no longer has.

    Args:
        topics: of the device.
        snapshot: whether there is a picture.
        teach: whether it can be taught from there.

    Attributes:
        inspects: whether parts are inspected.
    """

    def __init__(self, topics: Topics, *, snapshot: bool, teach: bool) -> None:
        self._topics, self._snapshot, self._teach = topics, snapshot, teach
        self._lock = threading.Lock()
        self.inspects = False
        self._gone: dict[str, str] = {}  # key of a component → its platform
        self._labels: tuple[str, ...] = ()
        self._bundle = ""

    def know(self, labels: Iterable[str], bundle: str) -> None:
        """The labels that can be recognised from now on; what is missing of the earlier ones is removed."""
        with self._lock:
            gone = self._gone | {key: each["platform"] for key, each in self._components().items()}
            self._labels, self._bundle = tuple(labels), bundle
            now = self._components()
            self._gone = {key: platform for key, platform in gone.items() if key not in now}

    def remember(self, payload: bytes) -> None:
        """What the broker has kept of an earlier run: labels that were forgotten since have to be removed too."""
        try:
            components = parsed(payload)["components"]
            kept = {key: each["platform"] for key, each in components.items() if len(each) > 1}  # not removed yet
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):  # somebody else wrote there
            return
        with self._lock:
            now = self._components()
            for key, platform in kept.items():
                ours = platform in _PLATFORMS and _KEY.fullmatch(key) is not None
                if ours and key not in now and len(self._gone) < 10 * MAX_LABELS:
                    self._gone[key] = platform

    def message(self) -> bytes:
        """JSON; a component that is gone keeps nothing but its platform, which removes it."""
        topics = self._topics
        device = {"identifiers": [topics.device_id], "name": topics.name, "manufacturer": "edgetl"}
        device |= {"model": printable(self._bundle, 100), "sw_version": __version__}
        with self._lock:
            components = self._components() | {key: {"platform": platform} for key, platform in self._gone.items()}
        return json.dumps(
            {
                "device": device,
                "origin": {"name": "edgetl", "sw_version": __version__},
                "availability": [{"topic": topics.availability}],
                "components": components,
            },
            ensure_ascii=False,
            sort_keys=True,
        ).encode("utf-8", "backslashreplace")

    def _components(self) -> dict[str, dict[str, Any]]:
        topics = self._topics
        found: dict[str, dict[str, Any]] = {
            "camera": {"platform": "binary_sensor", "name": "Camera", "device_class": "connectivity",
                       "entity_category": "diagnostic", "state_topic": topics.camera},
            "label": {"platform": "sensor", "name": "Label", "icon": "mdi:eye", "state_topic": topics.state,
                      "value_template": "{{ value_json.label }}", "json_attributes_topic": topics.state},
        }  # fmt: skip
        if self.inspects:
            found |= self._inspecting()
        for label in self._labels[:MAX_LABELS]:
            key = identifier(label)
            template = "{{ 'ON' if value_json.id == '" + key + "' else 'OFF' }}"
            found[f"is_{key}"] = {"platform": "binary_sensor", "name": label, "state_topic": topics.state,
                                  "value_template": template}  # fmt: skip
        for each in list(found.values())[1:]:  # what was seen last says nothing once the camera is gone
            each["availability"] = [
                {"topic": topics.availability},
                {"topic": topics.camera, "payload_available": "ON", "payload_not_available": "OFF"},
            ]
            each["availability_mode"] = "all"
        if self._snapshot:
            found["snapshot"] = {"platform": "image", "name": "Snapshot", "content_type": "image/jpeg",
                                 "image_topic": topics.snapshot}  # fmt: skip
        if self._teach:
            found |= self._teaching()
        return {key: each | {"unique_id": f"{topics.device_id}_{key}"} for key, each in sorted(found.items())}

    def _inspecting(self) -> dict[str, dict[str, Any]]:
        part = {"state_topic": self._topics.part}
        total = {"platform": "sensor", "state_class": "total", **part}
        return {
            "part": {"platform": "binary_sensor", "name": "Part", "device_class": "problem",
                     "value_template": "{{ 'ON' if value_json.verdict == 'bad' else 'OFF' }}",
                     "json_attributes_topic": self._topics.part, **part},
            "good_parts": {"name": "Good parts", "icon": "mdi:check-circle",
                           "value_template": "{{ value_json.good_parts }}", **total},
            "bad_parts": {"name": "Bad parts", "icon": "mdi:alert-circle",
                          "value_template": "{{ value_json.bad_parts }}", **total},
        }  # fmt: skip

    def _teaching(self) -> dict[str, dict[str, Any]]:
        topics = self._topics
        chosen = {"state_topic": topics.teach, "command_topic": topics.teach_label}
        return {
            "teach_label": {"platform": "select", "name": "Teach: label", "icon": "mdi:school",
                            "options": [*self._labels[:MAX_LABELS], NOTHING],
                            "value_template": "{{ value_json.known }}", **chosen},
            "teach_name": {"platform": "text", "name": "Teach: new name", "icon": "mdi:rename", "min": 0,
                           "max": MAX_LENGTH, "value_template": "{{ value_json.label }}", **chosen},
            "teach_now": {"platform": "button", "name": "Teach for 2 s", "icon": "mdi:gesture-tap-button",
                          "command_topic": topics.teach_now, "payload_press": "PRESS"},
            "taught": {"platform": "sensor", "name": "Teaching", "icon": "mdi:clipboard-check",
                       "entity_category": "diagnostic", "state_topic": topics.teach,
                       "value_template": "{{ value_json.result }}"},
        }  # fmt: skip
