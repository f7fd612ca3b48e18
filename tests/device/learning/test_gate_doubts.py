"""Which samples wait: wrong ones among right ones, whole batches, new names for known classes, and never a mistake."""

import re

import numpy as np
import pytest
from test_learner import embeddings, labels_of, taught

from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.home import Home
from edgetl_device.learning.gate_doubts import Doubt, doubts_about, place_between, wrong_labels
from edgetl_device.statistics import statistics_of

KINDS = ("ball", "box", "cup")


def photos(generator: np.random.Generator, kind: float, count: int) -> np.ndarray:
    """Codes (n, 16) uint8; between two kinds where the number is not whole."""
    centre = np.full(16, 100.0)
    low = int(np.floor(kind))
    centre[low], centre[(low + 1) % 16] = 100 + 60 * (1 - (kind - low)), 100 + 60 * (kind - low)
    return np.clip(centre + generator.normal(0, 12, (count, 16)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def known():
    """A generator, a head that knows three kinds, and its evidence."""
    generator = np.random.default_rng(0)
    labels = [kind for kind in KINDS for _ in range(60)]
    draw = lambda count: np.concatenate([photos(generator, 2 * number, count) for number in range(3)])  # noqa: E731
    held = [kind for kind in KINDS for _ in range(40)]
    evidence = gather(statistics_of(draw(60), labels, "b", "r"), draw(40), held, np.zeros((0, 16), np.uint8), (), "r")
    return generator, fit_head(evidence), evidence


def doubts(known, codes: np.ndarray, label: str) -> list[Doubt]:
    _, head, evidence = known
    return doubts_about(head, evidence, codes, np.array([label] * len(codes)))


def test_right_samples_are_not_doubted(known) -> None:
    assert doubts(known, photos(known[0], 0, 40), "ball") == []


def test_a_batch_of_another_kind_is_doubted_as_a_whole(known) -> None:
    (doubt,) = doubts(known, photos(known[0], 2, 10), "ball")
    assert doubt.rows == tuple(range(10)) and doubt.looks_like == "box"
    assert re.fullmatch("(9|10) of the 10 new photos of ball look like box", doubt.reason)  # one may look unknown


def test_a_batch_that_looks_like_several_kinds_names_each_and_none_as_the_one_to_move_to(known) -> None:
    (doubt,) = doubts(known, np.concatenate([photos(known[0], 2, 9), photos(known[0], 4, 3)]), "ball")
    assert doubt.looks_like is None and len(doubt.rows) == 12
    assert re.fullmatch(
        r"1\d of the 12 new photos of ball look like other things: \d like box, \d like cup", doubt.reason
    )


def test_wrong_samples_among_right_ones_are_doubted_alone_by_what_they_look_like(known) -> None:
    generator = known[0]
    codes = np.concatenate([photos(generator, 0, 16), photos(generator, 2, 3), photos(generator, 4, 1)])
    box, cup = doubts(known, codes, "ball")
    assert (box.rows, box.looks_like, cup.rows, cup.looks_like) == ((16, 17, 18), "box", (19,), "cup")
    assert box.reason == "3 of the 20 new photos of ball look like box"


def test_what_lies_between_two_kinds_and_is_called_by_the_rarer_name_is_a_mistake_of_the_head(known) -> None:
    codes = photos(known[0], 1.05, 200)
    _, head, _ = known
    mistaken = np.asarray(head.labels)[head.scorer.scores(codes).argmax(axis=1)] == "box"
    assert mistaken.sum() >= 10
    assert sum(len(doubt.rows) for doubt in doubts(known, codes[mistaken][:10], "ball")) <= 1


def test_a_known_kind_under_another_name_is_questioned_and_a_new_kind_is_not(known) -> None:
    found = [doubts(known, photos(known[0], 0, 10), "marble") for _ in range(20)]
    assert sum(map(bool, found)) >= 18
    (doubt,) = next(filter(None, found))
    assert doubt.looks_like == "ball" and len(doubt.rows) == 10
    assert doubt.reason.startswith("the 10 photos of the new label marble cannot be told from ball")
    for kind in (0.6, 1.0, 8):
        assert doubts(known, photos(known[0], kind, 10), "marble") == [], kind
    assert doubts(known, photos(known[0], 0, 3), "marble") == []  # too few to tell


def test_what_is_strange_is_not_held_against_its_label(known, monkeypatch) -> None:
    unknown = lambda self, codes: (self.probabilities(codes), np.ones(len(codes), bool))  # noqa: E731
    monkeypatch.setattr(Head, "predict", unknown)
    assert doubts(known, photos(known[0], 2, 9), "ball") == []
    assert doubts(known, photos(known[0], 0, 10), "marble") == []


def test_a_head_that_knows_one_thing_doubts_nothing(known) -> None:
    generator = known[0]
    none = np.zeros((0, 16), np.uint8)
    evidence = gather(statistics_of(photos(generator, 0, 9), ["ball"] * 9, "b", "r"), none, (), none, (), "r")
    assert doubts_about(fit_head(evidence), evidence, photos(generator, 2, 9), np.array(["ball"] * 9)) == []


def test_the_more_of_a_batch_the_head_gets_wrong_the_more_it_takes_to_doubt_one() -> None:
    among_right, among_mistakes = np.array([-4.0] * 19 + [5.0]), np.array([0.8] * 19 + [5.0])
    assert wrong_labels(among_right, 0.1)[-1] and not wrong_labels(among_mistakes, 0.1).any()


def test_a_batch_lies_between_two_classes_the_nearer_to_the_own_one_the_less_is_known_of_the_other() -> None:
    generator = np.random.default_rng(0)
    own, other = generator.normal(-5, 1, 400), generator.normal(5, 1, 400)
    batch = np.full(5, 3.0)
    assert place_between(own, other, own) == pytest.approx(0, abs=0.02)
    assert place_between(other, other, own) == pytest.approx(1, abs=0.02)
    places = [place_between(batch, other[:count] - other[:count].mean() + 5, own) for count in (4, 16, 64, 400)]
    assert places == sorted(places) and places[-1] == pytest.approx(0.8, abs=0.02) and places[0] < 0.79
    assert place_between(batch, None, own) == pytest.approx(place_between(batch, -own, own))  # mirrored
    assert place_between(batch, own, other) == -np.inf


def test_one_wrong_photo_needs_more_evidence_alone_than_in_a_batch() -> None:
    assert wrong_labels(np.array([-4.0] * 9 + [4.4]), 0.1)[-1]
    assert not wrong_labels(np.array([4.4]), 0.1)[0] and wrong_labels(np.array([7.0]), 0.1)[0]


def test_of_a_batch_only_the_wrong_samples_wait_and_the_rest_is_learned(home: Home) -> None:
    learner = taught(home, kite=10, ring=10)
    learner.add("ring", np.concatenate([embeddings("ring", 16, start=200), embeddings("kite", 4, start=300)]))
    outcome = learner.retrain()
    assert outcome.promoted and outcome.reason.startswith("learned ring (16 samples)")
    assert [batch.ids for batch in learner.pending()] == [(37, 38, 39, 40)]
    assert labels_of(learner, "kite").count("kite") >= 18
