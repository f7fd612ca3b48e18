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
@click.option("--public-key", type=click.Path(path_type=Path), help="Accept only STATS that this key signed.")
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign OUTPUT with this private key.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def merge(
    file: Path, stats: tuple[Path, ...], output: Path, public_key: Path | None, sign: Path | None, force: bool
) -> dict[str, Any]:
    """Add what devices learned (STATS of export-stats) to a bundle, exactly; a device counts once, with its latest."""
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.bundle.signing import read_private_key, read_public_key

    from ..deployment import merge as merging

    refuse_existing(output, force)
    trusted = read_public_key(public_key) if public_key else None
    key = read_private_key(sign) if sign else None
    bundle = open_bundle(file)
    done = merging.merge(bundle, [merging.read_export(path, trusted) for path in stats], output, key)
    if done.replaced:
        note(f"{done.replaced} older exports of the same devices were left out")
    if "model.tflite" in bundle.members:
        note("model.tflite is left out: it holds the head from before")
    if bundle.signed and key is None:
        note(f"{file} was signed, {output} is not: --sign KEY")
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
