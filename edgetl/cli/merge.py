"""``edgetl merge``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, refuse_existing, reports, say


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("stats", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Bundle to write.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def merge(file: Path, stats: tuple[Path, ...], output: Path, force: bool) -> dict[str, Any]:
    """Add what devices learned (STATS of export-stats) to a bundle, exactly; a device counts once, with its latest."""
    from edgetl_device.bundle import open_bundle

    from .. import merging

    refuse_existing(output, force)
    bundle = open_bundle(file)
    done = merging.merge(bundle, [merging.read_export(path) for path in stats], output)
    if done.replaced:
        note(f"{done.replaced} older exports of the same devices were left out")
    if "model.tflite" in bundle.members:
        note("model.tflite is left out: it holds the head from before")
    if not done.bit_exact:
        note("embeddings come from different runtimes: close, but not bit-exact")
    accuracy = "" if done.accuracy is None else f"; held-out accuracy {done.accuracy:.3f}"
    say(f"wrote {output}: {done.samples} samples of {done.devices} devices added{accuracy}")
    return {
        "samples": done.samples,
        "devices": done.devices,
        "accuracy": done.accuracy,
        "bit_exact": done.bit_exact,
        "path": str(output),
    }
