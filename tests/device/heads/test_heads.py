"""Contract checks that every head must pass, then what is particular to each rule."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import some_projection

from edgetl_device.codes import CodeTransform
from edgetl_device.errors import InputError
from edgetl_device.heads import predictive
from edgetl_device.heads.class_moments import PRIOR_SAMPLES, ClassMoments, class_moments
from edgetl_device.heads.evidence import Evidence, extend, gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.heads.lda import solve_lda
from edgetl_device.heads.precision import MOST_ROWS, Precision, invert, solve_precision
from edgetl_device.heads.predictive import VOLUME_SHARE, solve_predictive
from edgetl_device.heads.registry import HEADS
from edgetl_device.heads.scatter import device_weight
from edgetl_device.metrics import fit_temperature, softmax
from edgetl_device.statistics import no_statistics, statistics_of

DIMENSION = 48
GENERATOR = np.random.default_rng(5)
PROJECTION = some_projection(DIMENSION)
CENTRES = GENERATOR.gamma(1.0, 30.0, size=(1000, DIMENSION))


def draw(classes: range, per_class: int, seed: int = 0, spread: float = 10.0) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng([seed, classes.start])
    rows = np.repeat(np.arange(classes.start, classes.stop), per_class)
    codes = np.clip(generator.normal(CENTRES[rows], spread), 0, 255).astype(np.uint8)
    return codes, [f"class-{row:04}" for row in rows]


def evidence(
    factory: int = 3, per_class: int = 30, new: range = range(0), shots: int = 5, projection=PROJECTION, **options
) -> Evidence:
    codes, labels = draw(range(factory), per_class)
    statistics = statistics_of(codes, labels, "b", "r", projection) if factory else no_statistics("b", DIMENSION)
    held, held_labels = draw(range(factory), min(20, per_class), seed=1)
    device, device_labels = draw(new, shots, seed=2)
    return gather(
        statistics,
        held.reshape(-1, DIMENSION),
        held_labels,
        device.reshape(-1, DIMENSION),
        device_labels,
        "r",
        **options,
    )


def right(head: Head, classes: range) -> float:
    codes, labels = draw(classes, 20, seed=3)
    return float(np.mean(np.asarray(head.labels)[head.predict(codes)[0].argmax(1)] == labels))


def check_separated_classes_are_told_apart(rule: str) -> None:
    assert right(fit_head(evidence(), rule), range(3)) > 0.97


def check_a_new_class_is_learned_from_one_sample_and_old_ones_stay(rule: str) -> None:
    head = fit_head(evidence(new=range(3, 4), shots=1), rule)
    assert "class-0003" in head.labels
    assert right(head, range(3)) > 0.95
    if rule != "lda":  # which needs a few samples
        assert right(head, range(3, 4)) > 0.9


def check_only_new_classes_and_no_factory(rule: str) -> None:
    assert right(fit_head(evidence(factory=0, new=range(5, 9), shots=4), rule), range(5, 9)) > 0.9


def check_one_sample_of_each_of_two_classes(rule: str) -> None:
    assert right(fit_head(evidence(factory=0, new=range(2), shots=1), rule), range(2)) > 0.9


def check_nothing_known_answers_unknown(rule: str) -> None:
    head = fit_head(evidence(factory=0), rule)
    probabilities, _ = head.predict(draw(range(1), 2)[0])
    assert head.labels == () and probabilities.shape == (2, 0)


def check_a_thousand_classes(rule: str) -> None:
    head = fit_head(evidence(factory=1000, per_class=2), rule)
    codes, labels = draw(range(1000), 1, seed=3)
    assert len(head.labels) == 1000
    assert np.mean(np.asarray(head.labels)[head.probabilities(codes).argmax(1)] == labels) > 0.9


def check_constant_features_do_no_harm(rule: str) -> None:
    known = evidence()
    flat = known.holdout.copy()
    flat[:, :10] = 7
    codes, labels = draw(range(3), 30)
    codes[:, :10] = 7
    found = gather(statistics_of(codes, labels, "b", "r"), flat, known.holdout_labels, flat[:0], (), "r")
    probabilities, _ = fit_head(found, rule).predict(flat)
    assert np.isfinite(probabilities).all()


def check_probabilities_are_probabilities(rule: str) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (50, DIMENSION), dtype=np.uint8)
    probabilities, unknown = fit_head(evidence(), rule).predict(codes)
    assert probabilities.dtype == np.float32 and unknown.dtype == bool
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert (probabilities >= 0).all()


def check_the_same_evidence_gives_the_same_probabilities(rule: str) -> None:
    codes, _ = draw(range(6), 10, seed=9)
    one, other = (fit_head(evidence(new=range(3, 5)), rule).probabilities(codes) for _ in range(2))
    assert (one == other).all()


def check_a_hidden_label_is_never_predicted(rule: str) -> None:
    head = fit_head(evidence(hidden=frozenset({"class-0001"})), rule)
    assert head.labels == ("class-0000", "class-0002")


def check_classes_of_two_samples_one_and_none(rule: str) -> None:
    """Two classes from two photos each, one from a single photo; a label that nobody has shown cannot be predicted."""
    codes, labels = draw(range(3), 2)
    known = gather(no_statistics("b", DIMENSION), codes[:0], (), codes[:5], labels[:5], "r")
    head = fit_head(known, rule)
    assert head.labels == ("class-0000", "class-0001", "class-0002")
    assert right(head, range(3)) > (0.6 if rule == "lda" else 0.85)


def check_fewer_samples_than_features(rule: str) -> None:
    assert right(fit_head(evidence(factory=4, per_class=DIMENSION // 8), rule), range(4)) > 0.95


def check_all_samples_alike(rule: str) -> None:
    """No variance at all, not even between classes."""
    codes = np.full((8, DIMENSION), 40, np.uint8)
    labels = [f"class-{row % 2}" for row in range(8)]
    known = gather(statistics_of(codes, labels, "b", "r"), codes[:2], labels[:2], codes[:4], labels[:4], "r")
    probabilities, _ = fit_head(known, rule).predict(codes)
    np.testing.assert_allclose(probabilities, 0.5, atol=0.01)


def check_only_new_classes_beside_a_hidden_factory(rule: str) -> None:
    hidden = frozenset({"class-0000", "class-0001"})
    head = fit_head(evidence(factory=2, new=range(5, 8), shots=4, hidden=hidden), rule)
    assert head.labels == ("class-0005", "class-0006", "class-0007")
    assert right(head, range(5, 8)) > 0.9


def check_labels_are_sorted_whatever_the_order_they_came_in(rule: str) -> None:
    codes, labels = draw(range(3, 5), 4, seed=2)
    known = evidence()
    backwards = gather(known.factory, known.holdout, known.holdout_labels, codes[::-1], labels[::-1], "r")
    head = fit_head(backwards, rule)
    assert head.labels == tuple(sorted(head.labels)) == backwards.labels


def check_the_order_of_samples_does_not_matter(rule: str) -> None:
    codes, labels = draw(range(1, 5), 6, seed=2)
    known = evidence()
    tests, _ = draw(range(6), 10, seed=9)
    found = []
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(codes))
        shown = gather(
            known.factory, known.holdout, known.holdout_labels, codes[order], [labels[row] for row in order], "r"
        )
        found.append(fit_head(shown, rule).predict(tests))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=1e-5)
    assert (found[0][0].argmax(1) == found[1][0].argmax(1)).all() and (found[0][1] == found[1][1]).all()


def check_what_is_set_on_the_holdout_does_not_look_at_training_samples(rule: str) -> None:
    """Temperature and threshold are functions of the fitted rule's answers to the holdout, and of nothing else."""
    known = evidence(new=range(3, 5))
    head = fit_head(known, rule)
    truth = np.array([head.labels.index(label) for label in known.holdout_labels])
    assert head.temperature == pytest.approx(fit_temperature(head.scorer.scores(known.holdout), truth), rel=1e-3)
    shown_again = replace(known, recent=known.recent[:0], recent_labels=())
    if rule != "softmax":  # which learns from them; its answers are another matter than what is set on the answers
        assert fit_head(shown_again, rule).temperature == head.temperature
    assert fit_head(shown_again, rule).novelty.relative.threshold == head.novelty.relative.threshold


