"""The verbs that decide about what the gate set aside."""

from __future__ import annotations

from ..errors import HeadError, StorageError
from ..learning.learner import Learner
from ..learning.retraining import Outcome
from ..store.pending import PendingBatch
from .current_home import CurrentHome
from .results import Settled

INSIST = "`new_label=True`"  # how to say that a label is meant


class PendingVerbs:
    """What a :class:`~edgetl_device.Device` does with pending batches."""

    def __init__(self, current: CurrentHome) -> None:
        self._current = current
        self._now = current.now

    def pending(self) -> list[PendingBatch]:
        """Batches that the gate set aside, oldest first: stored, and not learned before a person decides about each.

        >>> device = Device("home")
        >>> _ = device.learn("ball", "boxes")
        >>> [(batch.label, batch.looks_like, batch.samples) for batch in device.pending()]
        [('ball', 'box', 12)]
        """
        with self._now() as opened:
            return opened.learner.pending()

    def use_pending(self, batch: int) -> Settled:
        """Say that a pending batch is labelled rightly, then retrain; nobody asks about its samples again.

            >>> device = Device("home")
            >>> (batch,) = device.learn("ball", "boxes").outcome.set_aside
            >>> settled = device.use_pending(batch.id)
            >>> settled.label, len(settled.ids), settled.outcome.promoted
            ('ball', 12, True)

        Raises:
            InputError: there is no such batch.
        """
        with self._now() as opened, opened.learner.lock():
            label = opened.learner.pending_batch(batch).label
            ids = opened.learner.use_pending(batch)
            return Settled(label, tuple(ids), retrain_after(opened.learner, "in use"))

    def move_pending(self, batch: int, label: str | None = None, *, new_label: bool = False) -> Settled:
        """Move a pending batch to a label, by default the one that it looks like, then retrain.

        A batch that looks like several things has no default: give a label, or :meth:`relabel` its samples.

            >>> device = Device("home")
            >>> (batch,) = device.learn("ball", "boxes").outcome.set_aside
            >>> device.move_pending(batch.id).label
            'box'

        Raises:
            InputError: there is no such batch, or it looks like no label or several and none is given.
                SimilarLabelError where the label may be a slip of a known one, and ``new_label`` does not say that
                it is meant.
        """
        with self._now() as opened, opened.learner.lock():
            if label is not None and not new_label:
                opened.learner.refuse_slip(label, INSIST)
            target, ids = opened.learner.move_pending(batch, label)
            return Settled(target, tuple(ids), retrain_after(opened.learner, "moved"))

    def forget_pending(self, batch: int) -> int:
        """Remove a pending batch exactly, as if it had never been stored; returns how many samples.

            >>> device = Device("home")
            >>> (batch,) = device.learn("ball", "boxes").outcome.set_aside
            >>> device.forget_pending(batch.id)
            12

        Raises:
            InputError: there is no such batch.
        """
        with self._now() as opened, opened.learner.lock():
            return opened.learner.forget_pending(batch)


def retrain_after(learner: Learner, done: str) -> Outcome:
    """Retrain after something was done, which an error has to say."""
    try:
        return learner.retrain()
    except (HeadError, StorageError) as error:
        raise type(error)(f"the samples are {done}, but there is no new head: {error}") from error
