"""``edgetl-device status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say
from .home_option import in_home, runtime_option

if TYPE_CHECKING:
    from ..home import Home


@click.command()
@runtime_option
@in_home
@reports
def status(runtime: str, home: Home) -> dict[str, Any]:
    """Bundle, runtime, samples per label, active version, disk."""
    from ..home import free_bytes

    learner = home.learner(runtime)
    counts: dict[str, int] = {}
    for row in learner.samples():
        counts[row.label] = counts.get(row.label, 0) + 1
    bundle = learner.bundle
    size_bytes = home.store_path.stat().st_size
    result = {
        "bundle": {"name": bundle.name, "labels": list(bundle.labels), "digest": bundle.digest},
        "runtime": learner.runtime,
        "samples": counts,
        "version": learner.active_version,
        "labels": list(learner.active_head().labels),
        "home": str(home.folder),
        "store_bytes": size_bytes,
        "free_bytes": free_bytes(home.folder),
    }
    say(f"bundle   {bundle.name}: {', '.join(bundle.labels) or 'no classes'}")
    say(f"runtime  {learner.runtime}")
    say(f"samples  {', '.join(f'{label} {count}' for label, count in counts.items()) or 'none yet'}")
    say(f"version  {learner.active_version}")
    say(f"disk     {size_bytes / 1e6:.1f} MB used, {free_bytes(home.folder) / 1e9:.1f} GB free in {home.folder}")
    return result
