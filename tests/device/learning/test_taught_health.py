"""Wrong labels are found among stored samples, and what makes an answer is told, exactly."""

import json

import numpy as np
import pytest
from conftest import draw, embeddings, tiny_backbone, unconfirmed, write_photos

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.device import Device
from edgetl_device.heads.head import scorer_class
from edgetl_device.home import Home
from edgetl_device.learning.groups import Groups
from edgetl_device.learning.taught_health import ENOUGH, causes_of, health_of


def test_planted_wrong_labels_are_found_and_right_ones_are_not(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 40))
    learner.add("box", embeddings("box", 40))
    wrong = learner.add("kite", embeddings("box", 4, start=900))
    learner.retrain()  # sets them aside where it can
    for batch in learner.pending():
        learner.use_pending(batch.id)
    wrong = [row.id for row in learner.samples("kite")][-4:]
    unconfirmed(learner.store)
    found = health_of(learner)
    assert {each.id for each in found.doubtful} >= set(wrong)
    assert len(found.doubtful) <= len(wrong) + 4  # of 80 right ones
    assert all(each.looks_like == "box" for each in found.doubtful if each.id in wrong)
    assert [each.nats for each in found.doubtful] == sorted((each.nats for each in found.doubtful), reverse=True)


def test_what_a_person_confirmed_is_not_doubted_again(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 20))
    wrong = learner.add("kite", embeddings("box", 2, start=900))
    learner.retrain()
    doubted = {each.id for each in health_of(learner).doubtful}
    for batch in learner.pending():
        learner.use_pending(batch.id)
    learner.store.confirm(wrong)
    assert not {each.id for each in health_of(learner).doubtful} & (doubted | set(wrong))


def test_few_photos_are_told_with_how_many_more(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 3))
    learner.retrain()
    (kite,) = health_of(learner).classes
    assert (kite.label, kite.samples, kite.missing) == ("kite", 3, ENOUGH - 3)
    assert kite.interval[0] < kite.right / 3 <= kite.interval[1]


def test_a_class_of_one_photo_is_neither_doubted_nor_an_error(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 1))
    learner.retrain()
    found = health_of(learner)
    assert found.doubtful == () and found.classes[0].right == 1


def test_without_samples_there_is_nothing_to_ask(home: Home) -> None:
    found = health_of(home.learner())
    assert (found.samples, found.doubtful, found.classes, found.confused) == (0, (), (), None)


def test_classes_that_are_taken_for_each_other_are_named(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 12))
    learner.add("dragon", embeddings("kite", 12, start=500))  # the same thing by another name
    learner.retrain(accept_scene_change=True)
    found = health_of(learner)
    assert found.confused is not None and found.confused[:2] == ("dragon", "kite")
    assert found.confused[2] == 24 - sum(each.right for each in found.classes)


def test_samples_of_a_group_go_by_the_ids_of_their_photos(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 5))  # so that ids differ
    groups = Groups(learner)
    groups.add({"shape": "round"}, embeddings("ball", 20))
    groups.add({"shape": "square"}, embeddings("box", 20))
    wrong = groups.add({"shape": "round"}, embeddings("box", 2, start=900))
    of_shape = groups["shape"]
    of_shape.retrain(accept_scene_change=True)
    unconfirmed(of_shape.store)
    assert {each.id for each in health_of(of_shape).doubtful} >= set(wrong)


def test_a_cause_is_what_forgetting_it_would_do(home: Home) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 6))
    (culprit,) = learner.add("kite", embeddings("box", 1, start=900))
    learner.retrain(accept_scene_change=True)
    codes = learner.transform(tiny_backbone().embed(draw("box", 901))[None])
    found = causes_of(learner, codes)
    assert len(found.causes) == (7 if found.label == "kite" else 0)
    if found.label == "kite":
        assert found.causes[0].id == culprit
    for cause in found.causes[:2]:
        other = home.learner()
        other.forget([cause.id])
        scorer = scorer_class("gaussian").fit(other.evidence())
        scores = scorer.scores(codes)[0]
        own = scorer.labels.index(found.label)
        lead = scores[own] - np.delete(scores, own).max()
        assert cause.lead == pytest.approx(lead, abs=0.02)
        assert (cause.lead < 0) == (scorer.labels[int(scores.argmax())] != found.label)
        other.add("kite", embeddings("kite", 1))


