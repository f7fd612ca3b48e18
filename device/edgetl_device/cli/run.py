"""``edgetl-device run``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import INTERRUPTED, note, reports, say
from ..errors import InputError
from .history_options import history_settings
from .looking_options import asked_view, choose
from .options import in_home, runtime_option
from .page import page_at, tell_addresses, tell_certificate
from .run_options import run_options
from .run_sinks import line_sink, listen, sink_specs
from .signals import Ending
from .starting import start_if_empty

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.systemd import Notifier
    from ..home import Home

_LOOK_S = 0.2  # between two looks at whether it is time to end


@click.command("run", short_help="Recognise what a camera sees, and teach it")
@run_options
@runtime_option
@in_home
@reports
def run_camera(
    spec: str | None,
    camera_file: Path | None,
    address: str,
    no_web: bool,
    password_file: Path | None,
    hosts: tuple[str, ...],
    proxies: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    tls: str | None,
    threads: int | None,
    max_frames: int | None,
    turn: str,
    mirror: bool,
    loop: bool,
    command: str | None,
    command_file: Path | None,
    part_trigger: str,
    sinks: tuple[str, ...],
    sink_files: tuple[Path, ...],
    region: str | None,
    find: bool | None,
    jsonl: bool,
    no_thumbnails: bool,
    no_review: bool,
    no_history: bool,
    history_days: float | None,
    history_mb: float | None,
    smoothing: float,
    runtime: str,
    home: Home,
) -> dict[str, Any]:
    """Recognise what a camera sees, live; teach it on the page that this serves.

    A device without a bundle starts with the one that comes with the program. With the page, a camera that is not
    there yet is waited for.
    """
    from ..app.app import App
    from ..camera import open_camera
    from ..camera.laid import LaidCamera

    history = history_settings(no_history, history_days, history_mb)
    specs = sink_specs(click.get_current_context().params)
    lines = line_sink(jsonl)
    print_line = note if jsonl else say
    page = None if no_web else page_at(click.get_current_context().params)
    with ExitStack() as stack:
        ending = stack.enter_context(Ending())
        camera = open_camera(camera_named(spec, camera_file), loop=loop, wait=page is not None)
        if turn != "0" or mirror:
            camera = LaidCamera(camera, int(turn), mirror)
        start_if_empty(home, runtime, print_line)
        if not camera.live:
            smoothing = 0.0  # photos have nothing to do with each other
        tuning: dict[str, Any] = {"runtime": runtime, "threads": threads, "smoothing_s": smoothing}
        tuning |= {"max_frames": max_frames, "thumbnails": not no_thumbnails, "wait_for_camera": page is not None}
        tuning |= {"part_trigger": part_trigger, "review": not no_review, "history": history}
        app = App(home, camera, **tuning)
        stack.callback(app.stop)
        asked, view = asked_view(app.looks, region, find)
        if asked:
            choose(app.looks, view, print_line)
            app.choose_view(view)
        listen(app, lines(ending.ask) if lines else None, specs, stack)
        notifier = _feed_watchdog(app, stack)
        server = stack.enter_context(page(app)) if page is not None else None
        print_line(f"camera  {app.pipeline.health().camera}")
        if server is not None:
            tell_addresses(server.urls, print_line)
            tell_certificate(server.certificate, print_line)
        elif not app.status()["labels"] and not app.groups():
            print_line("nothing is learned yet: teach it with `edgetl-device learn LABEL PHOTO…`, also while this runs")
        app.start()
        _hint_at_password(spec)
        _wait(app, ending, print_line)
        notifier.stopping()
        health = app.pipeline.health()
    fps = (health.frames - 1) / health.seconds if health.seconds else 0.0
    print_line(f"ended after {health.frames} frames: {fps:.1f} a second, {health.dropped} dropped")
    counts = {"frames": health.frames, "fps": round(fps, 2), "dropped": health.dropped}
    return counts | {"exit_code": INTERRUPTED if ending.interrupted else 0}


def _feed_watchdog(app: App, stack: ExitStack) -> Notifier:
    """Under systemd, report health until the stack ends."""
    from ..app.background import Periodic
    from ..app.systemd import Notifier

    notifier = Notifier()
    if notifier.interval_s:
        watchdog = Periodic("watchdog", notifier.interval_s, lambda: notifier.report(app.pipeline.health()))
        stack.callback(watchdog.stop)
        watchdog.start()
    return notifier


def _wait(app: App, ending: Ending, tell: Callable[[str], None]) -> None:
    """Until the end is asked for or there are no more frames; raises what made recognition impossible."""
    waited = False
    while not ending.asked.is_set() and not app.pipeline.wait(_LOOK_S):
        if app.pipeline.is_waiting != waited:
            waited = not waited
            tell("the page is served; going on as soon as there is a camera" if waited
                 else f"camera  {app.pipeline.health().camera}")  # fmt: skip


def camera_named(spec: str | None, file: Path | None) -> str:
    """The value of ``--camera``, or what the file of ``--camera-file`` holds.

    Raises:
        InputError: both are given, or the file cannot be used.
    """
    from ..secret_file import read_secret

    if spec is not None and file is not None:
        raise InputError("--camera and --camera-file both name a camera: choose one of them")
    if file is not None:
        return read_secret(file, "camera file")
    return spec or "auto"


def _hint_at_password(spec: str | None) -> None:
    from ..addresses import has_secret

    if spec is not None and has_secret(spec) and "${" not in spec:
        note("hint: others can read the camera's password in the list of processes; --camera-file FILE hides it")
