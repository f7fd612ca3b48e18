"""Running under systemd: the unit file, and the notifications that keep its watchdog quiet.

The watchdog is fed only while frames are captured *and* recognised, or while a first camera is looked for again and
again; if all stand still for ``WATCHDOG_S``, systemd starts the app again. Protocol:
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..printable import printable
from .pipeline import Health

NAME = "edgetl.service"
_ESCAPES = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
UNIT_PATH = Path("/etc/systemd/system") / NAME
WATCHDOG_S = 30

_UNIT = """\
[Unit]
Description=edgetl: a camera that recognises and learns
After=network-online.target
Wants=network-online.target
# A camera may be unplugged for days: never give up.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
# Relative paths in the options start here.
WorkingDirectory=-{folder}
User={user}
SupplementaryGroups={groups}
# Fed only while frames are captured and recognised, or a first camera is waited for.
WatchdogSec={watchdog_s}
Restart=on-failure
RestartSec=5
TimeoutStopSec=10
Environment=PYTHONUNBUFFERED=1
# Where ${{NAME}} in --camera comes from; only this user may read it.
EnvironmentFile=-{home}/environment
UMask=0077

# It may write to its home and nowhere else.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={home_word}
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service

# Cameras (USB and CSI), Coral accelerators (USB and PCIe), nothing else.
DevicePolicy=closed
DeviceAllow=char-video4linux rw
DeviceAllow=char-media rw
DeviceAllow=char-dma_heap rw
DeviceAllow=char-usb_device rw
DeviceAllow=char-apex rw

[Install]
WantedBy=multi-user.target
"""


def unit(program: Path, home: Path, user: str, options: Sequence[str], groups: Sequence[str] = ("video",)) -> str:
    """The unit file; relative paths in the options mean those from the present working directory.

    Args:
        program: the installed ``edgetl-device``.
        home: the device home, the one folder it may write.
        user: whom it runs as.
        options: of ``edgetl-device run``.
        groups: further groups of the process: those that own cameras and accelerators.
    """
    folder = path_of("this folder", Path.cwd())
    home_path = path_of("the device home", home)
    command = [word(path_of("the program", program)), "--home", argument(str(home)), "run", *map(argument, options)]
    return _UNIT.format(
        command=" ".join(command),
        user=name_of(user),
        folder=folder,  # the whole line, so quotes would belong to the name
        groups=" ".join(map(name_of, groups)),
        home=home_path,
        home_word=word(home_path),
        watchdog_s=WATCHDOG_S,
    )


def argument(word: str) -> str:
    """An argument of ExecStart= as systemd reads it: nothing in it is expanded, and it stays on its line.

    https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html#Command%20lines
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        raise InputError(f"a systemd unit must be UTF-8, and {printable(word)} is not") from None
    escaped = "".join(_ESCAPES.get(c, f"\\x{ord(c):02x}" if ord(c) < 0x20 or ord(c) == 0x7F else c) for c in word)
    plain = escaped == word and word and not any(c.isspace() or c in "';#" for c in word)
    return word if plain else f'"{escaped}"'


def path_of(what: str, path: Path) -> str:
    """A path for settings that know few escapes: refused where one would be needed, but for ``%``."""
    text = str(path)
    odd = sorted({c for c in text if c in "\"'\\$" or not (c == " " or c.isprintable())})
    if odd:
        raise InputError(
            f"{what} is {printable(text)}, and a systemd unit cannot hold {', '.join(map(ascii, odd))} in a path: "
            "use a folder with another name"
        )
    return text.replace("%", "%%")


def word(text: str) -> str:
    """A checked path as one word."""
    return f'"{text}"' if any(c.isspace() or c in ";#" for c in text) else text


def name_of(name: str) -> str:
    """The name of a user or a group."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*\$?", name):
        raise InputError(f"{printable(name)} is not a name that a systemd unit can hold")
    return name


class Notifier:
    """Reports to systemd how the app is doing; without systemd it does nothing.

    Args:
        environment: with ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC``, as systemd sets them.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_s = float(environment.get("WATCHDOG_USEC") or 0) / 1e6
        self._ready = False
        self._frames = self._tries = 0

    @property
    def interval_s(self) -> float:
        """How often to call :meth:`report`, seconds; 0 without systemd."""
        if not self._address:
            return 0.0
        return min(self.watchdog_s / 4, 5.0) if self.watchdog_s else 5.0

    def report(self, health: Health) -> None:
        """Say "ready" at the first sign of life, and feed the watchdog if there was one since the last report.

        A recognised frame is one: it was captured and went all the way. Before the first, another look for a camera is.
        """
        advanced = health.frames > self._frames or (not health.frames and health.reconnects > self._tries)
        self._frames, self._tries = health.frames, health.reconnects
        status = health.error or f"{health.camera}: {health.fps:.1f} frames a second"
        lines = [f"STATUS={printable(status)}"]  # one line, or it could say READY=1 itself
        if advanced:
            lines += ["WATCHDOG=1"] if self._ready else ["READY=1", "WATCHDOG=1"]
            self._ready = True
        self._send("\n".join(lines))

    def stopping(self) -> None:
        """Say that the end was asked for."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(1.0)
                channel.sendto(message.encode(), address)
        except OSError:  # systemd is gone or busy: recognition goes on
            return
