"""Several cameras in one pipeline: each gets its turn, and none waits for another that is slow or gone."""

import threading
import time
from itertools import cycle, repeat

import numpy as np
import pytest
from conftest import draw, tiny_backbone

from edgetl_device.app.answers import Watched
from edgetl_device.app.app import App
from edgetl_device.app.pipeline import Pipeline
from edgetl_device.app.turns import Turns
from edgetl_device.camera import FakeCamera
from edgetl_device.errors import CameraError, InputError
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Classifier
from edgetl_device.learning.groups import Groups
from edgetl_device.looking import Looking
from edgetl_device.view import View
from edgetl_device.view_names import ViewName, check_name

SOON_S = 20.0
PORCH, GATE = ViewName("porch"), ViewName("gate")


@pytest.fixture
def classifier(home: Home) -> Classifier:
    return home.learner().classifier(tiny_backbone())


def until(condition) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def delivered(pipeline: Pipeline) -> list:
    """What a pipeline delivers from now on."""
    found: list = []
    deliver = pipeline._deliver
    pipeline._deliver = lambda recognition: (found.append(recognition), deliver(recognition))
    return found


def film(kind: str, count: int = 20) -> list[np.ndarray]:
    return [draw(kind, 700 + number) for number in range(count)]


# turns ---------------------------------------------------------------------------------------------------------------


def test_a_sender_that_waits_is_served_once_before_another_is_served_twice() -> None:
    turns: Turns[str, int] = Turns()
    for number in range(100):
        assert turns.put("fast", number) == (number > 0)
    turns.put("slow", 1000)
    assert [turns.get(), turns.get()] == [99, 1000] and turns.get(0) is None
    turns.put("fast", 100)
    turns.close()
    assert turns.get() == 100 and turns.get() is None and turns.closed


def test_a_sender_that_may_wait_is_let_go_when_there_is_room_and_at_the_end() -> None:
    turns: Turns[str, int] = Turns()
    done: list[int] = []

    def send() -> None:
        for number in range(5):
            turns.put("film", number, room=2, wait=True)
            done.append(number)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    until(lambda: len(done) == 2)
    assert turns.get() == 0
    until(lambda: len(done) == 3)
    turns.close()
    thread.join(SOON_S)
    assert not thread.is_alive()


# cameras -------------------------------------------------------------------------------------------------------------


def test_two_films_are_recognised_frame_by_frame_and_each_says_whose_it_is(classifier) -> None:
    films = {"porch": film("ball", 12), "gate": film("box", 20)}
    cameras = {name: FakeCamera(images, live=False) for name, images in films.items()}
    pipeline = Pipeline(cameras, classifier)
    found = delivered(pipeline)
    with pipeline:
        assert pipeline.wait(SOON_S)
    for name, images in films.items():
        mine = [each for each in found if each.name == ViewName(name)]
        assert [each.frame.number for each in mine] == list(range(1, len(images) + 1))
        for each, image in zip(mine, images, strict=True):
            np.testing.assert_array_equal(each.raw, classifier.backbone.embed(image))
        assert pipeline.latest(ViewName(name)) is mine[-1] and pipeline.health(name).frames == len(images)
    assert pipeline.health().frames == 32 and pipeline.health().camera == "fake camera, fake camera"


def test_while_both_have_frames_the_backbone_serves_them_in_turn(classifier) -> None:
    cameras = {name: FakeCamera(film("ball"), live=False) for name in ("porch", "gate")}
    inner, ready = classifier.backbone.interpreter, threading.Event()

    class Held:
        runtime = inner.runtime

        def __call__(self, photo):
            assert ready.wait(SOON_S)
            return inner(photo)

    classifier.backbone.interpreter = Held()
    pipeline = Pipeline(cameras, classifier)
    found = delivered(pipeline)
    with pipeline:
        until(lambda: all(feed.number >= 8 for feed in pipeline._feeds.values()))
        ready.set()
        assert pipeline.wait(SOON_S)
    order = [each.name.camera for each in found][1:15]  # the first one was taken before the other camera began
    assert sorted(order[:2]) == ["gate", "porch"] and order == order[:2] * 7


