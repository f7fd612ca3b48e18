"""Solver: versions are rules and samples; their heads are solved from the store, as far as need be."""

from __future__ import annotations

from dataclasses import dataclass

from ..bundle.content import BundleContent
from ..heads.evidence import Evidence
from ..heads.head import Head, fit_head
from ..store.schema import VersionRow
from ..store.store import Store
from .sample_summary import SampleSummary


@dataclass(frozen=True, eq=False)
class Solved:
    """A version's head and the evidence it was solved from."""

    version: int
    head: Head
    evidence: Evidence


class Solver:
    """Reads only what was added since the last call, unless something was taken away, by whichever process."""

    def __init__(self, factory: BundleContent, store: Store) -> None:
        self.factory = factory
        self.store = store
        self._summary: SampleSummary | None = None
        self._solved: Solved | None = None
        self._revision = 0

    def solve(self, row: VersionRow) -> Solved:
        """A version's head; the last one is remembered."""
        self._refresh()
        if self._solved is None or self._solved.version != row.id:
            summary = self._summary
            if summary is None or summary.last > row.last_sample:  # else what is remembered is a part of it
                summary = self._empty()
            self._read(summary, row.last_sample)
            self._summary = self._summary or summary
            evidence = self.evidence(summary)
            self._solved = Solved(row.id, fit_head(evidence, row.rule), evidence)
        return self._solved

    def remember(self, solved: Solved) -> None:
        """A version that was just solved elsewhere."""
        self._solved = solved

    def newest(self) -> SampleSummary:
        """All that is stored now."""
        self._refresh()
        self._summary = self._summary or self._empty()
        self._read(self._summary, None)
        return self._summary

    def keep_unless_it_knows(self, first: int) -> None:
        """Samples from an id on were set aside just now, under the learning lock: what has not read them stays good."""
        if self._summary is not None and self._summary.last < first:
            self._revision = self.store.revision()

    def evidence(self, summary: SampleSummary) -> Evidence:
        """With what the factory brought, less what is hidden."""
        return summary.evidence(self.factory, self.store.hidden(self.factory.bundle.backbone_digest))

    def _empty(self) -> SampleSummary:
        known = self.factory.statistics
        return SampleSummary.empty(known.backbone, known.dimension, known.projection)

    def _read(self, summary: SampleSummary, up_to: int | None) -> None:
        bundle = self.factory.bundle
        backbone, dimension = bundle.backbone_digest, bundle.codes.dimension
        summary.add(self.store.embeddings(backbone, dimension, after=summary.last, up_to=up_to), bundle.codes)

    def _refresh(self) -> None:
        """Let go of what may know samples that are gone: someone forgot, relabelled or hid something."""
        revision = self.store.revision()
        if revision != self._revision:
            self._summary = self._solved = None
            self._revision = revision
