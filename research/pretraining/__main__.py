"""The command line: `python -m research.pretraining --help`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from research.pretraining.errors import PretrainingError
from research.pretraining.recipe import WEIGHTS_NAME, Recipe


@click.command(name="python -m research.pretraining")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder for the results.")
@click.option("--epochs", type=click.IntRange(1), default=Recipe.epochs, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=Recipe.seed, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the output folder.")
@click.option(
    "--probe", "probes", type=click.Path(path_type=Path), multiple=True,
    help="Folder with one folder of photos a class; frozen features are measured on it. Repeatable.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an earlier run in the output folder.")
def main(
    archive: Path, output: Path, epochs: int, seed: int, resume: bool, probes: tuple[Path, ...], force: bool
) -> None:
    """Pre-train the built-in backbone on ARCHIVE, Tiny ImageNet as a .tar.gz.

    Writes the weights and a checkpoint after every epoch; progress goes to stderr, one JSON object to stdout.
    """
    try:
        result = _run(archive, output, Recipe(epochs=epochs, seed=seed), resume, probes, force)
    except PretrainingError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        click.echo("interrupted; go on from the last finished epoch with --resume", err=True)
        sys.exit(130)
    click.echo(json.dumps(result))


def _run(
    archive: Path, output: Path, recipe: Recipe, resume: bool, probes: tuple[Path, ...], force: bool
) -> dict[str, object]:
    if not (resume or force) and (output / WEIGHTS_NAME).exists():
        raise PretrainingError(f"{output / WEIGHTS_NAME}: exists; go on with --resume, or start over with --force")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from research.pretraining.archive import read_archive
    from research.pretraining.probe import read_folder
    from research.pretraining.training import pretrain, use_threads

    photos = read_archive(archive)
    looked_at = {folder.name: read_folder(folder) for folder in probes}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PretrainingError(f"{output}: not a folder that can be written to ({error.strerror})") from error
    use_threads(recipe.towers)
    click.echo(
        f"{len(photos.train)} photos of {len(photos.classes)} classes, {len(photos.val)} to validate",
        err=True,
    )
    end = pretrain(photos, output, recipe, resume=resume, probes=looked_at, report=_show)
    return {
        "path": str(output / WEIGHTS_NAME),
        "epochs": end.epoch,
        "val_accuracy": end.history[-1]["val_accuracy"],
        "probes": {name: end.history[-1].get(f"probe_{name}") for name in looked_at},
        "wall_seconds": round(end.wall_seconds),
        "cpu_seconds": round(end.cpu_seconds),
        "history": end.history,
    }


def _show(facts: dict[str, Any]) -> None:
    """One line an epoch; in a terminal, one more that is overwritten."""
    if "loss" in facts:
        click.echo(("\r" if sys.stderr.isatty() else "") + json.dumps(facts), err=True)
    elif sys.stderr.isatty():
        click.echo("\repoch {epoch}: {done:.0%}, {photos_per_second} photos/s ".format(**facts), err=True, nl=False)


if __name__ == "__main__":
    main()
