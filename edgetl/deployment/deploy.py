"""Workstation → device: runtime and bundle, each beside the old one, switched only after the device itself said yes.

On the device the runtime is a virtual environment ``~/.local/lib/edgetl/runtime-DIGEST``, and ``current`` beside it is
a link to the one in use. Whatever fails, the link and the bundle are what they were before.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgetl_device.bundle.bundle import load_bundle
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.signing import PublicKey, read_public_key
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.files import write_atomically

from .ssh import Remote
from .wheel import device_wheel

Progress = Callable[[str], None]

_SCRIPT = (Path(__file__).parent / "on_device.sh").read_text()


@dataclass(frozen=True)
class Deployed:
    """What a deployment led to.

    Args:
        version: of the head that is active on the device now.
        agreement: share of the bundle's check photos that got the workstation's label there.
        runtime_updated: whether ``edgetl-device`` was installed or replaced.
        sent: whether the bundle travelled, or was there already.
        seconds: wall time.
    """

    version: int
    agreement: float
    runtime_updated: bool
    sent: bool
    seconds: float


def deploy(
    target: str,
    path: Path,
    *,
    port: int | None = None,
    home: str = "",
    runtime: bool = True,
    install_options: tuple[str, ...] = (),
    public_key: Path | None = None,
    progress: Progress = lambda text: None,
) -> Deployed:
    """Bring a bundle, and the runtime it needs, to a device and make it the current one there.

    Args:
        home: the device home there; "" is its default.
        runtime: also install or update ``edgetl-device``.
        install_options: more for ``edgetl-device install``.
        public_key: have the device trust this key from now on.
        progress: called with what happens now.

    Raises:
        BundleError: ``path`` is no bundle.
        CheckFailedError: anything failed; on the device the old bundle keeps running.
    """
    started = time.perf_counter()
    _, data = load_bundle(path)
    digest = hashlib.sha256(data).hexdigest()
    with Remote(target, port) as remote, _alone(remote, home, target, progress):
        facts = _facts(remote, home)
        program, new_runtime = facts["program"], ""
        if runtime:
            name, wheel = device_wheel()
            wheel_digest = hashlib.sha256(wheel).hexdigest()
            if facts["runtime"] != wheel_digest:
                progress(
                    f"installing {name} there (Python {facts['python'] or 'missing'}); the first time takes minutes"
                )
                new_runtime = _last_line(_run(remote, "runtime", home, name, wheel_digest, data=wheel))
                program = f"{new_runtime}/bin/edgetl-device"
        if not program:
            raise CheckFailedError(f"{target}: no edgetl-device there; deploy without --no-runtime installs it")
        sent = facts["bundle"] != digest
        incoming = f".incoming-{digest[:12]}.edgetl"
        options = list(install_options)
        if public_key is not None:
            options += ["--public-key", _send_key(remote, home, facts["home"], public_key)]
        if sent:
            progress(f"sending {path.name}, {len(data) / 1e6:.1f} MB")
            arrived = _last_line(_run(remote, "receive", home, f"{facts['home']}/{incoming}", digest, data=data))
        else:
            arrived = _last_line(_run(remote, "again", home, incoming))
        progress("checking it on the device")
        answer = _run(remote, "switch", home, arrived, new_runtime, program, *options)
        if _facts(remote, home)["bundle"] != digest:
            raise CheckFailedError(f"{target} does not hold the bundle that was sent: is another deployment running?")
    outcome = json.loads(answer)
    elapsed = time.perf_counter() - started
    return Deployed(int(outcome["version"]), float(outcome["agreement"]), bool(new_runtime), sent, elapsed)


def pull(
    target: str,
    folder: Path,
    *,
    port: int | None = None,
    home: str = "",
    sign: str = "",
    trusted: PublicKey | None = None,
) -> tuple[Path, Export]:
    """Bring a device's statistics here → the file, named by the device, and what is in it.

    Args:
        sign: path of a private key there; the device signs with it.
        trusted: accept only what this key signed.

    Raises:
        CheckFailedError: the device cannot be reached or has nothing to give.
        SignatureError: not signed by ``trusted``.
        StorageError: ``folder`` cannot be written.
    """
    with Remote(target, port) as remote:
        facts = _facts(remote, home)
        if not facts["program"]:
            raise CheckFailedError(f"{target}: no edgetl-device there; `edgetl deploy` installs it")
        options = ["--sign", sign] if sign else []
        data = _run(remote, "statistics", home, facts["program"], *options)
    export = Export.from_bytes(data, trusted)
    if not re.fullmatch(r"[0-9a-fA-F-]{1,64}", export.device):  # it becomes a file name
        raise InputError(f"{target} calls itself {export.device[:40]!r}, which is no identifier of a device")
    path = folder / f"{export.device}.stats"  # one file a device: a later pull replaces an earlier one
    write_atomically(path, data)
    return path, export


def _run(remote: Remote, verb: str, home: str, *arguments: str, data: bytes = b"") -> bytes:
    return remote.shell(_SCRIPT, verb, home, *arguments, data=data)


@contextmanager
def _alone(remote: Remote, home: str, target: str, progress: Progress) -> Iterator[None]:
    """While no other deployment works on that device; waits for one."""
    progress(f"connecting to {target}")
    with remote.holding(_SCRIPT, "hold", home):
        yield


def _send_key(remote: Remote, home: str, folder: str, path: Path) -> str:
    content = read_public_key(path).to_pem()
    digest = hashlib.sha256(content).hexdigest()
    return _last_line(_run(remote, "receive", home, f"{folder}/.incoming.pub", digest, data=content))


def _facts(remote: Remote, home: str) -> dict[str, str]:
    said = _run(remote, "facts", home).decode(errors="replace")
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    if not {"home", "program", "runtime", "bundle", "python"} <= set(facts):
        raise CheckFailedError(f"{remote.target} answers with something else than a POSIX shell: {said[:60]!r}")
    return facts


def _last_line(output: bytes) -> str:
    return output.decode().strip().splitlines()[-1]
