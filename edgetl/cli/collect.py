"""``edgetl collect`` and ``edgetl fleet``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from edgetl_device import console
from edgetl_device.console import note, reports, say
from edgetl_device.errors import InputError


@click.command(short_help="Receive what devices push")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--listen", default="127.0.0.1:8443", metavar="HOST:PORT", help="Address (default: 127.0.0.1:8443).")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate of this receiver, with its chain.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key.")
@click.option("--client-ca", type=click.Path(path_type=Path), help="Ask devices for a certificate of this authority.")
@click.option("--tokens", type=click.Path(path_type=Path), help="Who may deliver: a file with lines NAME TOKEN.")
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Accept only exports that this key signed, or one of several.",
)
@click.option("--once", is_flag=True, help="Take one export from standard input instead, as over ssh.")
@reports
def collect(
    folder: Path,
    listen: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    tokens: Path | None,
    public_key: tuple[Path, ...],
    once: bool,
) -> dict[str, Any]:
    """Take exports in that devices push, into FOLDER: of each device its last one, counted once.

    Then `edgetl merge FILE.edgetl FOLDER -o NEW.edgetl` adds them, and `edgetl fleet status FOLDER` shows who is late.
    """
    from edgetl_device.bundle.signing import read_public_key
    from edgetl_device.files import make_folder

    from ..deployment.collected import Collected
    from ..deployment.receiver import MAX_BODY, Receiver, Tls, Tokens, taken_in

    collected = Collected(folder, [read_public_key(path) for path in public_key])
    if once:
        status, answer = taken_in(collected, sys.stdin.buffer.read(MAX_BODY))
        say(answer["error"] or f"stored number {answer['sequence']} of device {answer['device']}")
        return answer | {"exit_code": 0 if status == 200 else 2}
    if (tls_cert is None) != (tls_key is None) or (client_ca is not None and tls_cert is None):
        raise InputError("--tls-cert and --tls-key belong together, and --client-ca needs them")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--listen {listen}: expected HOST:PORT")
    tls = Tls(tls_cert, tls_key, client_ca) if tls_cert and tls_key else None
    receiver = Receiver(collected, host.strip("[]"), int(port), Tokens(tokens) if tokens else None, tls)
    try:
        make_folder(folder)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from None
    note(f"receiving into {folder}; devices: edgetl-device push {receiver.url}; Ctrl-C stops")
    receiver.run()
    return {"url": receiver.url, "folder": str(folder)}


@click.command(short_help="Who is late, on which bundle, and how well it recognises")
@click.argument("action", type=click.Choice(["status"]))
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--late", type=click.FloatRange(0), default=48.0, metavar="HOURS", help="Late from then on (default: 48)."
)
@click.option("--bundle", type=click.Path(path_type=Path), metavar="FILE.edgetl", help="Show who has another bundle.")
@reports
def fleet(action: str, folder: Path, late: float, bundle: Path | None) -> dict[str, Any]:
    """`status` shows each device that pushed to `edgetl collect` FOLDER, as of its last export.

    When it was heard of, its bundle, its samples, and the accuracy on its bundle's held-out photos, measured there.
    Times are by the receiver's clock; devices' clocks are not asked.
    """
    from edgetl_device.bundle.bundle import open_bundle

    from ..deployment.collected import Collected
    from ..deployment.fleet import fleet_status

    expected = open_bundle(bundle) if bundle else None
    devices = fleet_status(Collected(folder).kept(), timedelta(hours=late), expected)
    if not devices:
        raise InputError(f"{folder}: nothing was received yet")
    rows = []
    for each in devices:
        words = ["late"] if each.late else []
        words += ["another bundle"] if each.current is False else []
        words += [f"{each.withheld} withheld"] if each.withheld else []
        words += [each.note] if each.note else []
        shown = f"{each.accuracy:.3f} of {each.held_out}" if each.accuracy is not None else "-"
        heard = each.heard[:16].replace("T", " ")
        rows.append((each.name or each.device[:8], heard, each.bundle, each.samples, shown, ", ".join(words) or "ok"))
    console.table(("device", "heard (UTC)", "bundle", "samples", "accuracy", "state"), rows, wrap=True)
    behind = sum(each.late for each in devices)
    say(f"{len(devices)} device{'s' if len(devices) != 1 else ''}, {behind} late")
    return {"devices": [asdict(each) for each in devices], "late": behind}
