"""``edgetl train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, reports, say, table


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write: the RUN.")
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="Architecture.")
@click.option("--alpha", type=float, default=1.0, show_default=True, help="Width multiplier.")
@click.option("--image-size", type=int, default=224, show_default=True, help="Side of the backbone's input, pixels.")
@click.option("--weights", default="imagenet", show_default=True, help="imagenet, none (random), or a weights file.")
@click.option("--strategy", type=click.Choice(["head"]), default="head", show_default=True, help="How much to train.")
@click.option("--val-split", type=float, default=0.2, show_default=True, help="Share of photos to hold out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of split and calibration.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def train(
    photos: Path,
    output: Path,
    backbone: str,
    alpha: float,
    image_size: int,
    weights: str,
    strategy: str,
    val_split: float,
    seed: int,
    force: bool,
) -> dict[str, Any]:
    """Teach a backbone the classes of PHOTOS, a folder with one folder per class."""
    from .. import backbones, training
    from ..datasets import find_photos, split

    spec = backbones.BackboneSpec(backbone, alpha, image_size, weights)
    backbones.check(spec)
    dataset = split(find_photos(photos), val_split, seed)
    note(
        f"{len(dataset)} photos of {len(dataset.classes)} classes; "
        f"{backbone} alpha {alpha} at {image_size} px, weights {weights}"
    )
    run = training.train_head(dataset, spec, output, seed, force)
    for reason in run.skipped:
        note(f"skipped: {reason}")
    counts = {label: run.dataset.labels.count(label) for label in run.dataset.classes}
    table(("class", "photos", "recall"), [(label, counts[label], run.per_class[label]) for label in counts])
    say(
        f"held-out accuracy {run.accuracy:.3f} in {run.seconds:.0f} s; next: edgetl convert {output} -o {output}.edgetl"
    )
    return {
        "accuracy": run.accuracy,
        "per_class": run.per_class,
        "classes": list(run.dataset.classes),
        "photos": len(run.dataset),
        "skipped": list(run.skipped),
        "strategy": run.strategy,
        "seconds": run.seconds,
    }
