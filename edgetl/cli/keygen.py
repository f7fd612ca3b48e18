"""``edgetl keygen``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import reports, say, say_wrapped

from .next_step import say_next


@click.command(short_help="Make a key pair for signing bundles")
@click.argument("prefix", type=click.Path(path_type=Path))
@reports
def keygen(prefix: Path) -> dict[str, Any]:
    """Make an Ed25519 key pair: PREFIX.key signs, PREFIX.pub is for the devices."""
    from edgetl_device.bundle.signing import key_path, public_path, write_key_pair

    key = write_key_pair(prefix)
    secret, public = key_path(prefix), public_path(prefix)
    say_wrapped(f"{secret}  signs bundles: keep it on the workstation, with a copy in a safe place", 2)
    say(f"{public}  {key.fingerprint}")
    say_next("edgetl", "convert", "RUN", "-o", "FILE.edgetl", "--sign", secret)
    say_next("edgetl-device", "install", "FILE.edgetl", "--public-key", public, first="then")
    return {"public_key": str(public), "private_key": str(secret), "fingerprint": key.fingerprint}
