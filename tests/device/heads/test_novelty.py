"""What is unknown: with a holdout, with nothing but samples of one's own, and after teaching."""

from dataclasses import replace

import numpy as np
import pytest

from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.gaussian import Gaussian
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.neighbours import ENOUGH
from edgetl_device.heads.novelty import (
    MOST_COMPARED,
    NOTHING_TAUGHT,
    TOO_FEW_HELD_OUT,
    TOO_LITTLE_TAUGHT,
    Novelty,
    fit_novelty,
)
from edgetl_device.heads.relative import LEAD_SHARE, PLAIN_SHARE
from edgetl_device.heads.relative import relative as reached
from edgetl_device.heads.scatter import row_products
from edgetl_device.heads.space import Space
from edgetl_device.heads.strangers import relative_of
from edgetl_device.heads.taught import SHARE, USUAL, WIDEST, likeness
from edgetl_device.projection import Projection
from edgetl_device.statistics import no_statistics, statistics_of

DIMENSION = 48
CENTRES = np.random.default_rng(5).gamma(1.0, 30.0, size=(1000, DIMENSION))
STRANGE = range(500, 560)


def draw(classes: range, per_class: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng([seed, classes.start])
    rows = np.repeat(np.arange(classes.start, classes.stop), per_class)
    codes = np.clip(generator.normal(CENTRES[rows], 10.0), 0, 255).astype(np.uint8)
    return codes.reshape(-1, DIMENSION), [f"class-{row:04}" for row in rows]


def factory(held: int = 20) -> Evidence:
    codes, labels = draw(range(4), 60)
    holdout, holdout_labels = draw(range(4), held, seed=1)
    return gather(statistics_of(codes, labels, "b", "r"), holdout, holdout_labels, codes[:0], (), "r")


def projected_factory() -> Evidence:
    """Every class varies in its own way along six directions."""
    generator = np.random.default_rng(4)
    projection = Projection(generator.integers(-60, 61, (6, DIMENSION)).astype(np.int8), np.zeros(6, np.int64))
    codes, labels = draw(range(4), 120)
    spread = 1 + 2 * generator.random((4, DIMENSION))
    index = np.array([int(label[-4:]) for label in labels])
    codes = np.clip(CENTRES[index] + (codes - CENTRES[index]) * spread[index], 0, 255).astype(np.uint8)
    return gather(
        statistics_of(codes[::2], labels[::2], "b", "r", projection), codes[1::2], labels[1::2], codes[:0], (), "r"
    )


def blank(classes: range = range(3), shots: int = 5) -> Evidence:
    nothing, none = no_statistics("b", DIMENSION), np.zeros((0, DIMENSION), np.uint8)
    return gather(nothing, none, (), *draw(classes, shots, seed=2), "r")


def taught(known: Evidence, classes: range, shots: int) -> Novelty:
    return fit_novelty(extend(known, *draw(classes, shots, seed=3), "r"))


def unknown(novelty: Novelty, classes: range, per_class: int = 40) -> float:
    return float(novelty.is_unknown(draw(classes, per_class, seed=6)[0]).mean())


def test_relative_distance_is_what_its_formula_says() -> None:
    known = factory()
    novelty, (codes, _) = fit_novelty(known), draw(range(2, 8), 5)
    rule = fit_head(known, "predictive").scorer  # without a projection, as here, no class has a covariance of its own
    precision = known.space.precision.matrix.astype(np.float64)
    far = np.array([float((code - known.centre) @ precision @ (code - known.centre)) for code in codes])
    best = np.sort(rule.scores(codes) + far[:, None] * float(rule.slope.max()), axis=1)  # with what all classes share
    expected = best[:, -1] + LEAD_SHARE * (best[:, -1] - best[:, -2]) + 0.5 * (1 - PLAIN_SHARE) * far
    np.testing.assert_allclose(novelty.familiarity(codes), expected, rtol=1e-3, atol=1e-2)


def test_relative_distance_sees_covariances_of_single_classes() -> None:
    known = projected_factory()
    relative, rule = relative_of(known), Gaussian.fit(known)
    assert len(relative.classes) == 4
    whitened = known.space(known.holdout)
    exact = row_products(known.space.whiten(whitened.offsets), whitened.offsets)
    tilt = rule.base.slope - rule.base.slope.max()
    scores = rule.scores(known.holdout) + whitened.lengths[:, None] * rule.base.slope - exact[:, None] * tilt
    np.testing.assert_allclose(relative(whitened), reached(scores, whitened.lengths), rtol=1e-4, atol=2e-2)


def test_one_in_twenty_held_out_photos_is_below_the_threshold() -> None:
    known = factory(held=50)
    assert 0.03 < fit_novelty(known).is_unknown(known.holdout).mean() < 0.07


def test_strangers_are_unknown_and_known_things_are_not() -> None:
    novelty = fit_novelty(factory())
    assert unknown(novelty, STRANGE, 5) > 0.95 and unknown(novelty, range(4)) < 0.12


def test_what_is_taught_moves_no_threshold_of_the_factory() -> None:
    before, after = fit_novelty(factory()), taught(factory(), range(10, 12), 20)
    codes, _ = draw(range(4), 40, seed=6)
    assert after.relative is not None and before.relative is not None
    assert (after.is_unknown(codes) <= before.is_unknown(codes)).mean() > 0.99


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_what_was_taught_is_recognised_and_strangers_stay_unknown(shots: int) -> None:
    novelty = taught(factory(), range(10, 12), shots)
    assert unknown(novelty, range(10, 12)) < 0.1
    assert unknown(novelty, STRANGE, 5) > 0.8


def test_a_threshold_of_a_taught_class_comes_from_its_samples_left_out() -> None:
    known = extend(factory(), *draw(range(10, 11), 5, seed=3), "r")
    novelty = fit_novelty(known)
    assert novelty.taught is not None
    space = known.space
    left_out = []
    for row, code in enumerate(known.recent):
        others = np.delete(known.recent, row, axis=0).mean(axis=0) - known.centre
        offset, precision = code - known.centre, known.space.precision.matrix.astype(np.float64)
        product = offset @ precision @ others
        left_out.append(product / np.sqrt((offset @ precision @ offset) * (others @ precision @ others)))
    np.testing.assert_allclose(likeness(known.recent, np.array([len(known.recent)]), space), left_out, rtol=1e-4)
    usual = 1 - WIDEST * known.space.precision.unseen / space(known.recent).lengths.mean()
    assert usual > USUAL  # these classes lie far out
    assert novelty.taught.least[0] == pytest.approx(SHARE * (sum(left_out) + usual) / 6, rel=1e-4)


def test_forgotten_classes_are_unknown() -> None:
    hidden = replace(factory(held=50), hidden=frozenset({"class-0000"}))
    novelty = fit_novelty(hidden)
    assert unknown(novelty, range(1)) > 0.9 and unknown(novelty, range(1, 4)) < 0.1


@pytest.mark.parametrize("shots", [5, 20])
def test_without_any_factory_samples_of_ones_own_set_the_threshold(shots: int) -> None:
    novelty = fit_novelty(blank(shots=shots))
    assert not novelty.shortcoming
    assert unknown(novelty, STRANGE, 5) > 0.9 and unknown(novelty, range(3)) < 0.15


def test_there_is_a_threshold_from_the_second_sample_on() -> None:
    nothing, one, two = (fit_novelty(blank(range(count), shots=1)) for count in range(3))
    assert [each.shortcoming for each in (nothing, one, two)] == [NOTHING_TAUGHT, TOO_LITTLE_TAUGHT, ""]
    assert unknown(one, STRANGE, 5) == 0.0
    assert unknown(two, range(2)) < 0.1
    assert not fit_novelty(blank(range(1), shots=2)).shortcoming


def test_a_class_of_one_sample_is_recognised_beside_classes_of_many() -> None:
    novelty = taught(blank(shots=20), range(10, 11), 1)
    assert unknown(novelty, range(10, 11)) < 0.2 and unknown(novelty, STRANGE, 5) > 0.6


def test_a_factory_without_a_holdout_calls_nothing_unknown() -> None:
    assert ENOUGH > 16
    novelty = taught(factory(held=4), range(10, 12), 20)
    assert novelty.shortcoming == TOO_FEW_HELD_OUT and unknown(novelty, range(4)) == 0.0


def test_relative_to_no_class_everything_is_strange_and_to_one_there_is_no_lead() -> None:
    lengths = np.array([2.0, 8.0])
    assert (reached(np.zeros((2, 0), np.float32), lengths) == -np.inf).all()
    np.testing.assert_allclose(reached(np.ones((2, 1), np.float32), lengths), 1 + 0.5 * (1 - PLAIN_SHARE) * lengths)


def test_along_a_projection_lengths_are_exact_and_across_it_they_are_right_on_the_mean() -> None:
    known, generator = factory(), np.random.default_rng(0)
    projection = Projection(generator.integers(-60, 61, (6, DIMENSION)).astype(np.int8), np.zeros(6, np.int64))
    space = Space(known.centre, known.space.precision, projection)
    along = generator.normal(size=(20, 6)) @ projection.weights / 40
    across = generator.normal(size=(4000, DIMENSION)) * 20
    across -= across @ np.linalg.pinv(projection.weights) @ projection.weights
    precision = known.space.precision.matrix.astype(np.float64)
    exact, roughly = (np.einsum("nd,de,ne->n", rows, precision, rows) for rows in (along, across))
    np.testing.assert_allclose(space((along + known.centre).astype(np.float32)).lengths, exact, rtol=1e-3)
    assert space((across + known.centre).astype(np.float32)).lengths.mean() == pytest.approx(roughly.mean(), rel=0.03)


def test_a_frame_is_compared_with_a_bounded_number_of_samples() -> None:
    novelty = fit_novelty(blank(range(40), shots=20))
    assert len(novelty.known) == 40 * (MOST_COMPARED // 40) and novelty.scene is not None
    assert len(novelty.scene) == 40 * 20 and unknown(novelty, range(40), 10) < 0.15
