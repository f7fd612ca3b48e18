"""What Home Assistant documents of MQTT discovery, as JSON Schema: which keys a component may have, and which it must.

From https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload and the page of each platform there
(sensor.mqtt, binary_sensor.mqtt, image.mqtt, select.mqtt, text.mqtt, button.mqtt).
"""

from __future__ import annotations

from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
TOPIC: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": "^[^+#\\u0000]*$"}
BOOLEAN: dict[str, Any] = {"type": "boolean"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}

AVAILABILITY = {
    "availability": {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["topic"],
            "additionalProperties": False,
            "properties": {
                "topic": TOPIC, "payload_available": TEXT, "payload_not_available": TEXT, "value_template": TEXT,
            },
        },
    },
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "availability_topic": TOPIC, "availability_template": TEXT, "payload_available": TEXT, "payload_not_available": TEXT,
}  # fmt: skip
COMMON = AVAILABILITY | {
    "platform": TEXT, "name": {"type": ["string", "null"]}, "unique_id": {"type": "string", "minLength": 1}, "icon": TEXT,
    "entity_category": {"enum": ["config", "diagnostic"]}, "enabled_by_default": BOOLEAN, "entity_picture": TEXT,
    "json_attributes_topic": TOPIC, "json_attributes_template": TEXT, "default_entity_id": TEXT, "encoding": TEXT,
    "qos": {"enum": [0, 1, 2]},
}  # fmt: skip
PLATFORMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "sensor": (
        {"state_topic": TOPIC, "value_template": TEXT, "device_class": TEXT, "state_class": TEXT, "expire_after": COUNT,
         "force_update": BOOLEAN, "unit_of_measurement": TEXT, "options": {"type": "array"},
         "suggested_display_precision": COUNT, "last_reset_value_template": TEXT},
        ["state_topic"],
    ),
    "binary_sensor": (
        {"state_topic": TOPIC, "value_template": TEXT, "device_class": {"enum": ["connectivity", "presence", "problem"]},
         "expire_after": COUNT, "force_update": BOOLEAN, "off_delay": COUNT, "payload_on": TEXT, "payload_off": TEXT},
        ["state_topic"],
    ),
    "image": (
        {"image_topic": TOPIC, "url_topic": TOPIC, "url_template": TEXT, "content_type": TEXT, "image_encoding": {"const": "b64"}},
        ["image_topic"],
    ),
    "select": (
        {"command_topic": TOPIC, "command_template": TEXT, "options": {"type": "array", "items": TEXT}, "optimistic": BOOLEAN,
         "retain": BOOLEAN, "state_topic": TOPIC, "value_template": TEXT},
        ["command_topic", "options"],
    ),
    "text": (
        {"command_topic": TOPIC, "command_template": TEXT, "min": COUNT, "max": {"type": "integer", "maximum": 255},
         "mode": {"enum": ["text", "password"]}, "pattern": TEXT, "retain": BOOLEAN, "state_topic": TOPIC,
         "value_template": TEXT},
        ["command_topic"],
    ),
    "button": (
        {"command_topic": TOPIC, "command_template": TEXT, "device_class": TEXT, "payload_press": TEXT, "retain": BOOLEAN},
        ["command_topic"],
    ),
}  # fmt: skip


def _component(platform: str) -> dict[str, Any]:
    keys, required = PLATFORMS[platform]
    return {
        "properties": COMMON | keys | {"platform": {"const": platform}},
        "required": ["platform", "unique_id", *required],
        "additionalProperties": False,
    }


DEVICE_DISCOVERY: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
    "properties": AVAILABILITY | {
        "device": {
            "type": "object",
            "additionalProperties": False,
            "required": ["identifiers"],
            "properties": {
                "identifiers": {"type": "array", "items": TEXT, "minItems": 1}, "connections": {"type": "array"},
                "manufacturer": TEXT, "model": TEXT, "model_id": TEXT, "name": TEXT, "hw_version": TEXT, "sw_version": TEXT,
                "serial_number": TEXT, "suggested_area": TEXT, "via_device": TEXT, "configuration_url": TEXT,
            },
        },
        "origin": {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {"name": TEXT, "sw_version": TEXT, "support_url": TEXT},
        },
        "components": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-zA-Z0-9_-]+$"},
            "additionalProperties": {
                "anyOf": [
                    *map(_component, PLATFORMS),
                    {"properties": {"platform": {"enum": list(PLATFORMS)}}, "required": ["platform"],
                     "additionalProperties": False},  # removes the component
                ],
            },
        },
        "state_topic": TOPIC, "command_topic": TOPIC, "encoding": TEXT, "qos": {"enum": [0, 1, 2]},
    },
}  # fmt: skip
