"""``edgetl show``, which was called ``edgetl inspect`` before parts could be inspected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import moment, note, reports, say, say_wrapped, table

from .options import BUNDLE


@click.command(short_help="Show what is inside a bundle")
@click.argument("file", type=BUNDLE)
@reports
def show(file: Path) -> dict[str, Any]:
    """What is inside a bundle: manifest, sizes, operators."""
    return _shown(file)


@click.command(short_help="The old name of `show`", hidden=True)
@click.argument("file", type=BUNDLE)
@reports
def inspect(file: Path) -> dict[str, Any]:
    """What is inside a bundle, by the old name of `edgetl show`."""
    manifest = _shown(file)
    note("`edgetl inspect` is called `edgetl show` now; parts are inspected with `edgetl-device inspect`")
    return manifest


def _shown(file: Path) -> dict[str, Any]:
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.looking import described

    from ..models.model_kinds import refuse_folder
    from ..tflite.graph import read

    refuse_folder(file)
    bundle = open_bundle(file)
    manifest = bundle.manifest
    backbone, size = manifest["backbone"], manifest["preprocessing"]
    say(f"{bundle.name}: {', '.join(bundle.labels) or 'no classes'}")
    for name, labels in bundle.groups.items():
        say_wrapped(f"group {name}: {', '.join(labels)}", 2)
    width = f" alpha {backbone['alpha']}" if "alpha" in backbone else ""
    say(f"backbone  {backbone['name']}{width}, {size['height']}x{size['width']} px, "
        f"{manifest['codes']['dimension']} features, {manifest['quantization']}")  # fmt: skip
    if bundle.preprocessing.region is not None:
        say(f"looks at  {described(bundle.preprocessing)}")
    if bundle.maps:
        say(f"inspects  {', '.join('x'.join(map(str, inner.shape)) for inner in bundle.maps)} (inner maps)")
    signed = moment(bundle.signed) if bundle.signed else "no"
    say(f"created   {moment(manifest['created'])}   signed: {signed}")
    say(f"digest    {bundle.digest}")
    say()
    table(("member", "bytes"), [(name, entry["size"]) for name, entry in manifest["members"].items()])
    say()
    counts: dict[tuple[str, bool], int] = {}
    for operator in read(bundle.members["backbone.tflite"]).operators:
        key = (operator.name, operator.is_float)
        counts[key] = counts.get(key, 0) + 1
    table(("operator", "count", "float"), [(n, c, "yes" if f else "no") for (n, f), c in sorted(counts.items())])
    return dict(manifest)
