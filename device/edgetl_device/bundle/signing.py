"""Ed25519 signatures on bundles and exported statistics; the arithmetic is the ``cryptography`` package's.

Keys are PEM files, so ``openssl pkey`` reads them too. What is signed is a purpose, a zero byte and the content: a
signature made for one purpose is worth nothing for another.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from ..errors import InputError, SignatureError, StorageError
from ..files import make_folder, read_bounded, sync

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SIZE = 64  # bytes of a signature
BUNDLE = b"edgetl bundle manifest"
EXPORT = b"edgetl exported statistics"  # format 1
EXPORT_HEADER = b"edgetl header of an export"
_MAX_KEY_BYTES = 16 << 10


@dataclass(frozen=True)
class PublicKey:
    """Whom to trust."""

    key: Ed25519PublicKey

    def verify(self, purpose: bytes, content: bytes, signature: bytes) -> None:
        """Return if ``signature`` was made over ``content`` by the private half; raises SignatureError."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, purpose + b"\0" + content)
        except InvalidSignature:
            raise SignatureError(
                f"the signature is not by the trusted key {self.fingerprint}: sign it with that key, or do not use it"
            ) from None

    @property
    def raw(self) -> bytes:
        """The 32 bytes of the key."""
        return bytes(self.key.public_bytes_raw())

    @property
    def fingerprint(self) -> str:
        """The key's SHA-256, in the form that OpenSSH uses: short enough to read out over the telephone."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.raw).digest()).decode().rstrip("=")

    def to_pem(self) -> bytes:
        """A PEM file (SubjectPublicKeyInfo)."""
        from cryptography.hazmat.primitives import serialization

        pem = self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        return bytes(pem)


def verify_any(trusted: Sequence[PublicKey], purpose: bytes, content: bytes, signature: bytes) -> None:
    """Return if one of the keys made the signature of an export, b"" where it has none; raises SignatureError."""
    if not signature:
        raise SignatureError("not signed: `edgetl-device export-stats FILE --sign KEY` signs")
    for number, key in enumerate(trusted, 1):
        try:
            return key.verify(purpose, content, signature)
        except SignatureError:
            if number == len(trusted):
                raise


@dataclass(frozen=True)
class PrivateKey:
    """Who signs."""

    key: Ed25519PrivateKey

    def sign(self, purpose: bytes, content: bytes) -> bytes:
        """64 bytes; the same key and content give the same signature."""
        return bytes(self.key.sign(purpose + b"\0" + content))

    @property
    def public(self) -> PublicKey:
        """What may be given away."""
        return PublicKey(self.key.public_key())


def write_key_pair(prefix: Path) -> PublicKey:
    """A new pair: ``PREFIX.key``, readable by its owner alone, and ``PREFIX.pub``.

    Raises:
        StorageError: they cannot be written, or one exists already: a key that signs is never overwritten.
    """
    _needs_cryptography()
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pair = PrivateKey(Ed25519PrivateKey.generate())
    secret = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    files = ((key_path(prefix), secret, 0o600), (public_path(prefix), pair.public.to_pem(), 0o644))
    made: list[Path] = []
    try:
        make_folder(prefix.parent)
        for path, content, mode in files:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(path)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        sync(prefix.parent)
    except OSError as error:
        for path in made:  # half a pair is of no use
            path.unlink(missing_ok=True)
        advice = ": give another PREFIX; a key is never overwritten" if isinstance(error, FileExistsError) else ""
        raise StorageError(f"cannot write {error.filename or prefix}: {error.strerror or error}{advice}") from None
    return pair.public


def key_path(prefix: Path) -> Path:
    """Where :func:`write_key_pair` puts the private half."""
    return prefix.with_name(f"{prefix.name}.key")


def public_path(prefix: Path) -> Path:
    """Where :func:`write_key_pair` puts the public half."""
    return prefix.with_name(f"{prefix.name}.pub")


def read_private_key(path: Path) -> PrivateKey:
    """A PEM file → PrivateKey; raises InputError."""
    _needs_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path), password=None)
    except TypeError:
        raise InputError(
            f"{path} is encrypted: `openssl pkey -in {quote(str(path))} -out plain.key` and use that"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{path} is not a private key: make a pair with `edgetl keygen PREFIX`") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds another kind of key: expected Ed25519, as `edgetl keygen PREFIX` makes it")
    return PrivateKey(key)


def read_public_key(path: Path) -> PublicKey:
    """A PEM file → PublicKey; raises InputError."""
    _needs_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise InputError(f"{path} is the private key, which must stay on the workstation: give the .pub file")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{path} is not a public key: `edgetl keygen PREFIX` makes PREFIX.pub") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} holds another kind of key: expected Ed25519, as `edgetl keygen PREFIX` makes it")
    return PublicKey(key)


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _MAX_KEY_BYTES)
    except OSError as error:
        raise InputError(f"cannot read the key {path}: {error.strerror or error}") from None


def _needs_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise InputError("signatures need one more package: pip install 'edgetl-device[sign]'") from None
