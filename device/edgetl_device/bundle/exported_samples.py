"""The samples that a device exports: their codes, labels and runtimes, by the numbers that its store gave them.

Numbers are never used twice in a store, so what was learned and forgotten between two exports is told by them alone:
the receiver takes rows away that the device no longer has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Arrays, pack, text_array, text_values, unpack
from ..codes import MAX_DIMENSION, Codes
from ..errors import InputError
from ..labels import MAX_LABELS
from ..projection import Projection
from ..statistics import MAX_RUNTIMES, Int64, Statistics, statistics_of

Places = npt.NDArray[np.uint16]

_MEMBERS = frozenset({"backbone", "labels", "runtimes", "ids", "label_of", "runtime_of", "codes"})


@dataclass(frozen=True, eq=False)
class ExportedSamples:
    """n samples, by ascending number.

    Args:
        backbone: digest of the backbone that made the codes.
        labels: those that occur, sorted.
        runtimes: those that occur, sorted.
        ids: (n,) int64, positive.
        label_of, runtime_of: (n,) uint16, places in ``labels`` and ``runtimes``.
        codes: (n, d) uint8.
    """

    backbone: str
    labels: tuple[str, ...]
    runtimes: tuple[str, ...]
    ids: Int64
    label_of: Places
    runtime_of: Places
    codes: Codes

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> dict[str, int]:
        """Label → samples."""
        return dict(zip(self.labels, np.bincount(self.label_of, minlength=len(self.labels)).tolist(), strict=True))

    def statistics(self, projection: Projection | None = None) -> Statistics:
        """Their exact sums, with moments of each class along a projection where one is given."""
        runtimes = [self.runtimes[place] for place in self.runtime_of]
        return statistics_of(self.codes, self._label_of_each(), self.backbone, runtimes, projection)

    def with_labels(self, names: Mapping[str, str]) -> ExportedSamples:
        """The same samples under other labels; those that are not in ``names`` stay."""
        labels = [names.get(label, label) for label in self._label_of_each()]
        runtimes = [self.runtimes[place] for place in self.runtime_of]
        return samples_of(self.backbone, self.ids, labels, runtimes, self.codes)

    def label_by_id(self) -> dict[int, str]:
        """Number of each sample → its label."""
        return dict(zip(self.ids.tolist(), self._label_of_each(), strict=True))

    def at(self, rows: npt.NDArray[np.intp]) -> ExportedSamples:
        """Some of them, by ascending rows."""
        labels = self._label_of_each()
        chosen = rows.tolist()
        runtimes = [self.runtimes[self.runtime_of[row]] for row in chosen]
        return samples_of(self.backbone, self.ids[rows], [labels[row] for row in chosen], runtimes, self.codes[rows])

    def changed(self, removed: Int64, added: ExportedSamples) -> ExportedSamples:
        """Without the samples of these numbers, and with others.

        Raises:
            InputError: a sample is to be removed that is not there, or is there already that is to be added.
        """
        if (self.backbone, self.codes.shape[1]) != (added.backbone, added.codes.shape[1]):
            raise InputError("changes of samples of another backbone")
        if not np.isin(removed, self.ids).all():
            raise InputError("a sample is to be removed that is not there")
        kept = self.at(np.flatnonzero(~np.isin(self.ids, removed)))
        ids = np.concatenate([kept.ids, added.ids])
        order = np.argsort(ids, kind="stable")
        if (np.diff(ids[order]) == 0).any():
            raise InputError("a sample is to be added that is there already")
        labels = kept._label_of_each() + added._label_of_each()
        runtimes = [part.runtimes[place] for part in (kept, added) for place in part.runtime_of]
        return samples_of(
            self.backbone,
            ids[order],
            [labels[row] for row in order],
            [runtimes[row] for row in order],
            np.concatenate([kept.codes, added.codes])[order],
        )

    def to_arrays(self) -> Arrays:
        """What a file holds."""
        return {
            "backbone": text_array((self.backbone,)),
            "labels": text_array(self.labels),
            "runtimes": text_array(self.runtimes),
            "ids": self.ids,
            "label_of": self.label_of,
            "runtime_of": self.runtime_of,
            "codes": self.codes,
        }

    def to_bytes(self) -> bytes:
        """A deterministic serialisation: the same samples give the same bytes, however they came together."""
        return pack(self.to_arrays())

    @classmethod
    def from_bytes(cls, data: bytes) -> ExportedSamples:
        """The inverse of :meth:`to_bytes`; raises InputError on anything else."""
        return cls.from_arrays(unpack(data, _MEMBERS))

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> ExportedSamples:
        """The inverse of :meth:`to_arrays`; raises InputError on anything else."""
        if set(arrays) != _MEMBERS:
            raise InputError(f"expected the arrays {sorted(_MEMBERS)}, got {sorted(arrays)}")
        try:
            (backbone,) = text_values(arrays["backbone"], 1)
        except ValueError:
            raise InputError("not samples: expected one backbone") from None
        labels, runtimes = text_values(arrays["labels"], MAX_LABELS), text_values(arrays["runtimes"], MAX_RUNTIMES)
        codes, ids = arrays["codes"], arrays["ids"]
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] > MAX_DIMENSION:
            raise InputError(f"not samples: expected codes, got {codes.shape} {codes.dtype}")
        if ids.dtype != np.int64 or ids.shape != (len(codes),) or (ids < 1).any() or (ids[1:] <= ids[:-1]).any():
            raise InputError("not samples: expected ascending numbers")
        places = [
            _places(arrays[name], names, len(ids)) for name, names in (("label_of", labels), ("runtime_of", runtimes))
        ]
        return cls(backbone, labels, runtimes, ids, places[0], places[1], codes)

    def _label_of_each(self) -> list[str]:
        return [self.labels[place] for place in self.label_of]


def samples_of(
    backbone: str, ids: npt.ArrayLike, labels: list[str], runtimes: list[str], codes: Codes
) -> ExportedSamples:
    """Samples by ascending numbers (n,), with n labels and runtimes and (n, d) uint8 codes → ExportedSamples."""
    names, label_of = _distinct(labels)
    ran, runtime_of = _distinct(runtimes)
    return ExportedSamples(backbone, names, ran, np.asarray(ids, np.int64), label_of, runtime_of, codes)


def no_samples(backbone: str, dimension: int) -> ExportedSamples:
    """Nothing learned, or nothing left."""
    return samples_of(backbone, (), [], [], np.zeros((0, dimension), np.uint8))


def changes(before: Mapping[int, str], now: ExportedSamples) -> tuple[Int64, ExportedSamples]:
    """What became of samples: numbers to remove, and samples to add; one that was relabelled is both.

    Args:
        before: number → label, of those that are known elsewhere.
    """
    labels = now.label_by_id()
    removed = sorted(identity for identity, label in before.items() if labels.get(identity) != label)
    rows = [row for row, (identity, label) in enumerate(labels.items()) if before.get(identity) != label]
    return np.array(removed, np.int64), now.at(np.array(rows, np.intp))


def _distinct(values: list[str]) -> tuple[tuple[str, ...], Places]:
    names = tuple(sorted(set(values)))
    place_of = {name: place for place, name in enumerate(names)}
    return names, np.array([place_of[value] for value in values], np.uint16)


def _places(array: npt.NDArray[Any], names: tuple[str, ...], count: int) -> Places:
    if array.dtype != np.uint16 or array.shape != (count,) or list(names) != sorted(set(names)):
        raise InputError("not samples: expected sorted names and places in them")
    if not np.array_equal(np.unique(array), np.arange(len(names))):
        raise InputError("not samples: names that no sample has")
    return array
