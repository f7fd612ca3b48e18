"""What is new since the active version: samples that no head has learned and no person has decided about."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..bundle.content import BundleContent
from ..codes import Codes
from ..store.store import Store

MOST_JUDGED = 4096  # samples, the newest: 5 MB of codes; what else came with them shares the verdict on their label


@dataclass(frozen=True, eq=False)
class Lesson:
    """New samples.

    Args:
        ids: (n,) ascending.
        labels: (n,).
        runtimes: (n,) what made their embeddings.
        codes: (n, d) uint8.
        confirmed: (n,) bool, whether a person said that the label is right.
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.str_]
    runtimes: tuple[str, ...]
    codes: Codes
    confirmed: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Lesson:
        """Some of them."""
        runtimes = tuple(self.runtimes[row] for row in np.flatnonzero(chosen))
        return Lesson(self.ids[chosen], self.labels[chosen], runtimes, self.codes[chosen], self.confirmed[chosen])

    def without(self, ids: Sequence[int]) -> Lesson:
        """Those with other ids."""
        return self.where(~np.isin(self.ids, np.asarray(ids, np.int64)))

    def of(self, labels: Sequence[str]) -> Lesson:
        """Those of some labels."""
        return self.where(np.isin(self.labels, np.asarray(labels, np.str_)))

    @property
    def names(self) -> list[str]:
        """The labels among them, each once, sorted."""
        return sorted(str(label) for label in set(self.labels))


def new_samples(factory: BundleContent, store: Store, after: int) -> Lesson:
    """What is stored with larger ids and not pending; of very many the newest."""
    bundle = factory.bundle
    newest: deque[tuple[int, str, str, npt.NDArray[np.uint8]]] = deque(maxlen=MOST_JUDGED)
    for ids, labels, runtimes, raw in store.embeddings(bundle.backbone_digest, bundle.codes.dimension, after=after):
        newest.extend(zip(ids, labels, runtimes, bundle.codes(raw), strict=True))
    confirmed = store.confirmed(after)
    return Lesson(
        np.array([row[0] for row in newest], np.int64),
        np.array([row[1] for row in newest], np.str_),
        tuple(row[2] for row in newest),
        np.stack([row[3] for row in newest]) if newest else np.zeros((0, bundle.codes.dimension), np.uint8),
        np.array([row[0] in confirmed for row in newest], bool),
    )


def older_samples(factory: BundleContent, store: Store, after: int, before: int, label: str) -> Iterator[int]:
    """Ids of a label's samples between two ids: what :func:`new_samples` had no room for."""
    bundle = factory.bundle
    for ids, labels, _, _ in store.embeddings(
        bundle.backbone_digest, bundle.codes.dimension, after=after, up_to=before - 1
    ):
        yield from (number for number, name in zip(ids, labels, strict=True) if name == label)
