"""The bundle that comes with the package: a small backbone without classes, for a device that has no bundle yet."""

from __future__ import annotations

from pathlib import Path

from ..errors import SignatureError
from ..home import Home

__all__ = ["NAME", "PATH", "install_starter"]

NAME = "starter"
PATH = Path(__file__).with_name(f"{NAME}.edgetl")
"""See ``MODEL_CARD.md`` beside it."""


def install_starter(home: Home, runtime: str = "auto") -> bool:
    """Make the starter bundle a home's first one, if it has none; whether that was done.

    Args:
        runtime: that it is tried with: ``auto``, ``litert`` or ``tflite``.

    Raises:
        SignatureError: this device accepts only what a key signed, and nobody signed the starter.
        RuntimeMissingError, CheckFailedError: this device cannot run it.
        StorageError: it cannot be written.
    """
    if home.has_bundle():
        return False
    key = home.trusted()
    if key is not None:
        raise SignatureError(
            f"no bundle in {home.folder}, and this device accepts only what {key.fingerprint} signed, which the "
            "built-in one is not: `edgetl-device install FILE.edgetl`"
        )
    candidate = home.examine(PATH, runtime)
    with home.lock():
        if home.has_bundle():  # another process was faster
            return False
        home.make_current(candidate)
    return True
