"""``edgetl collect`` and ``edgetl fleet``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from edgetl_device import console
from edgetl_device.console import note, reports, say
from edgetl_device.errors import InputError

from .options import BUNDLE, FILE, FOLDER, KEY

if TYPE_CHECKING:
    from edgetl_device.web.certificate import OwnCertificate


@click.command(short_help="Receive what devices push")
@click.argument("folder", type=FOLDER)
@click.option("--listen", default="127.0.0.1:8443", metavar="HOST:PORT", help="Address (default: 127.0.0.1:8443).")
@click.option("--tls", type=click.Choice(["self"]), help="HTTPS with a certificate that is made here, in FOLDER.")
@click.option("--tls-cert", type=FILE, help="HTTPS with this certificate, in PEM with its chain.")
@click.option("--tls-key", type=FILE, help="Its private key, if not in the same file.")
@click.option("--host-name", "hosts", multiple=True, help="A further name for the certificate of --tls self.")
@click.option("--client-ca", type=FILE, help="Ask devices for a certificate of this authority.")
@click.option("--tokens", type=FILE, help="Who may deliver: a file with lines NAME TOKEN.")
@click.option(
    "--public-key",
    type=KEY,
    multiple=True,
    help="Accept only exports that this key signed, or one of several.",
)
@click.option("--once", is_flag=True, help="Take one export from standard input instead, as over ssh.")
@reports
def collect(
    folder: Path,
    listen: str,
    tls: str | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    hosts: tuple[str, ...],
    client_ca: Path | None,
    tokens: Path | None,
    public_key: tuple[Path, ...],
    once: bool,
) -> dict[str, Any]:
    """Take exports in that devices push, into FOLDER: of each device its last one, counted once.

    Then `edgetl merge BUNDLE FOLDER -o NEW.edgetl` adds them, and `edgetl fleet status FOLDER` shows who is late.
    """
    from edgetl_device.bundle.signing import read_public_key
    from edgetl_device.files import make_folder, make_private
    from edgetl_device.merging.collected import Collected
    from edgetl_device.web.certificate import OWN_FILE, Certificate

    from ..deployment.receiver import MAX_BODY, Receiver, Tokens, ask_for_certificates, taken_in

    collected = Collected(folder, [read_public_key(path) for path in public_key])
    if once:
        status, answer = taken_in(collected, sys.stdin.buffer.read(MAX_BODY))
        say(answer["error"] or f"stored number {answer['sequence']} of device {answer['device']}")
        return answer | {"exit_code": 0 if status == 200 else 2}
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: expected a folder to receive into")
    if (tls and tls_cert) or (tls_key and not tls_cert) or (client_ca and not (tls or tls_cert)):
        raise InputError("one of --tls self and --tls-cert; --tls-key belongs to --tls-cert, --client-ca to either")
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--listen {listen}: expected HOST:PORT")
    known = Tokens(tokens) if tokens else None
    host = host.strip("[]")
    certificate = None
    if tls or tls_cert:
        certificate = Certificate(tls_cert, tls_key) if tls_cert else _own(folder, host, hosts)
        if client_ca:
            ask_for_certificates(certificate, client_ca)
    receiver = Receiver(collected, host, int(port), known, certificate)
    try:
        make_folder(folder)
        make_private(folder)
        collected.sweep()
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from None
    if certificate is not None and certificate.is_own:
        note(f"devices trust it by its certificate: openssl x509 -in {quote(str(folder / OWN_FILE))} -out receiver.pem")
    note(f"receiving into {folder}; devices: edgetl-device push {receiver.url}; Ctrl-C stops")
    receiver.run()
    return {"url": receiver.url, "folder": str(folder)}


def _own(folder: Path, host: str, hosts: tuple[str, ...]) -> OwnCertificate:
    from edgetl_device.web.certificate import OwnCertificate
    from edgetl_device.web.reach import host_names

    return OwnCertificate(folder, lambda: [*host_names(host), *hosts])


@click.command(short_help="Who is late, on which bundle, and how well it recognises")
@click.argument("action", type=click.Choice(["status"]))
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--late", type=click.FloatRange(0), default=48.0, metavar="HOURS", help="Late from then on (default: 48)."
)
@click.option("--bundle", type=BUNDLE, help="Show who has another bundle.")
@reports
def fleet(action: str, folder: Path, late: float, bundle: Path | None) -> dict[str, Any]:
    """`status` shows each device that pushed to `edgetl collect` FOLDER, as of its last export.

    When it was heard of, its bundle, its samples, and the accuracy on its bundle's held-out photos, measured there.
    Times are by the receiver's clock; devices' clocks are not asked.
    """
    from edgetl_device.bundle.bundle import open_bundle
    from edgetl_device.merging.collected import Collected

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
        words += [f"groups: {', '.join(each.groups)}"] if each.groups else []
        words += [each.note] if each.note else []
        shown = f"{each.accuracy:.3f} of {each.held_out}" if each.accuracy is not None else "-"
        heard = each.heard[:16].replace("T", " ")
        rows.append((each.name or each.device[:8], heard, each.bundle, each.samples, shown, ", ".join(words) or "ok"))
    console.table(("device", "heard (UTC)", "bundle", "samples", "accuracy", "state"), rows, wrap=True)
    behind = sum(each.late for each in devices)
    say(f"{len(devices)} device{'s' if len(devices) != 1 else ''}, {behind} late")
    return {"devices": [asdict(each) for each in devices], "late": behind}
