"""REST under ``/api/v1/views`` and ``/api/v1/regions``: what is recognised of each camera."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import InputError
from ..home_regions import NamedRegion
from ..region import UNIT, region_of
from ..view import View
from ..view_names import ViewName
from .bodies import Json, read_json
from .work import Work

if TYPE_CHECKING:
    from ..app.app import App

_EXAMPLE = '{"camera": "porch", "region": "feeder", "area": [0.25, 0, 0.5, 1]}'


class RegionsApi:
    """The views of one running app.

    Args:
        app: what recognises them.
        work: what bounds it.
    """

    def __init__(self, app: App, work: Work) -> None:
        self._app, self._work = app, work

    def routes(self) -> list[Route]:
        """Relative to ``/api/v1``."""
        return [
            Route("/views", self.views),
            Route("/regions", self.regions),
            Route("/regions", self.choose, methods=["POST"]),
            Route("/regions/rename", self.rename, methods=["POST"]),
            Route("/regions/remove", self.remove, methods=["POST"]),
        ]

    async def views(self, _request: Request) -> Response:
        """What is recognised, in the order of the cameras, and how these are doing."""
        return Json(await self._work.run(self._views))

    async def regions(self, _request: Request) -> Response:
        """The named regions, and what was taught with views that are not in use."""
        return Json(await self._work.run(self._regions))

    async def choose(self, request: Request) -> Response:
        """``{"camera", "region", "area", "find", "group"}``: recognise a region by itself, or change it → all regions.

        What is missing of one that there is stays; an empty group lets it ask no group.
        """
        kinds = {"camera": str, "region": str, "area": list, "find": bool, "group": str}
        fields = await read_json(request, kinds)
        if not fields.get("region"):
            raise InputError(f'"region" is missing: expected {_EXAMPLE}')
        await self._work.run(self._choose, fields)
        return await self.regions(request)

    async def rename(self, request: Request) -> Response:
        """``{"camera", "region", "name"}`` → all regions."""
        fields = await read_json(request, {"camera": str, "region": str, "name": str})
        if "name" not in fields:
            raise InputError('"name" is missing: expected {"region": "feeder", "name": "bird feeder"}')
        await self._work.run(self._app.rename_region, self._name(fields), fields["name"])
        return await self.regions(request)

    async def remove(self, request: Request) -> Response:
        """``{"camera", "region"}`` → the regions that are left; what was taught in it stays."""
        fields = await read_json(request, {"camera": str, "region": str})
        await self._work.run(self._app.remove_region, self._name(fields))
        return await self.regions(request)

    def _name(self, fields: dict[str, Any]) -> ViewName:
        return ViewName(self._app.camera_named(fields.get("camera")), fields.get("region", ""))

    def _choose(self, fields: dict[str, Any]) -> None:
        name = self._name(fields)
        known = next((each for each in self._app.regions() if each.name == name), None)
        if known is None and "area" not in fields:
            raise InputError(f'"area" is missing: expected {_EXAMPLE}')
        before = known or NamedRegion(name, View())
        area = region_of(fields["area"]) if "area" in fields else before.view.region
        view = View(None if area == (0, 0, UNIT, UNIT) else area, zoom=fields.get("find", before.view.zoom))
        self._app.choose_region(NamedRegion(name, view, fields.get("group", before.group) or None))

    def _regions(self) -> dict[str, Any]:
        listed = [each.to_json() for each in self._app.regions()]
        return {"regions": listed, "others": dict(self._app.taught_with_others())}

    def _views(self) -> dict[str, Any]:
        app = self._app
        return {
            "views": [
                {
                    "camera": view.name.camera or None,
                    "region": view.name.region or None,
                    "group": view.group,
                    "described": view.looking.describe(),
                }
                for view in app.pipeline.views
            ],
            "cameras": app.health_of_cameras(),
        }
