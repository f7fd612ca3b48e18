"""REST under ``/api/v1``: the verbs of ``edgetl-device``, on the running camera.

Answers are the JSON of the commands' ``--json``; a refusal is ``{"error": "one line"}`` with a fitting status.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..errors import CheckFailedError, EdgetlError, HeadError, InputError, StorageError
from ..labels import MAX_GROUPS, SimilarLabelError, check_group, check_sample_label
from ..learning.gate_words import already
from ..printable import printable
from .bodies import Json, Places, query_number, read_json, receive, sample_ids, whole_number
from .guard import Refused
from .live import as_json, predicted
from .work import Work

if TYPE_CHECKING:
    from ..app.answers import Watched
    from ..app.app import App

MAX_BUNDLE = 64 << 20  # bytes of a bundle
MAX_PAGE = 200  # samples listed by one request
MAX_INSTALLS = 2  # bundles that are uploaded at once
MAX_ID = (1 << 63) - 1  # of a sample, as SQLite counts

_UPLOADING = ".uploading-"
_STATUS = {CheckFailedError: 409, HeadError: 409, SimilarLabelError: 409, StorageError: 507, InputError: 400}


def error_response(_request: Request, error: Exception) -> Response:
    """What edgetl refuses → JSON with the line the command would print."""
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    meant = {"did_you_mean": error.meant} if isinstance(error, SimilarLabelError) else {}
    return Json({"error": printable(error)} | meant, status)


class Api:
    """The routes of one running app.

    Args:
        app: what they work on.
        work: what bounds it.
    """

    def __init__(self, app: App, work: Work) -> None:
        self._app = app
        self._work = work
        self._installs = Places(MAX_INSTALLS, "another bundle is being installed: try again when that is done")
        for path in app.home.folder.glob(f"{_UPLOADING}*"):  # the power went away during an upload
            path.unlink(missing_ok=True)

    def routes(self) -> list[Route]:
        """Relative to ``/api/v1``."""
        return [
            Route("/status", self.status),
            Route("/prediction", self.prediction),
            Route("/classify", self.classify, methods=["POST"]),
            Route("/learn", self.learn, methods=["POST"]),
            Route("/retrain", self.retrain, methods=["POST"]),
            Route("/samples", self.samples),
            Route("/samples/{sample}/thumbnail", self.thumbnail),
            Route("/pending", self.pending),
            Route("/pending/move", self.move_pending, methods=["POST"]),
            Route("/pending/use", self.use_pending, methods=["POST"]),
            Route("/pending/forget", self.forget_pending, methods=["POST"]),
            Route("/relabel", self.relabel, methods=["POST"]),
            Route("/forget", self.forget, methods=["POST"]),
            Route("/versions", self.versions),
            Route("/reliability", self.reliability),
            Route("/health", self.health),
            Route("/samples/confirm", self.confirm, methods=["POST"]),
            Route("/rollback", self.rollback, methods=["POST"]),
            Route("/install", self.install, methods=["POST"]),
        ]

    # reading -----------------------------------------------------------------------------------------------------

    async def status(self, _request: Request) -> Response:
        """What ``edgetl-device status`` says, what can be recognised, and how the camera is doing."""
        return Json(await self._work.run(self._app.status))

    async def prediction(self, request: Request) -> Response:
        """The newest frame's prediction; of several views, ``?camera=`` and ``?region=`` say of which."""
        asked = request.query_params
        name = self._app.view_named(asked.get("camera"), asked.get("region")).name
        recognition = self._app.pipeline.latest(name)
        if recognition is None:
            raise Refused(503, self._work.no_frame(name.camera))
        return Json(as_json(recognition))

    async def samples(self, request: Request) -> Response:
        """Newest first, a page at a time: ``?label=L&before=ID&limit=N``."""
        label, group = request.query_params.get("label"), request.query_params.get("group")
        before, limit = query_number(request, "before", None), query_number(request, "limit", 48)
        limit = min(max(limit or 1, 1), MAX_PAGE)
        rows, total = await self._work.run(
            self._app.newest_samples, label, before, limit + 1, group
        )  # one more: is there a next?
        page = rows[:limit]
        return Json(
            {
                "samples": [asdict(row) for row in page],
                "total": total,
                "next": page[-1].id if len(rows) > limit else None,
            }
        )

    async def thumbnail(self, request: Request) -> Response:
        """A sample's picture; 204 where none was kept, which is no error."""
        sample = request.path_params["sample"]
        if not (sample.isascii() and sample.isdecimal() and len(sample) <= 19):
            raise HTTPException(404)
        jpeg = await self._work.run(self._app.thumbnail, int(sample)) if int(sample) <= MAX_ID else None
        if jpeg is None:
            return Response(status_code=204)
        return Response(jpeg, media_type="image/jpeg")  # not to be cached: what is forgotten is gone

    async def versions(self, request: Request) -> Response:
        """Head versions, oldest first; ``?group=NAME`` for those of a group."""
        group = request.query_params.get("group")
        rows, active = await self._work.run(lambda: (self._app.versions(group), self._app.version(group)))
        keys = ("time", "state", "reason", "rule", "metrics")
        versions = [{"version": r.id, **{key: getattr(r, key) for key in keys}, "active": r.id == active} for r in rows]
        return Json({"versions": versions})

    async def reliability(self, _request: Request) -> Response:
        """How often the head in use is right when it says so many per cent."""
        return Json((await self._work.run(self._app.reliability)).to_json())

    async def health(self, request: Request) -> Response:
        """``?group=``: which labels look wrong, and how well each class that was taught here is known."""
        return Json((await self._work.run(self._app.health, request.query_params.get("group"))).to_json())

    async def confirm(self, request: Request) -> Response:
        """``{"ids", "group"}``: their labels are right; nobody asks again."""
        fields = await read_json(request, {"ids": list, "group": str})
        if not fields.get("ids"):
            raise InputError('"ids" is missing: expected {"ids": [1, 2]}')
        return Json(
            {"confirmed": await self._work.run(self._app.confirm, sample_ids(fields["ids"]), fields.get("group"))}
        )

    # learning ----------------------------------------------------------------------------------------------------

    async def classify(self, request: Request) -> Response:
        """A photo as body → its prediction."""
        told, groups = await self._work.with_photo(request, self._app.classify_in_groups)
        return Json({**predicted(told), "groups": {name: predicted(each) for name, each in groups.items()}})

    async def learn(self, request: Request) -> Response:
        """A photo as body with ``?label=L``, or ``{"label", "frames", "interval_ms"}``: frames of the live picture.

        With ``group`` the label is of that group; ``"groups": {"condition": "worn"}`` gives labels in several at once.
        Of several views, ``camera`` and ``region`` say which; a label is of the group that the view is bound to.
        """
        if request.headers.get("content-type", "").startswith("image/"):
            query = request.query_params
            view = self._view(query.get("camera"), query.get("region"))
            label, groups = _labels(
                query.get("label", ""), query.get("group") or (None if view is None else view.group), {}
            )
            retrain = query.get("retrain", "true") != "false"
            new_label = query.get("new_label", "false") == "true"
            await self._refuse_slips(label, groups, new_label=new_label, insist="`&new_label=true`")
            ids = await self._work.with_photo(
                request, lambda photo: self._app.teach_photos(label, [photo], groups, view)
            )
        else:
            kinds = {"label": str, "frames": int, "interval_ms": int, "retrain": bool, "new_label": bool}
            fields = await read_json(
                request,
                {**kinds, "group": str, "groups": dict, "camera": str, "region": str},
                "or a photo with `Content-Type: image/jpeg`",
            )
            if "label" not in fields and not fields.get("groups"):
                raise InputError('"label" is missing: expected {"label": "…"}')
            view = self._app.view_named(fields.get("camera"), fields.get("region"))
            group = fields.get("group") or (None if fields.get("groups") else view.group)
            label, groups = _labels(fields.get("label", ""), group, fields.get("groups", {}))
            retrain = fields.get("retrain", True)
            await self._refuse_slips(label, groups, new_label=fields.get("new_label", False))
            frames, interval_ms = fields.get("frames", 1), fields.get("interval_ms", 150)
            captured = await self._work.frames(frames, interval_ms, self._app.capture, view.name)
            ids = await self._work.run(self._app.teach, label, captured, groups)
        only = next(iter(groups)) if len(groups) == 1 and not label else None
        stored = {"label": groups[only] if only else label, "stored": len(ids), "ids": ids}
        if not retrain:
            version = await self._work.run(self._app.version, only)
            return Json(stored | {"version": version, "promoted": False, "reason": "not retrained yet"})
        outcomes = {name: await self.judged_if_possible(name) for name in groups}
        if label:
            first = await self.judged_if_possible()
        else:  # nothing of the labels without a group has changed
            reason = f"labelled in {', '.join(groups)} alone"
            first = outcomes[only] if only else asdict(await self._work.run(self._app.unchanged, reason))
        return Json(stored | first | ({"groups": outcomes} if groups else {}))

    async def retrain(self, request: Request) -> Response:
        """``{"head", "accept_scene_change", "group"}``, all optional."""
        fields = await read_json(request, {"head": str, "accept_scene_change": bool, "group": str})
        accept, group = fields.get("accept_scene_change", False), fields.get("group")
        outcome = await self._work.run(self._app.retrain, fields.get("head"), accept_scene_change=accept, group=group)
        return Json(asdict(outcome))

    async def relabel(self, request: Request) -> Response:
        """``{"label", "ids"}``, then retrain, unless all are learned under the label already."""
        fields = await read_json(request, {"label": str, "ids": list, "new_label": bool, "group": str})
        if not fields.get("ids"):
            raise InputError('"ids" is missing: expected {"label": "…", "ids": [1, 2]}')
        label, ids, group = fields.get("label", ""), sample_ids(fields["ids"]), fields.get("group")
        await self.refuse_slip(label, group, new_label=fields.get("new_label", False))
        moved = await self._work.run(self._app.relabel, label, ids, group)
        if not moved:
            reason = already(label, len(set(ids)))
            return Json({"moved": 0} | asdict(await self._work.run(self._app.unchanged, reason, group)))
        return Json({"moved": moved} | await self.judged_if_possible(group))

    async def forget(self, request: Request) -> Response:
        """``{"ids"}``, ``{"label"}``, ``{"other_view": true}`` or ``{"all": true}``, then retrain."""
        fields = await read_json(request, {"label": str, "ids": list, "all": bool, "other_view": bool, "group": str})
        ids = sample_ids(fields.get("ids", []))
        if fields.get("other_view"):
            if ids or "group" in fields:
                raise InputError('"other_view" is about samples in all groups: leave out "ids" and "group"')
            ids = await self._work.run(self._app.taught_otherwise)
        removed = await self._work.run(
            self._app.forget,
            ids,
            label=fields.get("label"),
            everything=fields.get("all", False),
            group=fields.get("group"),
        )
        return Json({"removed": removed} | await self.judged_if_possible(fields.get("group")))

    async def pending(self, request: Request) -> Response:
        """What the gate set aside, batch by batch; ``?group=NAME`` for that of a group."""
        batches = await self._work.run(self._app.pending, request.query_params.get("group"))
        return Json({"pending": [asdict(batch) for batch in batches]})

    async def move_pending(self, request: Request) -> Response:
        """``{"batch", "label"}``, then retrain; without the label to the one that the batch looks like."""
        fields = await read_json(request, {"batch": int, "label": str, "new_label": bool, "group": str})
        group = fields.get("group")
        if "label" in fields:
            await self.refuse_slip(fields["label"], group, new_label=fields.get("new_label", False))
        label, ids = await self._work.run(self._app.move_pending, _batch(fields), fields.get("label"), group)
        return Json({"label": label, "moved": len(ids), "ids": ids} | await self.judged_if_possible(group))

    async def use_pending(self, request: Request) -> Response:
        """``{"batch"}``: its labels are right; then retrain."""
        fields = await read_json(request, {"batch": int, "group": str})
        ids = await self._work.run(self._app.use_pending, _batch(fields), fields.get("group"))
        return Json({"moved": len(ids), "ids": ids} | await self.judged_if_possible(fields.get("group")))

    async def forget_pending(self, request: Request) -> Response:
        """``{"batch"}``: remove it exactly; no head knew it, so none is made."""
        fields = await read_json(request, {"batch": int, "group": str})
        removed = await self._work.run(self._app.forget_pending, _batch(fields), fields.get("group"))
        return Json({"removed": removed, "version": self._app.pipeline.version})

    async def rollback(self, request: Request) -> Response:
        """``{"version"}``; without it the last good one before the active."""
        fields = await read_json(request, {"version": int, "group": str})
        version = whole_number(fields.get("version"), "version", 1, MAX_ID)
        return Json({"version": await self._work.run(self._app.rollback, version, fields.get("group"))})

    async def install(self, request: Request) -> Response:
        """A bundle as body."""
        async with self._installs.one():
            return await self._install(request)

    async def _install(self, request: Request) -> Response:
        path: Path | None = None
        try:
            descriptor, name = tempfile.mkstemp(dir=self._app.home.folder, prefix=_UPLOADING, suffix=".edgetl")
            path = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                await receive(request, MAX_BUNDLE, lambda chunk: self._work.run(file.write, chunk))
            bundle = await self._work.run(self._app.install, path)
        except EdgetlError as error:
            raise type(error)(str(error).replace(f"{path}: ", "")) from None
        except OSError as error:
            why = error.strerror or error
            raise StorageError(f"cannot write the upload: {why}; free some disk space or check the disk") from None
        finally:
            if path is not None:
                path.unlink(missing_ok=True)
        version = self._app.pipeline.version
        return Json({"name": bundle.name, "labels": list(bundle.labels), "version": version})

    def _view(self, camera: str | None, region: str | None) -> Watched | None:
        """The view that a photo is of, where it is said; otherwise photos are looked at as commands do."""
        return None if camera is None and region is None else self._app.view_named(camera, region)

    # for other routes too --------------------------------------------------------------------------------------------

    async def refuse_slip(
        self, label: str, group: str | None = None, *, new_label: bool, insist: str = '`"new_label": true`'
    ) -> None:
        """Raise SimilarLabelError where a label may be a slip, unless it is meant."""
        if not new_label:
            await self._work.run(self._app.refuse_slip, label, insist, group)

    async def judged_if_possible(self, group: str | None = None) -> dict[str, Any]:
        """Retrain after a change of samples, which is reported even where there can be no new version."""
        try:
            if group is not None and group not in await self._work.run(self._app.groups):
                return {
                    "version": self._app.pipeline.version,
                    "promoted": False,
                    "reason": f"{group} has no labels left",
                }
            return asdict(await self._work.run(self._app.retrain, group=group))
        except (HeadError, StorageError) as error:
            then = ": retrain once there is room" if isinstance(error, StorageError) else ""
            reason = f"the samples are safe, but there is no new head ({error}){then}"
            version = await self._work.run(self._app.version, group)
            return {"version": version, "promoted": False, "reason": reason}

    # inside ------------------------------------------------------------------------------------------------------

    async def _refuse_slips(self, label: str, groups: Mapping[str, str], **how: Any) -> None:
        if label:
            await self.refuse_slip(label, **how)
        for group, name in groups.items():
            await self.refuse_slip(name, group, **how)


def _labels(label: str, group: str | None, groups: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A label, or "" where there are labels of groups alone; and those. Raises InputError."""
    if not all(isinstance(name, str) for name in groups.values()):
        raise InputError('"groups" must hold labels: expected {"groups": {"condition": "worn"}}')
    asked = [(check_group(name), check_sample_label(of_group)) for name, of_group in groups.items()]
    if group is not None:
        asked.append((check_group(group), check_sample_label(label)))
    found = dict(asked)
    if len(found) < len(asked):
        raise InputError("a group is named twice: expected one label for each")
    if len(found) > MAX_GROUPS:
        raise InputError(f"expected at most {MAX_GROUPS} groups, got {len(found)}")
    if group is not None:
        return "", found
    return ("" if found and not label else check_sample_label(label)), found


def _batch(fields: dict[str, Any]) -> int:
    if "batch" not in fields:
        raise InputError('"batch" is missing: expected {"batch": 1}; GET pending lists them')
    number = whole_number(fields["batch"], "batch", 1, MAX_ID)
    assert number is not None
    return number
