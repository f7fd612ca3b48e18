"""Learner: store + bundle → candidate → gate → promote, reject or roll back."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from ..bundle.content import BundleContent
from ..codes import Codes
from ..errors import NO_MEMORY, EdgetlError, HeadError, StorageError
from ..heads.evidence import Evidence
from ..heads.head import Head
from ..inference.backbone import Backbone
from ..inference.classifier import Classifier
from ..statistics import Statistics
from ..store.lock import LearningLock
from ..store.store import Store
from .drift import Drift, DriftState
from .gate_words import Done
from .head_versions import HeadVersions
from .sample_keeper import SampleKeeper
from .solver import Solved, Solver

if TYPE_CHECKING:
    from .reliability import Reliability
    from .retraining import Outcome

log = logging.getLogger("edgetl.learner")

_UNSOLVABLE = (ArithmeticError, ValueError, MemoryError)  # NumPy's LinAlgError is a ValueError


class Learner(HeadVersions, SampleKeeper):
    """Learns and forgets samples; the active head is never overwritten, only succeeded.

    A version is a rule and the samples it knows; its head is solved from them, so forgetting reaches into all versions.
    Statistics of the stored samples are kept in memory, so one more sample costs an addition and a solve.

    Whatever changes the store takes the learning lock and waits for another process up to ten seconds; then it raises
    StorageError. To keep several steps together: ``with learner.lock(): learner.add(…); learner.retrain()``. Reading
    and recognising never wait.

    Args:
        factory: the bundle's content.
        store: the device's database.
        runtime: name of the TFLite runtime recorded with samples.
        begin: write the factory's version down at once where there is none, not only when a version is asked for.
    """

    def __init__(self, factory: BundleContent, store: Store, runtime: str, *, begin: bool = True) -> None:
        HeadVersions.__init__(self, factory, store)
        SampleKeeper.__init__(self, factory, store, runtime)
        self._solver = Solver(factory, store)
        self._reliability: tuple[Solved, Reliability] | None = None
        if begin:
            _ = self.active_version

    # reading -----------------------------------------------------------------------------------------------------

    def active_head(self) -> Head:
        """The head in use. One that cannot be solved is given up for the version before it, and the log says so."""
        return self._solved().head

    def _solved(self) -> Solved:
        while True:
            row = self.version(self.active_version)
            try:
                return self._solver.solve(row)
            except (EdgetlError, *_UNSOLVABLE) as error:
                passing = isinstance(error, StorageError | MemoryError)  # nothing that the version is to blame for
                if passing or self.before(row.id) is None:
                    raise _as_refusal(error) from error
                self.give_up(row.id, f"its head cannot be made: {error}")

    def keep_head(self) -> None:
        """Keep the head in use beside the store, for the next start; nothing where another process learns just now."""
        with suppress(EdgetlError):
            self._solved()
        with suppress(EdgetlError, *_UNSOLVABLE), LearningLock(self.lock.path, wait_s=0.0)():
            if not self.store.database.is_replaced():
                self._solver.keep_head(self.version(self.active_version))

    def classifier(self, backbone: Backbone) -> Classifier:
        """The backbone with the head in use."""
        return Classifier(backbone, self.active_head())

    @property
    def is_new_to_its_samples(self) -> bool:
        """Whether samples are stored and no version was made since the one in use: so it is after an installation."""
        taught = self.store.is_anything_learned(self.bundle.backbone_digest)
        return taught and self.store.versions.newest(self.bundle.digest) == self.active_version

    def has_nothing_to_learn(self, rule: str | None = None) -> bool:
        """Whether a retraining would only repeat the version in use: no rule but its own, no sample after its last."""
        return not self.unlearned and rule in (None, self.version(self.active_version).rule)

    def unchanged(self, reason: str) -> Outcome:
        """The outcome where there is nothing to retrain for: no new version."""
        from .retraining import Outcome  # retraining is much code that recognising does not need

        active = self.version(self.active_version)
        return Outcome(active.id, False, reason, active.metrics.get("accuracy"), 0.0)

    @property
    def unlearned(self) -> int:
        """How many samples are stored that the version in use has not learned, those that are pending left out."""
        return self.store.count_after(self.bundle.backbone_digest, self.version(self.active_version).last_sample)

    def device_statistics(self) -> Statistics:
        """What was learned here, without what the factory brought."""
        return self.evidence().device

    def evidence(self) -> Evidence:
        """Everything known now; reads only what was added since the last call, unless something was taken away."""
        return self._solver.evidence(self._solver.newest())

    def newest_samples(self) -> tuple[list[int], tuple[str, ...], Codes]:
        """Samples' ids, labels and (r, d) uint8 codes of what the evidence holds as recent, in its order."""
        ids, labels, codes = self._solver.newest().newest()
        return self.store.samples_of(ids), labels, codes

    def reliability(self) -> Reliability:
        """How well the probabilities of the head in use hold, on photos whose label is known."""
        from .reliability import reliability_of

        solved = self._solved()
        if self._reliability is None or self._reliability[0] is not solved:
            self._reliability = solved, reliability_of(solved.head, solved.evidence)
        return self._reliability[1]

    def drift(self, *, anew: bool = False) -> Drift:
        """Watches whether the stream still resembles what the active head knows; goes on where it was kept.

        Feed it with codes; it lives in memory. A changed head asks for a new one.

        Args:
            anew: begin without what was kept: it was of another stream.
        """
        kept = None if anew else self.store.drift(self.bundle.digest)
        mine = kept is not None and kept["version"] == self.active_version
        return Drift(self.active_head().novelty, kept if mine else None)

    def keep_drift(self, drift: Drift) -> None:
        """Write the window down, for ``status`` and the next process: rarely, SD cards wear."""
        self.store.keep_drift(self.bundle.digest, {"version": self.active_version, **drift.to_json()})

    def drift_state(self) -> DriftState:
        """What was last kept, without solving a head."""
        kept = self.store.drift(self.bundle.digest)
        if kept is None or kept["version"] != self.active_version:
            return DriftState("collecting", 0, None)
        return DriftState(kept["state"], kept["frames"], kept["rank"])

    def _changing(self, ids: Sequence[int]) -> AbstractContextManager[None]:
        return self._solver.changing(ids)

    # learning ----------------------------------------------------------------------------------------------------

    def retrain(self, rule: str | None = None, *, accept_scene_change: bool = False) -> Outcome:
        """Fit a candidate on what is known and promote it if the gate lets it pass.

        What it does not let pass is set aside, batch by batch (see :meth:`pending`); all other samples are learned.

        Args:
            rule: a head's name; default is the active version's.
            accept_scene_change: use everything that is stored, what is pending too, whatever the gate says.

        Raises:
            HeadError: no head can be computed; the samples stay, and so does the version in use.
        """
        from .retraining import Retraining

        with self.lock():
            self.active_head()
            active = self.version(self.active_version)
            done = self._done if rule in (None, active.rule) else (*self._done, Done(f"head {rule}"))
            try:
                retraining = Retraining(self.factory, self.store, self._solver, active, rule or active.rule, done)
                outcome = retraining.run(insist=accept_scene_change)
            except _UNSOLVABLE as error:
                raise _as_refusal(error) from error
            self._done = ()
            self._solver.keep()
            if outcome.promoted:
                try:
                    self.store.backup_if_due()
                except StorageError as error:  # the new head is in use all the same
                    log.warning("no automatic backup: %s", error)
        return outcome


def _as_refusal(error: Exception) -> EdgetlError:
    """What kept a head from being computed, as a line for a person."""
    if isinstance(error, EdgetlError):
        return error
    if isinstance(error, MemoryError):
        return HeadError(f"no head can be computed now: {NO_MEMORY}")
    cause = " ".join(str(error).split())[:80] or type(error).__name__
    return HeadError(
        f"no head can be computed from the bundle and the samples ({cause}): `edgetl-device forget` what was taught "
        "last, or install another bundle"
    )
