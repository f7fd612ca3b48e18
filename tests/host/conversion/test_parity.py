"""The parity gate: what conversion may cost, and when nothing can be said about that."""

import numpy as np
import pytest

pytest.importorskip("edgetl")

from edgetl.conversion.parity import Parity, compare, gate
from edgetl_device.errors import CheckFailedError


def test_parity_counts_against_a_hand_made_table() -> None:
    truth = ["cat"] * 4 + ["dog"] * 4 + ["eel"] * 2
    before = ["cat"] * 4 + ["dog"] * 3 + ["cat"] + ["eel"] * 2
    after = ["cat"] * 3 + ["dog"] * 5 + ["eel", "dog"]
    parity, worst = compare(truth, before, after)
    assert (parity.float_accuracy, parity.converted_accuracy, parity.agreement) == (0.9, 0.8, 0.7)
    assert (worst, parity.worst_class_drop, parity.samples) == ("eel", 0.5, 10)
    assert parity.noise == pytest.approx(3**0.5 / 10)  # a cat and an eel are lost, a dog is gained


def measured(samples: int, lost: int, gained: int) -> Parity:
    """Parity of photos of two classes, of which a fifth is wrong in both pipelines."""
    truth = ["a", "b"] * (samples // 2)
    wrong = {"a": "b", "b": "a"}
    before, after = list(truth), list(truth)
    for row in range(samples // 5):
        before[row] = after[row] = wrong[truth[row]]
    for row in range(samples // 5, samples // 5 + lost):
        after[row] = wrong[truth[row]]
    for row in range(gained):
        after[row] = truth[row]
    return compare(truth, before, after)[0]


@pytest.mark.parametrize(
    ("samples", "lost", "gained", "passes"),
    [
        (80, 1, 0, True),  # one photo of few is no evidence
        (80, 2, 0, True),
        (80, 3, 0, False),
        (80, 5, 3, True),  # many changes, most of them by chance
        (80, 8, 0, False),
        (10, 1, 0, True),
        (10, 2, 0, False),
        (1000, 10, 0, True),  # what --max-drop allows
        (1000, 13, 0, True),
        (1000, 14, 0, False),
        (1000, 45, 25, False),
        (1000, 40, 30, True),
        (10_000, 100, 0, True),
        (10_000, 120, 0, False),  # with very many photos chance is no excuse
    ],
)
def test_a_drop_counts_when_it_is_more_than_chance(samples, lost, gained, passes, caplog) -> None:
    caplog.set_level("INFO")
    parity = measured(samples, lost, gained)
    assert parity.drop == pytest.approx((lost - gained) / samples) and parity.changed == lost + gained
    if passes:
        gate(parity, 0.01, "", 2)
        assert ("it may be chance" in caplog.text) == (lost - gained > 0.01 * samples)
        return
    match = rf"costs {parity.drop:.3f} of accuracy .* on {samples} held-out photos.*nothing was written"
    with pytest.raises(CheckFailedError, match=match):
        gate(parity, 0.01, "", 2)
    gate(parity, 0.2, "", 2)


def test_chance_alone_is_refused_seldom_and_a_true_loss_nearly_always() -> None:
    """Conversions of 400 photos that change 6 of 100: with no true loss, and with one of 0.04."""
    generator = np.random.default_rng(0)
    refused = {}
    for true_loss in (0.0, 0.04):
        share = (0.06 + true_loss) / 2
        lost, gained = generator.multinomial(400, [share, 0.06 - share, 0.94], 2000)[:, :2].T
        refused[true_loss] = float((lost - gained > 0.01 * 400 + np.sqrt(lost + gained)).mean())
        chosen = [
            Parity(0.9, 0.9 - (b - c) / 400, 0.94, 0.0, 400, int(b + c)) for b, c in zip(lost, gained, strict=True)
        ]
        assert refused[true_loss] == np.mean([stopped(parity) for parity in chosen])
    assert refused[0.0] < 0.05 and refused[0.04] > 0.9


def stopped(parity: Parity) -> bool:
    try:
        gate(parity, 0.01, "", 2)
    except CheckFailedError:
        return True
    return False


@pytest.mark.parametrize(
    ("float_accuracy", "converted", "agreement", "samples", "classes", "blind"),
    [
        (0.08, 0.83, 0.10, 24, 3, "the float model is right on 8 % of 24 held-out photos"),  # labels in another order
        (0.33, 0.30, 0.90, 24, 3, "the float model is right on 33 % of 24 held-out photos"),  # both guess alike
        (0.12, 0.12, 0.12, 100, 10, "the float model is right on 12 % of 100 held-out photos"),
        (0.55, 0.60, 0.30, 24, 3, "the float and the converted model agree on 30 % of 24 held-out photos"),
        (0.50, 0.60, 0.60, 24, 3, None),
        (5 / 6, 5 / 6, 5 / 6, 6, 2, None),
        (0.30, 0.30, 0.30, 100, 10, None),
        (1.0, 1.0, 1.0, 4, 1, None),
    ],
)
def test_a_reference_no_better_than_guessing_checks_nothing_and_that_is_said(
    float_accuracy, converted, agreement, samples, classes, blind
) -> None:
    parity = Parity(float_accuracy, converted, agreement, 0.0, samples)
    if blind is None:
        gate(parity, 0.1, "", classes)
        return
    with pytest.raises(CheckFailedError, match=f"{blind}, no better than guessing among {classes} classes.*--labels"):
        gate(parity, 0.1, "", classes)
    gate(parity, 1.0, "", classes)
