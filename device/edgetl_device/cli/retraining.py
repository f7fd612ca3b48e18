"""How the outcome of a retraining is reported, on every command that ends with one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..console import note, say
from ..errors import StorageError

if TYPE_CHECKING:
    from ..learning.learner import Learner, Outcome


def undo_command(ids: Sequence[int], new_label: str | None) -> str:
    """What takes back samples that were just stored.

    >>> undo_command([4, 5], None)
    'edgetl-device forget --sample 4 5'
    >>> undo_command([4, 5], "blue cup")
    "edgetl-device forget --label 'blue cup'"
    """
    what = ["--label", new_label] if new_label is not None else ["--sample", *map(str, ids)]
    return shlex.join(["edgetl-device", "forget", *what])


def judged(outcome: Outcome, *, forgotten: bool = False, undo: str | None = None) -> dict[str, Any]:
    """Print the outcome of a retraining, and what to do about a rejection, which is exit code 1.

    Args:
        undo: the command that takes back what was stored before.
    """
    say(outcome.reason)
    say(f"version {outcome.version} is active ({outcome.retrain_ms:.0f} ms)")
    if not outcome.promoted:
        done = "The samples are forgotten all the same" if forgotten else "The samples are stored"
        say(f"{done}; the previous version stays in use. Next, either")
        if undo is not None:
            say(f"  take them back, if the label is wrong: `{undo}`")
        else:
            say("  fix wrong labels: `edgetl-device samples`, then `relabel` or `forget`")
        say("  or, if all labels are right: `edgetl-device retrain --accept-scene-change`")
    return asdict(outcome) | {"exit_code": 0 if outcome.promoted else 1}


def judged_if_possible(learner: Learner, *, forgotten: bool = False, undo: str | None = None) -> dict[str, Any]:
    """Retrain after samples were stored or forgotten; reported even where the disk has no room for a new head."""
    try:
        return judged(learner.retrain(), forgotten=forgotten, undo=undo)
    except StorageError as error:
        note(f"error: {error}")
        done = "forgotten" if forgotten else "stored"
        reason = f"the samples are {done}, but there is no room for a new head: free some space, then `retrain`"
        say(reason)
        return {"version": learner.active_version, "promoted": False, "reason": reason, "exit_code": error.exit_code}


def idle(learner: Learner) -> dict[str, Any]:
    """The result of storing without retraining."""
    reason = "not retrained yet: run `edgetl-device retrain` once all samples are stored"
    say(reason)
    return {"version": learner.active_version, "promoted": False, "reason": reason, "retrain_ms": None}
