"""``edgetl-fleet round``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

import click

from edgetl_device.console import note, refuse_existing, reports, say
from edgetl_device.errors import InputError

from .server import FLOWER


@click.command("round", short_help="Hold a round: ask all nodes, and write the merged bundle")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Bundle to write.")
@click.option("--nodes", type=click.IntRange(1), default=1, help="Wait until so many are there (default: 1).")
@click.option("--wait", type=click.FloatRange(1), default=600.0, metavar="S", help="At most so long (default: 600).")
@click.option("--labels", type=click.Path(path_type=Path), metavar="MAP.csv", help="Rename labels: columns from, to.")
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Accept only exports that this key signed, or one of several.",
)
@click.option("--sign", type=click.Path(path_type=Path), metavar="KEY", help="Sign OUTPUT with this private key.")
@click.option("--accept", is_flag=True, help="Write it although classes that FILE knows get worse.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def round_(
    folder: Path,
    file: Path,
    output: Path,
    nodes: int,
    wait: float,
    labels: Path | None,
    public_key: tuple[Path, ...],
    sign: Path | None,
    accept: bool,
    force: bool,
) -> dict[str, Any]:
    """Ask all nodes of FOLDER's server for what they learned, and add it to the bundle FILE: `flwr run`.

    A device counts once, with its last export, whether it answers today or not. A round that failed may be held again.
    """
    from ..flower import app_arguments, config_text, flwr, last_words
    from ..plan import Plan, read_result, write_plan

    if output.suffix != ".edgetl":
        raise InputError(f"{output}: the name of a bundle ends in .edgetl")
    refuse_existing(output, force)
    _check(file, labels, public_key, sign)
    plan = Plan(
        folder=str(folder.absolute()),
        bundle=str(file.absolute()),
        output=str(output.absolute()),
        public_keys=tuple(str(path.absolute()) for path in public_key),
        labels=str(labels.absolute()) if labels else "",
        sign=str(sign.absolute()) if sign else "",
        accept=accept,
        nodes=nodes,
        wait_s=wait,
    )
    state = folder.absolute() / FLOWER
    if not state.is_dir():
        raise InputError(f"{folder} is no folder of a server: start one by `edgetl-fleet server {quote(str(folder))}`")
    path = write_plan(plan)
    told = flwr(state, "run", *app_arguments(), "--run-config", config_text({"plan": str(path)}), "--stream")
    result = read_result(path)
    if result is None:
        raise InputError(f"the round came to no end: {last_words(told)} (`flwr log` with FLWR_HOME={state} has more)")
    if "error" in result:
        raise _failed(result)
    _say(result, output)
    return result


def _check(file: Path, labels: Path | None, keys: tuple[Path, ...], sign: Path | None) -> None:
    """What the server's process would refuse, before it starts."""
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.bundle.signing import read_private_key, read_public_key
    from edgetl_device.merging.label_map import read_label_map

    open_bundle(file)
    for key in keys:
        read_public_key(key)
    if labels:
        read_label_map(labels)
    if sign:
        read_private_key(sign)


def _failed(result: dict[str, Any]) -> Exception:
    from edgetl_device.errors import CheckFailedError

    return (CheckFailedError if result.get("exit_code") == 1 else InputError)(str(result["error"]))


def _say(result: dict[str, Any], output: Path) -> None:
    for each in result["refused"]:
        note(f"refused {each}")
    if result["silent"]:
        note(f"did not answer in time: {', '.join(result['silent'][:10])}; what they sent before counts")
    if result["replaced"]:
        note(f"older exports of the same devices left out: {result['replaced']}")
    for each in result["spellings"]:
        note(
            f"{each['label']} of device {each['device'][:8]} looks like {each['meant']}: if it is, --labels MAP.csv "
            "renames it"
        )
    if not result["bit_exact"]:
        note("embeddings come from different runtimes: close, but not bit-exact")
    say(f"{result['answered']} of {result['nodes']} nodes sent an export, {result['new']} of them a new one")
    say(f"added {result['samples']} samples from {result['devices']} devices; wrote {output}")
    if result["accuracy"] is not None:
        say(f"accuracy {result['accuracy']:.3f} on the bundle's {result['held_out']} held-out photos")
