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

    async def view(self, request: Request) -> Response:
        """How frames are looked at, of the camera ``?camera=``, and what was taught with another view."""
        return Json(await self._work.run(self._app.view, request.query_params.get("camera")))

    async def choose(self, request: Request) -> Response:
        """``{"region", "find"}``, what is missing is the whole frame; or ``{"reset": true}`` → the view.

        Of several cameras, ``camera`` says of which.
        """
        fields = await read_json(request, {"region": list, "find": bool, "reset": bool, "camera": str})
        if bool(fields.get("reset")) == ("region" in fields or "find" in fields):
            raise InputError('choose a view: {"region": [0.25, 0, 0.5, 1], "find": false}, or {"reset": true}')
        region = region_of(fields["region"]) if "region" in fields else None
        view = None if fields.get("reset") else View(region, zoom=fields.get("find", False))
        camera = fields.get("camera")
        await self._work.run(self._app.choose_view, view, camera)
        return Json(await self._work.run(self._app.view, camera))

    async def empty(self, request: Request) -> Response:
        """A photo as body, or what the camera sees now, is the empty scene → the view.

        Of several cameras, ``camera`` says of which: in the body, or of a photo in the query.
        """
        if request.headers.get("content-type", "").startswith("image/"):
            camera = self._app.camera_named(request.query_params.get("camera"))
            await self._work.with_photo(request, lambda photo: self._app.remember_empty(photo, camera))
        else:
            fields = await read_json(request, {"camera": str}, "or a photo with `Content-Type: image/jpeg`")
            camera = self._app.camera_named(fields.get("camera"))
            seen = [each for each in self._app.pipeline.latest_of_each() if each.name.camera == camera]
            if not seen:
                raise Refused(503, self._work.no_frame(camera))
            await self._work.run(self._app.remember_empty, seen[0].frame.image, camera)
        return Json(await self._work.run(self._app.view, camera))
