"""``edgetl-device pending``: what the gate set aside, and what a person decides about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say
from ..errors import InputError
from .options import NEW_LABEL, group_option, in_group, in_home, new_label_option
from .retraining import judged_if_possible, say_pending

if TYPE_CHECKING:
    from ..home import Home
    from ..learning.learner import Learner


@click.command(short_help="What the gate set aside: list, move, use or forget")
@click.argument("action", required=False, type=click.Choice(["move", "use", "forget"]))
@click.argument("batch", required=False, type=int)
@click.argument("label", required=False)
@group_option
@new_label_option
@in_home
@reports
def pending(
    action: str | None, batch: int | None, label: str | None, group: str | None, new_label: bool, home: Home
) -> dict[str, Any]:
    """List batches of samples that the gate set aside, which are learned only when you say so, or decide about one.

    `move BATCH` gives its samples the label that they look like, or LABEL; `use BATCH` says that their labels are
    right; `forget BATCH` removes them exactly. Each acts on that batch alone.
    """
    learner = in_group(home.learner(), group)
    if action is None:
        return _listed(learner, group)
    if batch is None:
        raise InputError(
            f"which batch? `edgetl-device pending` lists them, then `edgetl-device pending {action} BATCH`"
        )
    if label is not None and action != "move":
        raise InputError(f"unexpected argument {label}: only `move` takes a label")
    with learner.lock():
        if action == "forget":
            removed = learner.forget_pending(batch)
            say(f"forgot {_counted(removed)}; version {learner.active_version} stays active")
            return {"removed": removed, "version": learner.active_version}
        if action == "move":
            if label is not None and not new_label:
                learner.refuse_slip(label, NEW_LABEL)
            label, ids = learner.move_pending(batch, label)
            say(f"moved {_counted(len(ids))} to {label}")
        else:
            label, ids = learner.pending_batch(batch).label, learner.use_pending(batch)
            say(f"using {_counted(len(ids))} as {label}")
        return {"label": label, "moved": len(ids), "ids": ids} | judged_if_possible(learner, group)


def _listed(learner: Learner, group: str | None) -> dict[str, Any]:
    from dataclasses import asdict

    batches = learner.pending()
    for batch in batches:
        say_pending(batch, group)
    if not batches:
        say("nothing is pending: the gate set nothing aside")
    return {"pending": [asdict(batch) for batch in batches]}


def _counted(count: int) -> str:
    return f"{count} sample{'s' if count != 1 else ''}"
