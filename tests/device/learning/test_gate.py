from dataclasses import dataclass

import numpy as np
import pytest

from edgetl_device.learning.gate import (
    Answers,
    ClassChange,
    Verdict,
    class_changes,
    confirmed_loss,
    on_holdout,
    possible_loss,
)


@dataclass
class Fixed:
    """A head that says of held-out photo i what it was told to."""

    labels: tuple[str, ...]
    told: list[str]

    @property
    def holdout_scores(self):
        return np.array([[float(label == told) for label in self.labels] for told in self.told])


def verdict(truth: list[str], before: list[str], after: list[str], labels=("cat", "dog"), active=None):
    """What is certainly lost, and if nothing is, what may be."""
    answers = on_holdout(Fixed(labels, after), Fixed(active or labels, before), truth)  # type: ignore[arg-type]
    return confirmed_loss(answers, "photos"), possible_loss(answers, "photos")


def test_a_better_head_loses_nothing() -> None:
    assert verdict(["cat"] * 10, ["dog"] * 5 + ["cat"] * 5, ["cat"] * 10) == (None, None)


def test_a_class_that_loses_much_speaks_against_it_and_is_named() -> None:
    truth = ["cat"] * 50 + ["dog"] * 50
    certain, _ = verdict(truth, truth, ["cat"] * 50 + ["dog"] * 35 + ["cat"] * 15)
    assert certain == "fewer of the photos would be recognised: dog 100 % → 70 %"


def test_a_loss_within_the_tolerance_is_accepted() -> None:
    truth = ["cat"] * 100 + ["dog"] * 100
    assert verdict(truth, truth, ["dog"] * 2 + truth[2:]) == (None, None)


def test_first_photos_are_asked_about_only_where_no_test_can_tell_what_they_cost() -> None:
    for photos, asked in ((7, True), (20, False)):  # 2⁻⁷ is above 0.01 / 2, and 2⁻²⁰ below
        truth = ["cat"] * photos + ["dog"] * photos
        after = truth[:photos] + ["cat"] * 6 + truth[photos + 6 :]
        answers = on_holdout(Fixed(("cat", "dog"), after), Fixed(("cat", "dog"), truth), truth)  # type: ignore[arg-type]
        losses = ((0.125, 0.25, 0.5),)
        assert possible_loss(answers, "photos", losses) is not None
        assert (possible_loss(answers, "photos", losses, untested=True) is not None) == asked


def test_a_loss_that_chance_explains_is_accepted() -> None:
    truth = ["cat"] * 20 + ["dog"] * 20
    assert verdict(truth, truth, ["dog"] * 2 + truth[2:]) == (None, None)  # two of two changed sides: p = 0.25


def test_a_gain_elsewhere_does_not_pay_for_a_class() -> None:
    truth = ["cat"] * 50 + ["dog"] * 50
    before = ["dog"] * 50 + ["dog"] * 50
    after = ["cat"] * 50 + ["cat"] * 20 + ["dog"] * 30
    assert "recognised: dog" in str(verdict(truth, before, after)[0])


def test_without_a_holdout_nothing_is_held_against_it() -> None:
    assert verdict([], [], []) == (None, None)


def test_classes_that_only_one_head_knows_do_not_vote() -> None:
    assert verdict(["cat"] * 20, ["cat"] * 20, ["dog"] * 20, labels=("dog",), active=("cat", "dog")) == (None, None)


def test_many_classes_with_few_photos_each_speak_together() -> None:
    labels = tuple(f"c{number:02}" for number in range(20))
    truth = [label for label in labels for _ in range(4)]
    certain, _ = verdict(truth, truth, ["c00"] * len(truth), labels)
    assert certain == "5 % of the photos would be recognised instead of 100 %"


def test_two_classes_with_four_photos_each_are_enough_to_notice_a_collapse() -> None:
    truth = ["cat"] * 4 + ["dog"] * 4
    assert verdict(truth, truth, ["dog"] * 4 + ["cat"] * 4)[0] is not None


@pytest.mark.parametrize(
    ("photos", "lost", "asks"),
    [
        ((5, 5, 5), (5, 0, 0), True),  # a class collapses on five photos: p = 0.03, which confirms nothing
        ((5, 5, 5), (2, 2, 2), True),  # 1.00 → 0.60 in all: p = 0.016
        ((5, 5, 5), (1, 1, 1), True),
        ((5, 5, 5), (1, 1, 0), False),  # two photos are nothing to bother a person with
        ((2, 2, 2), (2, 1, 0), True),
        ((20, 20, 20), (6, 0, 0), True),
        ((20, 20, 20), (3, 0, 0), False),
        ((100, 100, 100), (6, 2, 2), False),
    ],
)
def test_a_large_loss_on_too_few_photos_for_any_test_is_asked_about(photos, lost, asks: bool) -> None:
    labels = ("a", "b", "c")
    truth = [label for label, count in zip(labels, photos, strict=True) for _ in range(count)]
    after = [
        labels[(row + 1) % 3] if number < gone else labels[row]
        for row, (count, gone) in enumerate(zip(photos, lost, strict=True))
        for number in range(count)
    ]
    certain, possible = verdict(truth, truth, after, labels)
    assert certain is None and (possible is not None) == asks
    if possible is not None:
        assert f"with only {sum(photos)} photos" in possible and "you decide" in possible


def test_a_head_no_better_than_chance_has_nothing_to_lose() -> None:
    truth = ["cat"] * 4 + ["dog"] * 4
    assert verdict(truth, ["cat"] * 8, ["dog"] * 3 + ["cat"] * 5)[1] is None


def test_a_head_that_knows_one_thing_has_nothing_to_lose() -> None:
    """Else whoever teaches a blank device its second thing would be asked whether that is meant."""
    assert verdict(["cat"] * 20, ["cat"] * 20, ["dog"] * 20, active=("cat",)) == (None, None)


def test_a_person_who_overrules_the_gate_reads_what_was_overruled() -> None:
    refused = Verdict(False, "not learned: cat would fall", 0.5, "cat would fall")
    assert refused.overruled() == Verdict(True, "learned as a change of scene, although cat would fall", 0.5)
    fine = Verdict(True, "learned kite (1 sample)", 0.9)
    assert fine.overruled() is fine


def test_what_each_class_gains_and_loses_is_told_with_the_photos_it_was_measured_on() -> None:
    truth = ["cat"] * 4 + ["dog"] * 4 + ["eel"] * 2
    before = ["cat"] * 4 + ["cat"] * 4 + ["eel"] * 2
    after = ["dog"] + ["cat"] * 3 + ["dog"] * 4 + ["eel"] * 2
    labels = ("cat", "dog", "eel")
    holdout = on_holdout(Fixed(labels, after), Fixed(labels, before), truth)  # type: ignore[arg-type]
    assert class_changes(holdout, None) == (ClassChange("dog", 0, 1, 4, True), ClassChange("cat", 1, 0.75, 4, True))
    assert class_changes(Answers(holdout.truth[:0], holdout.before[:0], holdout.after[:0], 2), holdout)[0] == (
        ClassChange("dog", 0, 1, 4, False)
    )
