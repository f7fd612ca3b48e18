"""Running under systemd: the unit file, and the notifications that keep its watchdog quiet.

The watchdog is fed only while frames are captured *and* recognised; if either stands still for ``WATCHDOG_S``, systemd
starts the app again. Protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from .pipeline import Health

NAME = "edgetl.service"
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
# Fed only while frames are captured and recognised.
WatchdogSec={watchdog_s}
Restart=on-failure
RestartSec=5
TimeoutStopSec=10
Environment=PYTHONUNBUFFERED=1

# It may write to its home and nowhere else.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={home}
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
    command = [str(program), "--home", str(home), "run", *options]
    return _UNIT.format(
        command=" ".join(map(_quoted, command)),
        user=user,
        folder=str(Path.cwd()).replace("%", "%%"),  # the whole line, so quotes would belong to the name
        groups=" ".join(groups),
        home=_quoted(str(home)),
        watchdog_s=WATCHDOG_S,
    )


def _quoted(word: str) -> str:
    """A word as systemd reads it: quotes and backslashes escaped, ``%`` and ``$`` not expanded."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    plain = escaped == word and word and not any(c.isspace() or c in "';#" for c in word)
    return word if plain else f'"{escaped}"'


class Notifier:
    """Reports to systemd how the app is doing; without systemd it does nothing.

    Args:
        environment: with ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC``, as systemd sets them.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_s = float(environment.get("WATCHDOG_USEC") or 0) / 1e6
        self._ready = False
        self._frames = 0

    @property
    def interval_s(self) -> float:
        """How often to call :meth:`report`, seconds; 0 without systemd."""
        if not self._address:
            return 0.0
        return min(self.watchdog_s / 4, 5.0) if self.watchdog_s else 5.0

    def report(self, health: Health) -> None:
        """Say "ready" at the first recognised frame, and feed the watchdog if there were new ones since the last."""
        advanced = health.frames > self._frames  # a recognised frame is one that was captured and went all the way
        self._frames = health.frames
        lines = [f"STATUS={health.error or f'{health.camera}: {health.fps:.1f} frames a second'}"]
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
