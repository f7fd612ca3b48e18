"""``edgetl sweep``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetl_device.console import is_verbose, note, reports, say, say_wrapped, table
from edgetl_device.head_option import head_option

from ..outputs import check_output
from .next_step import say_next
from .options import FILE, PHOTOS, RUN, typed_options

if TYPE_CHECKING:
    from ..conversion.sweep import Row


@click.command(short_help="Compare ways to convert a RUN: accuracy, size, speed")
@click.argument("run", type=RUN)
@click.option("--recipes", default="int8,int8-float-io,int16x8,float16,dynamic,none", show_default=True,
              help="Separated by commas; +qat, +prune=0.5 or +cluster=16 compress first, in minutes.")  # fmt: skip
@click.option("--report", type=FILE, help="Also write one self-contained HTML page.")
@click.option("--photos", type=PHOTOS,
              help="Where the run's photos are now, if they moved; of a model file, its photos.")  # fmt: skip
@click.option("--labels", type=FILE, help="The labels of a model file, one a line.")
@click.option("--scale", metavar="MIN,MAX", help="What pixels 0 and 255 became in a model file's training.")
@click.option("--resize", type=click.Choice(("crop", "stretch", "letterbox")),
              help="How photos were resized in a model file's training.  "
                   "[default: whichever gets the most labels right]")  # fmt: skip
@click.option("--max-drop", type=float, default=0.01, show_default=True,
              help="Accept up to this much accuracy below the best.")  # fmt: skip
@click.option("--training-photos", type=click.IntRange(1), default=1000, show_default=True,
              help="Fit each head on at most this many photos.")  # fmt: skip
@click.option("--calibration-samples", type=click.IntRange(1), default=200, show_default=True,
              help="Representative photos, class-balanced.")  # fmt: skip
@head_option()
@click.option("--force", is_flag=True, help="Overwrite the report.")
@reports
def sweep(
    run: Path,
    recipes: str,
    report: Path | None,
    photos: Path | None,
    labels: Path | None,
    scale: str | None,
    resize: str | None,
    max_drop: float,
    training_photos: int,
    calibration_samples: int,
    head: str,
    force: bool,
) -> dict[str, Any]:
    """Convert RUN with every recipe, side by side: accuracy, size, latency here, and which one to take.

    RUN is what `edgetl train` made, or any Keras image classifier, as for `edgetl convert`.
    """
    from ..conversion import sweep as sweeping
    from ..conversion.asked import nothing_to_sweep
    from ..models.keras_files import parse_scale
    from ..models.sources import open_source
    from ..models.tflite_files import is_tflite
    from ..training.runs import refuse_photos

    if report is not None:
        check_output(report, force)
    chosen = sweeping.recipes_of(recipes)
    limits = None if scale is None else parse_scale(scale)
    refuse_photos(run, "sweep run")
    if is_tflite(run):
        raise nothing_to_sweep(run.name)
    source = open_source(run, (photos,) if photos else None, labels, limits, resize=resize)
    done = sweeping.sweep(source, chosen, head, max_drop, training_photos, calibration_samples, _tell, is_verbose())
    tell_rows(done.rows)
    heads = f"heads fitted on {done.trained} photos, checked on {done.held_out}"
    say_wrapped(f"float model, before conversion: accuracy {done.float_accuracy:.3f}; {heads}", 2)
    if report is not None:
        sweeping.write_report(done, run.name, max_drop, report)
        say(f"wrote {report}")
    if done.recommended is not None:
        arguments = next(recipe.arguments for recipe in chosen if recipe.name == done.recommended)
        repeated = typed_options("photos", "labels", "scale", "resize", "calibration_samples", "head")
        command = ["edgetl", "convert", str(run), *arguments.split(), *repeated, "-o", f"{run.name}.edgetl"]
        say_wrapped(f"take {done.recommended}: {done.reason}", 2)
        say_next(*command)
    return {
        "recipes": [asdict(row) for row in done.rows],
        "recommended": done.recommended,
        "reason": done.reason,
        "float_accuracy": done.float_accuracy,
        "training_photos": done.trained,
        "samples": done.held_out,
        "exit_code": 0 if done.recommended else 1,
    }


def tell_rows(rows: Iterable[Row]) -> None:
    """The table of recipes, in 80 columns with those that compress once."""
    from ..conversion.sweep import verdict
    from ..reports.intervals import spread

    table(
        ("recipe", "accuracy", "95 % interval", "to best", "agree", "MB", "zipped", "ms"),
        [
            (
                row.name,
                row.accuracy,
                spread(row.interval) if row.interval else None,
                verdict(row),
                row.agreement,
                _mb(row.size_bytes),
                _mb(row.zipped_size_bytes),
                _short(row.latency_ms),
            )
            for row in rows
        ],
    )


def _tell(row: Row) -> None:
    note(f"{row.name}: accuracy {row.accuracy:.3f}" if row.error is None else f"{row.name} failed: {row.error}")


def _mb(size: int | None) -> str | None:
    return None if size is None else _short(size / 1e6)


def _short(number: float | None) -> str | None:
    """With three digits: ``0.62``, ``20.5``, ``1020``."""
    if number is None:
        return None
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f}"
