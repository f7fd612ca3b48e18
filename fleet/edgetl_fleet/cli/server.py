"""``edgetl-fleet server``."""

from __future__ import annotations

from pathlib import Path

import click

from edgetl_device.console import note, reports
from edgetl_device.errors import InputError

FLOWER = "flower"  # in the server's folder: what Flower keeps
AUTHORITY = "superlink.pem"  # in the server's folder: what nodes trust
LISTEN = "127.0.0.1:9092"


@click.command(short_help="Start a SuperLink that keeps what nodes send")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--listen", default=LISTEN, metavar="HOST:PORT", help=f"Address (default: {LISTEN}).")
@click.option("--host-name", "hosts", multiple=True, help="A further name for the certificate that is made here.")
@click.option("--tls-cert", type=click.Path(path_type=Path), help="A certificate of yours, in PEM with its chain.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key.")
@click.option("--tls-ca", type=click.Path(path_type=Path), help="The certificate of its authority.")
@reports
def server(
    folder: Path,
    listen: str,
    hosts: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_ca: Path | None,
) -> None:
    """Start Flower's SuperLink, with TLS, for nodes whose keys are registered; state in FOLDER.

    Other machines reach what nodes need and nothing else: rounds are started on this one. No app brings dependencies.
    """
    from ..flower import become, in_words, write_connection
    from ..serving import check_free, claim

    host, _, number = listen.rpartition(":")
    host = host.strip("[]")
    if not host or not number.isdecimal() or not 0 < int(number) < 65536:
        raise InputError(f"--listen {listen}: expected HOST:PORT")
    given = [each for each in (tls_cert, tls_key, tls_ca) if each is not None]
    if given and len(given) < 3:
        raise InputError("--tls-cert, --tls-key and --tls-ca belong together")
    folder = folder.absolute()
    _prepare(folder)
    claim(folder)
    check_free(host, int(number))
    files = _certificate(folder, host, hosts) if not given else _checked(tls_cert, tls_key, tls_ca)
    state = folder / FLOWER
    write_connection(state, int(number), files[2])
    arguments = ["--host", host, "--port", number]
    for name, path in zip(("--ssl-certfile", "--ssl-keyfile", "--ssl-ca-certfile"), files, strict=True):
        arguments += [name, str(path)]
    arguments += ["--enable-supernode-auth", "--disable-runtime-dependency-installation"]
    arguments += ["--database", str(state / "state.db")]
    note(f"nodes trust this server by {files[2]}")
    note(in_words("flower-superlink", arguments))
    become("superlink", arguments, state)


def _prepare(folder: Path) -> None:
    from edgetl_device.files import make_folder, make_private

    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file: expected a folder to keep what nodes send")
    try:
        make_folder(folder)
        make_private(folder)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror or error}") from None


def _certificate(folder: Path, host: str, hosts: tuple[str, ...]) -> tuple[Path, Path, Path]:
    """One that is made here, and made anew at a start where it ends soon: certificate, key, authority."""
    import ssl

    from edgetl_device.files import write_atomically
    from edgetl_device.web.certificate import OWN_FILE, OwnCertificate
    from edgetl_device.web.reach import host_names

    OwnCertificate(folder, lambda: ["127.0.0.1", *host_names(host), *hosts])
    own = folder / OWN_FILE
    text = own.read_text()
    certificate = text[text.index("-----BEGIN CERTIFICATE-----") :]
    ssl.PEM_cert_to_DER_cert(certificate)
    write_atomically(folder / AUTHORITY, certificate.encode())
    (folder / AUTHORITY).chmod(0o644)
    return own, own, folder / AUTHORITY


def _checked(certificate: Path | None, key: Path | None, authority: Path | None) -> tuple[Path, Path, Path]:
    from edgetl_device.web.certificate import Certificate

    assert certificate is not None and key is not None and authority is not None
    Certificate(certificate, key)
    if not authority.is_file():
        raise InputError(f"cannot read {authority}")
    return certificate.absolute(), key.absolute(), authority.absolute()
