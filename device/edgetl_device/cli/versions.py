"""``edgetl-device versions`` and ``rollback``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import moment, reports, say_wrapped, table
from .options import group_option, in_group, in_home

if TYPE_CHECKING:
    from ..home import Home
    from ..store.schema import VersionRow


@click.command(short_help="List head versions")
@group_option
@in_home
@reports
def versions(group: str | None, home: Home) -> dict[str, Any]:
    """List head versions. Their numbers are counted over all groups."""
    learner = in_group(home.learner(), group)
    active = learner.active_version
    rows = learner.versions()
    empty = group is not None and not learner.bundle.labels  # no bundle brought anything for it
    table(
        ("", "version", "state", "head", "time", "why"),
        [("*" if r.id == active else "", r.id, _state(r, empty), r.rule, moment(r.time), _why(r, empty)) for r in rows],
        wrap=True,
    )
    keys = ("id", "time", "state", "reason", "rule", "metrics")
    listed = [{key: getattr(row, key) for key in keys} | {"active": row.id == active} for row in rows]
    return {"versions": [{"version": row.pop("id"), **row} for row in listed]}


def _state(row: VersionRow, empty: bool) -> str:
    return "empty" if empty and row.state == "factory" else row.state


def _why(row: VersionRow, empty: bool) -> str:
    return "nothing was taught in the group yet" if empty and row.state == "factory" else row.reason


@click.command(short_help="Use an earlier head version again")
@click.argument("number", required=False, type=int)
@group_option
@in_home
@reports
def rollback(number: int | None, group: str | None, home: Home) -> dict[str, Any]:
    """Use an earlier head version again (default: the last good one before the active); samples are kept."""
    version = in_group(home.learner(), group).rollback(number)
    say_wrapped(f"version {version} is active again; samples are kept, and the next learning uses them again", 2)
    return {"version": version}
