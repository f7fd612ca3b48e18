"""``edgetl preflight``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgetl_device.console import is_verbose, note, reports, say_wrapped, table

from .options import FILE

_SHOWN = 10
_MAX_BYTES = 256 << 20  # as of a bundle


@click.command(short_help="Check whether the Edge TPU takes a model")
@click.argument("file", metavar="BUNDLE|MODEL", type=FILE)
@reports
def preflight(file: Path) -> dict[str, Any]:
    """Will the Edge TPU take this .tflite or bundle? Coral's documented rules, without the compiler."""
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.errors import InputError
    from edgetl_device.files import read_bounded

    from ..models.model_kinds import refuse_folder
    from ..tflite.preflight import preflight as inspect

    if file.is_dir():
        refuse_folder(file)
        open_bundle(file)  # says of a RUN what to do with it
    try:
        data = read_bounded(file, _MAX_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from None
    members = open_bundle(file).members if data.startswith(b"PK") else {"backbone.tflite": data}
    data = members["backbone.tflite"]
    try:
        result = inspect(data)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    if result.compiled:
        rest = f"; on the CPU: {', '.join(result.on_cpu)}" if result.on_cpu else ", all of it"
        say_wrapped(f"yes: {file} is compiled for the Edge TPU already{rest}", 2)
    elif result.ok:
        more = (
            "the bundle holds its compiled twin"
            if "backbone_edgetpu.tflite" in members
            else "next: `edgetl convert … --edgetpu`"
        )
        say_wrapped(f"yes: the Edge TPU takes all {result.operators} operators of {file}; {more}", 2)
    else:
        first = result.problems[0]
        what = "the file" if first.index is None else f"{first.op} (#{first.index})"
        say_wrapped(f"no: {what}: {first.why}", 2)
        say_wrapped(f"{len(result.problems)} problems in {result.operators} operators; "
            "from the first of them on, a compiled model would run on the CPU", 2)  # fmt: skip
        shown = result.problems if is_verbose() else result.problems[:_SHOWN]
        table(("#", "operator", "why"), [(p.index, p.op or "-", p.why) for p in shown], wrap=True)
        if len(shown) < len(result.problems):
            note(f"{len(result.problems) - len(shown)} more: -v lists all")
    return {
        "ok": result.ok,
        "problems": [asdict(problem) for problem in result.problems],
        "compiled": result.compiled,
        "operators": result.operators,
        "on_cpu": list(result.on_cpu),
        "exit_code": 0 if result.ok else 1,
    }
