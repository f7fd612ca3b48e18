from dataclasses import dataclass

import numpy as np

from edgetl_device.learning.gate import Samples, compare


@dataclass
class Fixed:
    """A head that says of photo i what it was told to."""

    labels: tuple[str, ...]
    told: list[str]

    @property
    def scorer(self):
        return self

    def scores(self, codes):
        return np.array([[float(label == told) for label in self.labels] for told in self.told])


def verdict(truth: list[str], before: list[str], after: list[str], labels=("cat", "dog")):
    codes = np.zeros((len(truth), 1), np.uint8)
    return compare(Fixed(labels, after), Fixed(labels, before), Samples(codes, tuple(truth)))  # type: ignore[arg-type]


def test_a_better_head_is_promoted_with_its_gain() -> None:
    found = verdict(["cat"] * 10, ["dog"] * 5 + ["cat"] * 5, ["cat"] * 10)
    assert found.promoted and found.accuracy == 1.0 and "0.500 -> 1.000" in found.reason


def test_a_class_that_loses_much_speaks_against_it_and_is_named() -> None:
    truth = ["cat"] * 50 + ["dog"] * 50
    found = verdict(truth, truth, ["cat"] * 50 + ["dog"] * 35 + ["cat"] * 15)
    assert not found.promoted and found.reason == "rejected: dog would fall from 1.00 to 0.70"


def test_a_loss_within_the_tolerance_is_accepted() -> None:
    truth = ["cat"] * 100 + ["dog"] * 100
    assert verdict(truth, truth, ["dog"] * 2 + truth[2:]).promoted


def test_a_loss_that_chance_explains_is_accepted() -> None:
    truth = ["cat"] * 20 + ["dog"] * 20
    assert verdict(truth, truth, ["dog"] * 2 + truth[2:]).promoted  # two of two changed sides: p = 0.25


def test_a_gain_elsewhere_does_not_pay_for_a_class() -> None:
    truth = ["cat"] * 50 + ["dog"] * 50
    before = ["dog"] * 50 + ["dog"] * 50
    after = ["cat"] * 50 + ["cat"] * 20 + ["dog"] * 30
    assert not verdict(truth, before, after).promoted


def test_without_a_holdout_everything_is_promoted_and_says_so() -> None:
    found = verdict([], [], [])
    assert found.promoted and found.accuracy is None and "no holdout" in found.reason


def test_classes_that_only_one_head_knows_do_not_vote() -> None:
    cats = Samples(np.zeros((20, 1), np.uint8), ("cat",) * 20)
    found = compare(Fixed(("dog",), ["dog"] * 20), Fixed(("cat", "dog"), ["cat"] * 20), cats)  # type: ignore[arg-type]
    assert found.promoted


def test_many_classes_with_few_photos_each_speak_together() -> None:
    labels = tuple(f"c{number:02}" for number in range(20))
    truth = [label for label in labels for _ in range(4)]
    wrong = ["c00"] * len(truth)
    found = verdict(truth, truth, wrong, labels)
    assert not found.promoted and "held-out accuracy would fall from 1.00 to 0.05" in found.reason


def test_two_classes_with_four_photos_each_are_enough_to_notice_a_collapse() -> None:
    truth = ["cat"] * 4 + ["dog"] * 4
    assert not verdict(truth, truth, ["dog"] * 4 + ["cat"] * 4).promoted
