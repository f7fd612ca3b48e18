"""``edgetl advise``."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, reports, say, say_wrapped, table

from .options import PHOTOS, backbone_options, typed_options


@click.command(short_help="Find out how much of the backbone to train on PHOTOS")
@click.argument("photos", nargs=-1, required=True, type=PHOTOS)
@backbone_options
@click.option("--val-split", type=float, default=0.2, show_default=True, help="Share that train would hold out.")
@click.option("--group", metavar="REGEX", help="As for train.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for the split and the sample.")
@reports
def advise(
    photos: tuple[Path, ...],
    backbone: str,
    alpha: float | None,
    image_size: int | None,
    weights: str | None,
    val_split: float,
    group: str | None,
    seed: int,
) -> dict[str, Any]:
    """How much of the backbone to train on PHOTOS: head, top or full, and why."""
    from edgetl_device.metrics import wilson_interval

    from ..api import backbone_spec, load_photos
    from ..backbones.backbone import BUILTIN, DownloadError, offline
    from ..reports.intervals import spread
    from ..training import advisor

    spec = backbone_spec(backbone, alpha, image_size, weights)
    dataset = load_photos(photos, val_split=val_split, group=group, seed=seed)
    which = typed_options("backbone", "alpha", "image_size", "weights")
    try:
        advice = advisor.advise(dataset, spec, seed)
    except DownloadError:
        if weights is not None or backbone != BUILTIN.name:
            raise
        spec, words = offline(spec.image_size)
        note(f"the ImageNet weights could not be downloaded: using {words}")
        advice = advisor.advise(dataset, spec, seed)
        which = ["--weights", "builtin"] if spec == BUILTIN else ["--backbone", spec.name, *typed_options("image_size")]
    on = f"of {advice.samples} photos"

    def sure(share: float) -> str:
        return spread(wilson_interval(round(share * advice.samples), advice.samples))

    table(
        ("measured", "value", "95 % interval"),
        [
            ("training photos", advice.dataset_size, ""),
            ("of them in a typical class", advice.photos_per_class, ""),
            (f"nearest neighbours are right, {on}", advice.neighbour_accuracy, sure(advice.neighbour_accuracy)),
            (f"a linear probe is right, {on}", advice.linear_probe_accuracy, sure(advice.linear_probe_accuracy)),
            ("mean of both, from chance (0) to 1", advice.similarity, spread(advice.similarity_interval)),
            ("LogME", advice.logme, ""),
        ],
    )
    say()
    for reason in advice.reasons:
        say_wrapped(f"- {reason}", 2)
    command = ["edgetl", "train", *map(str, photos), "-o", "run", "--strategy", advice.strategy]
    say(f"advice: {shlex.join([*command, *which, *typed_options('val_split', 'group', 'seed')])}")
    return asdict(advice)
