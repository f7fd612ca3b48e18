"""Groups of labels in a running app: recognised, smoothed, told to sinks, taught."""

import io
import json

import numpy as np
import pytest
from conftest import draw, tiny_backbone

from edgetl_device.app.app import App
from edgetl_device.app.sinks.lines import ChangeLines, JsonLines
from edgetl_device.app.sinks.sink import GroupChanges, change
from edgetl_device.app.smoothing import GroupSmoothers
from edgetl_device.app.subscription import Recognition
from edgetl_device.camera import Frame
from edgetl_device.camera.fake import FakeCamera
from edgetl_device.errors import InputError
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Prediction
from edgetl_device.learning.groups import Groups


def says(label: str, probability: float = 0.9, unknown: bool = False) -> Prediction:
    return Prediction(label, probability, unknown, ((label, probability), ("other", 1 - probability)))


def recognition(condition: Prediction, time_s: float) -> Recognition:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 1, time_s)
    return Recognition(frame, np.zeros(4, np.int8), says("ball"), says("ball"), 1, "b", groups={"condition": condition})


@pytest.fixture
def taught(home: Home) -> Home:
    backbone, learner = tiny_backbone(), home.learner()
    for label, kind in (("worn", "ball"), ("fine", "box")):
        raw = np.stack([backbone.embed(draw(kind, 100 + number)) for number in range(6)])
        Groups(learner).add({"condition": label}, raw)
    Groups(learner)["condition"].retrain()
    learner.store.close()
    return home


def test_every_recognition_has_what_each_group_says_and_can_be_taught_in_several(taught: Home) -> None:
    camera = FakeCamera([draw("ball", 700 + number) for number in range(4)])
    with App(taught, camera, smoothing_s=0.0) as app:
        seen = list(app)
        assert {each.groups["condition"].label for each in seen} == {"worn"}
        told, groups = app.classify_in_groups(draw("box", 900))
        assert told.label == "box" and groups["condition"].label == "fine"
        ids = app.teach("kite", seen[-1:], {"condition": "fine", "side": "left"})
        assert [row.id for row in app.samples(group="side")] == ids == [row.id for row in app.samples("kite")]
        assert app.retrain(group="condition").version == app.version("condition") != app.version()
        assert app.teach("", seen[-1:], {"side": "right"}) and len(app.samples("kite")) == 1
        assert app.forget(group="side", everything=True) == 2 and app.groups() == ("condition",)
        with pytest.raises(InputError, match="no group 'side': known groups: condition"):
            app.retrain(group="side")


def test_what_a_command_teaches_a_group_is_recognised_by_a_running_app(taught: Home) -> None:
    with App(taught, FakeCamera([draw("ball", 700)]), smoothing_s=0.0) as app:
        assert not app.notice()
        other = Groups(taught.learner())["condition"]
        other.add("bent", np.stack([tiny_backbone().embed(draw("ring", 300 + n)) for n in range(5)]))
        other.retrain()
        assert app.notice() and "bent" in app.pipeline._current.classifier.groups["condition"].labels


def test_groups_are_smoothed_each_for_itself_and_anew_with_another_head() -> None:
    smoother, head = GroupSmoothers(10.0), object()
    turned = Prediction("other", 0.9, False, (("other", 0.9), ("x", 0.1)))
    smoother({"a": head}, {"a": says("x")}, 0.0)
    assert smoother({"a": head}, {"a": turned}, 0.1)["a"].label == "x"
    assert smoother({"a": object()}, {"a": turned}, 0.2)["a"].label == "other"


def test_changes_of_a_group_are_reported_once_they_last() -> None:
    changes = GroupChanges(0.5)
    assert changes(recognition(says("worn"), 0.0)) == []
    assert changes(recognition(says("worn"), 0.6)) == [("condition", "worn", None)]
    changes(recognition(says("fine"), 0.7))
    seen = recognition(says("fine", unknown=True), 0.8)
    assert changes(seen) == [] and changes(recognition(says("fine", unknown=True), 1.4)) == [
        ("condition", "unknown", "worn")
    ]
    assert change("unknown", "worn", seen, "condition")["group"] == "condition" and "group" not in change(
        "a", "b", seen
    )


def test_lines_tell_what_groups_say() -> None:
    stream = io.StringIO()
    JsonLines(lambda: None, stream)(recognition(says("worn"), 0.0))
    assert json.loads(stream.getvalue())["groups"] == {
        "condition": {"label": "worn", "probability": 0.9, "unknown": False}
    }
    people = io.StringIO()
    ChangeLines(lambda: None, people)(recognition(says("worn"), 0.0))
    assert [line.split("  ")[1] for line in people.getvalue().splitlines()] == ["ball 0.90", "condition: worn 0.90"]
