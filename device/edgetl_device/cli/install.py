"""``edgetl-device install``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say
from .home_option import in_home, runtime_option

if TYPE_CHECKING:
    from ..home import Home


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@runtime_option
@in_home
@reports
def install(file: Path, runtime: str, home: Home) -> dict[str, Any]:
    """Verify a bundle, check it on this device and make it the current one."""
    bundle, agreement = home.install(file, runtime)
    learner = home.learner(runtime)
    version = learner.active_version
    if learner.samples() and learner.versions()[-1].id == version:
        version = learner.retrain().version
    say(f"installed {bundle.name}: {', '.join(bundle.labels) or 'no classes yet'} (version {version})")
    return {"name": bundle.name, "labels": list(bundle.labels), "version": version, "agreement": agreement}
