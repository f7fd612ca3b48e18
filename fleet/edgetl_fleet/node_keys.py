"""The keys by which a server knows its nodes: those that Flower takes, told from all else before it is asked."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from edgetl_device.errors import InputError
from edgetl_device.files import read_bounded

MAKE = '`ssh-keygen -t ecdsa -b 384 -N "" -f NAME` makes a pair'
_MAX_BYTES = 64 << 10


def check_private(path: Path) -> None:
    """Raises InputError where it is no private key of a node."""
    try:
        key = load_ssh_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if "password" in str(error).lower():
            raise InputError(f"{path} is encrypted: a node that starts by itself needs one without: {MAKE}") from None
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        hint = ": NAME is the private key, NAME.pub the public one" if path.suffix == ".pub" else ""
        raise InputError(f"{path} is no private key of ssh-keygen -t ecdsa{hint}: {MAKE}")


def check_public(path: Path) -> None:
    """Raises InputError where it is no public key of a node."""
    try:
        key = load_ssh_public_key(_read(path))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InputError(f"{path} is no public key of ssh-keygen -t ecdsa: {MAKE}, of which NAME.pub is the public one")


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _MAX_BYTES)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
