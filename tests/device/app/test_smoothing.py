"""The smoothing rule, against its formula."""

from itertools import pairwise

import numpy as np
import pytest

from edgetl_device.app.smoothing import Smoother
from edgetl_device.inference.classifier import Prediction


def said(unknown: bool = False, **probabilities: float) -> Prediction:
    top = tuple(sorted(probabilities.items(), key=lambda item: -item[1]))
    return Prediction(top[0][0], top[0][1], unknown, top)


CAT, DOG = said(cat=0.9, dog=0.1), said(cat=0.1, dog=0.9)


def test_probabilities_are_the_exponentially_weighted_geometric_mean() -> None:
    generator = np.random.default_rng(0)
    smoother, times, rows = (
        Smoother(0.5),
        np.cumsum(generator.uniform(0.02, 0.3, 12)),
        generator.dirichlet([1, 1, 1], 12),
    )
    for time_s, row in zip(times, rows, strict=True):
        found = smoother(said(a=row[0], b=row[1], c=row[2]), float(time_s))
    # A frame's weight is what the time constant leaves of the interval it stands for; the first one starts the average.
    new = np.concatenate([[1.0], 1 - np.exp(-np.diff(times) / 0.5)])
    weights = new * np.exp(-(times[-1] - times) / 0.5)
    logs = (np.log(np.maximum(rows, 1e-4)) * weights[:, None]).sum(axis=0) / weights.sum()
    expected = np.exp(logs) / np.exp(logs).sum()
    assert dict(found.top) == pytest.approx(dict(zip("abc", expected, strict=True)), abs=1e-9)


@pytest.mark.parametrize("fps", [8, 30, 200])
def test_how_fast_an_answer_changes_does_not_depend_on_the_frame_rate(fps: int) -> None:
    smoother, time_s = Smoother(0.3), 0.0
    while time_s < 2.0:
        smoother(CAT, time_s)
        time_s += 1 / fps
    began_s = time_s
    while smoother(DOG, time_s).label == "cat":
        time_s += 1 / fps
    # Half of the weight is the dog's after 0.3 · ln 2 = 0.21 s; the margin takes a little longer.
    assert time_s - began_s + 1 / fps >= 0.2 and time_s - began_s <= 0.25 + 1 / fps


def test_one_wrong_frame_among_many_changes_nothing() -> None:
    smoother = Smoother(0.3)
    labels = [smoother(DOG if frame == 30 else CAT, frame / 30).label for frame in range(60)]
    assert set(labels) == {"cat"}


def test_two_labels_that_are_equally_likely_do_not_flicker() -> None:
    smoother = Smoother(0.3)
    frames = [said(cat=0.52, dog=0.48), said(cat=0.48, dog=0.52)] * 60
    assert len({smoother(frame, number / 30).label for number, frame in enumerate(frames)}) == 1


def test_unknown_frames_do_not_vote_and_take_over_when_they_are_the_most() -> None:
    smoother = Smoother(0.3)
    for frame in range(30):
        smoother(CAT, frame / 30)
    once = smoother(said(unknown=True, cat=0.01, dog=0.99), 1.0)
    assert once.label == "cat" and not once.unknown and dict(once.top)["cat"] == pytest.approx(0.9)
    told = [smoother(said(unknown=True, cat=0.01, dog=0.99), 1.0 + frame / 30).unknown for frame in range(1, 30)]
    assert told[0] is False and told[-1] is True and told == sorted(told)


def test_unknown_does_not_flicker_while_every_other_frame_is() -> None:
    smoother = Smoother(0.3)
    frames = [CAT, said(unknown=True, cat=0.9, dog=0.1)] * 60
    told = [smoother(frame, number / 30).unknown for number, frame in enumerate(frames)]
    assert sum(a != b for a, b in pairwise(told)) <= 1


def test_after_a_long_pause_only_the_present_counts() -> None:
    smoother = Smoother(0.3)
    for frame in range(90):
        smoother(CAT, frame / 30)
    found = smoother(DOG, 3600.0)
    assert found.label == "dog" and found.probability == pytest.approx(0.9, abs=1e-6)


def test_other_labels_begin_anew_and_off_means_off() -> None:
    smoother = Smoother(0.3)
    smoother(CAT, 0.0)
    assert smoother(said(ant=0.6, bee=0.4), 0.01) == said(ant=0.6, bee=0.4)
    off = Smoother(0.0)
    assert [off(frame, 0.0) for frame in (CAT, DOG)] == [CAT, DOG]
    nothing = Prediction(None, 0.0, True, ())
    assert smoother(nothing, 0.02) == nothing


def test_a_single_class_can_be_unknown_too() -> None:
    smoother = Smoother(0.3)
    assert not smoother(said(cat=1.0), 0.0).unknown
    for frame in range(1, 30):
        found = smoother(said(unknown=True, cat=1.0), frame / 30)
    assert found.unknown and found.label == "cat"
