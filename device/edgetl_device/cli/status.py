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
    found = home.status(home.learner(runtime))
    say(f"bundle   {found['bundle']['name']}: {', '.join(found['bundle']['labels']) or 'no classes'}")
    say(f"runtime  {found['runtime']}")
    say(f"samples  {', '.join(f'{label} {count}' for label, count in found['samples'].items()) or 'none yet'}")
    say(f"version  {found['version']}")
    say(f"disk     {found['store_bytes'] / 1e6:.1f} MB used, {found['free_bytes'] / 1e9:.1f} GB free in {home.folder}")
    return found
