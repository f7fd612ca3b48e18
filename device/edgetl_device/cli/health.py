"""``edgetl-device health`` and ``why``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say, say_wrapped, table
from ..percent import percent
from .options import group_option, group_words, in_group, in_home, runtime_option

if TYPE_CHECKING:
    from ..home import Home
    from ..learning.taught_health import DoubtfulLabel, TaughtClass, Why

_MOST_SHOWN = 20


@click.command(short_help="Which labels look wrong, and whether enough was taught")
@group_option
@in_home
@reports
def health(group: str | None, home: Home) -> dict[str, Any]:
    """Ask every stored sample what it would be called if it had not been taught.

    Samples that look like something else by far are listed, the surest first; each class is told with how many of its
    samples come out right.
    """
    from ..learning.taught_health import health_of

    learner = in_group(home.learner(), group)
    found = health_of(learner)
    _say_waiting(sum(batch.samples for batch in learner.pending()), group)
    if not found.samples:
        say("nothing to ask yet: it takes two classes, and samples that were taught here")
        return found.to_json()
    _say_doubtful(found.doubtful, found.samples, group_words(group))
    say()
    table(("class", "samples", "right", "95 % interval", ""), [_row(each) for each in found.classes], wrap=True)
    if found.confused is not None:
        one, other, count = found.confused
        say_wrapped(f"most often taken for each other: {one} and {other}, {count} time{'s' if count != 1 else ''}", 2)
    return found.to_json()


def _say_waiting(samples: int, group: str | None) -> None:
    """What the gate set aside is learned by no head, so nobody can ask what it looks like without it."""
    if samples:
        are = "samples are" if samples != 1 else "sample is"
        say_wrapped(f"{samples} {are} set aside and not asked: `edgetl-device pending{group_words(group)}`", 2)


def _say_doubtful(doubtful: Sequence[DoubtfulLabel], samples: int, in_group: str) -> None:
    count = len(doubtful)
    if not count:
        say(f"none of {samples} sample{'s looks' if samples != 1 else ' looks'} mislabelled")
        return
    say(f"{count} of {samples} samples look{'s' if count == 1 else ''} mislabelled:")
    table(("id", "label", "looks like"), [(each.id, each.label, each.looks_like) for each in doubtful[:_MOST_SHOWN]])
    if count > _MOST_SHOWN:
        say(f"… and {count - _MOST_SHOWN} more (`--json` has all)")
    first = doubtful[0]
    looks_like = shlex.quote(first.looks_like)
    say_wrapped(
        f"look at them, then `edgetl-device relabel{in_group} {looks_like} {first.id}` moves one, "
        f"`edgetl-device forget{in_group} --sample {first.id}` removes it, and "
        f"`edgetl-device confirm{in_group} {first.id}` says that it is right",
        2,
    )


def _row(each: TaughtClass) -> tuple[object, ...]:
    low, high = each.interval
    words = []
    if each.missing:
        photo = "photo" if each.photos == 1 else "photos"
        words.append(f"rests on {each.photos} {photo}: add {each.missing}")
    if each.confused_with:
        words.append(f"else {each.confused_with}")
    return each.label, each.samples, each.right, f"{percent(low)} to {percent(high)}", "; ".join(words)


@click.command(short_help="Which samples make a photo be called what it is called")
@click.argument("photo", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@group_option
@runtime_option
@in_home
@reports
def why(photo: Path, group: str | None, runtime: str, home: Home) -> dict[str, Any]:
    """Take out the samples that are most like PHOTO one after the other, exactly, and tell what it would be called."""
    from ..learning.taught_health import causes_of
    from ..open_home import OpenHome
    from ..photos import read_photo

    opened = OpenHome(home, runtime)
    codes = opened.backbone.codes(opened.backbone.embed(read_photo(photo))[None])
    found = causes_of(in_group(opened.learner, group), codes)
    _say_why(photo, found, group_words(group))
    return {
        "label": found.label,
        "second": found.second,
        "lead": _finite(found.lead),
        "causes": [vars(cause) | {"lead": _finite(cause.lead)} for cause in found.causes],
    }


def _finite(nats: float) -> float | None:
    """For JSON, which has no infinity."""
    return round(nats, 3) if math.isfinite(nats) else None


def _say_why(photo: Path, found: Why, in_group: str) -> None:
    second = f", {found.second} comes next, {found.lead:.1f} nats behind" if found.second is not None else ""
    say_wrapped(f"{photo.name} is called {found.label}{second}", 2)
    if found.second is None:
        say_wrapped(f"no other label is known: `edgetl-device learn{in_group} LABEL PHOTO…` teaches a second one", 2)
        return
    if not found.causes:
        say_wrapped(f"nothing that was taught here speaks for {found.label}: it is the bundle's answer", 2)
        return
    if not found.alone:
        first, count = found.causes[0], len(found.causes)
        told = f"none of the {count} samples most like it decides" if count > 1 else "the one sample does not decide"
        without = f"without sample {first.id}, which speaks for it most, it leads by {first.lead:.1f}"
        say_wrapped(f"{told} that: {without}" if math.isfinite(first.lead) else f"{told} that", 2)
        return
    table(
        ("without", "it would be", "lead"),
        [
            (each.id, each.instead, f"{-each.lead:.1f}" if math.isfinite(each.lead) else "")
            for each in found.alone[:_MOST_SHOWN]
        ],
    )
    first = found.alone[0]
    say_wrapped(
        f"only if {found.label} is the wrong answer, look at sample {first.id}: "
        f"where its label is wrong too, `edgetl-device relabel{in_group} LABEL {first.id}`",
        2,
    )
