"""The device home: folder, bundle, store, disk."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from .check import Check, System

if TYPE_CHECKING:
    from ..store.repair import Repair

MIN_FREE_BYTES = 256 << 20
MIN_FREE_FOR_HISTORY = 1 << 20  # a batch and its log
SLOW_FSYNC_MS = 200.0  # a learned sample is acknowledged after two of them
_WRITES = 20


def folder(_system: System, home: Path) -> Check:
    """May this user write there?"""
    place = _existing(home)
    if not os.access(place, os.W_OK | os.X_OK):
        return Check("", False, f"this user cannot write to {place}", f"sudo chown -R $USER {place}, or --home DIR")
    return Check("", True, f"{home}" + ("" if home.exists() else " (will be created)"))


def bundle(_system: System, home: Path) -> Check:
    """Is there a bundle, whole and readable?"""
    path = home / "bundle.edgetl"
    if not path.exists():
        return Check("", True, "none yet: `edgetl-device run` and `learn` start with the built-in one", needed=False)
    from ..bundle.bundle import open_bundle
    from ..errors import EdgetlError

    try:
        installed = open_bundle(path)
    except EdgetlError as error:
        return Check("", False, str(error), "install the bundle again: edgetl-device install FILE.edgetl")
    signed = f", signed {installed.signed}" if installed.signed else ""
    return Check("", True, f"{installed.name}: {', '.join(installed.labels) or 'no classes'}{signed}")


def store(_system: System, home: Path) -> Check:
    """Is the database sound?"""
    path = home / "device.sqlite"
    if not path.exists():
        return Check("", True, "none yet: created with the first sample", needed=False)
    from ..store.backup import what_is_wrong

    problem = what_is_wrong(path)
    if problem is not None:
        backup = path.with_name("device.backup.sqlite")
        fix = "the next command puts the last backup in its place" if backup.exists() else "edgetl-device restore FILE"
        return Check("", False, f"{path} is damaged: {problem}", fix)
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    repairs = _repairs(path)
    if any(repair.missing != 0 for repair in repairs):
        told = "; ".join(f"repaired {repair.time[:10]}: {repair.outcome}" for repair in repairs)
        fix = "edgetl-device restore FILE of an older backup, or edgetl-device status --accept-loss"
        return Check("", False, f"sound, {size}, but {told}", fix, needed=False)
    return Check("", True, f"sound, {size}")


def _repairs(path: Path) -> list[Repair]:
    from ..store.connection import connect
    from ..store.repair import repairs_in
    from ..store.schema import MIGRATIONS

    database, _ = connect(path)
    try:
        current = database.pragma("user_version") == len(MIGRATIONS)
        return repairs_in(database.execute) if current else []
    finally:
        database.close()


def history(_system: System, home: Path) -> Check:
    """Can what the camera sees be recorded, and is what was recorded sound?"""
    path = home / "history.sqlite"
    if not path.exists():
        return Check("", True, "nothing recorded yet: `edgetl-device run` does", needed=False)
    from ..store.history import history_summary
    from ..store.history_file import is_sound
    from ..store.read_only import is_read_only

    if is_read_only(path):
        fix = f"sudo chown -R $USER {home}, or check the card: `dmesg` tells why it turned read-only"
        return Check("", False, f"nothing is recorded: {path} cannot be written", fix, needed=False)
    if not is_sound(path):
        return Check("", False, f"{path} is damaged", "edgetl-device history --check", needed=False)
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_FOR_HISTORY:
        fix = "free some space, or `edgetl-device history --clear`: then it is recorded again"
        return Check("", False, f"nothing is recorded: the disk is full ({free / 1e6:.1f} MB free)", fix, needed=False)
    told = history_summary(path)
    since = f"since {told['since'][:10]}, " if told["since"] else ""
    return Check("", True, f"{since}{told['bytes'] / 1e6:.1f} MB")


def space(_system: System, home: Path) -> Check:
    """Is there room for samples, backups and the next bundle?"""
    free = shutil.disk_usage(_existing(home)).free
    if free < MIN_FREE_BYTES:
        fix = "free some space: `sudo apt clean`, `journalctl --vacuum-size=50M`, old *.damaged-* files in the home"
        return Check("", False, f"{free / 1e6:.0f} MB free, at least {MIN_FREE_BYTES / 1e6:.0f} MB expected", fix)
    return Check("", True, f"{free / 1e9:.1f} GB free")


def speed(_system: System, home: Path) -> Check:
    """How long does the disk take to make a small write durable?"""
    times = []
    with tempfile.NamedTemporaryFile(dir=_existing(home), prefix=".doctor-") as stream:
        for _ in range(_WRITES):
            stream.write(os.urandom(4096))
            stream.flush()
            started = time.perf_counter()
            os.fsync(stream.fileno())
            times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    middle = times[len(times) // 2]
    detail = f"a 4 kB write is durable after {middle:.1f} ms (slowest of {_WRITES}: {times[-1]:.0f} ms)"
    if middle > SLOW_FSYNC_MS:
        return Check("", False, detail, "use a faster card (class A1 or A2) or a USB SSD", needed=False)
    return Check("", True, detail)


CHECKS = (
    ("home", folder),
    ("bundle", bundle),
    ("store", store),
    ("history", history),
    ("disk space", space),
    ("disk speed", speed),
)


def _existing(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
