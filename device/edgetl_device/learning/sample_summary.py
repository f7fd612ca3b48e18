"""What a learner keeps in memory of the stored samples: their statistics, and the newest codes of each label."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..arrays import pack, text_array, text_values, unpack
from ..bundle.content import BundleContent
from ..codes import Codes, CodeTransform
from ..errors import InputError
from ..heads.evidence import Evidence, carry_over
from ..heads.novelty import RECENT_PER_CLASS, remembered_per_class
from ..heads.precision import MOST_ROWS
from ..labels import MAX_LABELS
from ..projection import Projection
from ..statistics import Statistics, no_statistics, statistics_of
from ..store.learned_samples import Block

_MEMBERS = frozenset({"statistics", "last", "ids", "labels", "codes"})
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

    # kept in a file ----------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """For :meth:`from_bytes`: what was worked out of the evidence is left out."""
        ids, labels, codes = self.newest()
        return pack(
            {
                "statistics": np.frombuffer(self.statistics.to_bytes(), np.uint8),
                "last": np.array(self.last, np.int64),
                "ids": np.array(ids, np.int64),
                "labels": text_array(labels),
                "codes": codes,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, backbone: str, dimension: int, projection: Projection | None) -> SampleSummary:
        """What :meth:`to_bytes` gave, of this backbone and projection; raises InputError where it is of others."""
        arrays = unpack(data, _MEMBERS)
        statistics = Statistics.from_bytes(arrays["statistics"].tobytes())
        kept = statistics.projection
        same = kept is projection if kept is None or projection is None else kept.same_as(projection)
        if (statistics.backbone, statistics.dimension) != (backbone, dimension) or not same:
            raise InputError("it is of another backbone")
        labels, codes = text_values(arrays["labels"], MAX_LABELS * RECENT_PER_CLASS), arrays["codes"]
        if codes.dtype != np.uint8 or codes.shape != (len(labels), dimension) or len(arrays["ids"]) != len(labels):
            raise InputError("its codes do not fit its labels")
        summary = cls(statistics, int(arrays["last"]), _added=None)
        summary._remember(arrays["ids"].tolist(), labels, codes)
        return summary

    # changing ----------------------------------------------------------------------------------------------------

    def add(self, blocks: Iterable[Block], transform: CodeTransform) -> None:
        """More samples, with ascending ids."""
        for ids, labels, runtimes, raw in blocks:
            codes = transform(raw)
            known = self.statistics
            self.statistics = known + statistics_of(codes, labels, known.backbone, runtimes, known.projection)
            self._remember(ids, labels, codes)
            self.last = ids[-1]
            if self._added is not None:
                self._added.append((codes, labels))
                if sum(len(block) for block, _ in self._added) > MOST_ROWS:  # solving is cheaper than updating
                    self._evidence = self._added = None

    def changed(
        self,
        before: Iterable[Block],
        after: Iterable[Block],
        newest: Callable[[str, int], Block | None],
        transform: CodeTransform,
        last: int,
    ) -> SampleSummary | None:
        """The same with some samples as they are now, or without them; None where all have to be read again for it.

        Its statistics are those of a learner that never saw them as they were, byte for byte.

        Args:
            before: these samples as they were added.
            after: those that are left of them, as they are now.
            newest: label and number → the newest samples of a label up to ``last``.
            last: the largest id that counts.
        """
        known = self.statistics
        if not known.bit_exact:  # which of the runtimes is gone only the rest can tell
            return None
        for blocks, sign in ((before, -1), (after, 1)):
            for _, labels, runtimes, raw in blocks:
                part = statistics_of(transform(raw), labels, known.backbone, runtimes, known.projection)
                known = known + part if sign > 0 else known - part
        summary = SampleSummary(known, last, _added=None)
        most = remembered_per_class(known.counts.tolist())
        for label in known.labels:
            block = newest(label, most)
            if block is not None:
                summary._remember(block[0], block[1], transform(block[3]))
        return summary

    def _remember(self, ids: Sequence[int], labels: Sequence[str], codes: Codes) -> None:
        """The newest of each label: as many as may be remembered where there are so many samples of each."""
        for identity, label, code in zip(ids, labels, codes, strict=True):
            # A copy: a row would keep its whole block in memory.
            self._newest.setdefault(label, deque(maxlen=RECENT_PER_CLASS)).append((identity, code.copy()))
        most = remembered_per_class(self.statistics.counts.tolist())
        for remembered in self._newest.values():
            while len(remembered) > most:
                remembered.popleft()

    def newest(self, after: int = 0) -> tuple[list[int], tuple[str, ...], Codes]:
        """Ids, labels and (r, d) uint8 codes of the newest samples of each label, by id; only those with larger ids."""
        rows = sorted((i, label, code) for label, codes in self._newest.items() for i, code in codes if i > after)
        codes = np.stack([row[2] for row in rows]) if rows else np.zeros((0, self.statistics.dimension), np.uint8)
        return [row[0] for row in rows], tuple(row[1] for row in rows), codes

    def evidence(self, factory: BundleContent, hidden: frozenset[str]) -> Evidence:
        """With what the factory brought: all that a head may be fitted on.

        What was worked out of the last evidence is updated where few samples came since.
        """
        if self._evidence is not None and self._evidence.hidden != hidden:
            self._evidence = self._added = None
        _, labels, codes = self.newest()
        known = factory.evidence(codes[:0], (), "", hidden)
        evidence = replace(known, device=self.statistics, recent=codes, recent_labels=labels)
        if self._added is not None:
            added = np.concatenate([codes[:0], *(block for block, _ in self._added)])
            carry_over(self._evidence or known, evidence, added, [label for _, names in self._added for label in names])
        self._evidence, self._added = evidence, []
        return evidence
