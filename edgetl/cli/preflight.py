"""``edgetl preflight``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgetl_device.console import is_verbose, note, reports, say, table

_SHOWN = 10


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@reports
def preflight(file: Path) -> dict[str, Any]:
    """Will the Edge TPU take this .tflite or bundle? Coral's documented rules, without the compiler."""
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.errors import InputError

    from ..tflite.preflight import preflight as inspect

    try:
        data = file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None
    members = open_bundle(file).members if data.startswith(b"PK") else {"backbone.tflite": data}
    data = members["backbone.tflite"]
    try:
        found = inspect(data)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    if found.compiled:
        rest = f"; on the CPU: {', '.join(found.on_cpu)}" if found.on_cpu else ", all of it"
        say(f"yes: {file} is compiled for the Edge TPU already{rest}")
    elif found.ok:
        more = (
            "the bundle holds its compiled twin"
            if "backbone_edgetpu.tflite" in members
            else "next: edgetl convert … --edgetpu"
        )
        say(f"yes: the Edge TPU takes all {found.operators} operators of {file}; {more}")
    else:
        first = found.problems[0]
        what = "the file" if first.index is None else f"{first.op} (#{first.index})"
        say(f"no: {what}: {first.why}")
        say(f"{len(found.problems)} problems in {found.operators} operators; "
            "from the first of them on, a compiled model would run on the CPU")  # fmt: skip
        shown = found.problems if is_verbose() else found.problems[:_SHOWN]
        table(("#", "operator", "why"), [(p.index, p.op or "-", p.why) for p in shown])
        if len(shown) < len(found.problems):
            note(f"{len(found.problems) - len(shown)} more: -v lists all")
    return {
        "ok": found.ok,
        "problems": [asdict(problem) for problem in found.problems],
        "compiled": found.compiled,
        "operators": found.operators,
        "on_cpu": list(found.on_cpu),
        "exit_code": 0 if found.ok else 1,
    }
