"""The systemd unit of a server or a node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgetl_device.app.systemd import argument, name_of, path_of, word

_UNIT = """\
[Unit]
Description=edgetl-fleet: the {what} of a federated round
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart={command}
WorkingDirectory=-{folder}
User={user}
Restart=always
RestartSec=10
TimeoutStopSec=15
Environment=PYTHONUNBUFFERED=1
UMask=0077

# It may write to these folders and nowhere else.
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths={writes}
PrivateTmp=yes
PrivateDevices=yes
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

[Install]
WantedBy=multi-user.target
"""


def unit(python: Path, command: str, options: Sequence[str], user: str, writes: Sequence[Path]) -> str:
    """The unit file; relative paths in the options mean those from the present working directory.

    Args:
        python: of the environment that edgetl-fleet is installed in.
        command: ``server`` or ``node``.
        options: of that command.
        user: whom it runs as.
        writes: the folders that it may write.
    """
    words = [word(path_of("Python", python)), "-m", "edgetl_fleet", command, *map(argument, options)]
    return _UNIT.format(
        what=command,
        command=" ".join(words),
        folder=path_of("this folder", Path.cwd()),
        user=name_of(user),
        writes=" ".join(word(path_of("the folder", path)) for path in writes),
    )
