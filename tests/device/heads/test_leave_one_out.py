import numpy as np
import pytest
from conftest import some_projection

from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import fit_head
from edgetl_device.statistics import Statistics, no_statistics, statistics_of

DIMENSION = 48
CENTRES = np.random.default_rng(9).gamma(2.0, 20.0, (5, DIMENSION))


def draw(count: int, classes: range, seed: int) -> tuple[np.ndarray, tuple[str, ...]]:
    generator = np.random.default_rng(seed)
    rows = generator.permutation(np.resize(np.arange(classes.start, classes.stop), count))
    codes = np.clip(generator.normal(CENTRES[rows], 40.0), 0, 255).astype(np.uint8)
    return codes, tuple(f"class-{row}" for row in rows)


def refitted(factory: Statistics, codes: np.ndarray, labels: tuple[str, ...], rule: str) -> list[np.ndarray]:
    """The oracle: a head fitted without the sample, for each sample."""
    found = []
    for row in range(len(codes)):
        kept = np.arange(len(codes)) != row
        names = [label for label, keep in zip(labels, kept, strict=True) if keep]
        head = fit_head(gather(factory, codes[:0], (), codes[kept], names, "r"), rule)
        found.append(head.scorer.scores(codes[row : row + 1])[0])
    return found


def relative(scores: np.ndarray) -> np.ndarray:
    return (scores - scores.max()) / np.ptp(scores)


@pytest.mark.parametrize("rule", ["gaussian", "predictive"])
def test_in_closed_form_it_is_what_refitting_without_the_sample_gives(rule: str) -> None:
    factory = statistics_of(*draw(300, range(3), 1), "b", "r", some_projection(DIMENSION))
    codes, labels = draw(40 if rule == "predictive" else 80, range(5), 2)
    evidence = gather(factory, codes[:0], (), codes, labels, "r")
    head = fit_head(evidence, rule)
    found = head.scorer.scores_without_each(evidence, codes, labels)
    oracle = refitted(factory, codes, labels, rule)
    learned = head.scorer.scores(codes)
    errors = [np.abs(relative(a) - relative(b)).max() for a, b in zip(found, oracle, strict=True)]
    naive = [np.abs(relative(a) - relative(b)).max() for a, b in zip(learned, oracle, strict=True)]
    assert max(errors) < 0.05 and np.median(errors) < 0.1 * np.median(naive)


def test_without_a_factory_it_is_close_too() -> None:
    codes, labels = draw(40, range(4), 3)
    nothing = no_statistics("b", DIMENSION)
    evidence = gather(nothing, codes[:0], (), codes, labels, "r")
    found = fit_head(evidence).scorer.scores_without_each(evidence, codes, labels)
    oracle = refitted(nothing, codes, labels, "predictive")
    same = [a.argmax() == b.argmax() for a, b in zip(found, oracle, strict=True)]
    assert np.mean(same) >= 0.95
    assert np.median([np.abs(relative(a) - relative(b)).max() for a, b in zip(found, oracle, strict=True)]) < 0.1


@pytest.mark.parametrize("rule", ["lda", "prototype", "softmax"])
def test_other_rules_are_fitted_again_without_a_fifth(rule: str) -> None:
    factory = statistics_of(*draw(300, range(3), 1), "b", "r")
    codes, labels = draw(20, range(5), 2)
    evidence = gather(factory, codes[:0], (), codes, labels, "r")
    found = fit_head(evidence, rule).scorer.scores_without_each(evidence, codes, labels)
    oracle = refitted(factory, codes, labels, rule)
    assert np.mean([a.argmax() == b.argmax() for a, b in zip(found, oracle, strict=True)]) >= 0.85


@pytest.mark.parametrize("rule", ["gaussian", "predictive", "lda"])
def test_the_only_sample_of_a_class_leaves_it_empty(rule: str) -> None:
    factory = statistics_of(*draw(60, range(3), 1), "b", "r", some_projection(DIMENSION))
    codes, _ = draw(1, range(4, 5), 2)
    evidence = gather(factory, codes[:0], (), codes, ("class-4",), "r")
    head = fit_head(evidence, rule)
    (scores,) = head.scorer.scores_without_each(evidence, codes, ("class-4",))
    assert scores[head.labels.index("class-4")] == -np.inf and np.isfinite(scores[:3]).all()


def test_without_the_only_sample_of_all_nothing_is_known() -> None:
    codes, labels = draw(1, range(2), 2)
    evidence = gather(no_statistics("b", DIMENSION), codes[:0], (), codes, labels, "r")
    assert fit_head(evidence).scorer.scores_without_each(evidence, codes, labels).tolist() == [[-np.inf]]


def test_a_rule_that_learns_from_recent_samples_does_not_see_those_that_are_left_out() -> None:
    """A softmax that had seen them would call nearly all of these random labels right."""
    factory = statistics_of(*draw(300, range(3), 1), "b", "r")
    codes, _ = draw(60, range(3), 2)
    labels = tuple(f"class-{row}" for row in np.random.default_rng(0).integers(0, 3, 60))
    evidence = gather(factory, codes[:0], (), codes, labels, "r")
    head = fit_head(evidence, "softmax")
    without = head.scorer.scores_without_each(evidence, codes, labels)
    fitted = [scores[list(head.labels).index(label)] for scores, label in zip(without, labels, strict=True)]
    five = [fit_without(evidence, codes, labels, fold) for fold in range(5)]
    expected = [five[row % 5][row // 5][list(head.labels).index(labels[row])] for row in range(60)]
    np.testing.assert_allclose(fitted, expected, rtol=1e-5, atol=1e-4)


def fit_without(evidence, codes: np.ndarray, labels: tuple[str, ...], fold: int) -> np.ndarray:
    """The oracle: scores of each fifth by a head that was made from the other four alone."""
    kept = np.arange(len(codes)) % 5 != fold
    names = [label for label, keep in zip(labels, kept, strict=True) if keep]
    others = gather(evidence.factory, codes[:0], (), codes[kept], names, "r")
    return fit_head(others, "softmax").scorer.scores(codes[~kept])
