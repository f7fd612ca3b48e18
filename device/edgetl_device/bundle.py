"""The one-file deployable: an uncompressed zip of allowlisted members, verified before anything is parsed.

The archive's comment holds the SHA-256 of every byte before it, so any flipped bit anywhere is noticed; the manifest
holds size and SHA-256 of every member, and a signature covers the manifest. The file is read once, and what was
verified is what is used. Writing is deterministic: the same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .arrays import EPOCH
from .codes import CodeTransform
from .errors import BundleError, InputError, StorageError
from .labels import check_label
from .preprocess import Preprocessing

FORMAT_VERSION = 1
MAX_SIZE = 256 << 20  # bytes; the largest backbone here (VGG16, float) is 59 MB
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
REQUIRED = ("backbone.tflite", "statistics.npz", "holdout.npz", "check.npz", "labels.txt")
OPTIONAL = ("backbone_edgetpu.tflite", "model.tflite", "head.npz")
_COMMENT = b"edgetl sha256:"
_COMMENT_SIZE = len(_COMMENT) + 64
_NEEDED = {
    "format": int,
    "name": str,
    "created": str,
    "labels": list,
    "head": str,
    "preprocessing": dict,
    "codes": dict,
    "backbone": dict,
    "quantization": str,
    "training": dict,
    "parity": dict,
    "ops": dict,
    "members": dict,
}


@dataclass(frozen=True, eq=False)
class Bundle:
    """A verified bundle.

    Args:
        manifest: what CLI ``edgetl inspect`` shows.
        members: name → bytes.
        digest: SHA-256 of the file, hex.
    """

    manifest: dict[str, Any]
    members: Mapping[str, bytes]
    digest: str

    @property
    def name(self) -> str:
        """Given at ``edgetl convert``: the stem of the file name."""
        return str(self.manifest["name"])

    @property
    def labels(self) -> tuple[str, ...]:
        """Sorted factory labels; none in a ``--no-classes`` bundle."""
        return tuple(self.manifest["labels"])

    @property
    def preprocessing(self) -> Preprocessing:
        """How to make the backbone's input."""
        return Preprocessing.from_json(self.manifest["preprocessing"])

    @property
    def codes(self) -> CodeTransform:
        """How to make codes of the backbone's output."""
        return CodeTransform.from_json(self.manifest["codes"])

    @property
    def embedding_scale(self) -> float | None:
        """One step of the int8 embeddings of a backbone with float output; None where its output is int8."""
        return _embedding_scale(self.manifest)

    @property
    def backbone_digest(self) -> str:
        """SHA-256 of the ``.tflite`` whose embeddings statistics and samples hold."""
        return str(self.manifest["members"]["backbone.tflite"]["sha256"])


def write_bundle(path: Path, manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> str:
    """Write a bundle whole or not at all; the members' sizes and hashes are added to the manifest.

    Returns:
        SHA-256 of the file, hex.

    Raises:
        StorageError: it cannot be written; whatever stood at ``path`` is untouched.
    """
    order = [name for name in (*REQUIRED, *OPTIONAL) if name in members]
    listing = {n: {"size": len(members[n]), "sha256": hashlib.sha256(members[n]).hexdigest()} for n in order}
    full = {**manifest, "format": FORMAT_VERSION, "members": listing}
    text = json.dumps(full, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    data = _archive({MANIFEST: text, **{name: members[name] for name in order}})
    read_bundle(data)  # never write what could not be read
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def open_bundle(path: Path) -> Bundle:
    """Read, verify and parse a bundle file; raises BundleError."""
    return load_bundle(path)[0]


def load_bundle(path: Path) -> tuple[Bundle, bytes]:
    """As :func:`open_bundle`, with the very bytes that were verified; raises BundleError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_SIZE + 1)
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return read_bundle(data), data
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None


def read_bundle(data: bytes) -> Bundle:
    """The bytes of a bundle → Bundle.

    Raises:
        BundleError: not a bundle, damaged, or of a newer format.
    """
    if len(data) > MAX_SIZE:
        raise BundleError(f"larger than {MAX_SIZE >> 20} MiB: not a bundle")
    comment = data[-_COMMENT_SIZE:]
    if not data.startswith(b"PK\x03\x04") or not comment.startswith(_COMMENT):
        kind = "a zip file, but not a bundle" if data.startswith(b"PK") else "not a bundle"
        raise BundleError(f"{kind}, or a truncated one; make one with `edgetl convert`, or copy it again")
    if hashlib.sha256(data[:-_COMMENT_SIZE]).hexdigest().encode() != comment[len(_COMMENT) :]:
        raise BundleError("damaged: its checksum does not match; copy it again")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise BundleError(f"damaged: {error}") from None
    manifest = _manifest(members.pop(MANIFEST, b""))
    _check_members(manifest, members)
    return Bundle(manifest, members, hashlib.sha256(data).hexdigest())


def write_atomically(path: Path, data: bytes) -> None:
    """Bytes → file, through a temporary file beside it; durable when it returns. Raises StorageError."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
        temporary = None
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _archive(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
        archive.comment = _COMMENT + b"0" * 64
    body = buffer.getvalue()[:-_COMMENT_SIZE]
    return body + _COMMENT + hashlib.sha256(body).hexdigest().encode()


def _members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise BundleError("a member appears twice")
    strange = sorted(set(names) - {MANIFEST, SIGNATURE, *REQUIRED, *OPTIONAL})
    if strange:
        raise BundleError(f"unexpected member {strange[0]!r}: made by a newer edgetl, or not a bundle")
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size > MAX_SIZE for entry in entries):
        raise BundleError("a member is compressed or too large; bundles are stored as they are")
    return {entry.filename: archive.read(entry) for entry in entries}


def _manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"no readable manifest: {error}") from None
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        raise BundleError("the manifest names no format version")
    if manifest["format"] != FORMAT_VERSION:
        raise BundleError(
            f"bundle format {manifest['format']} is not {FORMAT_VERSION}, the one this edgetl reads; "
            "update with `pip install --upgrade edgetl-device`"
        )
    wrong = [name for name, kind in _NEEDED.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        raise BundleError(f"the manifest lacks {', '.join(wrong)}")
    labels = manifest["labels"]
    try:
        valid = all(isinstance(label, str) and check_label(label) == label for label in labels)
        Preprocessing.from_json(manifest["preprocessing"])
        CodeTransform.from_json(manifest["codes"])
        _embedding_scale(manifest)
    except InputError as error:
        raise BundleError(f"the manifest is not valid: {error}") from None
    if not valid or labels != sorted(set(labels)):
        raise BundleError("the manifest's labels must be sorted and distinct")
    return manifest


def _embedding_scale(manifest: Mapping[str, Any]) -> float | None:
    scale = manifest.get("embedding_scale")
    if scale is not None and not (type(scale) in (int, float) and 0 < scale < float("inf")):
        raise InputError(f"the scale of embeddings must be positive, got {scale!r}")
    return scale


def _check_members(manifest: Mapping[str, Any], members: Mapping[str, bytes]) -> None:
    listing = manifest["members"]
    stored = set(members) - {SIGNATURE}
    if set(listing) != stored or not set(REQUIRED) <= stored:
        raise BundleError(f"expected the members {sorted({*listing, *REQUIRED})}, got {sorted(stored)}")
    for name in stored:
        entry = {"size": len(members[name]), "sha256": hashlib.sha256(members[name]).hexdigest()}
        if listing[name] != entry:
            raise BundleError(f"{name} is not the one that the manifest names")