def test_of_two_cameras_one_dies_and_comes_back_while_the_other_goes_on(classifier) -> None:
    porch = FakeCamera(cycle(film("ball")), fps=100.0, finite=False)
    gate = FakeCamera([*film("box", 3), CameraError("unplugged")], [*film("box", 5), 60.0], finite=False)
    with Pipeline({"porch": porch, "gate": gate}, classifier, backoff_s=(0.3, 0.3)) as pipeline:
        until(lambda: pipeline.health("gate").error == "unplugged")
        before = pipeline.health("porch").frames
        until(lambda: pipeline.health("porch").frames >= before + 5)
        assert pipeline.health("porch").error is None and pipeline.health().error is None
        until(lambda: pipeline.health("gate").error is None and gate.connections == 2)
        until(lambda: pipeline.latest(GATE).frame.number == 8)
        assert pipeline.health("gate").reconnects == 1 and pipeline.health("porch").reconnects == 0
    assert porch.open == gate.open == 0


def test_one_of_two_that_never_worked_is_waited_for(classifier, caplog) -> None:
    absent = [CameraError("no route")]
    cameras = {
        "porch": FakeCamera(cycle(film("ball")), fps=100.0, finite=False),
        "gate": FakeCamera(absent, finite=False),
    }
    with Pipeline(cameras, classifier, backoff_s=(0.01, 0.01)) as pipeline:
        until(lambda: pipeline.health("gate").reconnects >= 2 and pipeline.health("porch").frames >= 5)
        assert not pipeline.is_waiting and pipeline.health("gate").frames == 0
    assert "gate: no route; trying again" in caplog.text


def test_where_all_are_away_the_first_reason_is_told(classifier) -> None:
    cameras = {name: FakeCamera(*[[CameraError(f"{name} is off")]] * 1000, finite=False) for name in ("porch", "gate")}
    with Pipeline(cameras, classifier, backoff_s=(0.05, 0.05)) as pipeline:
        until(lambda: pipeline.health().error is not None)
        assert pipeline.is_waiting and pipeline.health().error == "porch is off"
        assert pipeline.health("gate").error == "gate is off"


def test_a_damaged_film_among_two_is_told_at_the_end_and_the_other_is_recognised_to_its_end(classifier) -> None:
    damaged = FakeCamera([*film("ball", 2), CameraError("damaged at 2")], live=False)
    whole = FakeCamera(film("box", 20), live=False)
    with Pipeline({"porch": damaged, "gate": whole}, classifier) as pipeline:
        with pytest.raises(CameraError, match="damaged at 2"):
            pipeline.wait(SOON_S)
        assert pipeline.health("gate").frames == 20 and pipeline.health("porch").frames == 2


def test_a_listener_gets_the_newest_of_each_view_and_only_of_those_it_wants(classifier) -> None:
    cameras = {"porch": FakeCamera(film("ball", 9), live=False), "gate": FakeCamera(film("box", 7), live=False)}
    pipeline = Pipeline(cameras, classifier)
    both, gate = pipeline.subscribe(), pipeline.subscribe(wanted=GATE.__eq__)
    with pipeline:
        assert pipeline.wait(SOON_S)
    first, second = both.get(0), both.get(0)
    assert {first.name: first.frame.number, second.name: second.frame.number} == {PORCH: 9, GATE: 7}
    assert both.get(0) is None and gate.get(0).name == GATE and gate.get(0) is None


def test_each_camera_is_smoothed_by_itself(classifier) -> None:
    films = {"porch": film("ball", 15), "gate": film("box", 15)}

    def labels(cameras) -> dict[str, list]:
        pipeline = Pipeline(cameras, classifier)
        found = delivered(pipeline)
        with pipeline:
            pipeline.wait(SOON_S)
        return {name: [each.prediction.label for each in found if each.name.camera == name] for name in cameras}

    together = labels({name: FakeCamera(images, live=False) for name, images in films.items()})
    assert together == {name: labels({name: FakeCamera(images, live=False)})[name] for name, images in films.items()}


# regions -------------------------------------------------------------------------------------------------------------


def halves(classifier: Classifier, group: str | None = None) -> list[Watched]:
    size = classifier.backbone.preprocessing
    left, right = View((0, 0, 5000, 10000)), View((5000, 0, 5000, 10000))
    return [
        Watched(ViewName("", "left"), Looking(size, left)),
        Watched(ViewName("", "right"), Looking(size, right), group),
    ]


def side_by_side(number: int) -> np.ndarray:
    return np.hstack([draw("ball", number), draw("box", number)])


