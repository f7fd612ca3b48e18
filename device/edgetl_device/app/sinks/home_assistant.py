"""What Home Assistant is told about a camera, so that it makes the entities by itself.

One message for the whole device: https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
A label never gets into a topic or a template: both hold its identifier, and the label stands where it is shown only.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from ... import __version__
from ...labels import MAX_LENGTH, NOTHING
from ...printable import printable
from ...strict_json import parsed
from ...view_names import UNNAMED, ViewName
from .mqtt_address import identifier

MAX_LABELS = 200  # that get an entity of their own; whoever has more watches the sensor
MAX_KEPT = 1 << 20  # bytes of an earlier message that is read

_KEY = re.compile(r"[a-z0-9_]{1,64}")
_PLATFORMS = ("binary_sensor", "button", "image", "select", "sensor", "text")


class ViewTopics:
    """Where the states of one view are. Names of cameras and regions hold nothing that has a meaning in topics.

    Args:
        prefix: of all topics.
        view: which one it is.
    """

    def __init__(self, prefix: str, view: ViewName) -> None:
        self.view = view
        self.camera = "/".join([prefix, *filter(None, view[:1]), "camera"])
        self.state = "/".join([prefix, *filter(None, view), "state"])
        self.snapshot = "/".join([prefix, *filter(None, view), "snapshot"])

    @property
    def key(self) -> str:
        """What keys of its components begin with."""
        return _key_of(self.view)

    def called(self, what: str) -> str:
        """The name of an entity."""
        return f"{self.view.shown}: {what}" if any(self.view) else what


def _key_of(view: ViewName) -> str:
    return f"v{hashlib.sha256(view.shown.encode()).hexdigest()[:8]}_" if any(view) else ""


class Topics:
    """Where a device's states and commands are, and what it is called.

    Args:
        prefix: of all topics.
        device_id: names it among all devices.
        name: for people.
    """

    def __init__(self, prefix: str, device_id: str, name: str) -> None:
        self._prefix, self.device_id, self.name = prefix, device_id, name
        self.availability = f"{prefix}/availability"
        self.part = f"{prefix}/part"
        self.part_now = f"{prefix}/part/now"
        self.part_problem = f"{prefix}/part/problem"
        self.teach = f"{prefix}/teach"
        self.teach_label = f"{prefix}/teach/label"
        self.teach_now = f"{prefix}/teach/now"
        self.teach_view = f"{prefix}/teach/view"

    def of(self, view: ViewName) -> ViewTopics:
        """Those of one view."""
        return ViewTopics(self._prefix, view)


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
        self._labels: dict[ViewName, tuple[str, ...]] = {}
        self._bundle = ""

    def know(self, labels: Iterable[str] | Mapping[ViewName, Iterable[str]], bundle: str) -> None:
        """The labels that can be recognised from now on, of each view; what is missing of the earlier is removed."""
        of_views = labels if isinstance(labels, Mapping) else {UNNAMED: labels}
        with self._lock:
            gone = self._gone | {key: each["platform"] for key, each in self._components().items()}
            self._labels, self._bundle = {view: tuple(some) for view, some in of_views.items()}, bundle
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
        found: dict[str, dict[str, Any]] = {}
        for view, labels in (self._labels or {UNNAMED: ()}).items():
            found |= self._of_view(topics.of(view), labels)
        if self.inspects:
            found |= self._inspecting()
        if self._teach:
            found |= self._teaching()
        return {key: each | {"unique_id": f"{topics.device_id}_{key}"} for key, each in sorted(found.items())}

    def _of_view(self, topics: ViewTopics, labels: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        camera = {_key_of(ViewName(topics.view.camera)) + "camera": {
            "platform": "binary_sensor", "name": ViewTopics("", ViewName(topics.view.camera)).called("Camera"),
            "device_class": "connectivity", "entity_category": "diagnostic", "state_topic": topics.camera,
        }}  # fmt: skip
        found: dict[str, dict[str, Any]] = {
            f"{topics.key}label": {"platform": "sensor", "name": topics.called("Label"), "icon": "mdi:eye",
                                   "state_topic": topics.state, "value_template": "{{ value_json.label }}",
                                   "json_attributes_topic": topics.state},
        }  # fmt: skip
        for label in labels[:MAX_LABELS]:
            key = identifier(label)
            template = "{{ 'ON' if value_json.id == '" + key + "' else 'OFF' }}"
            found[f"{topics.key}is_{key}"] = {"platform": "binary_sensor", "name": topics.called(label),
                                              "state_topic": topics.state, "value_template": template}  # fmt: skip
        self._while_there(found, topics.camera)
        if self._snapshot:
            found[f"{topics.key}snapshot"] = {"platform": "image", "name": topics.called("Snapshot"),
                                              "content_type": "image/jpeg",
                                              "image_topic": topics.snapshot}  # fmt: skip
        return camera | found

    def _while_there(self, components: dict[str, dict[str, Any]], camera: str) -> None:
        """What was seen last says nothing once the camera is gone."""
        for each in components.values():
            each["availability"] = [
                {"topic": self._topics.availability},
                {"topic": camera, "payload_available": "ON", "payload_not_available": "OFF"},
            ]
            each["availability_mode"] = "all"

    def _inspecting(self) -> dict[str, dict[str, Any]]:
        part = {"state_topic": self._topics.part}
        total = {"platform": "sensor", "state_class": "total", **part}
        found = {
            "part": {"platform": "binary_sensor", "name": "Part", "device_class": "problem",
                     "value_template": "{{ 'ON' if value_json.verdict == 'bad' else 'OFF' }}",
                     "json_attributes_topic": self._topics.part, **part},
            "good_parts": {"name": "Good parts", "icon": "mdi:check-circle",
                           "value_template": "{{ value_json.good_parts }}", **total},
            "bad_parts": {"name": "Bad parts", "icon": "mdi:alert-circle",
                          "value_template": "{{ value_json.bad_parts }}", **total},
        }  # fmt: skip
        camera = next(iter(self._labels), UNNAMED).camera  # the first is the one that inspects
        self._while_there(found, self._topics.of(ViewName(camera)).camera)
        return found

    def _teaching(self) -> dict[str, dict[str, Any]]:
        topics = self._topics
        labels = list(dict.fromkeys(label for some in self._labels.values() for label in some))
        chosen = {"state_topic": topics.teach, "command_topic": topics.teach_label}
        found: dict[str, dict[str, Any]] = {} if len(self._labels) < 2 else {
            "teach_view": {"platform": "select", "name": "Teach: view", "icon": "mdi:cctv",
                           "options": [view.shown for view in self._labels], "state_topic": topics.teach,
                           "value_template": "{{ value_json.view }}", "command_topic": topics.teach_view},
        }  # fmt: skip
        return found | {
            "teach_label": {"platform": "select", "name": "Teach: label", "icon": "mdi:school",
                            "options": [*labels[:MAX_LABELS], NOTHING],
                            "value_template": "{{ value_json.known }}", **chosen},
            "teach_name": {"platform": "text", "name": "Teach: new name", "icon": "mdi:rename", "min": 0,
                           "max": MAX_LENGTH, "value_template": "{{ value_json.label }}", **chosen},
            "teach_now": {"platform": "button", "name": "Teach for 2 s", "icon": "mdi:gesture-tap-button",
                          "command_topic": topics.teach_now, "payload_press": "PRESS"},
            "taught": {"platform": "sensor", "name": "Teaching", "icon": "mdi:clipboard-check",
                       "entity_category": "diagnostic", "state_topic": topics.teach,
                       "value_template": "{{ value_json.result }}"},
        }  # fmt: skip
