"""The options of ``edgetl-device run``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .history_options import history_options
from .looking_options import find_option

Command = Callable[..., Any]


def _linear_algebra_too(_context: click.Context, _parameter: click.Parameter, value: int | None) -> int | None:
    """More threads than cores make a small matrix product ten times slower, and retraining would slow recognition."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(value or 1))
    return value


_OPTIONS = (
    click.option(
        "--camera",
        "cameras",
        multiple=True,
        metavar="[NAME=]CAMERA",
        help="auto, a number, a device path, picamera2, an rtsp:// or http:// address (${NAME} in it comes from the "
        "environment), a video, a photo folder, parts, or NAME[:ARGUMENT] of a camera that another package adds.  "
        "Repeatable with a NAME for each: porch=0.  [default: auto]",
    ),
    click.option(
        "--camera-file",
        "camera_files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Read [NAME=]CAMERA from the first line of FILE, which only you may read: for addresses with a password; "
        "repeatable.",
    ),
    click.option(
        "--web",
        "address",
        default="127.0.0.1:8080",
        show_default=True,
        metavar="HOST[:PORT]",
        help="Where to serve the page; 0.0.0.0 is for the whole network, and needs a password.",
    ),
    click.option(
        "--trusted-proxy",
        "proxies",
        multiple=True,
        metavar="ADDRESS",
        help="A reverse proxy (address or network) whose X-Forwarded-For and -Proto are believed; repeatable.",
    ),
    click.option(
        "--tls-cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Serve the page over HTTPS with this certificate (PEM); it is read again when it is renewed.",
    ),
    click.option(
        "--tls-key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The certificate's private key, which only you may read (default: in the file of --tls-cert).",
    ),
    click.option(
        "--tls",
        type=click.Choice(["self"]),
        help="Serve the page over HTTPS with a certificate that this device makes for itself.",
    ),
    click.option("--no-web", is_flag=True, help="Serve no page."),
    click.option("--password-file", type=click.Path(path_type=Path), help="Its first line is the page's password."),
    click.option(
        "--host-name", "hosts", multiple=True, help="Another name the page is reached by, such as a reverse proxy's."
    ),
    click.option(
        "--threads",
        type=click.IntRange(1),
        is_eager=True,  # NumPy, which the options after this one load, reads the environment once
        callback=_linear_algebra_too,
        help="Threads of the TFLite runtime and of linear algebra.  [default: what `install` measured]",
    ),
    click.option("--max-frames", type=click.IntRange(1), help="Stop after this many frames."),
    click.option(
        "--turn",
        "turns",
        multiple=True,
        metavar="[CAMERA=]DEGREES",
        help="Turn the picture of all cameras, or of one, clockwise by 90, 180 or 270 degrees, where it hangs on its "
        "side or upside down.",
    ),
    click.option(
        "--mirror",
        "mirrors",
        is_flag=False,
        flag_value="*",
        multiple=True,
        metavar="[CAMERA]",
        help="Mirror the picture of all cameras, or of one, left to right, after turning.",
    ),
    click.option("--loop", is_flag=True, help="Start a video or folder again at its end."),
    click.option(
        "--on-label",
        "command",
        metavar="CMD",
        help="Run CMD at each change of label, with EDGETL_LABEL and EDGETL_PROBABILITY set.",
    ),
    click.option(
        "--on-label-file",
        "command_file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read CMD from FILE, which only you may read: for commands with a password.",
    ),
    click.option(
        "--parts",
        "part_trigger",
        type=click.Choice(["rest", "frame", "request"]),
        default="rest",
        show_default=True,
        help="What counts as an inspected part: a picture that has come to rest, every frame, or what a program "
        "asks for.",
    ),
    click.option(
        "--sink",
        "sinks",
        multiple=True,
        metavar="NAME[:ARGUMENT]",
        help="Send recognitions to a sink: command:CMD, part-command:CMD, gpio:part=PIN&bad=PIN, "
        "mqtt:mqtts://USER@HOST/PREFIX, webhook:https://HOST/PATH, or one that "
        "another package adds (${NAME} in its ARGUMENT, but for commands, comes from the environment); "
        "repeatable.",
    ),
    click.option(
        "--sink-file",
        "sink_files",
        type=click.Path(path_type=Path),
        multiple=True,
        metavar="FILE",
        help="Read NAME[:ARGUMENT] from FILE, which only you may read; repeatable.",
    ),
    click.option(
        "--region",
        "regions",
        multiple=True,
        metavar="[[CAMERA/]NAME=]X,Y,W,H[:GROUP]",
        help="Look at this part of the frame: shares of it such as 0.25,0,0.5,1. With a NAME it is recognised by "
        "itself, and with a GROUP it answers that group's question; repeatable, and remembered.",
    ),
    find_option,
    click.option("--jsonl", is_flag=True, help="Print one line of JSON for every frame."),
    click.option("--no-thumbnails", is_flag=True, help="Do not keep a small picture (160 px) of each taught sample."),
    click.option("--no-review", is_flag=True, help="Keep no frames that it is unsure of, for `edgetl-device review`."),
    history_options,
    click.option(
        "--smoothing",
        type=click.FloatRange(0),
        default=0.3,
        show_default=True,
        help="Average predictions over this many seconds; 0 turns it off.",
    ),
)


def run_options(command: Command) -> Command:
    """Add the options of ``edgetl-device run`` to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
