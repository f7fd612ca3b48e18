"""REST under ``/api/v1/view``: which part of the frame counts for recognition, and the empty scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import InputError
from ..region import region_of
from ..view import View
from .bodies import Json, read_json
from .guard import Refused
from .work import Work

if TYPE_CHECKING:
    from ..app.app import App


class ViewApi:
    """How one running app looks at frames.

    Args:
        app: what looks.
        work: what bounds it.
    """

    def __init__(self, app: App, work: Work) -> None:
        self._app, self._work = app, work

    def routes(self) -> list[Route]:
        """Relative to ``/api/v1``."""
        return [
            Route("/view", self.view),
            Route("/view", self.choose, methods=["POST"]),
            Route("/view/empty", self.empty, methods=["POST"]),
        ]

    async def view(self, _request: Request) -> Response:
        """How frames are looked at, and what was taught with another view."""
        return Json(await self._work.run(self._app.view))

    async def choose(self, request: Request) -> Response:
        """``{"region", "find"}``, what is missing is the whole frame; or ``{"reset": true}`` → the view."""
        fields = await read_json(request, {"region": list, "find": bool, "reset": bool})
        if bool(fields.get("reset")) == ("region" in fields or "find" in fields):
            raise InputError('choose a view: {"region": [0.25, 0, 0.5, 1], "find": false}, or {"reset": true}')
        region = region_of(fields["region"]) if "region" in fields else None
        view = None if fields.get("reset") else View(region, zoom=fields.get("find", False))
        await self._work.run(self._app.choose_view, view)
        return await self.view(request)

    async def empty(self, request: Request) -> Response:
        """A photo as body, or what the camera sees now, is the empty scene → the view."""
        if request.headers.get("content-type", "").startswith("image/"):
            await self._work.with_photo(request, self._app.remember_empty)
        else:
            await read_json(request, {}, "or a photo with `Content-Type: image/jpeg`")
            recognition = self._app.pipeline.latest()
            if recognition is None:
                raise Refused(503, self._work.no_frame())
            await self._work.run(self._app.remember_empty, recognition.frame.image)
        return await self.view(request)
