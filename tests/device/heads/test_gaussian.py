"""Classes with covariances of their own: against a slow reference, and what they are for."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import some_projection

from edgetl_device.codes import CodeTransform
from edgetl_device.heads import class_covariances
from edgetl_device.heads.class_covariances import LEAST_FREEDOM, PRIOR_FREEDOM
from edgetl_device.heads.class_moments import PRIOR_SAMPLES, class_moments
from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.gaussian import VOLUME_SHARE, Gaussian, covariances_of
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.scatter import device_weight
from edgetl_device.statistics import statistics_of

DIMENSION = 48
PROJECTION = some_projection(DIMENSION, 10)
GENERATOR = np.random.default_rng(4)
CENTRES = GENERATOR.gamma(3.0, 25.0, (8, DIMENSION))
SHAPES = GENERATOR.normal(0, 1.0, (8, DIMENSION, 6)) * GENERATOR.uniform(4, 24, (8, 1, 6))
LINEAR = CodeTransform(-128, DIMENSION)


def draw(classes: range, per_class: int, seed: int, apart: float = 0.3) -> tuple[np.ndarray, list[str]]:
    """Classes differ in how they vary as much as in where they are."""
    generator = np.random.default_rng([seed, classes.start])
    rows = np.repeat(np.arange(classes.start, classes.stop), per_class)
    own = np.einsum("ndk,nk->nd", SHAPES[rows], generator.normal(size=(len(rows), 6)))
    codes = 60 + apart * CENTRES[rows] + own + generator.normal(0, 5, own.shape)
    return np.clip(codes, 0, 255).astype(np.uint8), [f"class-{row}" for row in rows]


def evidence(
    per_class: int = 80, new: range = range(0), shots: int = 12, projection=PROJECTION, apart: float = 0.3, **options
) -> Evidence:
    factory = statistics_of(*draw(range(4), per_class, 0, apart), "b", "r", projection)
    return gather(factory, *draw(range(4), 20, 1, apart), *draw(new, shots, 2, apart), "r", **options)


def reference(known: Evidence, groups: list[tuple[str, np.ndarray, np.ndarray]], codes: np.ndarray) -> np.ndarray:
    """Scores as the formulas say them, in float64 and class by class; groups: label, factory's codes, device's codes."""
    weights = PROJECTION.weights / 256
    samples = sum(len(f) + len(d) for _, f, d in groups)
    weight = device_weight(known.factory.counts, known.device.counts)
    scatter, own, degrees, means, effective = np.zeros((DIMENSION, DIMENSION)), [], [], [], []
    for _, factory, device in groups:
        inner, free = np.zeros((len(weights), len(weights))), 0
        for part in (factory, device):
            if len(part):
                scatter += (part - part.mean(axis=0)).T @ (part - part.mean(axis=0))
                along = PROJECTION(part.astype(np.uint8)).astype(float)
                inner += (along - along.mean(axis=0)).T @ (along - along.mean(axis=0))
                free += len(part) - 1
        if len(factory) and len(device):
            way, m = factory.mean(axis=0) - device.mean(axis=0), weight * len(device)
            scatter += len(factory) * m / (len(factory) + m) * np.outer(way, way)
        w = weight if len(factory) else 1
        total = len(factory) + w * len(device)
        means.append((factory.sum(axis=0) + w * device.sum(axis=0)) / total)
        effective.append(total**2 / (len(factory) + w**2 * len(device)))
        own.append(inner)
        degrees.append(free)
    shrunk = (scatter + np.diag(known.precision.penalty)) / samples
    shared, pooled = weights @ shrunk @ weights.T, sum(own) / sum(degrees)
    part = sum(degrees) / samples
    covariances, shares = [], []
    for inner, free in zip(own, degrees, strict=True):
        share = part * free / (free + PRIOR_FREEDOM) if free >= LEAST_FREEDOM else 0.0
        covariances.append(shared + (share * (inner / free - pooled) if share else 0.0))
        shares.append(share)
    ratio = [np.linalg.solve(shared, covariance) for covariance in covariances]
    volumes = [float(np.linalg.slogdet(each)[1]) for each in ratio]
    gains = [-0.5 * (len(weights) - np.trace(each) + v) for each, v in zip(ratio, volumes, strict=True)]
    factory_rows = [row for row, (_, factory, _) in enumerate(groups) if len(factory)]
    usual, share_there = np.mean([gains[row] for row in factory_rows]), np.mean([shares[row] for row in factory_rows])
    precision, middle = np.linalg.inv(shrunk), np.mean(means, axis=0)
    scores = np.empty((len(codes), len(groups)))
    for row, mean in enumerate(means):
        drawn = middle + effective[row] / (effective[row] + PRIOR_SAMPLES) * (mean - middle)
        spread = 1 + 1 / (effective[row] + PRIOR_SAMPLES)
        apart = codes - drawn
        change = np.linalg.inv(covariances[row]) - np.linalg.inv(shared)
        along = apart @ weights.T
        squares = np.einsum("nd,de,ne->n", apart, precision, apart) + np.einsum("nq,qr,nr->n", along, change, along)
        volume = VOLUME_SHARE * known.precision.unseen * np.log(spread) + volumes[row]
        bonus = usual * (1 - min(shares[row] / share_there, 1))
        scores[:, row] = class_moments(known).log_prior[row] - 0.5 * (squares / spread + volume) + bonus
    return scores


@pytest.mark.parametrize("shots", [3, 12])
def test_scores_are_those_of_the_formulas_in_float64(shots: int) -> None:
    known = evidence(new=range(3, 6), shots=shots)
    (there, labels), (here, names) = draw(range(4), 80, 0), draw(range(3, 6), shots, 2)
    groups = [
        (label, *(part[np.asarray(each) == label].astype(float) for part, each in ((there, labels), (here, names))))
        for label in known.labels
    ]
    codes, _ = draw(range(6), 10, 5)
    found, expected = fit_head(known, "gaussian").scorer.scores(codes), reference(known, groups, codes.astype(float))
    scale = np.abs(expected - expected.mean(axis=1, keepdims=True)).max()
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True),
        expected - expected.mean(axis=1, keepdims=True),
        atol=2e-4 * scale,
    )


def test_classes_that_differ_in_how_they_vary_are_told_apart_better() -> None:
    known = evidence(per_class=400, apart=0.02)
    codes, labels = draw(range(4), 200, 9, apart=0.02)
    right = {}
    for rule in ("gaussian", "predictive"):
        head = fit_head(known, rule)
        right[rule] = np.mean(np.asarray(head.labels)[head.scorer.scores(codes).argmax(axis=1)] == labels)
    assert right["gaussian"] > right["predictive"] + 0.02


def test_a_new_class_of_few_samples_does_not_lose_to_those_that_have_covariances() -> None:
    known = evidence(per_class=400, new=range(4, 5), shots=5, apart=0.05)
    codes, _ = draw(range(4, 5), 200, 9, apart=0.05)
    head = fit_head(known, "gaussian")
    with_gain = (head.scorer.scores(codes).argmax(axis=1) == 4).mean()
    covariances = covariances_of(known, class_moments(known))
    assert covariances is not None and covariances.usual[4] > 0
    without = head.scorer.scores(codes) - covariances.usual.astype(np.float32)
    assert with_gain > (without.argmax(axis=1) == 4).mean() + 0.02


def test_without_a_projection_it_is_the_predictive_rule() -> None:
    known = evidence(projection=None, new=range(3, 6))
    codes, _ = draw(range(6), 10, 5)
    one, other = (fit_head(known, rule) for rule in ("gaussian", "predictive"))
    assert (one.scorer.scores(codes) == other.scorer.scores(codes)).all() and one.temperature == other.temperature


def test_samples_added_give_the_head_that_a_fresh_solve_gives() -> None:
    known = evidence()
    fit_head(known, "gaussian")
    for step, (label, shots) in enumerate([(4, 1), (4, 9), (2, 1), (5, 3), (2, 20)]):
        known = extend(known, *draw(range(label, label + 1), shots, 100 + step), "r")
        head, fresh = fit_head(known, "gaussian"), fit_head(replace(known), "gaussian")
        codes, _ = draw(range(8), 20, 7)
        ours, theirs = head.scorer.scores(codes), fresh.scorer.scores(codes)
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())
        np.testing.assert_allclose(head.holdout_scores, head.scorer.scores(known.holdout), rtol=1e-3, atol=0.02)


def test_more_classes_than_may_have_covariances_leave_those_of_the_fewest_samples_without(monkeypatch) -> None:
    monkeypatch.setattr(class_covariances, "MOST_CLASSES", 2)
    codes, labels = draw(range(4), 60, 0)
    kept = np.r_[0:20, 60:120, 120:150, 180:240]
    factory = statistics_of(codes[kept], [labels[row] for row in kept], "b", "r", PROJECTION)
    known = gather(factory, codes[:0], (), codes[:0], (), "r")
    scorer = fit_head(known, "gaussian").scorer
    assert isinstance(scorer, Gaussian) and scorer.term is not None and scorer.term.classes.tolist() == [1, 3]


def test_hidden_classes_are_left_out() -> None:
    known = evidence(hidden=frozenset({"class-1"}))
    scorer = fit_head(known, "gaussian").scorer
    assert isinstance(scorer, Gaussian) and scorer.term is not None
    assert scorer.labels == ("class-0", "class-2", "class-3") and scorer.term.classes.tolist() == [0, 1, 2]


def test_slopes_are_those_of_the_scores() -> None:
    scorer = fit_head(evidence(new=range(3, 6)), "gaussian").scorer
    point = draw(range(5, 6), 1, 6)[0][0].astype(np.float32)
    steps = np.diag(np.full(DIMENSION, 2.0, np.float32))
    rise = (scorer.scores(point + steps).astype(float) - scorer.scores(point - steps)).T / 4
    np.testing.assert_allclose(scorer.slopes(point), rise, atol=2e-3 * np.abs(rise).max())


def test_the_closed_form_is_the_scores() -> None:
    scorer = fit_head(evidence(new=range(3, 6)), "gaussian").scorer
    codes, _ = draw(range(6), 10, 5)
    form = scorer.closed_form(LINEAR)
    assert form is not None and form.quadratic is not None and form.own is not None
    apart = codes - form.quadratic.centre
    shared = np.einsum("nd,nd->n", apart @ form.quadratic.precision, apart)
    scores = codes @ form.weights.T + form.bias + shared[:, None] * form.quadratic.slope
    along = (codes - form.own.centre) @ form.own.directions.T
    for column, curvature in zip(form.own.classes, form.own.curvatures, strict=True):
        scores[:, column] -= 0.5 * np.einsum("nq,qr,nr->n", along, curvature, along)
    np.testing.assert_allclose(scorer.scores(codes), scores, rtol=1e-3, atol=0.02)
