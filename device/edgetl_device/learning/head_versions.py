"""HeadVersions: which head is in use, which were before, and which made the app fail."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from ..bundle.content import BundleContent
from ..errors import InputError
from ..store.schema import VersionRow
from ..store.store import Store

log = logging.getLogger("edgetl.learner")

GOOD = ("factory", "promoted")  # states of a version that may be rolled back to
MAX_STARTS = 3  # of a version that never ran well; then it is not tried again


@dataclass(frozen=True)
class Started:
    """What :meth:`Learner.mark_started` found.

    Args:
        version: the version to use.
        failed: the version that was given up just now because it never ran well, or None.
        reason: for a person; empty where nothing was given up.
    """

    version: int
    failed: int | None
    reason: str


class HeadVersions:
    """The versions made with one bundle, in a store.

    Args:
        factory: the bundle's content.
        store: the device's database.
    """

    def __init__(self, factory: BundleContent, store: Store) -> None:
        self.factory = factory
        self.bundle = factory.bundle
        self.store = store
        self.lock = store.lock

    @property
    def active_version(self) -> int:
        """The number of the version in use."""
        number = self.store.versions.active(self.bundle.digest)
        if number is None:  # a new store, or one that was restored in its place and knows another bundle
            with self.lock():
                number = self.store.versions.active(self.bundle.digest)  # another process may have been faster
                if number is None:
                    first = (self.bundle.digest, "factory", "installed", self.factory.rule, 0)
                    number = self.store.versions.add(*first, {}, activate=True)
        return number

    def versions(self) -> list[VersionRow]:
        """All versions made with this bundle."""
        return self.store.versions.of(self.bundle.digest)

    def rollback(self, number: int | None = None) -> int:
        """Re-activate an earlier version; default is the last good one before the active. Returns its number."""
        with self.lock():
            active = self.active_version
            if number is None:
                target = self.before(active)
                if target is None:
                    raise InputError(f"version {active} is the oldest: there is nothing to roll back to")
            else:
                target = self.store.versions.get(self.bundle.digest, number)
                if target is None or target.state not in GOOD:
                    why = f"no version {number} to roll back to"
                    if target is not None:
                        did = "was rejected by the gate" if target.state == "rejected" else "did not start"
                        why = f"version {number} {did} and cannot be used"
                    known = ", ".join(str(row.id) for row in self.versions() if row.state in GOOD)
                    raise InputError(f"{why}: expected one of {known}")
            self.store.versions.activate(self.bundle.digest, target.id)
        return target.id

    # a head that makes the app fail ------------------------------------------------------------------------------

    def mark_started(self) -> Started:
        """Note on disk that the active version is put to use: an app calls this at its start and after each swap.

        A version that was started three times and never got to :meth:`mark_healthy` made the app fail, whatever way it
        died: it is given up for the last good version before it. A version that was healthy once is not counted any
        more, for what fails then is something else; nor is the factory's, which has none before it.
        """
        with self.lock():
            failed, reason = None, ""
            while True:
                number = self.active_version
                if self.store.versions.count_start(number) <= MAX_STARTS or self.before(number) is None:
                    return Started(number, failed, reason)
                failed, reason = number, f"it failed to start {MAX_STARTS} times"
                reason = self.give_up(number, reason)

    def mark_healthy(self) -> None:
        """Note on disk that the active version works: an app calls this once, after its first good inferences."""
        with self.lock():
            self.store.versions.prove(self.active_version)

    def give_up(self, number: int, why: str) -> str:
        """Mark a version as failed and use the last good one before it; → what was done, for a person."""
        with self.lock():
            target = self.before(number)
            assert target is not None, "callers made sure"
            reason = f"version {number} was rolled back to {target.id}: {why}"
            self.store.versions.fail(self.bundle.digest, number, target.id, reason)
        log.warning("%s", reason)
        return reason

    def version(self, number: int) -> VersionRow:
        """One that exists, the active one for example."""
        row = self.store.versions.get(self.bundle.digest, number)
        assert row is not None, "active versions exist: a foreign key says so"
        return row

    def before(self, number: int) -> VersionRow | None:
        """The last good version before one."""
        return self.store.versions.before(self.bundle.digest, number, GOOD)
