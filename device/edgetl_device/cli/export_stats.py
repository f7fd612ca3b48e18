"""``edgetl-device export-stats``."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import refuse_existing, reports, say
from ..errors import InputError
from .options import in_home

if TYPE_CHECKING:
    from ..home import Home


@click.command("export-stats", short_help="Write what was learned as statistics, without photos")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign with this private key.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@in_home
@reports
def export_stats(file: Path, sign: Path | None, force: bool, home: Home) -> dict[str, Any]:
    """Write what was learned as statistics: no photos, but class means can be read from them."""
    from ..bundle.export import Export
    from ..bundle.signing import read_private_key
    from ..files import write_atomically

    refuse_existing(file, force)
    key = read_private_key(sign) if sign else None
    learner = home.learner()
    sequence = learner.store.sequence()  # before reading: what is added meanwhile comes with a later export
    statistics = learner.device_statistics()
    if not statistics.samples:
        raise InputError("nothing was learned yet: `edgetl-device learn LABEL IMAGE…` first")
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    write_atomically(file, Export(learner.store.device, now, statistics, sequence).to_bytes(key))
    say(f"wrote {file}: {statistics.samples} samples of {', '.join(statistics.labels)}")
    return {"samples": statistics.samples, "labels": list(statistics.labels), "path": str(file)}
