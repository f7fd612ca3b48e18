"""The cameras that ``edgetl-device run`` watches, and which of their regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from ..app.app import App
    from ..camera import Camera
    from ..home_regions import NamedRegion

MAX_CAMERAS = 16


def specs_of(given: Sequence[str], files: Sequence[Path]) -> dict[str, str]:
    """Name → what is to be opened, of ``--camera`` and of what the files of ``--camera-file`` hold.

    Raises:
        InputError: several have no name, or one name; or a file cannot be used.
    """
    from ..camera.opening import named_spec
    from ..secret_file import read_secret

    texts = [*given, *(read_secret(file, "camera file") for file in files)] or ["auto"]
    if len(texts) > MAX_CAMERAS:
        raise InputError(f"expected at most {MAX_CAMERAS} cameras, got {len(texts)}")
    found: dict[str, str] = {}
    named = [named_spec(text) for text in texts]
    for name, spec in named:
        if len(texts) > 1 and not name:
            if len(given) == len(files) == 1 and not any(other for other, _ in named):
                raise InputError("--camera and --camera-file both name a camera: choose one of them")
            raise InputError("several cameras need names: --camera porch=0 --camera gate=rtsp://…")
        if name in found:
            raise InputError(f"two cameras are called {name}: give each a name of its own")
        found[name] = spec
    return found


def open_cameras(
    specs: Mapping[str, str], turns: Sequence[str], mirrors: Sequence[str], *, loop: bool, wait: bool
) -> dict[str, Camera]:
    """The cameras, turned and mirrored as ``--turn`` and ``--mirror`` say; raises CameraError and InputError."""
    from ..camera import open_camera
    from ..camera.laid import LaidCamera

    turned, mirrored = laid_of(turns, mirrors, specs)
    found: dict[str, Camera] = {}
    for name, spec in specs.items():
        camera = open_camera(spec, loop=loop, wait=wait)
        laid = turned.get(name, 0) or name in mirrored
        found[name] = LaidCamera(camera, turned.get(name, 0), name in mirrored) if laid else camera
    return found


def laid_of(turns: Sequence[str], mirrors: Sequence[str], names: Mapping[str, str]) -> tuple[dict[str, int], set[str]]:
    """``90`` or ``porch=90``, and ``all`` or ``porch`` → degrees by camera, and the cameras that are mirrored."""
    turned: dict[str, int] = {}
    for text in turns:
        name, equals, degrees = text.rpartition("=")
        if degrees not in ("0", "90", "180", "270"):
            raise InputError(f"--turn {text[:60]}: expected 0, 90, 180 or 270, or such as porch=90")
        of = [_known(name.strip(), names, "--turn")] if equals else list(names)
        turned |= dict.fromkeys(of, int(degrees))
    mirrored: set[str] = set()
    for text in mirrors:
        mirrored |= set(names) if text == ALL else {_known(text, names, "--mirror")}
    return turned, mirrored


ALL = "*"  # what --mirror without a name means


def _known(name: str, names: Mapping[str, str], option: str) -> str:
    if name not in names:
        known = ", ".join(filter(None, names)) or "none has a name"
        raise InputError(f"{option} {name[:60]}: no such camera: {known}")
    return name


def regions_of(texts: Sequence[str], cameras: Sequence[str]) -> tuple[list[NamedRegion], dict[str, str]]:
    """``X,Y,W,H``, ``CAMERA=…``, ``NAME=…[:GROUP]`` or ``CAMERA/NAME=…[:GROUP]`` → named regions, and camera → what is
    looked at of it where it has none.

    Raises:
        InputError: it is no such text, or it does not say which camera is meant.
    """
    from ..home_regions import NamedRegion
    from ..region import parse_region
    from ..view import View
    from ..view_names import ViewName, check_name

    named: list[NamedRegion] = []
    whole: dict[str, str] = {}
    for text in texts:
        words, equals, rest = text.partition("=")
        camera, slash, region = (part.strip() for part in words.partition("/"))
        if not equals:
            whole[_only(cameras, text)] = text
            continue
        if not slash and camera in cameras:
            whole[camera] = rest
            continue
        if not slash:
            camera, region = _only(cameras, text), camera
        elif camera not in cameras:
            known = ", ".join(filter(None, cameras)) or "the only one has no name"
            raise InputError(f"--region {text[:60]}: no camera {camera[:40]!r}: {known}")
        shares, colon, group = rest.partition(":")
        view = View(parse_region(shares))
        named.append(NamedRegion(ViewName(camera, check_name(region, "region")), view, group if colon else None))
    return named, whole


def _only(cameras: Sequence[str], text: str) -> str:
    if len(cameras) > 1:
        raise InputError(f"--region {text[:60]}: say of which camera: --region {cameras[0]}/NAME=0.25,0,0.5,1")
    return cameras[0]


def choose_views(
    app: App, named: Sequence[NamedRegion], whole: Mapping[str, str], find: bool | None, tell: Callable[[str], None]
) -> None:
    """Remember what options ask to be looked at, and say what changes.

    Raises:
        InputError: no such region, or nothing to find by.
    """
    from ..home_view import warning
    from .looking_options import asked_view, choose

    for camera in app.cameras:
        look = app.looks(camera)
        asked, view = asked_view(look, whole.get(camera), find)
        if asked:
            choose(look, view, tell)
            app.choose_view(view, camera)
    if not named:
        return
    before = app.regions()
    for region in named:
        kept = app.choose_region(region)
        if kept not in before:
            tell(f"looks at {kept.name.shown}: {kept.view.describe()} from now on")
    others = warning(app.taught_with_others())
    if others is not None and app.regions() != before:
        tell(f"warning: {others}")


def tell_cameras(app: App, tell: Callable[[str], None]) -> None:
    """A line for each camera."""
    for name in app.cameras:
        device = app.pipeline.health(name).camera
        tell(f"camera  {name}: {device}" if name else f"camera  {device}")


def hint_at_passwords(specs: Mapping[str, str], given: Sequence[str]) -> bool:
    """Whether an address on the command line holds a password."""
    from ..addresses import has_secret

    shown = [spec for spec in specs.values() if any(text.endswith(spec) for text in given)]
    return any(has_secret(spec) and "${" not in spec for spec in shown)


__all__: list[Any] = [
    "choose_views", "hint_at_passwords", "laid_of", "open_cameras", "regions_of", "specs_of", "tell_cameras",
]  # fmt: skip
