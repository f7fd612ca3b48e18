import doctest

import numpy as np
import pytest

from edgetl_device.learning import gate_words
from edgetl_device.learning.gate_words import classes_that_lose, gained_and_lost, learned_change, looks_like


def test_the_examples_in_its_docstrings_hold() -> None:
    tried = doctest.testmod(gate_words)
    assert tried.attempted >= 5 and not tried.failed


@pytest.mark.parametrize(
    ("counts", "before", "after", "known", "words"),
    [
        ({"a": 1}, None, None, 2, "learned a (1 sample)"),
        ({"a": 2, "b": 5}, None, None, 2, "learned b and a (7 samples)"),
        ({"a": 1, "b": 1, "c": 1}, None, None, 3, "learned a, b and c (3 samples)"),
        ({"a": 1, "b": 1, "c": 1, "d": 2}, None, None, 4, "learned d, a and 2 more (5 samples)"),
        ({"a": 1}, 0.8, 0.81, 2, "learned a (1 sample); the classes it knew are 1 point better (80 % → 81 %)"),
        ({"a": 1}, 0.8, 0.802, 2, "learned a (1 sample); the classes it knew are as good as before (80 %)"),
        ({}, 0.9, 0.87, 2, "updated; the classes it knew are 3 points worse (90 % → 87 %)"),
        ({}, None, None, 0, "updated"),
    ],
)
def test_what_was_learned_is_said_in_words(counts, before, after, known: int, words: str) -> None:
    assert learned_change(counts, before, after, known) == words


@pytest.mark.parametrize(
    ("counts", "before", "after", "words"),
    [
        ({}, 0.8, 0.8, "forgot hinge; the other classes are as good as before (80 %)"),
        ({}, None, None, "forgot hinge"),
        ({"a": 1}, 0.8, 0.8, "learned a (1 sample); the classes it knew are as good as before (80 %)"),
    ],
)
def test_a_label_that_is_gone_was_forgotten_unless_something_was_learned(counts, before, after, words: str) -> None:
    assert learned_change(counts, before, after, 2, ["hinge"]) == words


def test_of_many_classes_the_three_that_lose_most_are_named() -> None:
    losers = [(f"c{number}", 1.0, 0.1 * number) for number in range(5)]
    assert classes_that_lose(losers, "photos") == (
        "fewer of the photos would be recognised: c0 100 % → 0 %, c1 100 % → 10 %, c2 100 % → 20 % (and 2 other classes)"
    )


def test_a_single_sample_and_look_alikes_of_several_kinds_are_counted_in_plain_english() -> None:
    assert gained_and_lost([("cup", 1.0, 0.0, 1, False)]) == ["cup lost: 100 % → 0 % of its 1 sample"]
    looks = np.array(["gear"] * 7 + ["nut"] * 5)
    assert looks_like("bolt", 12, 12, looks) == (
        "12 of the 12 new photos of bolt look like other things: 7 like gear, 5 like nut"
    )


def test_with_the_background_alone_a_first_thing_is_asked_for() -> None:
    assert (
        learned_change({"(nothing)": 8}, None, None, 0) == "learned the background (8 samples); now teach a first thing"
    )
