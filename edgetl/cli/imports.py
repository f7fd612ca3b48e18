"""``edgetl import``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, reports, say_wrapped, table

from .next_step import say_next
from .options import OUTPUT

FORMATS = ("coco", "label-studio", "roboflow", "huggingface", "parquet")


@click.command("import", short_help="Turn another tool's export into a list of photos")
@click.argument("format_", metavar="FORMAT", type=click.Choice(FORMATS))
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=OUTPUT, required=True, help="List to write, NAME.csv.")
@click.option("--force", is_flag=True, help="Overwrite the list and its photos.")
@reports
def import_command(format_: str, source: Path, output: Path, force: bool) -> dict[str, Any]:
    """Turn SOURCE, an export of FORMAT, into a list that `edgetl train` reads, with its photos beside it.

    FORMAT is coco, label-studio, roboflow, huggingface (a folder of images) or parquet. Objects in boxes are cut out;
    parts of one picture get one group, so that none is tested on what another trained on.
    """
    from .. import api
    from .skipped import tell_skipped

    done = api.import_photos(format_, source, output, force=force)
    tell_skipped([str(item) for item in done.unused])
    table(("label", "photos"), list(done.counts.items()))
    if done.columns:
        say_wrapped(f"further columns: {', '.join(done.columns)}", 2)
    for name, why in done.left_out.items():
        note(f"column {name} is left out: {why}")
    say_wrapped(f"wrote {output} and {output.with_suffix('').name}-photos", 2)
    say_next("edgetl", "train", output, "-o", "run")
    return {
        "path": str(output),
        "photos": sum(done.counts.values()),
        "classes": done.counts,
        "columns": list(done.columns),
        "columns_left_out": dict(done.left_out),
        "unused": [{"path": str(item.path), "reason": item.reason} for item in done.unused],
    }
