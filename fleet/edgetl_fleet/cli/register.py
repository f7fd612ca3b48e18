"""``edgetl-fleet register``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import reports, say
from edgetl_device.errors import InputError

from .server import FLOWER

_KNOWN = "already in use"  # what Flower says of a key that it has
_TIMEOUT_S = 120.0


@click.command(short_help="Let nodes with these keys take part")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("keys", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@reports
def register(folder: Path, keys: tuple[Path, ...]) -> dict[str, Any]:
    """Register the public KEYS of nodes with the running server of FOLDER: `flwr supernode register`.

    `ssh-keygen -t ecdsa -b 384 -N "" -f NAME` makes a pair.
    """
    from ..flower import CONNECTION, flwr
    from ..node_keys import check_public

    for key in keys:
        check_public(key)
    state = folder.absolute() / FLOWER
    for key in keys:
        try:
            flwr(state, "supernode", "register", str(key), CONNECTION, "--name", key.stem, timeout_s=_TIMEOUT_S)
            say(f"registered {key.stem}")
        except InputError as error:
            if _KNOWN not in str(error):
                raise
            say(f"{key.stem} was registered before")
    return {"registered": [key.stem for key in keys]}
