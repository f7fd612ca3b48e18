"""The web page and REST of a running camera app ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .access import hash_password, read_password_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..app.app import App
    from .certificate import Certificate
    from .server import Server

__all__ = ["hash_password", "read_password_file", "serve"]


def serve(
    app: App,
    host: str = "127.0.0.1",
    port: int = 8080,
    password_hash: str | None = None,
    hosts: Iterable[str] = (),
    proxies: Iterable[str] = (),
    certificate: Certificate | None = None,
) -> Server:
    """Serve a running app beside the caller, until the server's :meth:`stop` or the end of its ``with``.

    Args:
        app: the running app; the caller stops it, after the server.
        host: address to listen on; any but a loopback address needs a password.
        port: 0 for any that is free: the server's ``url`` has it.
        password_hash: of :func:`read_password_file` or :func:`hash_password`, or None.
        hosts: further names the page is reached by, such as a reverse proxy's.
        proxies: addresses or networks of reverse proxies, whose ``X-Forwarded-For`` and ``-Proto`` are believed.
        certificate: serve HTTPS with it: a :class:`~edgetl_device.web.certificate.Certificate` from files, or an
            :class:`~edgetl_device.web.certificate.OwnCertificate`.

    Raises:
        InputError: the address cannot be used or needs a password, or a package that the page needs is not installed.
    """
    from ..errors import InputError

    try:
        from .server import Server
    except ModuleNotFoundError as error:
        raise InputError(
            f"the page needs {error.name}: `pip install --upgrade edgetl-device` brings it, --no-web goes without"
        ) from error
    server = Server(app, host, port, password_hash, hosts, proxies, certificate)
    server.start()
    return server
