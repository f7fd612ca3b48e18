"""``edgetl-device verify``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say_wrapped
from .options import in_home, runtime_option

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Work everything out again and compare, byte for byte")
@runtime_option
@in_home
@reports
def verify(runtime: str, home: Home) -> dict[str, Any]:
    """Read all that this device keeps, work out again what follows from it, and compare; exit code 1 if it differs.

    Rows against their checksums, statistics against the samples that they are the sum of, heads against heads solved
    anew. The camera app may run meanwhile. What is found damaged is repaired by the next command.
    """
    from ..verification import verify as verified

    found = []
    for check in verified(home, runtime):
        say_wrapped(f"{'ok' if check.ok else 'differs':<8}{check.name + ' ':<9}{check.detail}", 17)
        found.append(check)
    ok = all(check.ok for check in found)
    return {"ok": ok, "checks": [asdict(check) for check in found], "exit_code": 0 if ok else 1}