def check_the_holdout_is_never_learned(rule: str) -> None:
    known = evidence(new=range(3, 5))
    wrong = replace(known, holdout_labels=tuple(reversed(known.holdout_labels)))
    codes, _ = draw(range(5), 10, seed=9)
    told = [fit_head(each, rule).scorer.scores(codes) for each in (known, wrong)]
    assert (told[0] == told[1]).all()


def check_no_class_is_named_unknown(rule: str) -> None:
    """Being unknown is an answer beside the classes, also where nothing resembles what was asked."""
    head = fit_head(evidence(factory=4, per_class=60, new=range(4, 6)), rule)
    probabilities, unknown = head.predict(draw(range(500, 520), 5)[0])
    assert unknown.mean() > 0.9
    assert head.labels == tuple(f"class-{row:04}" for row in range(6)) and probabilities.shape[1] == 6


def check_what_a_head_says_of_its_holdout_is_what_it_says_of_any_codes(rule: str) -> None:
    known = evidence(new=range(1, 5))
    head = fit_head(known, rule)
    np.testing.assert_allclose(head.holdout_scores, head.scorer.scores(known.holdout), rtol=1e-4, atol=1e-3)


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.slow
@pytest.mark.parametrize("rule", HEADS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_head(check, rule: str) -> None:
    check(rule)


def plain(features: np.ndarray, rows: np.ndarray) -> ClassMoments:
    """ClassMoments of float features, so many that there is no shrinkage."""
    means = np.stack([features[rows == row].mean(axis=0) for row in range(4)])
    scatter = ((features - means[rows]).T @ (features - means[rows])).astype(np.float32)
    precision = solve_precision(scatter, np.full(6, 1e-9), len(features))
    return ClassMoments(("a", "b", "c", "d"), means, np.full(4, 5e8), np.zeros(4), precision)


@pytest.mark.parametrize("solve", [solve_lda, solve_predictive])
def test_with_many_samples_scores_agree_with_scikit_learns_lda(solve) -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    generator = np.random.default_rng(0)
    rows = np.repeat(np.arange(4), 5000)
    features = generator.normal(CENTRES[rows][:, :6] / 20, 1.0)
    oracle = discriminant.LinearDiscriminantAnalysis(solver="lsqr", priors=[0.25] * 4).fit(features, rows)
    tests = generator.normal(CENTRES[rows[::50]][:, :6] / 20, 1.5)
    ours, theirs = solve(plain(features, rows)).scores(tests), oracle.decision_function(tests)
    np.testing.assert_allclose(ours - ours[:, :1], theirs - theirs[:, :1], rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("rule", ["predictive", "gaussian"])
def test_where_all_classes_have_as_many_samples_no_length_is_taken(rule: str, monkeypatch) -> None:
    alike, uneven = fit_head(evidence(factory=3), rule), fit_head(evidence(new=range(3, 4), shots=1), rule)
    codes, _ = draw(range(4), 5, seed=8)
    expected = alike.probabilities(codes)
    monkeypatch.setattr(Precision, "forms", lambda *_: pytest.fail("a length was taken"))
    np.testing.assert_array_equal(alike.probabilities(codes), expected)
    assert alike.scorer.closed_form(CodeTransform(0, DIMENSION)).quadratic is None
    with pytest.raises(pytest.fail.Exception, match="a length was taken"):
        uneven.probabilities(codes)


@pytest.mark.parametrize("rule", ["predictive", "gaussian"])
def test_about_as_many_samples_count_as_as_many(rule: str, monkeypatch) -> None:
    codes, labels = draw(range(3), 150)
    few = statistics_of(codes[:-8], labels[:-8], "b", "r", PROJECTION)
    known = gather(few, *draw(range(3), 20, seed=1), codes[:0], (), "r")
    alike = fit_head(known, rule)
    monkeypatch.setattr(predictive, "ALIKE", 0.0)
    exact = fit_head(known, rule)
    assert [head.scorer.closed_form(CodeTransform(0, DIMENSION)).quadratic is None for head in (alike, exact)] == [
        True,
        False,
    ]
    tests, _ = draw(range(4), 30, seed=8)
    np.testing.assert_allclose(alike.probabilities(tests), exact.probabilities(tests), atol=0.01)


def test_what_all_classes_share_changes_no_probability() -> None:
    found = class_moments(evidence(factory=3, per_class=30, new=range(3, 4), shots=1))
    rule = solve_predictive(found)
    codes, _ = draw(range(4), 5, seed=8)
    centred = (codes - rule.centre).astype(np.float64)
    lengths = np.einsum("nd,de,ne->n", centred, rule.precision.matrix, centred)
    whole = centred @ rule.weights.T + lengths[:, None] * rule.slope + rule.bias
    np.testing.assert_allclose(softmax(rule.scores(codes)), softmax(whole), atol=1e-4)


def test_a_class_of_one_sample_is_wider_by_the_closed_form_of_the_posterior_predictive() -> None:
    """With the covariance known and τ → 0, log p differs by N(m, (1 + 1/n) Σ), up to the share of the volume term."""
    found = class_moments(evidence(factory=3, per_class=30, new=range(3, 4), shots=1))
    rule = solve_predictive(found)
    spread = -0.5 / rule.slope
    np.testing.assert_allclose(spread, 1 + 1 / (found.effective + PRIOR_SAMPLES), rtol=1e-6)
    codes, _ = draw(range(4), 5, seed=8)
    assert found.precision is not None
    precision = found.precision.matrix
    trust = found.effective / (found.effective + PRIOR_SAMPLES)
    centre = found.means.mean(axis=0)
    means = centre + trust[:, None] * (found.means - centre)
    volume = VOLUME_SHARE * found.precision.unseen * np.log(spread)
    difference = codes[:, None, :] - means[None]
    distance = np.einsum("ncd,de,nce->nc", difference, precision, difference)
    expected = -0.5 * (distance / spread + volume)
    scores = rule.scores(codes)
    np.testing.assert_allclose(scores - scores[:, :1], expected - expected[:, :1], rtol=1e-3, atol=2e-2)


@pytest.mark.slow
def test_the_block_inverse_agrees_with_lapack() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 700))
    matrix = (features.T @ features / 300 + np.eye(700)).astype(np.float32)
    inverse = matrix.copy()
    invert(inverse)
    assert np.abs(inverse - np.linalg.inv(matrix.astype(np.float64))).max() < 1e-5
    assert (inverse == inverse.T).all()


