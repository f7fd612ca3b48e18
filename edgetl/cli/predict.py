"""``edgetl predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetl_device.console import note, reports, say, table

from ..outputs import check_output
from .options import FILE, PHOTOS, typed_names

if TYPE_CHECKING:
    from ..evaluation.predict import Predictions


@click.command(short_help="Label photos with a bundle or a RUN")
@click.argument("source", metavar="BUNDLE|RUN", type=FILE)
@click.argument("photos", nargs=-1, required=True, type=PHOTOS)
@click.option("--csv", type=FILE, help="Write a table here instead of a line for each photo.")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How many labels to name a photo, in --json or where it is given.",
)
@click.option("--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime.")
@click.option("--force", is_flag=True, help="Overwrite the table.")
@reports
def predict(
    source: Path, photos: tuple[Path, ...], csv: Path | None, top: int, runtime: str, force: bool
) -> dict[str, Any]:
    """Label PHOTOS, files and whole folders, on all cores of this machine, and count the labels.

    A RUN answers as a bundle of it would that is not quantized.
    """
    if csv is not None:
        check_output(csv, force)
    from .. import api
    from ..training.runs import refuse_photos

    if source.is_dir():
        refuse_photos(source, "predict run PHOTOS")
    result = api.predict(source, photos, csv=csv, top=top, runtime=runtime, force=force)
    _say(result, csv, all_of_them=bool(typed_names("top")) and top > 1)
    return {
        "predictions": [
            {
                "path": str(path),
                "label": each.label,
                "probability": each.probability,
                "unknown": each.unknown,
                "top": [{"label": label, "probability": value} for label, value in each.top],
            }
            for path, each in zip(result.paths, result.predictions, strict=True)
        ],
        "counts": result.counts,
        "skipped": list(result.skipped),
        "runtime": result.runtime,
    }


def _say(result: Predictions, csv: Path | None, all_of_them: bool) -> None:
    from .skipped import tell_skipped

    tell_skipped(result.skipped)
    if csv is None:
        for path, each in zip(result.paths, result.predictions, strict=True):
            unknown = "unknown, closest: " if each.unknown else ""
            named = each.top if all_of_them else ((each.label, each.probability),)
            say(f"{path}: {unknown}{', '.join(f'{label} {probability:.2f}' for label, probability in named)}")
        say()
    table(("label", "photos"), list(result.counts.items()))
    if csv is not None:
        note(f"wrote {csv}")
