"""How the outcome of a retraining is reported, on every command that ends with one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..console import note, say, say_wrapped
from ..errors import HeadError, StorageError
from .options import group_words
from .sample_ids import as_ranges

if TYPE_CHECKING:
    from ..learning.learner import Learner
    from ..learning.retraining import Outcome
    from ..store.pending import PendingBatch


def say_pending(batch: PendingBatch, group: str | None = None) -> None:
    """Print what was set aside, why, and the commands that decide about it."""
    taught = f"{batch.samples} sample{'s' if batch.samples != 1 else ''} taught as {batch.label}"
    say(f"batch {batch.id}: {taught}, set aside because")
    say_wrapped(f"  {batch.reason}", 2)
    several = (
        () if batch.looks_like else (("relabel LABEL ID…", f"give each its label: {', '.join(as_ranges(batch.ids))}"),)
    )
    choices = (
        *several,
        (f"pending move {batch.id}", f"they are {batch.looks_like}")
        if batch.looks_like
        else (f"pending move {batch.id} LABEL", "they are all LABEL"),
        (f"pending use {batch.id}", f"they are {batch.label}: my labels are right"),
        (f"pending forget {batch.id}", "forget them"),
    )
    commands = [f"`edgetl-device {command}{group_words(group)}`" for command, _ in choices]
    width = max(map(len, commands))
    for command, (_, meaning) in zip(commands, choices, strict=True):
        say(f"  {command.ljust(width)}  {meaning}")


def judged(outcome: Outcome, group: str | None = None, *, forgotten: bool = False) -> dict[str, Any]:
    """Print the outcome of a retraining, and what to do about a rejection.

    That is exit code 1, but not where samples were to be forgotten, as they are.
    """
    told = outcome.reason
    if forgotten and told.startswith("forgot "):  # which was said already
        told = told.partition("; ")[2]
    if told:
        say_wrapped(told, 2)
    for line in outcome.gained_and_lost():
        say(line)
    say(f"version {outcome.version} is active ({outcome.retrain_ms:.0f} ms)")
    for batch in outcome.set_aside:
        say_pending(batch, group)
    if not outcome.promoted and not outcome.set_aside:
        done = "The samples are forgotten all the same" if forgotten else "The samples are stored"
        say(f"{done}; the previous version stays in use.")
        say(f"If that is what you want: `edgetl-device retrain --accept-scene-change{group_words(group)}`")
    return asdict(outcome) | {"exit_code": 0 if outcome.promoted or forgotten else 1}


def judged_if_possible(learner: Learner, group: str | None = None, *, forgotten: bool = False) -> dict[str, Any]:
    """Retrain after samples were stored or forgotten; reported even where there can be no new head.

    Where samples were forgotten and what is left makes no head, that is exit code 0: they are gone, and nobody can do
    more. A full disk stays 2, for somebody has to make room and retrain.
    """
    try:
        outcome = learner.retrain()
        learner.keep_head()
        return judged(outcome, group, forgotten=forgotten)
    except (HeadError, StorageError) as error:
        note(f"error: {error}")
        done = "forgotten" if forgotten else "stored"
        reason = f"the samples are {done}, but there is no room for a new head: free some space, then `retrain`"
        if isinstance(error, HeadError):
            source = "what is left makes" if forgotten else "they make"
            reason = f"the samples are {done}, but {source} no new head: the previous version stays in use"
        say(reason)
        code = 0 if forgotten and isinstance(error, HeadError) else error.exit_code
        return {"version": learner.active_version, "promoted": False, "reason": reason, "exit_code": code}


def unchanged(learner: Learner, reason: str) -> dict[str, Any]:
    """The result where there was nothing to retrain."""
    return asdict(learner.unchanged(reason)) | {"retrain_ms": None, "set_aside": [], "changes": []}


def idle(learner: Learner, group: str | None = None) -> dict[str, Any]:
    """The result of storing without retraining."""
    reason = f"not retrained yet: run `edgetl-device retrain{group_words(group)}` once all samples are stored"
    say(reason)
    return {"version": learner.active_version, "promoted": False, "reason": reason, "retrain_ms": None}
