"""The audit of shrinkage: one eigendecomposition says what every strength would give."""

import numpy as np
import pytest

from edgetl.evaluation.shrinkage_audit import STRENGTHS, audit_shrinkage
from edgetl_device.heads import evidence as evidence_module
from edgetl_device.heads.evidence import Evidence, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.statistics import statistics_of

DIMENSION = 40


def known(per_class: int, holdout: int = 100, tangled: float = 0.4) -> Evidence:
    generator = np.random.default_rng(0)
    centres = generator.normal(100, 5, size=(5, DIMENSION))
    mixing = np.eye(DIMENSION) + generator.normal(0, tangled, size=(DIMENSION, DIMENSION))

    def draw(count: int) -> tuple[np.ndarray, list[str]]:
        rows = np.repeat(np.arange(5), count)
        noise = generator.normal(0, 6, size=(len(rows), DIMENSION)) @ mixing
        return np.clip(centres[rows] + noise, 0, 255).astype(np.uint8), [f"class-{row}" for row in rows]

    codes, labels = draw(per_class)
    held, held_labels = draw(holdout)
    return gather(statistics_of(codes, labels, "b", "r"), held, held_labels, codes[:0], (), "r")


def accuracy(evidence: Evidence) -> float:
    head = fit_head(evidence)
    return float(np.mean(np.asarray(head.labels)[head.holdout_scores.argmax(1)] == np.asarray(evidence.holdout_labels)))


@pytest.mark.parametrize("strength", [0.125, 1.0, 8.0])
def test_every_strength_gives_what_a_solve_with_that_strength_gives(strength, monkeypatch) -> None:
    found = audit_shrinkage(known(30))
    assert found is not None and found.samples == 500
    plain = evidence_module.variances
    monkeypatch.setattr(evidence_module, "variances", lambda statistics: strength * plain(statistics))
    assert found.accuracies[strength] == pytest.approx(accuracy(known(30)), abs=0.0021)  # one photo of 500


@pytest.mark.parametrize("per_class", [4, 30, 300])
def test_the_rule_is_near_the_best_with_few_and_with_many_photos(per_class: int) -> None:
    found = audit_shrinkage(known(per_class, tangled=0.05))
    assert found is not None and set(found.accuracies) == set(STRENGTHS)
    assert found.lost <= 0.02 and str(found).startswith("shrinkage by rule: ")


def test_where_noise_hides_in_a_few_directions_the_rule_loses_and_says_so() -> None:
    found = audit_shrinkage(known(30))
    assert found is not None and found.best < 1 and found.lost > 0.05
    assert str(found).startswith("warning: shrinkage by rule: ")


def test_without_a_holdout_there_is_nothing_to_ask() -> None:
    assert audit_shrinkage(known(30, holdout=0)) is None