@pytest.mark.parametrize("dimension", [1, 3, 30, 256, 300])
def test_forms_are_products_with_the_inverse(dimension: int) -> None:
    generator = np.random.default_rng(dimension)
    features, more = generator.normal(size=(400, dimension)), generator.normal(size=(3, dimension)).astype(np.float32)
    solved = solve_precision((features.T @ features).astype(np.float32), np.full(dimension, 2.0), 400)
    for precision in (solved, solved.updated(more, 403)):
        rows = generator.normal(size=(7, dimension)).astype(np.float32)
        forms = np.einsum("nd,de,ne->n", rows, precision.matrix.astype(np.float64) / precision.samples, rows)
        np.testing.assert_allclose(precision.forms(rows), forms, rtol=1e-5)


def test_moments_equal_those_of_the_weighted_samples() -> None:
    known = evidence(factory=2, per_class=10, new=range(1, 3), shots=3)
    found = class_moments(known)
    factory, factory_labels = draw(range(2), 10)
    device, device_labels = draw(range(1, 3), 3, seed=2)
    codes = np.concatenate([factory, device]).astype(float)
    labels = np.array([*factory_labels, *device_labels])
    assert device_weight(known.factory.counts, known.device.counts) == 3  # 10 a factory class, 3 a device class
    weights = np.array([1.0] * 20 + [3.0] * 6)
    for index, label in enumerate(found.labels):
        rows = labels == label
        np.testing.assert_allclose(found.means[index], np.average(codes[rows], axis=0, weights=weights[rows]))
        if label != "class-0002":  # a class that only the device knows counts its samples, not their weight
            assert found.effective[index] == pytest.approx(weights[rows].sum() ** 2 / (weights[rows] ** 2).sum())
        else:
            assert found.effective[index] == 3


