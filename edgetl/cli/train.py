"""``edgetl train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, refuse_existing, reports, say, table


@click.command()
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write: the RUN.")
@click.option("--backbone", default="mobilenet_v2", show_default=True, help="Architecture.")
@click.option("--alpha", type=float, help="Width multiplier (default: 1.0; 0.35 with builtin weights).")
@click.option("--image-size", type=int, help="Side of the backbone's input, pixels (default: 224; 96 with builtin).")
@click.option("--weights", help="imagenet, builtin, none (random) or a weights file (default: imagenet, else builtin).")
@click.option("--strategy", type=click.Choice(["head"]), default="head", show_default=True, help="How much to train.")
@click.option("--val-split", type=float, default=0.2, show_default=True, help="Share of photos to hold out.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of split and calibration.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def train(
    photos: Path,
    output: Path,
    backbone: str,
    alpha: float | None,
    image_size: int | None,
    weights: str | None,
    strategy: str,
    val_split: float,
    seed: int,
    force: bool,
) -> dict[str, Any]:
    """Teach a backbone the classes of PHOTOS, a folder with one folder per class."""
    from .. import backbones, training
    from ..datasets import find_photos, split

    refuse_existing(output, force)
    base = backbones.BUILTIN if weights == "builtin" else backbones.BackboneSpec()
    alpha = base.alpha if alpha is None else alpha
    image_size = base.image_size if image_size is None else image_size
    spec = backbones.BackboneSpec(backbone, alpha, image_size, weights or base.weights)
    backbones.check(spec)
    dataset = split(find_photos(photos), val_split, seed)
    note(f"{len(dataset)} photos of {len(dataset.classes)} classes")
    try:
        run = training.train_head(dataset, spec, output, seed, force)
    except backbones.DownloadError:
        if weights is not None:
            raise
        spec = backbones.BUILTIN
        note("the ImageNet weights could not be downloaded: using the small built-in backbone (--weights builtin)")
        run = training.train_head(dataset, spec, output, seed, force)
    note(f"{spec.name} alpha {spec.alpha} at {spec.image_size} px, {spec.weights} weights")
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
