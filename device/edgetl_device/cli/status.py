"""``edgetl-device status``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say
from .options import in_home, runtime_option
from .samples import say_elsewhere

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Show bundle, samples, version, disk and drift")
@runtime_option
@in_home
@reports
def status(runtime: str, home: Home) -> dict[str, Any]:
    """Bundle, runtime, samples per label, active version, disk, and whether the scene drifted."""
    report = home.status(home.learner(runtime))
    say(f"bundle   {report['bundle']['name']}: {', '.join(report['bundle']['labels']) or 'no classes'}")
    say(f"runtime  {report['runtime']}")
    say(f"samples  {', '.join(f'{label} {count}' for label, count in report['samples'].items()) or 'none yet'}")
    say(f"version  {report['version']}")
    say(
        f"disk     {report['store_bytes'] / 1e6:.1f} MB used, {report['free_bytes'] / 1e9:.1f} GB free in {home.folder}"
    )
    drift = report["drift"]
    say(f"drift    {_DRIFT[drift['state']].format(frames=drift['frames'])}")
    say_elsewhere(report["samples_elsewhere"])
    return report


_DRIFT = {
    "collecting": "unknown: {frames} of 30 frames seen since this version",
    "steady": "none: the last {frames} photos look like what it learned from",
    "drifting": "the scene has changed: the last {frames} photos look like little that it learned from; "
    "teach it what it gets wrong: `edgetl-device learn LABEL IMAGE…`",
}
