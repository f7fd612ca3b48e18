"""What a learner keeps in memory of the stored samples: their statistics, and the newest codes of each label."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..bundle.content import BundleContent
from ..codes import Codes, CodeTransform, Int8
from ..heads.evidence import Evidence, carry_over
from ..heads.novelty import RECENT_PER_CLASS, remembered_per_class
from ..heads.precision import MOST_ROWS
from ..projection import Projection
from ..statistics import Statistics, no_statistics, statistics_of

Block = tuple[list[int], list[str], list[str], Int8]
"""Ids, labels, runtimes and (n, d) int8 raw embeddings."""

_Newest = deque[tuple[int, npt.NDArray[np.uint8]]]


@dataclass
class SampleSummary:
    """Grows by addition and needs the same room for a thousand and a million samples.

    Args:
        statistics: of all samples that were added.
        last: the largest id among them, or 0.
    """

    statistics: Statistics
    last: int = 0
    _newest: dict[str, _Newest] = field(default_factory=dict)
    _evidence: Evidence | None = None  # the last that was made
    _added: list[tuple[Codes, list[str]]] | None = field(default_factory=list)  # since then; None: too many

    @classmethod
    def empty(cls, backbone: str, dimension: int, projection: Projection | None = None) -> SampleSummary:
        """Nothing learned yet; ``projection`` is the bundle's."""
        return cls(no_statistics(backbone, dimension, projection))

    def add(self, blocks: Iterable[Block], transform: CodeTransform) -> None:
        """More samples, with ascending ids."""
        for ids, labels, runtimes, raw in blocks:
            codes = transform(raw)
            known = self.statistics
            self.statistics = known + statistics_of(codes, labels, known.backbone, runtimes, known.projection)
            for identity, label, code in zip(ids, labels, codes, strict=True):
                # A copy: a row would keep its whole block in memory.
                self._newest.setdefault(label, deque(maxlen=RECENT_PER_CLASS)).append((identity, code.copy()))
            self._let_go_of_the_oldest()
            self.last = ids[-1]
            if self._added is not None:
                self._added.append((codes, labels))
                if sum(len(block) for block, _ in self._added) > MOST_ROWS:  # solving is cheaper than updating
                    self._evidence = self._added = None

    def _let_go_of_the_oldest(self) -> None:
        """Where there are so many labels that all together would be too much to remember."""
        most = remembered_per_class(len(codes) for codes in self._newest.values())
        for codes in self._newest.values():
            while len(codes) > most:
                codes.popleft()

    def newest(self, after: int = 0) -> tuple[list[int], tuple[str, ...], Codes]:
        """Ids, labels and (r, d) uint8 codes of the newest samples of each label, by id; only those with larger ids."""
        rows = sorted((i, label, code) for label, codes in self._newest.items() for i, code in codes if i > after)
        codes = np.stack([row[2] for row in rows]) if rows else np.zeros((0, self.statistics.dimension), np.uint8)
        return [row[0] for row in rows], tuple(row[1] for row in rows), codes

    def evidence(self, factory: BundleContent, hidden: frozenset[str]) -> Evidence:
        """With what the factory brought: all that a head may be fitted on.

        What was worked out of the last evidence is updated where few samples came since.
        """
        _, labels, codes = self.newest()
        known = factory.evidence(codes[:0], (), "", hidden)
        evidence = replace(known, device=self.statistics, recent=codes, recent_labels=labels)
        if self._added is not None:
            added = np.concatenate([codes[:0], *(block for block, _ in self._added)])
            carry_over(self._evidence or known, evidence, added, [label for _, names in self._added for label in names])
        self._evidence, self._added = evidence, []
        return evidence
