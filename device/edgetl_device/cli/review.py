"""``edgetl-device review``: frames that the running app kept for a person to glance at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from ..console import moment, reports, say, say_wrapped, table
from ..errors import InputError
from .options import NEW_LABEL, group_option, in_home, new_label_option
from .retraining import judged_if_possible
from .sample_ids import SampleIds

if TYPE_CHECKING:
    from ..home import Home
    from ..learning.learner import Learner

_MOST_SHOWN = 20


@click.command(short_help="Frames it was unsure of: list, label or drop")
@click.argument("action", required=False, type=click.Choice(["label", "drop"]))
@click.argument("words", nargs=-1, metavar="[LABEL] [ID]...")
@click.option("--all", "everything", is_flag=True, help="With `drop`: all frames that are kept.")
@group_option
@new_label_option
@in_home
@reports
def review(
    action: str | None, words: tuple[str, ...], everything: bool, group: str | None, new_label: bool, home: Home
) -> dict[str, Any]:
    """List frames that `run` kept because it was unsure of them, or decide about some.

    The list begins with those that stand for most of what it is unsure of; of frames that look alike one comes early.

    `label LABEL ID…` says what they show: they become samples, with --group of that group. `drop ID…` forgets them
    without a trace.
    """
    from ..learning.groups import Groups
    from ..learning.review import drop_frames, label_frames

    if everything and action != "drop":
        raise InputError("--all goes with `drop`: `edgetl-device review drop --all`")
    if group is not None and action != "label":
        raise InputError("--group goes with `label`: `edgetl-device review label LABEL ID… --group NAME`")
    learner = home.learner()
    if action is None:
        return _listed(learner)
    if action == "drop":
        if bool(words) == everything:
            raise InputError("which frames? `edgetl-device review drop ID…`, or `--all`")
        dropped = drop_frames(learner, None if everything else _ids(learner, words))
        say(f"dropped {_counted(dropped)}")
        return {"dropped": dropped}
    if len(words) < 2:
        raise InputError("which label, and which frames? `edgetl-device review label LABEL ID…`")
    label, ids = words[0], _ids(learner, words[1:])
    with learner.lock():
        if group is not None:
            learner = Groups(learner).known_or_new(group, "" if new_label else NEW_LABEL)
        if not new_label:
            learner.refuse_slip(label, NEW_LABEL)
        samples = label_frames(learner, label, ids)
        say(f"stored {_counted(len(samples), 'sample')} of {label}{f' ({group})' if group else ''}")
        return {"label": label, "ids": samples} | judged_if_possible(learner, group)


def _listed(learner: Learner) -> dict[str, Any]:
    from ..learning.review import frames_for_review

    frames = frames_for_review(learner)
    if not frames:
        say("nothing to review: `edgetl-device run` keeps the frames that it is unsure of")
    else:
        rows = [(each.id, moment(each.time), each.why, each.label, f"{each.probability:.2f}") for each in frames]
        table(("id", "time", "why", "guessed", "probability"), rows[:_MOST_SHOWN])
        if len(rows) > _MOST_SHOWN:
            say(f"… and {len(rows) - _MOST_SHOWN} more (`--json` has all)")
        say_wrapped(
            "the page of `run` shows their pictures; `edgetl-device review label LABEL ID…` says what they are, "
            "`edgetl-device review drop ID…` forgets them",
            2,
        )
    return {"frames": [each.to_json() for each in frames]}


def _ids(learner: Learner, words: Sequence[str]) -> list[int]:
    """``7`` or ``1-60`` → the frame, or those of the range that are kept."""
    chosen = [SampleIds("frame").convert(word, None, None) for word in words]
    kept: list[int] = []
    if any(len(ids) > 1 for ids in chosen):
        kept = [frame.id for frame in learner.store.review.frames(learner.bundle.backbone_digest)]
    found = [list(ids) if len(ids) == 1 else [number for number in kept if number in ids] for ids in chosen]
    return list(dict.fromkeys(chain.from_iterable(found)))


def _counted(count: int, what: str = "frame") -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
