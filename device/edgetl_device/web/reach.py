"""Where others find the page: the addresses of this machine."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from contextlib import suppress
from pathlib import Path

from .guard import is_loopback

_SIOCGIFADDR = 0x8915  # netdevice(7): the IPv4 address of an interface
_VIRTUAL = ("docker", "br-", "veth", "virbr", "cni", "lxc", "podman")  # nobody outside reaches these
_INET6 = Path("/proc/net/if_inet6")


def addresses(host: str, port: int, scheme: str = "http") -> list[str]:
    """The page's addresses, the one that most others reach first.

    Args:
        host: what it is bound to; of ``0.0.0.0`` and ``::``, all addresses and the name of this machine are listed.
    """
    return [url_of(name, port, scheme) for name in _reached(host) or ["localhost"]]


def host_names(host: str) -> list[str]:
    """Names and addresses that the page is reached by, for a certificate.

    Args:
        host: what it is bound to.
    """
    own = ["localhost", "127.0.0.1", "::1"]
    if is_loopback(host):
        return [*own, host]
    name = socket.gethostname()
    return [*own, *_reached(host), *([name, f"{name.split('.')[0]}.local"] if name else [])]


def url_of(host: str, port: int, scheme: str) -> str:
    """``http://[::1]:80``."""
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _reached(host: str) -> list[str]:
    """The hosts of :func:`addresses`."""
    if host not in ("", "0.0.0.0", "::"):
        return [host]
    found = _ipv6() if host == "::" else _ipv4()
    name = socket.gethostname().split(".")[0]
    return [*found, *([f"{name}.local"] if name and not is_loopback(name) else [])]


def _ipv4() -> list[str]:
    """IPv4 addresses of real interfaces, that of the default route first."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            if not name.startswith(_VIRTUAL):
                with suppress(OSError):  # it has none
                    answer = fcntl.ioctl(asking, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                    found.append(socket.inet_ntoa(answer[20:24]))
        with suppress(OSError):  # no route: no network yet
            asking.connect(("192.0.2.1", 9))  # for documentation, RFC 5737; nothing is sent
            found.sort(key=lambda address: address != asking.getsockname()[0])
    return [address for address in found if not ipaddress.ip_address(address).is_loopback]


def _ipv6() -> list[str]:
    """Global and unique local IPv6 addresses, which ``/proc/net/if_inet6`` lists with scope 0."""
    with suppress(OSError):
        rows = [line.split() for line in _INET6.read_text().splitlines()]
        return [
            str(ipaddress.IPv6Address(int(row[0], 16)))
            for row in rows
            if int(row[3], 16) == 0 and not row[5].startswith(_VIRTUAL)
        ]
    return []
