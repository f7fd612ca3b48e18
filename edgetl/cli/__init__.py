"""``edgetl``: one file per command; heavy imports happen inside the commands."""

from __future__ import annotations

import signal

import click

from edgetl_device.console import run, shared_options

from .. import __version__
from .advise import advise
from .collect import collect, fleet
from .convert import convert
from .demo import demo
from .deploy import deploy, pull
from .embed import embed
from .evaluate import evaluate
from .explain import explain
from .imports import import_command
from .inspection_report import inspection_report
from .keygen import keygen
from .merge import merge
from .parts import parts
from .predict import predict
from .preflight import preflight
from .show import inspect, show
from .sign import sign
from .sweep import sweep
from .train import train
from .waited import begin_waiting


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The usual order: train → convert → deploy; or on the device: edgetl-device install → run → learn.",
)
@shared_options
@click.version_option(__version__, prog_name="edgetl")
def program() -> None:
    """Train on a workstation, recognise and learn on a device."""
    begin_waiting()


for _command in (
    demo,
    parts,
    import_command,
    advise,
    train,
    embed,
    convert,
    evaluate,
    predict,
    explain,
    show,
    inspect,
    inspection_report,
    preflight,
    sweep,
    merge,
    keygen,
    sign,
    deploy,
    pull,
    collect,
    fleet,
):
    program.add_command(_command)


def main() -> None:
    """Entry point of the ``edgetl`` program; asked to end, it cleans up as it does for Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup lets SIGHUP be ignored
            signal.signal(number, signal.default_int_handler)
    raise SystemExit(run(program, "edgetl"))
