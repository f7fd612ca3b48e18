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
    """Bundle, runtime, samples per label, active version, disk, and whether the scene drifted."""
    from ..home import free_bytes

    learner = home.learner(runtime)
    bundle = learner.bundle
    counts = learner.store.counts(bundle.backbone_digest)
    head = learner.active_head()
    drift = learner.drift_state()
    size_bytes = home.store_path.stat().st_size
    result = {
        "bundle": {"name": bundle.name, "labels": list(bundle.labels), "digest": bundle.digest},
        "runtime": learner.runtime,
        "samples": counts,
        "version": learner.active_version,
        "labels": list(head.labels),
        "home": str(home.folder),
        "store_bytes": size_bytes,
        "free_bytes": free_bytes(home.folder),
        "drift": drift.to_json(),
    }
    say(f"bundle   {bundle.name}: {', '.join(bundle.labels) or 'no classes'}")
    say(f"runtime  {learner.runtime}")
    say(f"samples  {', '.join(f'{label} {count}' for label, count in counts.items()) or 'none yet'}")
    say(f"version  {learner.active_version}")
    say(f"disk     {size_bytes / 1e6:.1f} MB used, {free_bytes(home.folder) / 1e9:.1f} GB free in {home.folder}")
    say(f"drift    {_TOLD[drift.state].format(frames=drift.frames)}")
    return result


_TOLD = {
    "collecting": "cannot be told yet: {frames} different photos since this version (30 are needed, and a holdout)",
    "steady": "none: the last {frames} photos resemble what the head was trained on",
    "drifting": "the scene changed: the last {frames} photos resemble little that the head knows; "
    "teach it some with `edgetl-device learn`",
}
