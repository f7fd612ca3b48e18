"""Everything a head may be fitted on, and what is worked out of it once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..codes import Codes
from ..statistics import Statistics, no_statistics, statistics_of
from .neighbours import Bank, unit
from .precision import MOST_ROWS, Matrix, Precision, Vector, solve_precision
from .relative import RelativeDistance
from .scatter import device_weight, directions, freedom, label_rows, row_products, scatter, variances
from .space import Space

_BLOCK_ROWS = 256  # multiplied by the core at once, to spare memory: with fewer that takes longer


@dataclass(frozen=True, eq=False)
class Correction:
    """What the factory's embeddings ask of scores beyond their statistics (see :mod:`.softmax`).

    Args:
        labels: (C,).
        weights: (C, d) float32.
        bias: (C,) float32.
    """

    labels: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]


@dataclass(eq=False)
class Solution:
    """What was worked out of one evidence so far, each part when it was first asked for; None: not yet.

    These are the parts that :func:`carry_over` saves from being worked out again when samples are added.

    Args:
        bank: the holdout, less what is hidden.
        core: see :attr:`Evidence.core`.
        core_distances: see :attr:`Evidence.core_distances`.
        holdout_projected: see :attr:`Evidence.holdout_projected`.
        space: see :attr:`Evidence.space`.
        relative: see :func:`~.strangers.relative_of`.
        carried_over: whether any of it was: then the last bits are not those of what is solved anew.
    """

    bank: Bank | None = None
    core: Precision | None = None
    core_distances: Vector | None = None
    holdout_projected: Matrix | None = None
    space: Space | None = None
    relative: RelativeDistance | None = None
    carried_over: bool = False

    @property
    def is_begun(self) -> bool:
        """Whether anything was worked out."""
        return self.carried_over or any(part is not None for name, part in vars(self).items() if name != "carried_over")


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known: from the factory, from the device, and held out.

    Args:
        factory: statistics the bundle brought.
        device: statistics of the device's samples.
        holdout: (h, d) uint8 codes that are in no statistics; temperatures and thresholds are set on them.
        holdout_labels: h labels.
        recent: (r, d) uint8 codes of device samples, to recognise again what was learned here.
        recent_labels: r labels.
        origin: the code of the value 0 (see :class:`~edgetl_device.codes.CodeTransform`).
        hidden: factory labels that were forgotten: never predicted.
        correction: of the factory's embeddings, which a device does not have; None where none was fitted.
        factory_precision: precision of the factory alone, where it was solved before.
        solution: of this very evidence; ``replace`` starts a new one.
    """

    factory: Statistics
    device: Statistics
    holdout: Codes
    holdout_labels: tuple[str, ...]
    recent: Codes
    recent_labels: tuple[str, ...]
    origin: int = 0
    hidden: frozenset[str] = frozenset()
    correction: Correction | None = None
    factory_precision: Precision | None = None
    solution: Solution = field(default_factory=Solution, init=False, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """All classes that can be predicted, sorted."""
        return tuple(sorted({*self.factory.labels, *self.device.labels} - self.hidden))

    @property
    def bank(self) -> Bank:
        """The holdout, less what is hidden, to compare with."""
        if self.solution.bank is None:
            shown = np.array([label not in self.hidden for label in self.holdout_labels], bool)
            vectors = unit(self.holdout[shown], self.origin)
            self.solution.bank = Bank(vectors, np.asarray(self.holdout_labels, np.str_)[shown])
        return self.solution.bank

    @property
    def core(self) -> Precision:
        """Of the scatter within each class and origin, factory's and device's samples alike; needs one sample."""
        if self.solution.core is None:
            self.solution.core = self._solved_core()
        return self.solution.core

    @property
    def space(self) -> Space:
        """Where strangers are told, by the factory alone, which must have samples."""
        if self.solution.space is None:
            nothing = no_statistics(self.factory.backbone, self.factory.dimension, self.factory.projection)
            alone = self.core if not self.device.samples else self.factory_precision
            alone = alone or replace(self, device=nothing, recent=self.recent[:0], recent_labels=()).core
            self.solution.space = Space(self.centre, alone, self.factory.projection)
        return self.solution.space

    def _solved_core(self) -> Precision:
        if self.factory_precision is not None and len(self.recent) == self.device.samples <= MOST_ROWS:
            nothing = no_statistics(self.device.backbone, self.device.dimension)
            return self.factory_precision.updated(directions(nothing, self.recent, self.recent_labels), self.samples)
        return solve_precision(scatter(self.factory, self.device), self._variances(), self.samples)

    @cached_property
    def precision(self) -> Precision:
        """The core, and the shifts from one origin to the other.

        A class that moved between the factory and here varies along its shift: n m / (n + m) · δ δᵀ, δ the difference
        of its means, where m counts device samples with their weight, so that a few of them already tell the shift.
        """
        shifts = self.shifts
        if len(self.core.rows) + len(shifts) <= MOST_ROWS:
            return self.core.updated(shifts, self.samples)
        moved = scatter(self.factory, self.device) + shifts.T @ shifts
        return solve_precision(moved, self._variances(), self.samples)

    @cached_property
    def shifts(self) -> Matrix:
        """(k, d) float32, one row for each class that both know: its way from the factory to here, weighted."""
        factory, device = self.factory, self.device
        shared = sorted({*factory.labels} & {*device.labels})
        there, here = label_rows(factory, shared), label_rows(device, shared)
        n, m = factory.counts[there], device_weight(factory.counts, device.counts) * device.counts[here]
        shifts = factory.sums[there] / factory.counts[there, None] - device.sums[here] / device.counts[here, None]
        return np.asarray(np.sqrt(n * m / (n + m))[:, None] * shifts, np.float32)

    @property
    def samples(self) -> int:
        """N, of the factory and the device."""
        return self.factory.samples + self.device.samples

    def _variances(self) -> Vector:
        return variances(self.factory if freedom(self.factory) else self.device)

    @cached_property
    def centre(self) -> npt.NDArray[np.float32]:
        """(d,) where scores are expanded: the mean of the factory's classes, or the device's where there are none."""
        known = self.factory if self.factory.labels else self.device
        return np.asarray((known.sums / known.counts[:, None]).mean(axis=0), np.float32)

    @property
    def core_distances(self) -> Vector:
        """(h,) yᵀ A⁻¹ y of the holdout with the core's A, y = code − centre: the costly part of its scores."""
        if self.solution.core_distances is None:
            distances = np.empty(len(self.holdout))
            for start in range(0, len(distances), _BLOCK_ROWS):
                y = self.holdout[start : start + _BLOCK_ROWS] - self.centre
                distances[start : start + _BLOCK_ROWS] = self.core.forms(y)
            self.solution.core_distances = distances
        return self.solution.core_distances

    @property
    def holdout_projected(self) -> Matrix:
        """(h, q) float32 projections of the holdout, less those of the centre; there must be a projection."""
        if self.solution.holdout_projected is None:
            projection = self.factory.projection
            assert projection is not None, "asked for where there is one"
            columns = projection.scaled.T.astype(np.float32)
            self.solution.holdout_projected = np.asarray((self.holdout - self.centre) @ columns, np.float32)
        return self.solution.holdout_projected

    @property
    def holdout_distances(self) -> Vector:
        """(h,) yᵀ P y of the holdout, y = code − centre."""
        if self.precision.base is not self.core.base:
            return self.precision.forms(self.holdout - self.centre) * self.samples
        along = (self.holdout - self.centre) @ self.precision.rows[len(self.core.rows) :].T
        return (self.core_distances - row_products(along, along)) * self.samples


def gather(
    factory: Statistics,
    holdout: Codes,
    holdout_labels: Sequence[str],
    codes: Codes,
    labels: Sequence[str],
    runtime: str | Sequence[str],
    *,
    origin: int = 0,
    hidden: frozenset[str] = frozenset(),
    correction: Correction | None = None,
    factory_precision: Precision | None = None,
) -> Evidence:
    """Factory statistics, holdout codes (h, d) and device samples' codes (n, d), with their labels → Evidence."""
    none = no_statistics(factory.backbone, factory.dimension, factory.projection)
    known = Evidence(
        factory, none, holdout, tuple(holdout_labels), codes[:0], (), origin, hidden, correction, factory_precision
    )
    return extend(known, codes, labels, runtime)


def extend(evidence: Evidence, codes: Codes, labels: Sequence[str], runtime: str | Sequence[str]) -> Evidence:
    """Evidence and more device samples → Evidence; what was worked out already is updated where that is cheaper."""
    if not len(labels):
        return evidence
    more = statistics_of(codes, labels, evidence.factory.backbone, runtime, evidence.factory.projection)
    after = replace(
        evidence,
        device=evidence.device + more,
        recent=np.concatenate([evidence.recent, codes]),
        recent_labels=(*evidence.recent_labels, *labels),
    )
    carry_over(evidence, after, codes, labels)
    return after


def carry_over(before: Evidence, after: Evidence, codes: Codes, labels: Sequence[str]) -> None:
    """Update what was worked out of one evidence for another that has these device samples (n, d) more.

    One more sample then costs products with a matrix, no solve. Nothing is carried over where a solve is cheaper.
    """
    known, new = before.solution, after.solution
    new.carried_over = known.is_begun
    new.bank, new.holdout_projected = known.bank, known.holdout_projected
    new.space, new.relative = known.space, known.relative
    if known.core is None or not freedom(before.factory):
        return
    added = directions(before.device, codes, labels)
    if len(known.core.rows) + len(added) > MOST_ROWS:
        return
    new.core = known.core.updated(added, known.core.samples + len(codes))
    if known.core_distances is not None:
        gained = (before.holdout - before.centre) @ new.core.rows[len(known.core.rows) :].T
        new.core_distances = known.core_distances - row_products(gained, gained)


def empty_evidence(backbone: str, dimension: int) -> Evidence:
    """Nothing known at all: what a ``--no-classes`` bundle starts from."""
    nothing, none = no_statistics(backbone, dimension), np.zeros((0, dimension), np.uint8)
    return Evidence(nothing, nothing, none, (), none, ())
