"""``edgetl inspection-report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, reports, say, say_wrapped, table

from ..outputs import check_output
from .options import BUNDLE, FILE, PHOTOS


@click.command(short_help="Measure how well a bundle inspects parts")
@click.argument("file", type=BUNDLE)
@click.argument("photos", type=PHOTOS)
@click.option("--report", type=FILE, help="HTML page to write.")
@click.option(
    "--good", type=click.IntRange(2), help="Good photos to teach.  [default: all of train/good, or 20 of good]"
)
@click.option("--turned", is_flag=True, help="Teach each in its turns and mirrors.")
@click.option("--region", metavar="X,Y,W,H", help="Only this part of the frame: pixels, or shares, 0.25,0,0.5,1.")
@click.option("--find-part", is_flag=True, help="Find the part on its background, and turn it always the same way.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which good photos are taught.")
@click.option("--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime.")
@click.option("--force", is_flag=True, help="Overwrite the page.")
@reports
def inspection_report(
    file: Path,
    photos: Path,
    report: Path | None,
    good: int | None,
    turned: bool,
    region: str | None,
    find_part: bool,
    seed: int,
    runtime: str,
    force: bool,
) -> dict[str, Any]:
    """Teach good parts of PHOTOS, check the others: false alarms, defects found, and where the heat is.

    PHOTOS holds `train/good`, `test/good` and `test/KIND` of each kind of defect, or `good` and `KIND`; pictures of
    where the defects are may lie in `masks/KIND` or `ground_truth/KIND`.
    """
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.photos import read_photo
    from edgetl_device.view import View, parse_region

    from ..evaluation.inspection import find_parts, inspect_folder
    from ..evaluation.inspection_page import write_inspection_page
    from ..models.model_kinds import refuse_folder
    from ..reports.intervals import spread

    if report is not None:
        check_output(report, force)
    refuse_folder(file)
    bundle, parts = open_bundle(file), find_parts(photos, good, seed)
    area = None
    if region is not None:
        height, width = read_photo(parts.train[0]).shape[:2]
        area = parse_region(region, width, height)
    view = View(area, find_part, turned)
    measured = inspect_folder(bundle, parts, view, runtime)
    for reason in measured.skipped:
        note(f"skipped: {reason}")
    result = measured.to_json()
    intervals: Any = result["intervals"]
    say(f"taught {measured.taught} good photos, looking at {view.describe()}")
    table(
        ("", "share", "95 % interval"),
        [
            ("good ones flagged", result["false_alarms"], spread(intervals["false_alarms"])),
            ("defects found", result["found"], spread(intervals["found"])),
        ],
    )
    say()
    rows: Any = result["defects"]
    table(("defect", "photos", "found", "AUROC"), [(r["kind"], r["photos"], r["found"], r["auroc"]) for r in rows])
    say()
    say(f"AUROC {measured.auroc:.3f}")
    if measured.localisation is not None:
        say(f"pixel AUROC {measured.localisation.pixel_auroc:.3f}, PRO {measured.localisation.pro:.3f}")
        say_wrapped(
            "(PRO, per-region overlap: how much of each defect is marked, on average over defects of any size, "
            "while up to 30 % of what is good is marked too; 1 is best)",
            1,
        )
    for warning in measured.warnings:
        say_wrapped(f"warning: {warning}", 0)
    if report is not None:
        write_inspection_page(measured, bundle, report)
        say(f"wrote {report}")
    return {**result, "report": None if report is None else str(report)}
