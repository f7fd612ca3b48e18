"""``edgetl-device inspect versions`` and ``inspect rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import moment, reports, say, say_wrapped, table
from ..percent import percent
from .inspect_words import counted, opened_to_inspect
from .options import in_home
from .sample_ids import as_ranges

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="List what was taught, lesson by lesson")
@in_home
@reports
def versions(home: Home) -> dict[str, Any]:
    """List versions: each lesson made one, with the false alarms expected and the bad photos found then.

    Their numbers are counted together with those of heads.
    """
    with opened_to_inspect(home) as opened:
        rows, active = opened.inspection.versions(), opened.inspection.status().version
    if not rows:
        say("no versions yet: `edgetl-device inspect learn PHOTO…` makes the first")
    else:
        table(
            ("", "version", "time", "good", "flagged", "bad", "found", "why"),
            [
                (
                    "*" if row.id == active else "",
                    row.id,
                    moment(row.time),
                    *_figures(row.metrics),
                    row.reason,
                )
                for row in rows
            ],
            wrap=True,
        )
    keys = ("time", "state", "reason", "metrics")
    return {
        "versions": [
            {"version": row.id, **{key: getattr(row, key) for key in keys}, "active": row.id == active} for row in rows
        ]
    }


@click.command(short_help="Use what was known at an earlier version again")
@click.argument("number", required=False, type=int)
@in_home
@reports
def rollback(number: int | None, home: Home) -> dict[str, Any]:
    """Use an earlier version again (default: the one before). What was taught after it stays stored.

    The next lesson uses that again: `inspect forget --sample` those photos that were taught by mistake.
    """
    with opened_to_inspect(home) as opened:
        version = opened.inspection.rollback(number)
        known, ids = opened.inspection.status(), opened.inspection.unused()
    say(f"version {version} is in use again: {counted(known.good + known.fine)} good, {known.bad} not good")
    if ids:
        stays, them, they_were = ("stays", "it", "it was") if len(ids) == 1 else ("stay", "them", "they were")
        say_wrapped(
            f"{counted(len(ids))} taught after it {stays} stored, and the next lesson uses {them} again: "
            f"`edgetl-device inspect forget --sample {' '.join(as_ranges(ids))}` if {they_were} a mistake",
            0,
        )
    return {"version": version, "unused": list(ids)}


def _figures(metrics: dict[str, Any]) -> tuple[str, str, str, str]:
    """Good photos, share of them expected to be flagged, bad photos, share of them found."""
    if "good" not in metrics:
        return "-", "-", "-", "-"
    found = metrics["found"]
    return (
        str(metrics["good"]),
        percent(metrics["false_alarms"], 1),
        str(metrics["bad"]),
        "-" if found is None else percent(found),
    )
