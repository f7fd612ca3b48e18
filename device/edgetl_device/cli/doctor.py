"""``edgetl-device doctor``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ..console import reports, say
from ..environment import default_home


@click.command(short_help="Find what is wrong, and how to fix it")
@click.option(  # not `in_home`: that loads NumPy and OpenCV, which may be what is broken
    "--home",
    type=click.Path(path_type=Path),
    help="State of this device (default: EDGETL_HOME, else ~/.local/share/edgetl).",
)
@reports
def doctor(home: Path | None) -> dict[str, Any]:
    """Check this device and print a fix for each problem; exit code 1 if something needed is broken."""
    from ..doctor import examine

    checks = []
    for check in examine(home or default_home()):
        mark, colour = ("ok", "green") if check.ok else ("broken", "red") if check.needed else ("hint", "yellow")
        say(f"  {check.name:<12}  {check.detail}", mark=click.style(f"{mark:<6}", fg=colour))
        if check.fix and not check.ok:
            say(f" {check.fix}", mark=" " * 22 + click.style("fix:", bold=True))
        checks.append(check)
    broken = [check.name for check in checks if check.needed and not check.ok]
    suggestions = sum(not check.ok and not check.needed for check in checks)
    say()
    if broken:
        say(f"not ready; fix: {', '.join(broken)}")
    else:
        say("ready" + (f"; {suggestions} suggestion{'s' if suggestions != 1 else ''}" if suggestions else ""))
    return {"checks": [asdict(check) for check in checks], "exit_code": 1 if broken else 0}
