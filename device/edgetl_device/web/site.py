"""The whole site: page, live picture, REST, health and metrics, behind the guard."""

from __future__ import annotations

import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ..addresses import without_secrets
from ..errors import EdgetlError, InputError
from ..printable import printable
from .access import SESSION_S, Access
from .api import Api, error_response
from .bodies import Json, read_json
from .events import Events, EventStream
from .guard import Guard, Hosts, Refused, client_of, refusal
from .history_api import HistoryApi
from .inspection_api import InspectionApi
from .live import UNREADABLE, MotionJpeg, watch
from .openapi import document
from .pictures import Live
from .regions_api import RegionsApi
from .review_api import ReviewApi
from .view_api import ViewApi
from .work import Work

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.pipeline import Health

log = logging.getLogger("edgetl.web")

STATIC = Path(__file__).parent / "static"
STANDSTILL_S = 10.0  # without a new frame or inference the app is not healthy


class Site:
    """The ASGI application of one running app.

    Args:
        app: the running app.
        access: who may use it.
        hosts: the names it answers to.
        cookie: name of the session cookie; cookies know no ports, so two apps on one machine need two names.
    """

    def __init__(self, app: App, access: Access, hosts: Hosts, cookie: str = "edgetl_session") -> None:
        self._app, self._access, self._cookie = app, access, cookie
        self.live = Live(app)
        self.events = Events(app)
        work = Work(app)
        api = Api(app, work)
        self.routes: list[BaseRoute] = [
            Route("/", self.page),
            Route("/inspect", self.inspect_page),
            Route("/stream.mjpg", self.stream),
            Route("/healthz", self.healthz),
            Route("/metrics", self.metrics),
            WebSocketRoute("/api/v1/live", self.watch),
            Route("/api/v1/events", self.stream_events),
            Route("/api/v1/openapi.json", self.openapi),
            Route("/api/v1/session", self.session),
            Route("/api/v1/login", self.log_in, methods=["POST"]),
            Route("/api/v1/logout", self.log_out, methods=["POST"]),
            Mount(
                "/api/v1",
                routes=[
                    *(*api.routes(), *ReviewApi(app, work, api).routes()),
                    *(*InspectionApi(app, work).routes(), *ViewApi(app, work).routes()),
                    *HistoryApi(app.history, work).routes(),
                    *RegionsApi(app, work).routes(),
                ],
            ),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        inner = Starlette(
            routes=self.routes,
            exception_handlers={
                EdgetlError: error_response,
                Refused: _refused,
                HTTPException: _http_error,
                ClientDisconnect: _client_left,
                Exception: _unexpected,
            },
        )
        login_page = Response((STATIC / "login.html").read_bytes(), 401, media_type="text/html")
        self._guard = Guard(inner, hosts, access, cookie, login_page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._guard(scope, receive, send)

    async def page(self, _request: Request) -> Response:
        """Recognition: watch, teach, correct."""
        return FileResponse(STATIC / "index.html")

    async def inspect_page(self, _request: Request) -> Response:
        """Inspection: good parts, and what is not."""
        return FileResponse(STATIC / "inspect.html")

    async def watch(self, socket: WebSocket) -> None:
        """The live picture over a WebSocket: of all views in turn, or of that of ``?camera=`` and ``?region=``."""
        asked = socket.query_params
        name = None
        if "camera" in asked or "region" in asked:
            try:
                name = self._app.view_named(asked.get("camera"), asked.get("region")).name
            except InputError as error:  # it was removed, say: a browser's page cannot read the answer to an upgrade
                await socket.accept()
                await socket.close(UNREADABLE, printable(error, 120))
                return
        await watch(socket, self.live, self._app, self._guard.still_welcome(socket), name)

    async def stream(self, request: Request) -> Response:
        """The live picture as motion JPEG; of several views the first, or that of ``?camera=`` and ``?region=``."""
        asked = request.query_params
        some = "camera" in asked or "region" in asked
        view = self._app.view_named(asked.get("camera"), asked.get("region")) if some else self._app.pipeline.views[0]
        return MotionJpeg(self.live, self._guard.still_welcome(request), view.name)

    async def stream_events(self, request: Request) -> Response:
        """Changes of label as server-sent events."""
        return EventStream(self.events, request.headers.get("last-event-id"), self._guard.still_welcome(request))

    async def healthz(self, _request: Request) -> Response:
        """200 while new frames come in and are recognised, else 503; says nothing that a stranger may not know."""
        problem = standstill(self._app.pipeline.health())
        return Json({"ok": problem is None, "problem": problem}, 503 if problem else 200)

    async def metrics(self, _request: Request) -> Response:
        """For Prometheus."""
        from .metrics import CONTENT_TYPE_LATEST, scraped  # two megabytes, and many are never asked

        content = await run_in_threadpool(scraped, self._app, lambda: self.live.viewers)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _request: Request) -> Response:
        """What programs can ask for, as OpenAPI 3.1."""
        return Json(document())

    async def session(self, _request: Request) -> Response:
        """Whether there is a password, so that the page knows whether to offer signing out."""
        return Json({"password": not self._access.is_open})

    async def log_in(self, request: Request) -> Response:
        """``{"password"}`` → the session cookie."""
        fields = await read_json(request, {"password": str})
        if "password" not in fields:
            raise InputError('"password" is missing: expected {"password": "…"}')
        password = fields["password"]
        response = Response(status_code=204)
        if not self._access.is_open:
            await self._guard.check_password(client_of(request), password)
            response.set_cookie(
                self._cookie,
                self._access.log_in(),
                max_age=int(SESSION_S),
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session of the cookie."""
        self._access.log_out(request.cookies.get(self._cookie, ""))
        response = Response(status_code=204)
        response.delete_cookie(self._cookie, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return response


def standstill(health: Health) -> str | None:
    """What stands still, for a person; None while all is well."""
    ages = {"frame": health.last_frame_age_s, "inference": health.last_inference_age_s}
    for what, age_s in ages.items():
        if age_s is None:
            return f"no {what} yet"
        if age_s > STANDSTILL_S:
            return f"no new {what} for {age_s:.0f} s"
    return None if health.running else "not running"


def _refused(_request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    return refusal(refused)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = printable(f"{request.method} {request.scope['path']}", 200)
    return Json({"error": f"{error.detail}: {where}"}, error.status_code, error.headers)


def _client_left(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # to nobody


def _unexpected(request: Request, error: Exception) -> Response:
    reference = secrets.token_hex(4)
    where = printable(f"{request.method} {request.scope['path']}", 200)
    log.error("internal error %s: %s: %s", reference, where, without_secrets(f"{type(error).__name__}: {error}"))
    return Json({"error": f"internal error {reference}: the log on the device says more"}, 500)
