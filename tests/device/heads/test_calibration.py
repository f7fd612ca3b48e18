from dataclasses import replace

import numpy as np
import pytest
from conftest import some_projection

from edgetl_device.heads.calibration import FEW_SHARE, MOST_AWAY, SLOPE
from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.neighbours import mean_of_nearest, unit
from edgetl_device.metrics import expected_calibration_error, fit_temperature, softmax
from edgetl_device.statistics import no_statistics, statistics_of

DIMENSION = 48
CENTRES = np.random.default_rng(7).gamma(2.0, 20.0, (12, DIMENSION))


def draw(classes: range, per_class: int, seed: int, moved: float = 0.0) -> tuple[np.ndarray, list[str]]:
    """``moved``: how far the scene has drifted, the same way for all classes."""
    generator = np.random.default_rng([seed, classes.start])
    rows = np.repeat(np.arange(classes.start, classes.stop), per_class)
    way = np.random.default_rng(99).normal(0, 40.0, DIMENSION)
    codes = 70 + 0.5 * CENTRES[rows] + moved * way + generator.normal(0, 30.0, (len(rows), DIMENSION))
    return np.clip(codes, 0, 255).astype(np.uint8), [f"class-{row:02}" for row in rows]


def evidence(**options) -> Evidence:
    factory = statistics_of(*draw(range(5), 100, 0), "b", "r", some_projection(DIMENSION))
    nothing = np.zeros((0, DIMENSION), np.uint8)
    return gather(factory, *draw(range(5), 50, 1), nothing, (), "r", **options)


def error(known: Evidence, codes: np.ndarray, labels: list[str]) -> tuple[float, float]:
    """Calibration error of a head, and what it would be with one temperature for all."""
    head = fit_head(known)
    answers = head.probabilities(codes), softmax(head.scorer.scores(codes) / head.temperature)
    right = np.asarray(head.labels)[answers[0].argmax(axis=1)] == labels
    return tuple(expected_calibration_error(each.max(axis=1), right) for each in answers)


def test_in_an_untouched_new_scene_a_head_is_not_as_sure_as_at_home() -> None:
    known = evidence()
    ours, one = error(known, *draw(range(5), 400, 2, moved=0.6))
    at_home, one_at_home = error(known, *draw(range(5), 400, 2))
    assert ours < 0.6 * one and one > 0.08
    assert at_home < one_at_home + 0.02


def test_the_temperature_is_that_of_the_formula() -> None:
    known = extend(evidence(), *draw(range(6, 7), 3, 4), "r")
    head = fit_head(known)
    codes = np.concatenate([draw(range(8), 5, 3)[0], draw(range(8), 5, 3, moved=1.0)[0]])
    vectors = unit(known.holdout, 0)
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    others = mean_of_nearest(cosine)
    usual, lowest = np.median(others), np.quantile(others, 0.05)

    def factor(near: np.ndarray) -> np.ndarray:
        return 1 + SLOPE * np.clip((usual - near) / (usual - lowest), 0, MOST_AWAY) ** 2

    truth = np.array([head.labels.index(label) for label in known.holdout_labels])
    first = fit_temperature(head.holdout_scores / factor(others)[:, None], truth)
    everything = np.concatenate([vectors, unit(known.recent, 0)])
    few = 1 + FEW_SHARE * (5 * (1 / 101) + 1 / 4) / 6
    expected = first * factor(mean_of_nearest(unit(codes, 0) @ everything.T)) * few
    np.testing.assert_allclose(head.calibration.temperatures(codes)[:, 0], expected, rtol=1e-3)


def test_what_was_taught_here_makes_a_head_surer_of_the_like() -> None:
    known = evidence()
    codes, _ = draw(range(5), 20, 5, moved=0.6)
    taught = extend(known, *draw(range(5), 20, 6, moved=0.6), "r")
    before, after = (fit_head(each).calibration.temperatures(codes).mean() for each in (known, taught))
    assert after < before


def test_what_is_known_already_is_not_compared_with_itself() -> None:
    head = fit_head(evidence())
    codes = draw(range(5), 50, 1)[0][:40]
    ours = head.calibration.temperatures(codes, known=True)
    for row, found in enumerate(ours):
        others = replace(head.calibration, known=np.delete(head.calibration.known, row, axis=0))
        assert found == pytest.approx(others.temperatures(codes[row : row + 1])[0], rel=1e-4)
    assert (ours >= head.calibration.temperatures(codes)).all()


def test_the_order_of_labels_never_changes() -> None:
    head = fit_head(evidence())
    codes, _ = draw(range(9), 30, 3, moved=0.3)
    assert (head.probabilities(codes).argmax(axis=1) == head.scorer.scores(codes).argmax(axis=1)).all()


@pytest.mark.parametrize("held", [0, 3])
def test_where_too_little_is_held_out_one_temperature_does(held: int) -> None:
    known = evidence()
    few = replace(known, holdout=known.holdout[:held], holdout_labels=known.holdout_labels[:held])
    head = fit_head(few)
    codes, _ = draw(range(9), 3, 3)
    assert (head.calibration.temperatures(codes) == head.temperature).all()
    nothing = fit_head(gather(no_statistics("b", DIMENSION), codes[:0], (), codes, ["a"] * len(codes), "r"))
    assert (nothing.probabilities(codes) == 1).all()


def test_hidden_labels_take_no_part() -> None:
    known = evidence(hidden=frozenset({"class-01"}))
    head = fit_head(known)
    assert len(head.calibration.known) == 200 and np.isfinite(head.probabilities(known.holdout)).all()
