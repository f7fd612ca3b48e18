"""The parity gate: the converted pipeline against the float one, on photos that neither was fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgetl_device import metrics
from edgetl_device.console import note
from edgetl_device.errors import CheckFailedError
from edgetl_device.percent import percent

_ROUNDING = 1e-9  # of differences of shares


@dataclass(frozen=True)
class Parity:
    """The converted pipeline against the float one, on held-out photos.

    Args:
        float_accuracy, converted_accuracy: 0 … 1.
        agreement: share of photos with the same top label.
        worst_class_drop: largest loss of recall of a class, negative where every class gained.
        samples: how many photos.
        changed: how many of them only one of the two pipelines gets right.
    """

    float_accuracy: float
    converted_accuracy: float
    agreement: float
    worst_class_drop: float
    samples: int
    changed: int = 0

    @property
    def drop(self) -> float:
        """What conversion cost, negative where it gained."""
        return self.float_accuracy - self.converted_accuracy

    @property
    def noise(self) -> float:
        """The standard error of :attr:`drop`.

        Photos that both get right, or both wrong, say nothing of it. Of the m others each is lost or gained, which
        flips like a coin where conversion costs nothing: their difference varies by √m (McNemar, Psychometrika 1947,
        https://doi.org/10.1007/BF02295996).
        """
        return float(self.changed**0.5 / self.samples) if self.samples else 0.0

    def to_json(self) -> dict[str, Any]:
        """What manifest and ``--json`` hold."""
        return {name: value for name, value in asdict(self).items() if name != "changed"}


def compare(truth: Sequence[str], before: Sequence[str], after: Sequence[str]) -> tuple[Parity, str]:
    """Labels of n held-out photos, and what the float and the converted pipeline say → parity and the worst class."""
    classes = sorted(set(truth))
    index = {label: number for number, label in enumerate(sorted({*truth, *before, *after}))}
    actual, one, other = (np.array([index[label] for label in column], np.intp) for column in (truth, before, after))
    recalls = [metrics.per_class_recall(actual, labels, len(index)) for labels in (one, other)]
    drops = [float(recalls[0][index[label]] - recalls[1][index[label]]) for label in classes]
    worst = int(np.argmax(drops))
    parity = Parity(
        metrics.accuracy(actual, one),
        metrics.accuracy(actual, other),
        float((one == other).mean()),
        drops[worst],
        len(actual),
        int(((actual == one) != (actual == other)).sum()),
    )
    return parity, classes[worst]


def gate(parity: Parity, max_drop: float, advice: str, classes: int) -> None:
    """Say no if conversion costs too much accuracy, or if nothing can be said about that.

    An accuracy that was measured on few photos is not exact: one photo of 80 is 0.0125. So conversion may cost what
    ``max_drop`` says and one standard error more (:attr:`Parity.noise`), and what passes by that is told.

    A float model that guesses is nothing to hold a conversion against: its labels may be in another order than its
    outputs, or its photos scaled otherwise than in its training.

    Args:
        max_drop: accuracy that conversion may cost; 1 lets everything pass.
        advice: what may help.
        classes: how many the photos show.

    Raises:
        CheckFailedError: it costs more, or the reference is blind.
    """
    blind = _blindness(parity, classes)
    if blind and max_drop < 1:
        raise CheckFailedError(
            f"{blind}, no better than guessing among {classes} classes, so the conversion cannot be checked. Are the "
            "labels in the order of the model's outputs (--labels)? Are pixels scaled as in its training (--scale)? "
            "Nothing was written; --max-drop 1 converts without this check"
        )
    if not parity.drop <= max_drop + parity.noise + _ROUNDING:  # so that NaN is a no
        raise CheckFailedError(
            f"conversion costs {parity.drop:.3f} of accuracy ({parity.float_accuracy:.3f} -> "
            f"{parity.converted_accuracy:.3f} on {parity.samples} held-out photos), "
            f"more than --max-drop {max_drop}; nothing was written. {advice}"
        )
    if parity.drop > max_drop + _ROUNDING:
        note(
            f"conversion costs {parity.drop:.3f} of accuracy, more than --max-drop {max_drop}, but on "
            f"{parity.samples} held-out photos such a difference is uncertain by {parity.noise:.3f}: it may be chance. "
            "More held-out photos would tell"
        )


def _blindness(parity: Parity, classes: int) -> str | None:
    """What is within one standard error of guessing, or None."""
    if classes < 2 or not parity.samples:
        return None
    chance = 1 / classes
    guessing = chance + (chance * (1 - chance) / parity.samples) ** 0.5
    photos = f"of {parity.samples} held-out photos"
    if parity.float_accuracy <= guessing:
        return f"the float model is right on {percent(parity.float_accuracy)} {photos}"
    if parity.agreement <= guessing:
        return f"the float and the converted model agree on {percent(parity.agreement)} {photos}"
    return None
