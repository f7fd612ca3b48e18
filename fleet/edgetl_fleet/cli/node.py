"""``edgetl-fleet node``."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from edgetl_device.cli.export_stats import sent_options
from edgetl_device.console import note, reports
from edgetl_device.errors import InputError


@click.command(short_help="Start a SuperNode that sends what a device learned")
@click.option("--server", required=True, metavar="HOST:PORT", help="Address of the server.")
@click.option("--ca", required=True, type=click.Path(path_type=Path), metavar="FILE", help="Certificate to trust.")
@click.option("--key", required=True, type=click.Path(path_type=Path), metavar="FILE", help="This node's private key.")
@click.option("--home", type=click.Path(path_type=Path), help="Device home: an export is made when one is asked for.")
@click.option(
    "--export", type=click.Path(path_type=Path), metavar="FILE", help="Send this file of export-stats instead."
)
@sent_options
@click.option("--state", type=click.Path(path_type=Path), help="What Flower keeps (default: KEY.flower).")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Of Flower's inner API on the loopback (default: a free one)."
)
@reports
def node(
    server: str,
    ca: Path,
    key: Path,
    home: Path | None,
    export: Path | None,
    floor: int,
    no_codes: bool,
    sign: Path | None,
    state: Path | None,
    port: int | None,
) -> None:
    """Start Flower's SuperNode for the device of --home, or for the export of --export.

    It sends an export, without photos, when the server holds a round, and runs no code that a server ships.
    """
    from ..flower import become, check_server, config_text, free_port, in_words
    from ..node_keys import check_private

    if (home is None) == (export is None):
        raise InputError("one of --home and --export")
    if export is not None and (sign or no_codes or floor != 1):
        raise InputError("--sign, --no-codes and --floor are for --home: `edgetl-device export-stats` has them too")
    values: dict[str, str | bool | int] = {}
    if export is not None:
        _check_file(export)
        values["export"] = str(export.absolute())
    else:
        assert home is not None
        _check_home(home, sign)
        values |= {"home": str(home.absolute()), "codes": not no_codes, "floor": floor}
        values |= {"sign": str(sign.absolute())} if sign else {}
    _check_file(ca)
    check_private(key)
    away = check_server(server, ca)
    if away:
        note(f"{server} does not answer ({away}): trying until it does")
    arguments = ["--superlink", server, "--root-certificates", str(ca.absolute())]
    arguments += ["--auth-supernode-private-key", str(key.absolute())]
    arguments += ["--port", str(port or free_port()), "--node-config", config_text(values)]
    note(in_words("flower-supernode", arguments))
    become("supernode", arguments, (state or key.with_name(f"{key.name}.flower")).absolute())


def _check_file(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None


def _check_home(home: Path, sign: Path | None) -> None:
    from edgetl_device.bundle.signing import read_private_key
    from edgetl_device.home import Home

    if sign is not None:
        read_private_key(sign)
    if not Home(home).bundle_path.exists():
        raise InputError(f"{home} holds no bundle: `edgetl-device --home {quote(str(home))} install FILE.edgetl`")
