"""``edgetl-device samples``, ``relabel`` and ``forget``."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from ..console import moment, reports, say, table
from ..errors import InputError
from .options import NEW_LABEL, group_option, in_group, in_home, new_label_option
from .retraining import judged_if_possible, unchanged
from .sample_ids import SampleIds, as_ranges, stored_ids

if TYPE_CHECKING:
    from ..home import Home
    from ..learning.learner import Learner


def say_elsewhere(count: int) -> None:
    """Say how many samples belong to other backbones."""
    if count:
        belong = "samples belong" if count != 1 else "sample belongs"
        say(f"{count} {belong} to another backbone: not used until its bundle is installed again")
        say("(`edgetl-device forget --all` removes them too)")


@click.command(short_help="List what was taught")
@click.option("--label", help="Only samples of this label.")
@group_option
@in_home
@reports
def samples(label: str | None, group: str | None, home: Home) -> dict[str, Any]:
    """List stored samples. An id means the same photo in all groups."""
    learner = in_group(home.learner(), group)
    if label is not None:
        learner.check_known(label)
    rows = learner.samples(label)
    shown = [(row.id, row.label, moment(row.time), "pending" if row.pending else "") for row in rows]
    if shown:
        table(("id", "label", "time", ""), shown)
    else:
        say("none yet" if label is None else f"no samples of {label} yet")
    return {"samples": [asdict(row) for row in rows]}


@click.command(short_help="Move samples to another label")
@click.argument("label")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=SampleIds())
@group_option
@new_label_option
@in_home
@reports
def relabel(label: str, ids: tuple[range, ...], group: str | None, new_label: bool, home: Home) -> dict[str, Any]:
    """Move samples to another label, then retrain: `relabel mug 3 7 20-35`."""
    from ..learning.gate_words import already

    learner = in_group(home.learner(), group)
    with learner.lock():
        if not new_label:
            learner.refuse_slip(label, NEW_LABEL)
        chosen = stored_ids(learner, ids)
        moved = learner.relabel(label, chosen)
        if not moved:
            reason = already(label, len(chosen))
            say(reason)
            return {"moved": 0} | unchanged(learner, reason)
        say(f"moved {moved} sample{'s' if moved != 1 else ''} to {label}")
        return {"moved": moved} | judged_if_possible(learner, group)


@click.command(short_help="Say that labels which look wrong are right")
@click.argument("ids", metavar="ID...", nargs=-1, required=True, type=SampleIds())
@group_option
@in_home
@reports
def confirm(ids: tuple[range, ...], group: str | None, home: Home) -> dict[str, Any]:
    """Say that the labels of these samples are right: `health` names them no more. `confirm 3 7 20-35`."""
    learner = in_group(home.learner(), group)
    with learner.lock():
        confirmed = learner.confirm(stored_ids(learner, ids))
    say(f"confirmed {confirmed} sample{'s' if confirmed != 1 else ''}{f' in {group}' if group else ''}")
    return {"confirmed": confirmed}


def _ids_among(words: tuple[str, ...], home: Home) -> list[range]:
    """Arguments without an option → samples; raises InputError for what is none, and says what may be meant."""
    found = []
    for word in words:
        try:
            found.append(SampleIds().convert(word, None, None))
        except click.UsageError:
            known = home.has_bundle() and word in home.learner().known_labels()
            hint = (
                f"for the label, `edgetl-device forget --label {shlex.quote(word)}`"
                if known
                else ("`edgetl-device samples` lists them")
            )
            raise InputError(f"{word} is no sample id: {hint}") from None
    return found


def _taught_otherwise(home: Home, learner: Learner) -> list[int]:
    from ..home_view import HomeView

    found = HomeView(home, learner.store, learner.bundle).other_ids()
    if not found:
        raise InputError("all samples were taught with the view in use: `edgetl-device view` shows it")
    return found


@click.command(short_help="Remove samples or a label, exactly")
@click.option("--label", help="All samples of this label; a factory label is hidden.")
@click.option("--sample", "ids", multiple=True, type=SampleIds(), help="Samples: --sample 3 7 20-35.")
@click.option(
    "--all", "everything", is_flag=True, help="All samples, and what was hidden: back to what the factory knew."
)
@click.option("--other-view", is_flag=True, help="Samples that were taught with another view than the one in use.")
@group_option
@click.argument("more", metavar="", nargs=-1)
@in_home
@reports
def forget(
    label: str | None,
    ids: tuple[range, ...],
    everything: bool,
    other_view: bool,
    group: str | None,
    more: tuple[str, ...],
    home: Home,
) -> dict[str, Any]:
    """Remove samples exactly, as if they had never been learned, then retrain.

    Samples and --all go from all groups; with --group, only what that group says of them is removed, and a sample that
    has no label left is gone.
    """
    further = _ids_among(more, home)
    if further and not ids:
        raise InputError(f"for samples, write --sample {' '.join(as_ranges(chain.from_iterable(further)))}")
    if (label is not None) + bool(ids) + everything + other_view != 1:
        raise InputError("choose what to forget: one of --label L, --sample ID…, --other-view or --all")
    if other_view and group is not None:
        raise InputError("--other-view is about samples in all groups: leave out --group")
    learner = in_group(home.learner(), group)
    with learner.lock():
        chosen, labelled, elsewhere = list[int](), dict[int, str](), tuple[str, ...]()
        if other_view:
            ids = tuple(range(number, number + 1) for number in _taught_otherwise(home, learner))
        if label is not None:
            removed, hidden = learner.forget_label(label)
        else:
            chosen = [] if everything else stored_ids(learner, [*ids, *further], labelled=False)
            labelled = learner.store.labels_of(learner.bundle.backbone_digest, chosen)
            elsewhere = () if group else learner.groups_of(chosen)
            removed, hidden = learner.forget_all() if everything else learner.forget(chosen), False
        if hidden:
            say(f"{label} is hidden now; it came with the bundle, so its statistics stay there")
        if removed or not hidden:
            of = f" in {group}" if group else ""
            alone = bool(chosen) and not labelled
            where = f", labelled in {', '.join(elsewhere)} alone" if alone else f", in {', '.join(elsewhere)} too"
            say(f"forgot {removed} sample{'s' if removed != 1 else ''}{where if elsewhere else of}")
            if alone:
                return {"removed": removed, "hidden": hidden} | unchanged(learner, "they were labelled in groups alone")
        done = {"removed": removed, "hidden": hidden}
        return done | judged_if_possible(learner, group, forgotten=True)
