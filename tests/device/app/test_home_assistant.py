"""What Home Assistant is told, against what it documents."""

from __future__ import annotations

import json

import home_assistant
import pytest

from edgetl_device.app.sinks.home_assistant import MAX_LABELS, Discovery, Topics
from edgetl_device.app.sinks.mqtt_address import identifier

NASTY = ["<b>nut</b>", "a+b", "#1", "螺母", "Ünïcode 'quoted'", "{{ 7 * 7 }}", 'say "hi"', "None"]


def components(payload: bytes) -> dict[str, dict]:
    return json.loads(payload)["components"]


def discovery(**options: bool) -> Discovery:
    return Discovery(Topics("cam", "edgetl_cam", "Cam"), **{"snapshot": True, "teach": True} | options)


def test_forgotten_labels_are_removed_also_those_of_an_earlier_run() -> None:
    first = discovery()
    first.know(["ball", "box"], "toys")
    before = first.message()
    first.know(["ball", "ring"], "toys")
    after = components(first.message())
    assert after[f"is_{identifier('box')}"] == {"platform": "binary_sensor"}
    assert len(after[f"is_{identifier('ring')}"]) > 1
    later = discovery(teach=False)
    later.remember(before)
    later.know(["ball"], "toys")
    now = components(later.message())
    gone = {key for key, each in now.items() if len(each) == 1}
    assert gone == {f"is_{identifier('box')}", "teach_label", "teach_name", "teach_now", "taught"}
    again = discovery(teach=False)
    again.remember(later.message())  # what is removed already needs no removing
    again.know(["ball"], "toys")
    assert all(len(each) > 1 for each in components(again.message()).values())


@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[1]", b'{"components": 5}', b'{"components": {"a": 5}}', b'{"components": {"a/b": {"platform": "sensor", "x": 1}}}',
     b'{"components": {"a": {"platform": ["x"], "b": 1}}}', b"[" * 100_000, b"\xff\xfe"],
)  # fmt: skip
def test_what_somebody_else_left_on_the_discovery_topic_changes_nothing(payload: bytes) -> None:
    clean, met = discovery(), discovery()
    met.remember(payload)
    assert met.message() == clean.message()


def test_labels_of_any_kind_stand_as_they_are_and_in_no_template() -> None:
    made = discovery()
    made.know(NASTY, "<script>\x1b[2J")
    found = components(made.message())
    assert {each["name"] for key, each in found.items() if key.startswith("is_")} == set(NASTY)
    assert [each for each in found["teach_label"]["options"] if each != "(nothing)"] == NASTY
    for each in found.values():
        for key, value in each.items():
            if key.endswith(("template", "topic", "unique_id")):
                assert not any(label in value for label in NASTY if label not in ("#1", "None")) and "#" not in value
    assert b"\x1b" not in made.message()


@pytest.mark.parametrize("teach", [False, True])
def test_discovery_is_what_home_assistant_documents(teach: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    made = discovery(teach=teach)
    made.inspects = teach
    made.know(["gone", *NASTY], "toys")
    made.know(NASTY, "toys")
    message = json.loads(made.message())
    jsonschema.Draft202012Validator(home_assistant.DEVICE_DISCOVERY).validate(message)
    assert {"platform": "binary_sensor"} in message["components"].values()
    identifiers = [each["unique_id"] for each in message["components"].values() if "unique_id" in each]
    assert len(set(identifiers)) == len(identifiers) == len(NASTY) + (10 if teach else 3)


def test_more_labels_than_entities_make_sense_are_bounded() -> None:
    made = discovery()
    made.know([f"thing {number}" for number in range(2000)], "toys")
    assert len(components(made.message())) == MAX_LABELS + 7 and len(made.message()) < 200_000
