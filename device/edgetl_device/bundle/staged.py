"""A bundle that waits for its runtime: `edgetl deploy` switches both in one step.

The bundle is checked and laid beside the one in use, with a note which runtime it is for. Then one link makes that
runtime the current one; from its first look at the home on, it uses the bundle that waits for it. Cut before, the old
runtime has the old bundle; cut after, the new one has the new.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path

from ..files import sync, write_atomically

_NOTE, _BUNDLE = ".staged.json", ".staged.edgetl"


def stage(home: Path, data: bytes, digest: str, link: Path) -> None:
    """Let a checked bundle wait until ``link`` points to this very runtime. Raises StorageError."""
    discard(home)
    write_atomically(home / _BUNDLE, data, private=True)
    note = {"digest": digest, "link": str(link.absolute()), "runtime": str(Path(sys.prefix).resolve())}
    write_atomically(home / _NOTE, json.dumps(note).encode(), private=True)


def waiting_for_this_runtime(home: Path) -> tuple[Path, str] | None:
    """The bundle that waits in a home and its digest, if this runtime is the one it waits for, and is current now."""
    try:
        note = json.loads((home / _NOTE).read_bytes())
        runtime, link, digest = Path(note["runtime"]), Path(note["link"]), str(note["digest"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    with suppress(OSError, RuntimeError):
        if runtime == Path(sys.prefix).resolve() == link.resolve():
            return home / _BUNDLE, digest
    return None


def discard(home: Path) -> None:
    """Let nothing wait any more. Raises OSError."""
    for path in (home / _NOTE, home / _BUNDLE):
        if path.exists():
            path.unlink()
            sync(home)  # a note without its bundle would be reported at every start
