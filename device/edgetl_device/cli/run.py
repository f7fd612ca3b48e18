"""``edgetl-device run``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import INTERRUPTED, note, reports, say
from .history_options import history_settings
from .options import in_home, runtime_option
from .page import page_at, tell_addresses, tell_certificate
from .run_cameras import choose_views, hint_at_passwords, open_cameras, regions_of, specs_of, tell_cameras
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
    cameras: tuple[str, ...],
    camera_files: tuple[Path, ...],
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
    turns: tuple[str, ...],
    mirrors: tuple[str, ...],
    loop: bool,
    command: str | None,
    command_file: Path | None,
    part_trigger: str,
    sinks: tuple[str, ...],
    sink_files: tuple[Path, ...],
    regions: tuple[str, ...],
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
    """Recognise what a camera sees, or several, live; teach it on the page that this serves.

    A device without a bundle starts with the one that comes with the program. With the page, a camera that is not
    there yet is waited for.
    """
    from ..app.app import App

    history = history_settings(no_history, history_days, history_mb)
    sink_list = sink_specs(click.get_current_context().params)
    lines = line_sink(jsonl)
    print_line = note if jsonl else say
    page = None if no_web else page_at(click.get_current_context().params)
    with ExitStack() as stack:
        ending = stack.enter_context(Ending())
        specs = specs_of(cameras, camera_files)
        named, whole = regions_of(regions, tuple(specs))
        opened = open_cameras(specs, turns, mirrors, loop=loop, wait=page is not None)
        start_if_empty(home, runtime, print_line)
        if not any(camera.live for camera in opened.values()):
            smoothing = 0.0  # photos have nothing to do with each other
        tuning: dict[str, Any] = {"runtime": runtime, "threads": threads, "smoothing_s": smoothing}
        tuning |= {"max_frames": max_frames, "thumbnails": not no_thumbnails, "wait_for_camera": page is not None}
        tuning |= {"part_trigger": part_trigger, "review": not no_review, "history": history}
        app = App(home, opened, **tuning)
        stack.callback(app.stop)
        choose_views(app, named, whole, find, print_line)
        listen(app, lines(ending.ask) if lines else None, sink_list, stack)
        notifier = _feed_watchdog(app, stack)
        server = stack.enter_context(page(app)) if page is not None else None
        tell_cameras(app, print_line)
        if server is not None:
            tell_addresses(server.urls, print_line)
            tell_certificate(server.certificate, print_line)
        elif not app.status()["labels"] and not app.groups():
            print_line("nothing is learned yet: teach it with `edgetl-device learn LABEL PHOTO…`, also while this runs")
        app.start()
        if hint_at_passwords(specs, cameras):
            note("hint: others can read the camera's password in the list of processes; --camera-file FILE hides it")
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
            if waited:
                tell("the page is served; going on as soon as there is a camera")
            else:
                tell_cameras(app, tell)
