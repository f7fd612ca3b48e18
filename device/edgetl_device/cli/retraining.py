"""How a retraining is told, on every command that ends with one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..console import note, say
from ..errors import StorageError

if TYPE_CHECKING:
    from ..learning.learner import Learner, Outcome


def judged(outcome: Outcome, *, forgotten: bool = False) -> dict[str, Any]:
    """Tell the outcome of a retraining, and what to do about a rejection, which is exit code 1."""
    say(f"{outcome.reason} ({outcome.retrain_ms:.0f} ms); version {outcome.version} is active")
    if not outcome.promoted:
        done = "forgotten all the same: check the others" if forgotten else "kept: check them"
        say(f"the samples are {done} with `edgetl-device samples`, relabel or forget the wrong ones,")
        say("or, if they are right and the scene really changed, `edgetl-device retrain --accept-scene-change`")
    return asdict(outcome) | {"exit_code": 0 if outcome.promoted else 1}


def judged_if_possible(learner: Learner, *, forgotten: bool = False) -> dict[str, Any]:
    """Retrain after samples were stored or forgotten, which must be told even where the disk has no room for a head."""
    try:
        return judged(learner.retrain(), forgotten=forgotten)
    except StorageError as error:
        note(f"error: {error}")
        done = "forgotten" if forgotten else "stored"
        reason = f"the samples are {done}, but no new head: `edgetl-device retrain` when there is room again"
        say(reason)
        return {"version": learner.active_version, "promoted": False, "reason": reason, "exit_code": error.exit_code}


def idle(learner: Learner) -> dict[str, Any]:
    """The result of storing without retraining."""
    reason = "not retrained: `edgetl-device retrain` when all samples are in"
    say(reason)
    return {"version": learner.active_version, "promoted": False, "reason": reason, "retrain_ms": None}
