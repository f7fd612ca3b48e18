"""``edgetl merge``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, reports, say

from ..outputs import check_output
from .options import BUNDLE, FILE, KEY, OUTPUT, STATS, check_bundle_name


@click.command(short_help="Add what devices learned to a bundle")
@click.argument("file", type=BUNDLE)
@click.argument("stats", nargs=-1, required=True, type=STATS)
@click.option("-o", "--output", type=OUTPUT, required=True, help="Bundle to write.")
@click.option("--labels", type=FILE, metavar="MAP.csv", help="Rename labels: columns from, to.")
@click.option(
    "--public-key",
    type=KEY,
    multiple=True,
    help="Accept only STATS that this key signed, or one of several.",
)
@click.option("--sign", type=KEY, help="Sign OUTPUT with this private key.")
@click.option("--accept", is_flag=True, help="Write it although classes that BUNDLE knows get worse.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def merge(
    file: Path,
    stats: tuple[Path, ...],
    output: Path,
    labels: Path | None,
    public_key: tuple[Path, ...],
    sign: Path | None,
    accept: bool,
    force: bool,
) -> dict[str, Any]:
    """Add what devices learned to a bundle, exactly; a device counts once, with its latest export.

    STATS are files of export-stats and pull, and folders of collect.
    """
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.bundle.signing import read_private_key, read_public_key
    from edgetl_device.merging import merge as merging
    from edgetl_device.merging.exports import sources_in, without_repeats
    from edgetl_device.merging.label_map import read_label_map
    from edgetl_device.metrics import wilson_interval

    from ..models.model_kinds import refuse_bundle
    from ..reports.intervals import spread

    check_bundle_name(output)
    check_output(output, force)
    trusted = [read_public_key(path) for path in public_key]
    names = read_label_map(labels) if labels else {}
    key = read_private_key(sign) if sign else None
    bundle = open_bundle(file)
    for path in stats:
        refuse_bundle(path, "expected what a device exported, a .stats file")
    given = without_repeats(stats)
    if len(given) < len(stats):
        note("a file that is given more than once counts once")
    done = merging.merge(bundle, sources_in(given, trusted), output, key, accept=accept, names=names)
    if done.replaced:
        were = "s of the same devices were" if done.replaced != 1 else " of the same device was"
        note(f"{done.replaced} older export{were} left out")
    if "model.tflite" in bundle.members:
        note("model.tflite is left out: it holds the head from before")
    if bundle.signed and key is None:
        note(f"{file} was signed, {output} is not: --sign KEY")
    for each in done.spellings:
        note(f"{each.label} of device {each.device[:8]} looks like {each.meant}: if it is, --labels MAP.csv renames it")
    if not done.bit_exact:
        note("embeddings come from different runtimes: close, but not bit-exact")
    samples = f"{done.samples} sample{'s' if done.samples != 1 else ''}"
    devices = f"{done.devices} device{'s' if done.devices != 1 else ''}"
    what = samples if done.samples or not any(done.groups.values()) else "labels in groups alone"
    say(f"added {what} from {devices}; wrote {output}")
    for name, count in done.groups.items():
        say(f"group {name}: added {count} sample{'s' if count != 1 else ''}")
    if done.accuracy is not None:
        sure = spread(wilson_interval(round(done.accuracy * done.held_out), done.held_out))
        say(f"accuracy {done.accuracy:.3f} ({sure}) on the bundle's {done.held_out} held-out photos")
    return {
        "samples": done.samples,
        "groups": dict(done.groups),
        "devices": done.devices,
        "accuracy": done.accuracy,
        "held_out": done.held_out,
        "bit_exact": done.bit_exact,
        "spellings": [asdict(each) for each in done.spellings],
        "path": str(output),
    }