def test_regions_of_one_frame_are_recognised_by_themselves(classifier) -> None:
    pipeline = Pipeline(
        FakeCamera([side_by_side(n) for n in range(6)], live=False),
        classifier,
        views=halves(classifier),
        smoothing_s=0.0,
    )
    found = delivered(pipeline)
    with pipeline:
        assert pipeline.wait(SOON_S)
    assert {(each.name.region, each.prediction.label) for each in found} == {("left", "ball"), ("right", "box")}
    for each in found:
        view = View((0, 0, 5000, 10000)) if each.name.region == "left" else View((5000, 0, 5000, 10000))
        looking = Looking(classifier.backbone.preprocessing, view)
        np.testing.assert_array_equal(each.raw, classifier.backbone.embed_photo(looking(each.frame.image)))
        assert each.view == looking.key and each.frame.number <= 6
    assert len(found) == 12


def test_a_region_that_is_bound_to_a_group_answers_its_question_and_nobody_else_is_asked_it(home: Home) -> None:
    learner, backbone = home.learner(), tiny_backbone()
    groups = Groups(learner)
    for name, labels in {"condition": ("worn", "fine"), "side": ("up", "down")}.items():
        for seed, label in enumerate(labels):
            raw = np.stack([backbone.embed(draw(("ball", "box")[seed], 40 * seed + n)) for n in range(5)])
            groups.add({name: label}, raw)
        groups.known(name).retrain()
    classifier = Classifier(backbone, learner.active_head(), groups.heads())
    views = halves(classifier, "condition")
    pipeline = Pipeline(FakeCamera([side_by_side(1)], live=False), classifier, views=views)
    found = delivered(pipeline)
    with pipeline:
        assert pipeline.wait(SOON_S)
    left, right = sorted(found, key=lambda each: each.name.region)
    assert left.group is None and set(left.groups) == {"side"} and left.prediction.label == "ball"
    assert right.group == "condition" and right.groups == {} and dict(right.prediction.top).keys() == {"worn", "fine"}


def test_a_group_in_which_nothing_was_taught_yet_knows_nothing(classifier) -> None:
    pipeline = Pipeline(FakeCamera([side_by_side(1)], live=False), classifier, views=halves(classifier, "new"))
    found = delivered(pipeline)
    with pipeline:
        assert pipeline.wait(SOON_S)
    told = next(each for each in found if each.name.region == "right").prediction
    assert told.label is None and told.unknown and told.top == ()


def test_views_are_exchanged_while_frames_pass(classifier) -> None:
    camera = FakeCamera(repeat(side_by_side(3)), fps=200.0, finite=False)
    with Pipeline(camera, classifier, version=1) as pipeline:
        until(lambda: pipeline.latest() is not None)
        assert pipeline.latest().name == ViewName()
        pipeline.swap(classifier, 1, halves(classifier))
        until(lambda: len(pipeline.latest_of_each()) == 2)
        assert [each.name.region for each in pipeline.latest_of_each()] == ["left", "right"]
        pipeline.swap(classifier, 1, halves(classifier)[:1])
        until(lambda: len(pipeline.latest_of_each()) == 1)
        frame = pipeline.latest().frame.number
        until(lambda: pipeline.latest().frame.number > frame + 5)
        assert pipeline.latest().name.region == "left" and pipeline.latest(ViewName("", "right")) is None


# the app -------------------------------------------------------------------------------------------------------------


def test_what_is_taught_before_one_camera_the_other_knows(home: Home) -> None:
    cameras = {
        "porch": FakeCamera(cycle(film("kite")), fps=100.0, finite=False),
        "gate": FakeCamera(cycle(film("kite")), fps=100.0, finite=False),
    }
    with App(home, cameras) as app:
        with app.pipeline.subscribe(wanted=PORCH.__eq__) as porch:
            captured = [porch.get(SOON_S) for _ in range(8)]
        assert {each.name for each in captured} == {PORCH}
        app.teach("kite", captured)
        assert app.retrain().promoted
        until(lambda: app.pipeline.latest(GATE).prediction.label == "kite")
        until(lambda: not app.pipeline.latest(GATE).prediction.unknown)


# names ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a/b", "a=b", "a:b", "a@b", "${X}", "a+b", "#", "x" * 33, "unknown", "a\nb"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="the name of a camera"):
        check_name(name, "camera")


def test_a_name_is_normalised_as_labels_are() -> None:
    assert check_name(" Hof Süd ", "camera") == "Hof Süd"
