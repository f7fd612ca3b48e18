"""Contract checks that every head must pass, then what is particular to each rule."""

import numpy as np
import pytest

from edgetl_device.arrays import pack, unpack
from edgetl_device.errors import InputError
from edgetl_device.heads import HEADS, Evidence, Head, Moments, fit_head, gather, moments, solve_lda
from edgetl_device.statistics import no_statistics, statistics_of

DIMENSION = 48
GENERATOR = np.random.default_rng(5)
CENTRES = GENERATOR.gamma(1.0, 30.0, size=(1000, DIMENSION))


def draw(classes: range, per_class: int, seed: int = 0, spread: float = 10.0) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng([seed, classes.start])
    rows = np.repeat(np.arange(classes.start, classes.stop), per_class)
    codes = np.clip(generator.normal(CENTRES[rows], spread), 0, 255).astype(np.uint8)
    return codes, [f"class-{row:04}" for row in rows]


def evidence(factory: int = 3, per_class: int = 30, new: range = range(0), shots: int = 5, **options) -> Evidence:
    codes, labels = draw(range(factory), per_class)
    statistics = statistics_of(codes, labels, "b", "r") if factory else no_statistics("b", DIMENSION)
    held, held_labels = draw(range(factory), 20, seed=1)
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
    if rule != "lda":  # which needs a few samples: that is why there are two questions
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
    assert len(head.labels) == 1000 and right(head, range(1000)) > 0.9


def check_constant_features_do_no_harm(rule: str) -> None:
    known = evidence()
    flat = known.references.copy()
    flat[:, :10] = 7
    codes, labels = draw(range(3), 30)
    codes[:, :10] = 7
    found = gather(statistics_of(codes, labels, "b", "r"), flat, known.reference_labels, flat[:0], (), "r")
    probabilities, _ = fit_head(found, rule).predict(flat)
    assert np.isfinite(probabilities).all()


def check_probabilities_are_probabilities(rule: str) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (50, DIMENSION), dtype=np.uint8)
    probabilities, unknown = fit_head(evidence(), rule).predict(codes)
    assert probabilities.dtype == np.float32 and unknown.dtype == bool
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert (probabilities >= 0).all()


def check_the_same_evidence_gives_the_same_bytes(rule: str) -> None:
    assert pack(fit_head(evidence(), rule).to_arrays()) == pack(fit_head(evidence(), rule).to_arrays())


def check_saving_and_loading_changes_no_prediction(rule: str) -> None:
    known = evidence(new=range(3, 5))
    head = fit_head(known, rule)
    again = Head.from_arrays(unpack(pack(head.to_arrays())), known.references)
    codes, _ = draw(range(6), 10, seed=9)
    for one, other in zip(head.predict(codes), again.predict(codes), strict=True):
        assert (one == other).all()


def check_a_hidden_label_is_never_predicted(rule: str) -> None:
    head = fit_head(evidence(hidden=frozenset({"class-0001"})), rule)
    assert head.labels == ("class-0000", "class-0002")


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("rule", HEADS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_head(check, rule: str) -> None:
    check(rule)


def test_lda_without_shrinkage_agrees_with_scikit_learn() -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    generator = np.random.default_rng(0)
    rows = np.repeat(np.arange(4), 5000)
    features = generator.normal(CENTRES[rows][:, :6] / 20, 1.0)
    means = np.stack([features[rows == row].mean(axis=0) for row in range(4)])
    scatter = (features - means[rows]).T @ (features - means[rows]) / len(features)
    counts = np.full(4, 5000.0)
    found = solve_lda(Moments(("a", "b", "c", "d"), means, counts, scatter, 10**9))  # so many: λ → 0
    oracle = discriminant.LinearDiscriminantAnalysis(solver="lsqr", priors=[0.25] * 4).fit(features, rows)
    tests = generator.normal(CENTRES[rows[::50]][:, :6] / 20, 1.5)
    ours = found.scores(tests)
    theirs = oracle.decision_function(tests)
    assert (ours.argmax(1) == theirs.argmax(1)).mean() > 0.995
    # Scores agree up to a constant for each photo.
    np.testing.assert_allclose(ours - ours[:, :1], theirs - theirs[:, :1], rtol=0.02, atol=0.05)


def test_moments_equal_those_of_the_weighted_samples() -> None:
    known = evidence(factory=2, per_class=10, new=range(1, 3), shots=3)
    found = moments(known)
    factory, factory_labels = draw(range(2), 10)
    device, device_labels = draw(range(1, 3), 3, seed=2)
    codes = np.concatenate([factory, device]).astype(float)
    labels = np.array([*factory_labels, *device_labels])
    weights = np.array([1.0] * 20 + [20.0 if label == "class-0001" else 1.0 for label in device_labels])
    scatter = np.zeros((DIMENSION, DIMENSION))
    for index, label in enumerate(found.labels):
        rows = labels == label
        mean = np.average(codes[rows], axis=0, weights=weights[rows])
        np.testing.assert_allclose(found.means[index], mean)
        assert found.effective[index] == pytest.approx(weights[rows].sum() ** 2 / (weights[rows] ** 2).sum())
        centred = codes[rows] - mean
        scatter += (centred * weights[rows, None]).T @ centred
    np.testing.assert_allclose(found.scatter, scatter / weights.sum(), atol=1e-6)


def test_a_thing_far_from_everything_is_unknown_and_known_things_mostly_are_not() -> None:
    head = fit_head(evidence(factory=4, per_class=60))
    strange, _ = draw(range(500, 520), 5)
    familiar, _ = draw(range(4), 50, seed=4)
    assert head.predict(strange)[1].mean() > 0.9
    assert head.predict(familiar)[1].mean() < 0.15


def test_an_unknown_rule_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="expected one of familiar"):
        fit_head(evidence(), "forest")


def test_arrays_that_are_no_head_are_refused() -> None:
    known = evidence()
    arrays = fit_head(known).to_arrays()
    for damage in ({"weights": arrays["weights"][:1]}, {"owner": arrays["owner"] + 9}, {"rule": np.zeros(1, np.uint8)}):
        with pytest.raises(InputError):
            Head.from_arrays(arrays | damage, known.references)
