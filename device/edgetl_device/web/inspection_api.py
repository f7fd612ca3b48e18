"""REST under ``/api/v1/inspection``: teach good parts, check others, correct, and count them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..app.inspecting import TRIGGERS
from ..errors import InputError
from ..view import UNIT, View
from .bodies import Json, read_json, sample_ids
from .guard import Refused
from .live import inspected_json
from .work import Work

if TYPE_CHECKING:
    from ..app.app import App
    from ..inspection.service import Inspection, Taught
    from ..photos import Image

MAX_FRAMES_SIZE = 128 << 20  # bytes of the frames that one request captures: a 4K frame is 25 MB
_VIEW_KEYS = {"region": list, "find_part": bool, "turned": bool}


class InspectionApi:
    """The inspection of one running app.

    Args:
        app: what is inspected.
        work: what bounds it.
    """

    def __init__(self, app: App, work: Work) -> None:
        self._inspecting, self._work = app.inspecting, work

    def routes(self) -> list[Route]:
        """Relative to ``/api/v1``."""
        return [
            Route("/inspection", self.status),
            Route("/inspection/learn", self.learn, methods=["POST"]),
            Route("/inspection/check", self.check, methods=["POST"]),
            Route("/inspection/judge", self.judge, methods=["POST"]),
            Route("/inspection/forget", self.forget, methods=["POST"]),
            Route("/inspection/versions", self.versions),
            Route("/inspection/rollback", self.rollback, methods=["POST"]),
            Route("/inspection/settings", self.settings, methods=["POST"]),
            Route("/inspection/shift", self.shift, methods=["POST"]),
        ]

    async def status(self, _request: Request) -> Response:
        """What inspection knows, how it is set, and the parts that were counted."""
        return Json(await self._work.run(self._status))

    async def learn(self, request: Request) -> Response:
        """A photo as body with ``?verdict=V``, or ``{"verdict", "frames", "interval_ms"}``: frames of the camera."""
        if request.headers.get("content-type", "").startswith("image/"):
            verdict = request.query_params.get("verdict", "good")
            taught = await self._work.with_photo(request, lambda photo: self._inspecting.teach(verdict, [photo]))
        else:
            kinds = {"verdict": str, "frames": int, "interval_ms": int}
            fields = await read_json(request, kinds, "or a photo with `Content-Type: image/jpeg`")
            frames, interval_ms = fields.get("frames", 1), fields.get("interval_ms", 150)
            taught = await self._teach_frames(fields.get("verdict", "good"), frames, interval_ms)
        skipped = [reason for _, reason in taught.skipped]
        told = {"ids": taught.ids, "odd": taught.odd, "good": taught.good}
        told |= {"aside": taught.aside, "version": taught.version}
        return Json(told | {"skipped": skipped, "warnings": taught.warnings})

    async def check(self, request: Request) -> Response:
        """A photo as body, or what the camera sees now, is one part that is counted → its verdict."""
        if request.headers.get("content-type", "").startswith("image/"):
            verdict = await self._work.with_photo(request, self._inspecting.check)
        else:
            await read_json(request, {}, "or a photo with `Content-Type: image/jpeg`")
            recognition = self._inspecting.newest()
            if recognition is None:
                raise Refused(503, self._work.no_frame())
            verdict = await self._work.run(self._inspecting.check, recognition.frame.image, recognition.frame.number)
        return Json(verdict.to_json())

    async def judge(self, request: Request) -> Response:
        """``{"ids", "verdict"}``: photos that were taught get another verdict."""
        fields = await read_json(request, {"ids": list, "verdict": str})
        if not fields.get("ids") or "verdict" not in fields:
            raise InputError('"ids" and "verdict" are needed: expected {"ids": [1, 2], "verdict": "fine"}')
        ids, verdict = sample_ids(fields["ids"]), fields["verdict"]
        judged = await self._work.run(self._inspecting.locked, lambda inspection: inspection.decide(ids, verdict))
        return Json({"judged": len(judged), "ids": judged})

    async def versions(self, _request: Request) -> Response:
        """What was taught, lesson by lesson."""

        def listed(inspection: Inspection) -> list[dict[str, Any]]:
            active = inspection.status().version
            keys = ("time", "state", "reason", "metrics")
            return [
                {"version": row.id, **{key: getattr(row, key) for key in keys}, "active": row.id == active}
                for row in inspection.versions()
            ]

        return Json({"versions": await self._work.run(self._inspecting.locked, listed)})

    async def rollback(self, request: Request) -> Response:
        """``{"version"}``, by default the one before: what was known then is used again."""
        number = (await read_json(request, {"version": int})).get("version")
        return Json({"version": await self._work.run(self._inspecting.locked, lambda each: each.rollback(number))})

    async def forget(self, request: Request) -> Response:
        """``{"ids"}`` or ``{"all": true}``: exactly, as if they had never been taught."""
        fields = await read_json(request, {"ids": list, "all": bool})
        if bool(fields.get("ids")) == bool(fields.get("all")):
            raise InputError('choose what to forget: {"ids": [1, 2]}, or {"all": true}')
        ids = sample_ids(fields["ids"]) if fields.get("ids") else None
        return Json({"removed": await self._work.run(self._inspecting.locked, lambda each: each.forget(ids))})

    async def settings(self, request: Request) -> Response:
        """``{"false_alarms", "view", "trigger"}``, what is missing stays as it is → the status."""
        fields = await read_json(request, {"false_alarms": float, "view": dict, "trigger": str})
        trigger = fields.get("trigger", self._inspecting.trigger)
        if trigger not in TRIGGERS:
            raise InputError(f"trigger must be one of {', '.join(TRIGGERS)}, got {trigger[:40]!r}")
        view = _view(fields["view"]) if "view" in fields else None

        def change(inspection: Inspection) -> None:
            if view is not None:
                inspection.set_view(view)
            if "false_alarms" in fields:
                inspection.sensitivity = fields["false_alarms"]

        await self._work.run(self._inspecting.locked, change)
        self._inspecting.trigger = trigger
        return Json(await self._work.run(self._status))

    async def shift(self, request: Request) -> Response:
        """A new shift begins: parts are counted from nought → the status."""
        await read_json(request, {})
        self._inspecting.begin_shift()
        return Json(await self._work.run(self._status))

    # inside ------------------------------------------------------------------------------------------------------

    async def _teach_frames(self, verdict: str, frames: int, interval_ms: int) -> Taught:
        def image(recognition: Any) -> Image:
            found: Image = recognition.frame.image
            if frames > 1 and frames * found.nbytes > MAX_FRAMES_SIZE:
                raise InputError(
                    f"{frames} frames of {found.shape[1]} x {found.shape[0]} pixels are too much at once: ask for "
                    f"{max(1, MAX_FRAMES_SIZE // found.nbytes)} at most, again and again"
                )
            return found

        shown = self._inspecting.newest()
        captured = await self._work.frames(frames, interval_ms, image, None if shown is None else shown.name)
        return await self._work.run(self._inspecting.teach, verdict, captured)

    def _status(self) -> dict[str, Any]:
        def known(inspection: Inspection) -> dict[str, Any]:
            if not inspection.available:
                return {"available": False, "ready": False}
            status = inspection.status()
            expected = status.expected_false_alarms
            view = status.view or View()
            return {
                "available": True,
                "ready": status.threshold is not None,
                "good": status.good,
                "fine": status.fine,
                "bad": status.bad,
                "aside": status.aside,
                "unused": status.unused,
                "version": status.version,
                "threshold": status.threshold,
                "false_alarms": status.target,
                "expected_false_alarms": None
                if expected is None
                else dict(zip(("share", "low", "high"), expected, strict=True)),
                "warnings": status.warnings,
                "view": {
                    "region": None if view.region is None else [each / UNIT for each in view.region],
                    "find_part": view.find_part,
                    "turned": view.turned,
                },
                "curve": [asdict(each) for each in inspection.curve()],
            }

        live = inspected_json(self._inspecting)
        found = live["finding"]
        if found is not None:
            found = {key: found[key] for key in ("number", "verdict", "score", "threshold", "where")}
        return self._inspecting.locked(known) | {
            "trigger": self._inspecting.trigger,
            "shift": live["shift"],
            "problem": live["problem"],
            "finding": found,
        }


def _view(fields: dict[str, Any]) -> View:
    for key, value in fields.items():
        if key not in _VIEW_KEYS or not (value is None or type(value) is _VIEW_KEYS[key]):
            raise InputError(f"view: {key[:40]!r} is not expected: region, find_part and turned are")
    region = fields.get("region")
    if region is not None:
        if len(region) != 4 or not all(type(each) in (int, float) and 0 <= each <= 1 for each in region):
            raise InputError("view: region must be [x, y, width, height], shares of the frame from 0 to 1")
        x, y, width, height = (round(each * UNIT) for each in region)
        region = x, y, min(width, UNIT - x), min(height, UNIT - y)
    return View(region, bool(fields.get("find_part")), bool(fields.get("turned")))