def test_the_precision_is_the_inverse_of_the_scatter_within_class_and_origin_and_of_the_ways_between_origins() -> None:
    known = evidence(factory=2, per_class=10, new=range(1, 3), shots=3, projection=None)
    groups = [*np.split(draw(range(2), 10)[0].astype(float), 2), *np.split(draw(range(1, 3), 3, seed=2)[0] * 1.0, 2)]
    centred = np.concatenate([rows - rows.mean(axis=0) for rows in groups])
    way = groups[1].mean(axis=0) - groups[2].mean(axis=0)  # class 1, from the factory to here
    scatter = centred.T @ centred + 10 * 9 / (10 + 9) * np.outer(way, way)  # three device samples that weigh 3
    # Shrunk to the factory's variances, which are drawn to their mean and floored.
    squares = sum((rows - rows.mean(axis=0)).T ** 2 @ np.ones(10) for rows in groups[:2]) / 18
    drawn = np.maximum((18 * squares + 10 * squares.mean()) / 28, 0.1 * squares.mean())
    shrunk = (scatter + DIMENSION * np.diag(drawn)) / 26
    np.testing.assert_allclose(known.precision.matrix @ shrunk, np.eye(DIMENSION), atol=1e-4)
    fitted = np.trace(np.linalg.inv(shrunk) @ scatter) / 26
    assert known.precision.unseen == pytest.approx(fitted / (1 - fitted / 26), rel=1e-3)


