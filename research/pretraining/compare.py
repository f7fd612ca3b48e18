"""The probe table of the model card: `python -m research.pretraining.compare --help`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from statistics import fmean

import click

from research.pretraining.errors import PretrainingError

LINE = "{photos:12} {features:64} LDA {lda:.3f}  logistic {logistic:.3f}"


@click.command(name="python -m research.pretraining.compare")
@click.argument("folders", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Weights (.h5) of MobileNetV2, alpha 0.35, no top. Repeatable.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the first 80 / 20 split.")
@click.option("--splits", type=click.IntRange(1), default=1, show_default=True, help="The mean over so many splits.")
@click.option("--size", type=click.IntRange(32, 512), default=96, show_default=True, help="Pixels a side.")
def main(folders: tuple[Path, ...], weights: tuple[Path, ...], seed: int, splits: int, size: int) -> None:
    """Measure frozen features on photo FOLDERS, each with one folder a class.

    Compared are the pixels themselves (16 x 16), random weights, and each of the WEIGHTS. Progress goes to
    stderr, one JSON object to stdout: held-out accuracy of shrinkage LDA and of logistic regression.
    """
    try:
        result = _compare(folders, weights, range(seed, seed + splits), size)
    except PretrainingError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    click.echo(json.dumps(result))


def _compare(folders: tuple[Path, ...], weights: tuple[Path, ...], seeds: range, size: int) -> dict[str, object]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tf_keras

    from research.pretraining.network import backbone
    from research.pretraining.probe import (
        lda_accuracy,
        logistic_accuracy,
        pixel_features,
        pooled_features,
        read_folder,
        split_anew,
    )

    tf_keras.utils.set_random_seed(seeds[0])
    models = {"random weights": backbone(size)}
    for path in weights:
        models[path.name] = backbone(size)
        try:
            models[path.name].load_weights(path)
        except (OSError, ValueError) as error:
            raise PretrainingError(
                f"{path}: expected weights (.h5) of MobileNetV2, alpha 0.35, no top ({error})"
            ) from error
    rows = []
    for folder in folders:
        photos = read_folder(folder, size, seeds[0])
        several = [split_anew(photos, seed) for seed in seeds]
        features = {"pixels": pixel_features(photos)}
        features |= {name: pooled_features(model, photos) for name, model in models.items()}
        for name, values in features.items():
            row = {
                "photos": folder.name,
                "features": name,
                "lda": round(fmean(lda_accuracy(values, split) for split in several), 4),
                "logistic": round(fmean(logistic_accuracy(values, split) for split in several), 4),
            }
            click.echo(LINE.format(**row), err=True)
            rows.append(row)
    return {"seed": seeds[0], "splits": len(seeds), "size": size, "rows": rows}


if __name__ == "__main__":
    main()
