"""AppSamples: what a running app does with samples and versions, of the labels without a name or of a group."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..bundle.bundle import Bundle
from ..errors import InputError
from ..learning.learner import Learner
from ..open_home import OpenHome
from ..store.pending import PendingBatch
from ..store.schema import SampleRow, VersionRow

if TYPE_CHECKING:
    from ..learning.retraining import Outcome
    from ..learning.taught_health import TaughtHealth

T = TypeVar("T")


class AppSamples:
    """The part of an app that knows no camera; methods may be called from any thread.

    Attributes:
        _lock: keeps the calls apart.
        _opened: the home that is in use now.
    """

    _lock: threading.RLock
    _opened: OpenHome

    @property
    def bundle(self) -> Bundle:
        """The current bundle."""
        return self._learner.bundle

    def samples(self, label: str | None = None, group: str | None = None) -> list[SampleRow]:
        """Stored samples, oldest first; of a group those that are labelled in it."""
        with self._lock:
            return self._of(group).samples(label)

    def newest_samples(
        self, label: str | None, before: int | None, limit: int, group: str | None = None
    ) -> tuple[list[SampleRow], int]:
        """Up to so many samples with an id below ``before``, newest first; and how many of the label there are."""
        with self._lock:
            store, backbone = self._of(group).store, self.bundle.backbone_digest
            counts = store.counts(backbone)
            total = sum(counts.values()) if label is None else counts.get(label, 0)
            return store.newest_samples(backbone, label, before, limit), total

    def versions(self, group: str | None = None) -> list[VersionRow]:
        """Head versions, oldest first; :meth:`status` has the active one."""
        with self._lock:
            return self._of(group).versions()

    def groups(self) -> tuple[str, ...]:
        """The groups in which samples are labelled, sorted."""
        with self._lock:
            return self._opened.groups.names

    def version(self, group: str | None = None) -> int:
        """The number of the head version in use."""
        with self._lock:
            return self._of(group).active_version

    def health(self, group: str | None = None) -> TaughtHealth:
        """Which labels look wrong, and how well each class is known; a second or two for 10,000 samples."""
        from ..learning.taught_health import health_of

        with self._lock:
            return health_of(self._of(group))

    def confirm(self, ids: Sequence[int], group: str | None = None) -> int:
        """A person says that these samples' labels are right, or those of a group; → how many."""
        with self._lock:
            return self._of(group).confirm(ids)

    def retrain(
        self, rule: str | None = None, *, accept_scene_change: bool = False, group: str | None = None
    ) -> Outcome:
        """As :meth:`~edgetl_device.learning.learner.Learner.retrain`; a promoted head is in use at once."""
        return self._change(lambda: self._of(group).retrain(rule, accept_scene_change=accept_scene_change))

    def relabel(self, label: str, ids: Sequence[int], group: str | None = None) -> int:
        """Move samples to another label; returns how many. The head follows at the next :meth:`retrain`."""
        return self._change(lambda: self._of(group).relabel(label, ids))

    def unchanged(self, reason: str, group: str | None = None) -> Outcome:
        """The outcome where there is nothing to retrain for."""
        with self._lock:
            return self._of(group).unchanged(reason)

    def forget(
        self,
        ids: Sequence[int] = (),
        *,
        label: str | None = None,
        everything: bool = False,
        group: str | None = None,
    ) -> int:
        """Remove samples exactly: by id, all of a label (one of the factory's is hidden), or all. Returns how many.

        With a group, only what it says of them is removed.

        The head in use does not know them any more when it returns.

        Raises:
            InputError: not exactly one of the three, or no such sample or label.
        """
        if bool(ids) + (label is not None) + everything != 1:
            raise InputError("choose what to forget: sample ids, a label, or everything")

        def forget() -> int:
            learner = self._of(group)
            if label is not None:
                return learner.forget_label(label)[0]
            return learner.forget_all() if everything else learner.forget(ids)

        return self._change(forget)

    def pending(self, group: str | None = None) -> list[PendingBatch]:
        """Batches that the gate set aside, oldest first: stored, and not learned before a person decides."""
        with self._lock:
            return self._of(group).pending()

    def use_pending(self, batch: int, group: str | None = None) -> list[int]:
        """Say that a pending batch is labelled rightly; → its samples' ids. The head follows at the next retraining."""
        return self._change(lambda: self._of(group).use_pending(batch))

    def move_pending(self, batch: int, label: str | None = None, group: str | None = None) -> tuple[str, list[int]]:
        """Move a pending batch to a label, by default the one it looks like; → that, and its samples' ids."""
        return self._change(lambda: self._of(group).move_pending(batch, label))

    def refuse_slip(self, label: str, insist: str, group: str | None = None) -> None:
        """Raise SimilarLabelError where a label is new here and may be a slip of a known one; so of a new group.

        Args:
            insist: how to say that it is meant, for the message.
        """
        with self._lock:
            self._of_or_new(group, insist).refuse_slip(label, insist)

    def forget_pending(self, batch: int, group: str | None = None) -> int:
        """Remove a pending batch exactly; returns how many samples."""
        return self._change(lambda: self._of(group).forget_pending(batch))

    def rollback(self, number: int | None = None, group: str | None = None) -> int:
        """Go back to an earlier version, by default the last good one; returns its number."""
        return self._change(lambda: self._of(group).rollback(number))

    # inside ------------------------------------------------------------------------------------------------------

    def _of(self, group: str | None) -> Learner:
        return self._learner if group is None else self._opened.groups.known(group)

    def _of_or_new(self, group: str | None, insist: str = "") -> Learner:
        return self._learner if group is None else self._opened.groups.known_or_new(group, insist)

    @property
    def _learner(self) -> Learner:
        return self._opened.learner

    def _change(self, change: Callable[[], T]) -> T:
        with self._lock:
            result = change()
            self._swap()
            return result

    def _swap(self) -> None:
        """Put the head that is active now in use."""
        raise NotImplementedError
