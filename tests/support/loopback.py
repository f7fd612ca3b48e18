"""A machine to deploy to: a real OpenSSH server on the loopback with keys, configuration and a home folder of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from ports import free_port

from edgetl_device.home import Home

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
AVAILABLE = bool(SSHD and shutil.which("ssh"))


@contextmanager
def machine(folder: Path, environment: Mapping[str, str]) -> Iterator[SimpleNamespace]:
    """The machine, while the block runs; ``EDGETL_SSH`` has to be its ``ssh``, and its name is ``camera``.

    Args:
        folder: empty; everything lies in it.
        environment: of programs there, besides PATH and HOME.

    Raises:
        OSError: the server does not start here.
    """
    programs, home, ssh = folder / "bin", folder / "home", folder / "ssh"
    for path in (programs, home, ssh):
        path.mkdir(parents=True)
    (programs / "python3").symlink_to(sys.executable)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / name], check=True)
    (ssh / "authorized_keys").write_text((ssh / "user.pub").read_text())
    port = free_port()
    there = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(home), **environment}
    (ssh / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {ssh}/host\nAuthorizedKeysFile {ssh}/authorized_keys\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        f"SetEnv {' '.join(f'{name}={value}' for name, value in there.items())}\n"
    )
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {(ssh / 'host.pub').read_text()}")
    (ssh / "config").write_text(
        f"Host camera\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {ssh}/user\n"
        f" IdentitiesOnly yes\n UserKnownHostsFile {ssh}/known_hosts\n BatchMode yes\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", ssh / "sshd_config"], stderr=log)
    try:
        _wait_for(port, folder / "log")
        state = Home(home / ".local" / "share" / "edgetl")
        yield SimpleNamespace(
            folder=folder, programs=programs, root=home, home=state, port=port, ssh=f"ssh -F {ssh}/config"
        )
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int, log: Path) -> None:
    for _ in range(200):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise OSError(f"sshd does not start here: {log.read_text()[:200]}")
