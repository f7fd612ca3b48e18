"""``edgetl-device history``: what the camera saw, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import moment, reports, say, say_wrapped, table
from ..errors import InputError
from ..printable import printable
from .options import in_home

if TYPE_CHECKING:
    from ..home import Home
    from ..store.history import History
    from ..store.history_event import Event, Selection

_SHOWN = 20
_MOST = 100_000  # events listed at once
_PAGE = 1000  # events in memory, where all are written
_LABEL, _LABEL_AND_CAMERA = (24,), (15, 8)  # characters that leave room for the rest in 80 columns


@click.command(short_help="What the camera saw, and when: list, export or delete")
@click.option("--label", help="Only this label; `unknown` for what resembled nothing learned.")
@click.option("--camera", help="Only this camera.")
@click.option(
    "--since", metavar="WHEN", help="Only what began since then: 2026-11-27, 2026-11-27T18:00, or 2h, 30min, 7d ago."
)
@click.option("--until", metavar="WHEN", help="Only what began before then; a day means its end.")
@click.option(
    "--limit",
    type=click.IntRange(1, _MOST),
    help=f"The newest so many.  [default: {_SHOWN}; all with --csv]",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print them as CSV, the newest first.")
@click.option("--clear", is_flag=True, help="Delete them, with their pictures: all, or what the options select.")
@click.option("--check", is_flag=True, help="Read all of the file, and save what can be saved where it is damaged.")
@in_home
@reports
def history(
    label: str | None,
    camera: str | None,
    since: str | None,
    until: str | None,
    limit: int | None,
    as_csv: bool,
    clear: bool,
    check: bool,
    home: Home,
) -> dict[str, Any] | None:
    """Labels that `run` saw for half a second or longer, the newest first: when, for how long, and how sure it was.

    Times are the device's local ones; with --json and --csv they are UTC.
    """
    from ..store.history import History
    from ..store.history_event import Selection
    from ..store.history_moments import parse_moment

    as_json = click.get_current_context().meta["edgetl.json"]
    if as_csv and as_json:
        raise InputError("--csv and --json do not go together: choose one of them")
    if as_csv + clear + check > 1:
        raise InputError("choose one of --csv, --clear and --check")
    if limit is not None and (clear or check):
        raise InputError("--limit is for listing: with --clear, --since and --until say what is deleted")
    if check and any(each is not None for each in (label, camera, since, until)):
        raise InputError("--check reads all of the history: leave out what selects events")
    begin = None if since is None else parse_moment(since, "--since")
    end = None if until is None else parse_moment(until, "--until", end=True)
    selection, kept = Selection(label, camera, begin, end), History(home.history_path)
    try:
        if clear:
            return _clear(kept, selection)
        if check:
            count = kept.check()
            say(f"sound: {count} event{'s' if count != 1 else ''}")
            return {"events": count}
        if as_csv:
            _print_csv(kept, selection, limit)
            return None
        return _list(kept, selection, limit or _SHOWN)
    finally:
        kept.close()


def say_history(told: dict[str, Any]) -> None:
    """A line of the status."""
    if told["problem"] is not None:
        say_wrapped(f"history  {told['problem']}", 9)
    elif told["since"] is None:
        say("history  nothing recorded")
    else:
        say(f"history  since {moment(told['since'])}, {told['bytes'] / 1e6:.1f} MB: `edgetl-device history`")


def _clear(kept: History, selection: Selection) -> dict[str, Any]:
    from ..store.history_event import ANY

    deleted = kept.delete("all" if selection == ANY else selection)
    nothing = "nothing recorded of that" if selection.condition[1] else "nothing recorded"
    say(f"deleted {deleted} event{'s' if deleted != 1 else ''}" if deleted else nothing)
    return {"deleted": deleted}


def _print_csv(kept: History, selection: Selection, limit: int | None) -> None:
    from ..store import history_csv

    click.echo(history_csv.header(), nl=False)
    before: int | None = None
    while limit is None or limit > 0:
        page = kept.events(selection, before, _PAGE if limit is None else min(limit, _PAGE))
        click.echo(history_csv.lines(page), nl=False)
        if len(page) < _PAGE:
            return
        before, limit = page[-1].id, None if limit is None else limit - len(page)


def _list(kept: History, selection: Selection, limit: int) -> dict[str, Any]:
    events = kept.events(selection, limit=limit)
    total = kept.count(selection) if len(events) == limit else len(events)  # what is damaged is not there
    if events:
        cameras = len({event.camera for event in events}) > 1
        names = ("id", "began", "for", "label", "prob.", *(["camera"] if cameras else []), "")
        table(names, [_row(event, cameras) for event in events])
    else:
        say("nothing recorded" if total == 0 and not selection.condition[1] else "nothing recorded of that")
    if total > len(events):
        say(f"… and {total - len(events)} more (--limit, or --csv for all)")
    return {"events": [event.to_json() for event in events], "total": total}


def _row(event: Event, cameras: bool) -> tuple[object, ...]:
    label = f"{event.group}: {event.label}" if event.group else event.label
    sure = None if event.probability is None else f"{event.probability:.2f}"
    names, widths = ((label, event.camera), _LABEL_AND_CAMERA) if cameras else ((label,), _LABEL)
    label, *camera = (_cut(name, width) for name, width in zip(names, widths, strict=True))
    note = "" if event.state == "ended" else event.state
    lasted = f"since {moment(event.start)[11:16]}" if event.state == "open" else _lasted(event.duration_s)
    return event.id, moment(event.start), lasted, label, sure, *camera, note


def _cut(name: str, width: int) -> str:
    shown = printable(name)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


def _lasted(seconds: float) -> str:
    """
    >>> _lasted(7.26), _lasted(75), _lasted(7384)
    ('7.3 s', '1:15 min', '2:03 h')
    """
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"
