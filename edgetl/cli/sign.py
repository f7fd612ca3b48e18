"""``edgetl sign``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import reports, say_wrapped

from ..outputs import check_output
from .options import BUNDLE, KEY, OUTPUT, check_bundle_name


@click.command(short_help="Sign a bundle")
@click.argument("file", type=BUNDLE)
@click.option("--key", type=KEY, required=True, help="Private key of `edgetl keygen`.")
@click.option("-o", "--output", type=OUTPUT, help="Bundle to write (default: BUNDLE itself).")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def sign(file: Path, key: Path, output: Path | None, force: bool) -> dict[str, Any]:
    """Sign a bundle that exists already, or sign it again."""
    from edgetl_device.bundle.bundle import open_bundle, sign_bundle
    from edgetl_device.bundle.signing import read_private_key

    if output is not None:
        check_bundle_name(output)
        check_output(output, force)
    private = read_private_key(key)
    target = output or file
    sign_bundle(open_bundle(file), target, private)
    signed = open_bundle(target, private.public).signed
    say_wrapped(f"signed {target} at {signed} with {private.public.fingerprint}", 2)
    return {"path": str(target), "signed": signed, "fingerprint": private.public.fingerprint}
