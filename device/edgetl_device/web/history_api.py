"""REST under ``/api/v1/history``: what the camera saw and when, by label, camera and day; exported and deleted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..app.history import HistoryWriter
from ..errors import InputError
from ..store import history_csv
from ..store.history_event import Event, Selection
from ..store.history_moments import parse_moment
from .api import MAX_ID
from .bodies import Json, query_number, read_json, sample_ids, whole_number
from .guard import Refused
from .streams import Stream
from .work import Work

MAX_PAGE = 200  # events listed by one request
MAX_EXPORTS = 2  # at once
_AT_ONCE = 500  # events of an export that are in memory

_SELECTING = ("label", "camera", "since", "until")

Writes = Callable[[Sequence[Event], bool], str]
"""Events, and whether they are the first ones → text."""


class HistoryApi:
    """The history of one running app.

    Args:
        history: of the app.
        work: what bounds it.
    """

    def __init__(self, history: HistoryWriter, work: Work) -> None:
        self._history, self._work = history, work
        self._exports = 0

    def routes(self) -> list[Route]:
        """Relative to ``/api/v1``."""
        return [
            Route("/history", self.events),
            Route("/history.csv", self.as_csv),
            Route("/history.json", self.as_json),
            Route("/history/hours", self.hours),
            Route("/history/delete", self.delete, methods=["POST"]),
            Route("/history/{event}/snapshot", self.snapshot),
        ]

    async def events(self, request: Request) -> Response:
        """Newest first, a page at a time: ``?label=&camera=&since=&until=&before=ID&limit=N``."""
        selection, before = _selected(request), query_number(request, "before", None)
        limit = min(max(query_number(request, "limit", 48) or 1, 1), MAX_PAGE)
        found = await self._work.run(self._history.events, selection, before, limit + 1)  # one more: is there a next?
        page = found[:limit]
        all_found = before is None and len(found) <= limit  # what is damaged is not among them
        total = len(found) if all_found else await self._work.run(self._history.count, selection)
        told = {"events": [event.to_json() for event in page], "total": total}
        return Json(told | {"next": page[-1].id if len(found) > limit else None})

    async def hours(self, request: Request) -> Response:
        """How many events began in each hour from ``since`` on, by label."""
        return Json((await self._work.run(self._history.counts, _selected(request))).to_json())

    async def snapshot(self, request: Request) -> Response:
        """An event's picture; 404 where none is kept."""
        event = request.path_params["event"]
        if not (event.isascii() and event.isdecimal() and len(event) <= 19 and int(event) <= MAX_ID):
            raise HTTPException(404)
        jpeg = await self._work.run(self._history.snapshot, int(event))
        if jpeg is None:
            raise HTTPException(404)
        return Response(jpeg, media_type="image/jpeg")  # not to be cached: what is deleted is gone

    async def as_csv(self, request: Request) -> Response:
        """All that are selected, the newest first."""

        def written(events: Sequence[Event], first: bool) -> str:
            return (history_csv.header() if first else "") + history_csv.lines(events)

        return await self._export(request, written, "", "text/csv", "csv")

    async def as_json(self, request: Request) -> Response:
        """As :meth:`as_csv`, as one JSON object."""

        def written(events: Sequence[Event], first: bool) -> str:
            texts = [json.dumps(event.to_json(), allow_nan=False) for event in events]
            return ('{"events": [' if first else ",\n" if texts else "") + ",\n".join(texts)

        return await self._export(request, written, "]}\n", "application/json", "json")

    async def delete(self, request: Request) -> Response:
        """``{"ids"}``, ``{"all": true}``, or any of ``label``, ``camera``, ``since`` and ``until``.

        With ``before``, an id, what has this number or a higher one stays: nobody has seen it yet.
        """
        fields = await read_json(request, {"ids": list, "all": bool, "before": int} | dict.fromkeys(_SELECTING, str))
        before = whole_number(fields.get("before"), "before", 1, MAX_ID)
        selecting = [fields[key] for key in _SELECTING if key in fields]
        kinds = bool(fields.get("ids")) + bool(fields.get("all")) + bool(selecting)
        if kinds != 1 or "" in selecting or (before and fields.get("ids")):
            raise InputError('choose what to delete: {"ids": [1, 2]}, {"all": true}, or {"since": "…", "until": "…"}')
        if fields.get("ids"):
            what: Any = sample_ids(fields["ids"])
        else:
            what = "all" if fields.get("all") else _selection(fields)
        return Json({"deleted": await self._work.run(self._history.delete, what, before)})

    # inside ------------------------------------------------------------------------------------------------------

    async def _export(self, request: Request, written: Writes, end: str, kind: str, suffix: str) -> Response:
        selection = _selected(request)
        begin = await self._work.run(self._history.events, selection, None, _AT_ONCE)  # a refusal is still possible

        async def parts() -> AsyncIterator[str]:
            page = begin
            yield written(page, True)
            while len(page) == _AT_ONCE:
                page = await self._work.run(self._history.events, selection, page[-1].id, _AT_ONCE)
                yield written(page, False)
            yield end

        headers = {"Content-Disposition": f'attachment; filename="history.{suffix}"'}
        return Stream(parts(), self._place(), kind, headers)

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if self._exports >= MAX_EXPORTS:
            raise Refused(503, "others are exporting the history already: try again in a few seconds")
        self._exports += 1
        try:
            yield
        finally:
            self._exports -= 1


def _selected(request: Request) -> Selection:
    return _selection(request.query_params)


def _selection(fields: Any) -> Selection:
    """Raises InputError where a moment is none."""
    since, until = fields.get("since"), fields.get("until")
    return Selection(
        fields.get("label") or None,
        fields.get("camera") or None,
        parse_moment(since, "since") if since else None,
        parse_moment(until, "until", end=True) if until else None,
    )