def test_an_answer_of_the_bundle_has_no_causes(home: Home) -> None:
    learner = home.learner()
    found = causes_of(learner, learner.transform(embeddings("ball", 1)))
    assert found.label == "ball" and found.causes == () and found.alone == () and found.lead > 0


def test_the_commands_fit_into_a_terminal_and_say_what_to_do(
    home: Home, tmp_path, capsys: pytest.CaptureFixture[str]
) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 20))
    learner.add("kite", embeddings("box", 2, start=900))
    learner.add("lamp", embeddings("ball", 3, start=700))
    learner.retrain(accept_scene_change=True)
    unconfirmed(learner.store)
    learner.store.close()
    photo = next(write_photos(tmp_path / "photos", ("box",), 1, seed=3).rglob("*.png"))
    for command, expected in ((["health"], "add 5"), (["why", str(photo)], "is called")):
        assert console.run(program, "edgetl-device", ["--home", str(home.folder), *command]) == 0
        shown = capsys.readouterr().out
        assert expected in shown and max(map(len, shown.splitlines())) <= 80, shown
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "health", "--json"]) == 0
    assert '"doubtful"' in capsys.readouterr().out


@pytest.mark.parametrize(("labels", "told"), [(("box",), "1 sample is"), (("box", "lamp"), "2 samples are")])
def test_samples_that_are_set_aside_are_told_of_with_the_command_that_decides(
    home: Home, capsys: pytest.CaptureFixture[str], labels: tuple[str, ...], told: str
) -> None:
    learner = home.learner()
    learner.add("kite", embeddings("kite", 20))
    for label in labels:
        learner.add(label, embeddings("ball", 1, start=900))
        learner.store.set_aside([([learner.photo_ids()[-1]], "ball", "it looks like ball")])
    learner.retrain()
    learner.store.close()
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "health"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{told} set aside and not asked: `edgetl-device pending`"
    assert lines[1] == "none of 20 samples looks mislabelled"


def test_the_python_api_asks_the_same(home: Home) -> None:
    with Device(home.folder) as device:
        assert device.health().samples == 0
        assert device.why(draw("ball", 500), color="bgr").label == "ball"


def test_little_that_is_known_is_no_traceback(empty_bundle_path, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a device that starts with nothing: no label, one, and two of which one sample is all."""
    photos = sorted(write_photos(tmp_path / "photos", ("box", "ball"), 1, seed=3).rglob("*.png"))
    ball, box = map(str, photos)

    def run(*command: str) -> tuple[int, str]:
        code = console.run(program, "edgetl-device", ["--home", str(tmp_path / "empty"), *command])
        told = capsys.readouterr()
        return code, " ".join((told.out + told.err).split())

    assert run("install", str(empty_bundle_path))[0] == 0
    code, told = run("why", ball)
    assert code == 2 and "edgetl-device learn" in told
    run("learn", "a ball", ball)
    assert "no other label is known" in run("why", ball)[1]
    assert json.loads(run("why", ball, "--json")[1])["lead"] is None
    run("learn", "a box", box)
    assert "`edgetl-device relabel LABEL 1`" in run("why", ball)[1]
    assert json.loads(run("why", ball, "--json")[1])["causes"][0]["lead"] is None


def test_what_to_do_next_is_about_the_group(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    learner = home.learner()
    condition = Groups(learner).known_or_new("condition")
    condition.add("worn out", embeddings("kite", 20))
    condition.add("fine", embeddings("box", 20))
    condition.add("fine", embeddings("kite", 1, start=900))
    learner.store.close()
    arguments = ["--home", str(home.folder), "health", "--group", "condition"]
    assert console.run(program, "edgetl-device", arguments) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "`edgetl-device relabel --group condition 'worn out' 41`" in told
    assert "`edgetl-device forget --group condition --sample 41`" in told
