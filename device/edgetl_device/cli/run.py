"""``edgetl-device run``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import INTERRUPTED, note, reports, say
from ..errors import InputError
from .looking_options import asked_view, choose, looking_options
from .options import in_home, runtime_option
from .page import page_at, tell_addresses, tell_certificate
from .signals import Ending
from .starting import start_if_empty

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.sinks import ChangeLines, JsonLines, Sink
    from ..app.systemd import Notifier
    from ..home import Home

_LOOK_S = 0.2  # between two looks at whether it is time to end


def _linear_algebra_too(_context: click.Context, _parameter: click.Parameter, value: int | None) -> int | None:
    """More threads than cores make a small matrix product ten times slower, and retraining would slow recognition."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(value or 1))
    return value


@click.command("run", short_help="Recognise what a camera sees, and teach it")
@click.option(
    "--camera",
    "spec",
    metavar="CAMERA",
    help="auto, a number, a device path, picamera2, an rtsp:// or http:// address (${NAME} in it comes from the "
    "environment), a video, a photo folder, parts, or NAME[:ARGUMENT] of a camera that another package adds.  "
    "[default: auto]",
)
@click.option(
    "--camera-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read CAMERA from the first line of FILE, which only you may read: for addresses with a password.",
)
@click.option(
    "--web",
    "address",
    default="127.0.0.1:8080",
    show_default=True,
    metavar="HOST[:PORT]",
    help="Where to serve the page; 0.0.0.0 is for the whole network, and needs a password.",
)
@click.option(
    "--trusted-proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="A reverse proxy (address or network) whose X-Forwarded-For and -Proto are believed; repeatable.",
)
@click.option(
    "--tls-cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Serve the page over HTTPS with this certificate (PEM); it is read again when it is renewed.",
)
@click.option(
    "--tls-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The certificate's private key, which only you may read (default: in the file of --tls-cert).",
)
@click.option(
    "--tls",
    type=click.Choice(["self"]),
    help="Serve the page over HTTPS with a certificate that this device makes for itself.",
)
@click.option("--no-web", is_flag=True, help="Serve no page.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Its first line is the page's password.")
@click.option(
    "--host-name", "hosts", multiple=True, help="Another name the page is reached by, such as a reverse proxy's."
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    is_eager=True,  # NumPy, which the options after this one load, reads the environment once
    callback=_linear_algebra_too,
    help="Threads of the TFLite runtime and of linear algebra.  [default: what `install` measured]",
)
@click.option("--max-frames", type=click.IntRange(1), help="Stop after this many frames.")
@click.option(
    "--turn",
    type=click.Choice(["0", "90", "180", "270"]),
    default="0",
    help="Turn the camera's picture clockwise, where it hangs on its side or upside down.",
)
@click.option("--mirror", is_flag=True, help="Mirror the camera's picture left to right, after turning.")
@click.option("--loop", is_flag=True, help="Start a video or folder again at its end.")
@click.option(
    "--on-label",
    "command",
    metavar="CMD",
    help="Run CMD at each change of label, with EDGETL_LABEL and EDGETL_PROBABILITY set.",
)
@click.option(
    "--on-label-file",
    "command_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read CMD from FILE, which only you may read: for commands with a password.",
)
@click.option(
    "--parts",
    "part_trigger",
    type=click.Choice(["rest", "frame", "request"]),
    default="rest",
    show_default=True,
    help="What counts as an inspected part: a picture that has come to rest, every frame, or what a program asks for.",
)
@click.option(
    "--sink",
    "sinks",
    multiple=True,
    metavar="NAME[:ARGUMENT]",
    help="Send recognitions to a sink: command:CMD, part-command:CMD, gpio:part=PIN&bad=PIN, "
    "mqtt:mqtts://USER@HOST/PREFIX, webhook:https://HOST/PATH, or one that "
    "another package adds (${NAME} in its ARGUMENT, but for commands, comes from the environment); "
    "repeatable.",
)
@click.option(
    "--sink-file",
    "sink_files",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Read NAME[:ARGUMENT] from FILE, which only you may read; repeatable.",
)
@looking_options
@click.option("--jsonl", is_flag=True, help="Print one line of JSON for every frame.")
@click.option("--no-thumbnails", is_flag=True, help="Do not keep a small picture (160 px) of each taught sample.")
@click.option("--no-review", is_flag=True, help="Keep no frames that it is unsure of, for `edgetl-device review`.")
@click.option(
    "--smoothing",
    type=click.FloatRange(0),
    default=0.3,
    show_default=True,
    help="Average predictions over this many seconds; 0 turns it off.",
)
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

    specs = sink_specs(click.get_current_context().params)
    lines = _lines(jsonl)
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
        tuning |= {"part_trigger": part_trigger, "review": not no_review}
        app = App(home, camera, **tuning)
        stack.callback(app.stop)
        asked, view = asked_view(app.looks, region, find)
        if asked:
            choose(app.looks, view, print_line)
            app.choose_view(view)
        _listen(app, lines(ending.ask) if lines else None, specs, stack)
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


def _lines(jsonl: bool) -> type[JsonLines] | type[ChangeLines] | None:
    """What prints recognitions on stdout, if anything does."""
    from ..app.sinks import ChangeLines, JsonLines

    as_json = click.get_current_context().meta["edgetl.json"]
    if jsonl and as_json:
        raise InputError("--json prints one object at the end, --jsonl one for every frame: choose one of them")
    return JsonLines if jsonl else None if as_json else ChangeLines


def _listen(app: App, lines: Sink | None, specs: list[tuple[str, str]], stack: ExitStack) -> None:
    """Give each sink a thread that calls it; they end with the stack."""
    from ..app.background import Listener, Taker
    from ..app.sinks import Attached, TakesParts, open_sink

    for name, sink in [("lines", lines), *((name, open_sink(spec)) for name, spec in specs)]:
        if sink is not None:
            if isinstance(sink, Attached):
                sink.attach(app)
            listener = Listener(name, app.pipeline, sink)
            if isinstance(sink, TakesParts):
                taker = Taker(f"{name} (parts)", app.inspecting.listen(), sink.part)
                stack.callback(taker.stop)
                taker.start()
            stack.callback(listener.stop)
            stack.callback(sink.close)
            listener.start()


def sink_specs(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and spec of each ``--on-label`` and ``--sink``, and of what their files hold.

    Raises:
        InputError: a file cannot be used, there are two commands, or an address on the command line holds a password.
    """
    from ..app.sinks import refuse_password
    from ..secret_file import read_secret_text

    for sink in params["sinks"]:
        refuse_password(sink)
    command, file = params["command"], params["command_file"]
    if command is not None and file is not None:
        raise InputError("--on-label and --on-label-file both name a command: choose one of them")
    if file is not None:
        command = read_secret_text(file, "command file")
    specs = [*params["sinks"], *(read_secret_text(file, "sink file") for file in params["sink_files"])]
    named = [(spec.partition(":")[0], spec) for spec in specs]
    return named if command is None else [("on-label", f"command:{command}"), *named]


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
