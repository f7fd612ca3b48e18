"""The parity gate: what conversion may cost, and when nothing can be said about that."""

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
    gate(parity, 0.1 + 1e-9, "", 3)
    with pytest.raises(
        CheckFailedError, match=r"costs 0\.100 of accuracy .* on 10 held-out photos.*nothing was written"
    ):
        gate(parity, 0.05, "", 3)


@pytest.mark.parametrize(
    ("float_accuracy", "converted", "agreement", "samples", "classes", "blind"),
    [
        (0.08, 0.83, 0.10, 24, 3, "the float model is right on 8% of 24 held-out photos"),  # labels in another order
        (0.33, 0.30, 0.90, 24, 3, "the float model is right on 33% of 24 held-out photos"),  # both guess alike
        (0.12, 0.12, 0.12, 100, 10, "the float model is right on 12% of 100 held-out photos"),
        (0.55, 0.60, 0.30, 24, 3, "the float and the converted model agree on 30% of 24 held-out photos"),
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
