"""``edgetl deploy`` and ``edgetl pull``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, reports, say, say_wrapped
from edgetl_device.percent import percent

from .next_step import say_next
from .options import BUNDLE, KEY, OUTPUT
from .waited import waited_s

_port = click.option("--port", type=click.IntRange(1, 65535), help="Port of the ssh server (default: as configured).")
_home = click.option("--home", metavar="FOLDER", default="", help="Device home there (default: ~/.local/share/edgetl).")


@click.command(short_help="Install a bundle on a device over ssh")
@click.argument("target", metavar="USER@HOST")
@click.argument("file", type=BUNDLE)
@_port
@_home
@click.option("--no-runtime", is_flag=True, help="Leave the edgetl-device that is there as it is.")
@click.option("--public-key", type=KEY, help="Have the device trust only this key from now on.")
@click.option("--allow-downgrade", is_flag=True, help="Accept a bundle signed before the one that is there.")
@reports
def deploy(
    target: str,
    file: Path,
    port: int | None,
    home: str,
    no_runtime: bool,
    public_key: Path | None,
    allow_downgrade: bool,
) -> dict[str, Any]:
    """Bring a bundle to a device over ssh: send, verify, try it out there, switch; else the old one keeps running."""
    from .. import api

    done = api.deploy(
        target,
        file,
        port=port,
        home=home,
        runtime=not no_runtime,
        public_key=public_key,
        allow_downgrade=allow_downgrade,
        progress=note,
    )
    seconds = waited_s()
    what = f"{file.name} runs" if done.sent else f"{file.name} was there already and runs"
    say(f"{what} on {target}, version {done.version}; {percent(done.agreement)} of its check photos get the same label "
        f"there as here ({seconds:.1f} s)")  # fmt: skip
    return {
        "version": done.version,
        "verified": True,
        "agreement": done.agreement,
        "runtime_updated": done.runtime_updated,
        "sent": done.sent,
        "seconds": seconds,
    }


@click.command(short_help="Bring back what a device learned, without photos")
@click.argument("target", metavar="USER@HOST")
@click.option("-o", "--output", type=OUTPUT, required=True, help="Folder to write into.")
@_port
@_home
@click.option("--sign", default="", metavar="KEY", help="Private key on the device to sign with.")
@click.option("--public-key", type=KEY, help="Accept only statistics that this key signed.")
@reports
def pull(target: str, output: Path, port: int | None, home: str, sign: str, public_key: Path | None) -> dict[str, Any]:
    """Bring back what a device learned, as statistics: no photos."""
    from edgetl_device.bundle.signing import read_public_key

    from ..deployment import deploy as deployment

    trusted = read_public_key(public_key) if public_key else None
    path, export = deployment.pull(target, output, port=port, home=home, sign=sign, trusted=trusted)
    groups = f", groups {', '.join(export.groups)}" if export.groups else ""
    say_wrapped(f"wrote {path}: {export.samples} samples of {', '.join(export.labels) or 'no label'}{groups}", 2)
    say_next("edgetl", "merge", "BUNDLE", path, "-o", "NEW.edgetl")
    return {
        "samples": export.samples,
        "labels": list(export.labels),
        "groups": {name: list(content.labels) for name, content in export.groups.items()},
        "path": str(path),
        "device": export.device,
    }
