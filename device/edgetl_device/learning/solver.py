"""Solver: versions are rules and samples; their heads are solved from the store, as far as need be."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from ..bundle.content import BundleContent
from ..errors import InputError
from ..heads.evidence import Evidence
from ..heads.head import Head, fit_head
from ..heads.kept_head import code_of_heads, head_bytes, read_head
from ..store.kept_files import Key
from ..store.learned_samples import Block
from ..store.schema import VersionRow
from ..store.store import Store
from .sample_summary import SampleSummary

log = logging.getLogger("edgetl.learner")

WORTH_KEEPING = 1024  # samples: fewer are read again as fast as a summary of them


class Solved:
    """A version's head and the evidence it is solved from.

    Args:
        version: its number.
        head: solved, or kept from when it was.
        evidence: or what gathers it, when it is first asked for: recognising needs none.
    """

    def __init__(self, version: int, head: Head, evidence: Evidence | Callable[[], Evidence]) -> None:
        self.version = version
        self.head = head
        self._evidence = evidence

    @property
    def evidence(self) -> Evidence:
        """As the samples are when it is first asked for; what takes some away makes another head too."""
        if not isinstance(self._evidence, Evidence):
            self._evidence = self._evidence()
        return self._evidence

    @property
    def updated(self) -> Evidence | None:
        """The evidence, where parts of it were updated since they were solved; None where all is as solved anew."""
        is_updated = isinstance(self._evidence, Evidence) and self._evidence.solution.carried_over
        return self.evidence if is_updated else None


class Solver:
    """Reads only what was added since the last call, unless something was taken away, by whichever process.

    Args:
        factory: the bundle's content.
        store: what is stored.
        kept: go by what was kept of the samples, and keep it; otherwise all of them are read.
    """

    def __init__(self, factory: BundleContent, store: Store, *, kept: bool = True) -> None:
        self.factory = factory
        self.store = store
        self._keeps = kept and store.keeps_summaries
        self._summary: SampleSummary | None = None
        self._solved: Solved | None = None
        self._revision, self._key = 0, Key()
        self._kept_samples, self._kept_key = 0, Key()

    def solve(self, row: VersionRow) -> Solved:
        """A version's head; the last one is remembered."""
        self._refresh()
        if self._solved is None or self._solved.version != row.id:
            head = self._kept_head(row)
            if head is not None:
                self._solved = Solved(row.id, head, partial(self._evidence_of, row))
            else:
                evidence = self._evidence_of(row)
                self._solved = Solved(row.id, fit_head(evidence, row.rule), evidence)
        return self._solved

    def keep_head(self, row: VersionRow) -> None:
        """Write a version's head down as it is solved anew, unless it is there; under the learning lock.

        Learning updates the head that is in use, which costs less and differs in the last bits.
        """
        self._refresh()
        solved, of = self._solved, self._head_key(row)
        if not self._keeps or solved is None or solved.version != row.id or self.store.keeps_this_head(of):
            return
        evidence = solved.updated
        if evidence is not None:
            anew = replace(evidence)
            self._solved = solved = Solved(row.id, fit_head(anew, row.rule), anew)
        content = head_bytes(solved.head, self.factory.solved)
        if content is not None:
            self.store.keep_head(of, content)

    def _kept_head(self, row: VersionRow) -> Head | None:
        content = self.store.kept_head(self._head_key(row)) if self._keeps else None
        try:
            return None if content is None else read_head(content, lambda: self.factory.solved)
        except InputError as error:
            log.info("the kept head is not used: %s", error)
            return None

    def _head_key(self, row: VersionRow) -> dict[str, str | int]:
        """What a head depends on, besides the samples."""
        bundle = self.factory.bundle.digest
        return {"bundle": bundle, "version": row.id, "rule": row.rule, "last": row.last_sample, "code": code_of_heads()}

    def _evidence_of(self, row: VersionRow) -> Evidence:
        return self.evidence(self.up_to(row.last_sample))

    def remember(self, solved: Solved) -> None:
        """A version that was just solved elsewhere."""
        self._solved = solved

    def newest(self) -> SampleSummary:
        """All that is stored now."""
        self._refresh()
        self._summary = self._summary or self.kept() or self._empty()
        self._read(self._summary, None)
        return self._summary

    @contextmanager
    def changing(self, ids: Sequence[int]) -> Iterator[None]:
        """Around what takes samples away, moves them or sets them aside: of all others nothing is read again.

        Under the learning lock, so that nothing else changes meanwhile.
        """
        self._refresh()
        summary = self._summary or self.kept()
        enough = summary is not None and summary.statistics.samples - len(ids) >= WORTH_KEEPING
        if summary is None or not enough or not self._keeps:
            yield
            return
        before = list(self._blocks_of(ids, summary.last))
        yield
        after = self._blocks_of(ids, summary.last)
        self._summary = self._changed(summary, before, after, summary.last)
        self._solved = None
        self._follow()

    @contextmanager
    def setting_aside(self, ids: Sequence[int]) -> Iterator[None]:
        """As :meth:`changing`, around what sets new samples aside: what has not read them stays as it is."""
        self._refresh()
        if self._summary is None or self._summary.last >= min(ids):
            with self.changing(ids):
                yield
            return
        yield
        self._follow()

    def keep(self) -> None:
        """Write down what all that is stored comes to, where enough came since; under the learning lock."""
        summary = self.newest()
        size = summary.statistics.samples
        if size < WORTH_KEEPING or not self._keeps:
            return
        if abs(size - self._kept_samples) >= WORTH_KEEPING or self._kept_key != self._key:
            self.store.keep_summary(self.factory.bundle.backbone_digest, summary.to_bytes())
            self._kept_samples, self._kept_key = size, self._key

    def evidence(self, summary: SampleSummary) -> Evidence:
        """With what the factory brought, less what is hidden."""
        return summary.evidence(self.factory, self.store.hidden(self.factory.bundle.backbone_digest))

    def _empty(self) -> SampleSummary:
        known = self.factory.statistics
        return SampleSummary.empty(known.backbone, known.dimension, known.projection)

    def kept(self) -> SampleSummary | None:
        """What was written down of the samples as they are now, all or most of them."""
        known = self.factory.statistics
        content = self.store.kept_summary(known.backbone) if self._keeps else None
        if content is None:
            return None
        try:
            summary = SampleSummary.from_bytes(bytes(content), known.backbone, known.dimension, known.projection)
        except InputError as error:
            log.info("the kept summary is not used: %s", error)
            return None
        self._kept_samples, self._kept_key = summary.statistics.samples, self._key
        return summary

    def up_to(self, last: int) -> SampleSummary:
        """Of the samples with ids up to one."""
        backbone = self.factory.bundle.backbone_digest
        summary = self._summary or self.kept()
        if summary is not None and summary.last > last:
            more = self.store.count_after(backbone, last)
            earlier = None
            if self._keeps and summary.statistics.samples - more >= max(WORTH_KEEPING, more):
                self._summary = summary
                taken = self.store.embeddings(backbone, self.factory.bundle.codes.dimension, last, summary.last)
                earlier = self._changed(summary, taken, (), last)
            summary = earlier or self._empty()
        summary = summary or self._empty()
        self._read(summary, last)
        self._summary = self._summary or summary
        return summary

    def _changed(
        self, summary: SampleSummary, before: Iterable[Block], after: Iterable[Block], last: int
    ) -> SampleSummary | None:
        bundle = self.factory.bundle

        def newest(label: str, most: int) -> Block | None:
            return self.store.newest_embeddings(bundle.backbone_digest, bundle.codes.dimension, label, most, last)

        return summary.changed(before, after, newest, bundle.codes, last)

    def _blocks_of(self, ids: Sequence[int], up_to: int) -> Iterator[Block]:
        bundle = self.factory.bundle
        return self.store.embeddings_of(bundle.backbone_digest, bundle.codes.dimension, ids, up_to)

    def _read(self, summary: SampleSummary, up_to: int | None) -> None:
        bundle = self.factory.bundle
        backbone, dimension = bundle.backbone_digest, bundle.codes.dimension
        summary.add(self.store.embeddings(backbone, dimension, after=summary.last, up_to=up_to), bundle.codes)

    def _refresh(self) -> None:
        """Let go of what may know samples that are gone: someone forgot, relabelled or hid something."""
        revision, key = self._revision, self._key
        self._follow()
        if key != self._key:
            self._summary = None
        if revision != self._revision:
            self._solved = None

    def _follow(self) -> None:
        self._revision, self._key = self.store.revision(), self.store.samples_key()