def test_samples_added_to_a_solved_head_give_the_head_that_a_fresh_solve_gives() -> None:
    known = evidence(factory=4, per_class=30)
    base = fit_head(known).scorer.precision.base
    for step, (label, shots) in enumerate([(4, 1), (4, 1), (2, 1), (4, 5), (2, 3), (5, 2), (2, 40)]):
        codes, labels = draw(range(label, label + 1), shots, seed=100 + step)
        known = extend(known, codes, labels, "r")
        head = fit_head(known)
        fresh = fit_head(replace(known))  # nothing worked out is copied
        assert head.scorer.precision.base is base and fresh.scorer.precision.base is not base
        codes, _ = draw(range(8), 20, seed=7)
        ours, theirs = head.scorer.scores(codes), fresh.scorer.scores(codes)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * np.abs(theirs).max())
        assert (ours.argmax(1) == theirs.argmax(1)).all()
        np.testing.assert_allclose(
            head.holdout_scores, fresh.holdout_scores, rtol=1e-5, atol=1e-6 * np.abs(theirs).max()
        )
        assert head.temperature == pytest.approx(fresh.temperature, rel=1e-4)


def test_a_solved_head_is_solved_anew_before_updates_outgrow_it() -> None:
    known = evidence(factory=2, per_class=60)
    fit_head(known)
    codes, labels = draw(range(0, 1), MOST_ROWS // 2 + 1)
    once = extend(known, codes, labels, "r")
    assert once.solution.core is not None
    assert extend(once, codes, labels, "r").solution.core is None


@pytest.mark.parametrize(("factory", "device", "weight"), [
    ((), (1,), 1), ((100, 100), (), 1), ((40, 60), (5,), 5), ((40, 60), (8,), 6), ((400, 400), (1, 1), 2),
    ((400, 400), (9, 12), 20), ((10, 10), (99,), 1),
])  # fmt: skip
def test_a_device_sample_weighs_no_more_than_there_are_and_a_class_no_more_than_one_of_the_factory(
    factory, device, weight: int
) -> None:
    assert device_weight(np.array(factory, np.int64), np.array(device, np.int64)) == weight


def test_one_more_photo_of_a_known_class_does_not_outweigh_a_small_factory() -> None:
    lost = []
    for seed in range(20):
        generator = np.random.default_rng(seed)
        centres = generator.integers(90, 110, (3, DIMENSION))

        def some(per_class: int, classes: int = 3) -> tuple[np.ndarray, list[str]]:
            rows = np.repeat(np.arange(classes), per_class)
            codes = np.clip(generator.normal(centres[rows], 25), 0, 255)  # noqa: B023
            return codes.astype(np.uint8), [f"class-{row}" for row in rows]

        codes, labels = some(15)
        known = gather(statistics_of(codes, labels, "b", "r"), codes[:0], (), codes[:0], (), "r")
        tests, truth = some(100)
        right = [
            np.mean(np.asarray(head.labels)[head.scorer.scores(tests).argmax(axis=1)] == truth)
            for head in (fit_head(known), fit_head(extend(known, *some(1, classes=1), "r")))
        ]
        lost.append(right[0] - right[1])
    assert np.mean(lost) < 0.005  # 0.02 where it weighed as much as all photos of its class together


def test_a_thing_far_from_everything_is_unknown_and_known_things_mostly_are_not() -> None:
    head = fit_head(evidence(factory=4, per_class=60))
    strange, _ = draw(range(500, 520), 5)
    familiar, _ = draw(range(4), 50, seed=4)
    assert head.predict(strange)[1].mean() > 0.9
    assert head.predict(familiar)[1].mean() < 0.15


def test_an_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="expected one of gaussian"):
        fit_head(evidence(), "forest")
