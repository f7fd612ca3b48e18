"""Options that commands share: which backbone, how to fine-tune it; and those that were typed, for the next command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from edgetl_device.errors import InputError

Command = Callable[..., Any]


class _Place(click.Path):
    """A path, which help calls by what lies there: one word for one thing in all commands."""

    def __init__(self, what: str) -> None:
        super().__init__(path_type=Path)
        self._what = what

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return self._what


BUNDLE, FILE, FOLDER, KEY, OUTPUT, PHOTOS = map(_Place, ("BUNDLE", "FILE", "FOLDER", "KEY", "OUTPUT", "PHOTOS"))
RUN, EMB, STATS = map(_Place, ("RUN", "EMB", "STATS"))

_BACKBONE = (
    click.option("--backbone", default="mobilenet_v2", show_default=True,
                 help="mobilenet_v2, mobilenet_v3_small or _large, efficientnet_lite0 … 4, vgg16, resnet50, "
                      "inception_v3; or a .keras or .h5 classifier of your own."),
    click.option("--alpha", type=float, help="Width multiplier (default: 1.0; 0.35 with builtin weights)."),
    click.option("--image-size", type=int, help="Side of the input, pixels (default: that of the weights, often 224)."),
    click.option("--weights",
                 help="imagenet, builtin, none (random) or a weights file (default: imagenet; what it becomes "
                      "where that cannot be downloaded is said)."),
)  # fmt: skip

_FINE_TUNING = (
    click.option("--epochs", type=click.IntRange(1), help="Passes over the photos, at most (default: 12)."),
    click.option("--batch-size", type=click.IntRange(2), default=32, show_default=True, help="Photos a step."),
    click.option("--learning-rate", type=float,
                 help="Peak learning rate (Adam).  [default: 0.001 for top, 0.0002 for full, or what trials find]"),
    click.option("--patience", type=click.IntRange(1), default=8, show_default=True,
                 help="Epochs without progress before it stops."),
    click.option("--augment/--no-augment", default=None,
                 help="Vary photos: crop, turn, mirror, colours (default: yes; with very many photos tried out)."),
    click.option("--flip/--no-flip", default=None, help="Mirror half of the varied photos (default: tried out)."),
    click.option("--strong", is_flag=True, help="Vary them more, like RandAugment; does without the cache."),
    click.option("--views", type=click.IntRange(0), default=4, show_default=True,
                 help="Random views of a photo that are cached; 0: new ones every epoch, without the cache."),
    click.option("--label-smoothing", type=float, default=0.1, show_default=True,
                 help="Strength of label smoothing, 0 to 1."),
    click.option("--class-weights/--no-class-weights", default=True, show_default=True,
                 help="Let photos of rare classes count more."),
    click.option("--train-batch-norm", is_flag=True, help="Train batch normalization too."),
    click.option("--boundary", metavar="LAYER", help="Where the top begins (default: the last fifth of the layers)."),
    click.option("--cache-limit", type=float, default=4.0, show_default=True, callback=lambda _, __, gb: _bytes(gb),
                 help="GB on disk for activations of the frozen part; 0: no cache."),
)  # fmt: skip


def check_bundle_name(path: Path) -> None:
    """Raise InputError unless a bundle to be written is called like one."""
    if path.suffix != ".edgetl":
        raise InputError(f"{path}: the name of a bundle must end in .edgetl, such as {path.stem}.edgetl")


def backbone_options(command: Command) -> Command:
    """``--backbone``, ``--alpha``, ``--image-size``, ``--weights``."""
    return _all(_BACKBONE, command)


def fine_tuning_options(command: Command) -> Command:
    """The fields of :class:`~edgetl.training.finetuning.Plan`."""
    return _all(_FINE_TUNING, command)


def typed_options(*names: str) -> list[str]:
    """Those of the running command's options, by parameter name, that its user typed, as words of a command line.

    A command that is printed as the next step does with them what was measured with them.
    """
    context = click.get_current_context()
    return [
        word
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
        for word in (parameter.opts[0], str(context.params[parameter.name]))
    ]


def typed_names(*names: str) -> list[str]:
    """Those of the running command's options, by parameter name, that its user typed, as they are written."""
    context = click.get_current_context()
    return [
        parameter.secondary_opts[0]
        if context.params[parameter.name] is False and parameter.secondary_opts
        else parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def refuse_typed(why: str, *allowed: str) -> None:
    """Raise InputError if the user of the running command typed another option than these parameters."""
    context = click.get_current_context()
    for parameter in context.command.params:
        typed = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if typed and isinstance(parameter, click.Option) and parameter.name not in (*allowed, "as_json", "verbose"):
            raise InputError(f"{parameter.opts[0]} {why}: leave it out")


def _all(options: tuple[Command, ...], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _bytes(gigabytes: float) -> int:
    if gigabytes < 0:
        raise click.BadParameter("must not be negative")
    return int(gigabytes * (1 << 30))
