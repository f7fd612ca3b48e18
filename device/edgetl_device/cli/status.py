"""``edgetl-device status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say
from .options import in_home, runtime_option
from .samples import say_elsewhere

if TYPE_CHECKING:
    from ..home import Home


@click.command()
@runtime_option
@in_home
@reports
def status(runtime: str, home: Home) -> dict[str, Any]:
    """Bundle, runtime, samples per label, active version, disk, and whether the scene drifted."""
    found = home.status(home.learner(runtime))
    say(f"bundle   {found['bundle']['name']}: {', '.join(found['bundle']['labels']) or 'no classes'}")
    say(f"runtime  {found['runtime']}")
    say(f"samples  {', '.join(f'{label} {count}' for label, count in found['samples'].items()) or 'none yet'}")
    say(f"version  {found['version']}")
    say(f"disk     {found['store_bytes'] / 1e6:.1f} MB used, {found['free_bytes'] / 1e9:.1f} GB free in {home.folder}")
    drift = found["drift"]
    say(f"drift    {_TOLD[drift['state']].format(frames=drift['frames'])}")
    say_elsewhere(found["samples_elsewhere"])
    return found


_TOLD = {
    "collecting": "cannot be told yet: {frames} different photos since this version (30 are needed, and a holdout)",
    "steady": "none: the last {frames} photos resemble what the head was trained on",
    "drifting": "the scene changed: the last {frames} photos resemble little that the head knows; "
    "teach it some with `edgetl-device learn`",
}
