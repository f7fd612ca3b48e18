"""REST under ``/api/v1/review``: frames that the app was unsure of, and what a person says they show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import InputError
from .api import MAX_ID, Api
from .bodies import Json, read_json, sample_ids
from .work import Work

if TYPE_CHECKING:
    from ..app.app import App


class ReviewApi:
    """The review of one running app.

    Args:
        app: whose frames they are.
        work: what bounds it.
        api: of the same app, which retrains.
    """

    def __init__(self, app: App, work: Work, api: Api) -> None:
        self._app, self._reviewing, self._work, self._api = app, app.reviewing, work, api

    def routes(self) -> list[Route]:
        """Relative to ``/api/v1``."""
        return [
            Route("/review", self.frames),
            Route("/review/{frame}/thumbnail", self.thumbnail),
            Route("/review/label", self.label, methods=["POST"]),
            Route("/review/undo", self.undo, methods=["POST"]),
            Route("/review/drop", self.drop, methods=["POST"]),
        ]

    async def frames(self, _request: Request) -> Response:
        """What is kept, in the order in which to ask."""
        return Json({"frames": [each.to_json() for each in await self._work.run(self._reviewing.frames)]})

    async def thumbnail(self, request: Request) -> Response:
        """A frame's picture; 404 where it is not kept any more."""
        frame = request.path_params["frame"]
        if not (frame.isascii() and frame.isdecimal() and len(frame) <= 19 and int(frame) <= MAX_ID):
            raise HTTPException(404)
        jpeg = await self._work.run(self._reviewing.thumbnail, int(frame))
        if jpeg is None:
            raise HTTPException(404)
        return Response(jpeg, media_type="image/jpeg")  # not to be cached: what is dropped is gone

    async def label(self, request: Request) -> Response:
        """``{"label", "ids", "group"}``: they become samples; then retrain."""
        fields = await read_json(request, {"label": str, "ids": list, "new_label": bool, "group": str})
        if not fields.get("ids"):
            raise InputError('"ids" is missing: expected {"label": "…", "ids": [1, 2]}')
        label, ids, group = fields.get("label", ""), sample_ids(fields["ids"]), fields.get("group")
        await self._api.refuse_slip(label, group, new_label=fields.get("new_label", False))
        samples = await self._work.run(self._reviewing.label, label, ids, group)
        return Json({"label": label, "ids": samples} | await self._api.judged_if_possible(group))

    async def undo(self, request: Request) -> Response:
        """``{"ids"}``, of all samples that a labelling made: forget them, and keep their frames again; then retrain."""
        fields = await read_json(request, {"ids": list})
        if not fields.get("ids"):
            raise InputError('"ids" is missing: expected {"ids": [1, 2]}, as labelling has answered')
        undone, group = await self._work.run(self._app.undo_review, sample_ids(fields["ids"]))
        return Json({"undone": undone} | await self._api.judged_if_possible(group))

    async def drop(self, request: Request) -> Response:
        """``{"ids"}`` or ``{"all": true}``: forget frames without a trace."""
        fields = await read_json(request, {"ids": list, "all": bool})
        if bool(fields.get("ids")) == bool(fields.get("all")):
            raise InputError('choose what to drop: {"ids": [1, 2]}, or {"all": true}')
        ids = sample_ids(fields["ids"]) if fields.get("ids") else None
        return Json({"dropped": await self._work.run(self._reviewing.drop, ids)})
