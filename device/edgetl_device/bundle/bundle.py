"""The one-file deployable: an uncompressed zip of allowlisted members, verified before anything is parsed.

The archive's comment holds the SHA-256 of every byte before it, so any flipped bit anywhere is noticed; the manifest
holds size and SHA-256 of every member, and a signature covers the manifest: where a key is trusted it is verified
before the manifest is parsed. The file is read once, and what was verified is what is used. Writing is deterministic:
the same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import Any

from ..codes import CodeTransform
from ..errors import BundleError, InputError, SignatureError
from ..files import write_atomically
from ..labels import NOTHING, check_sample_label
from ..preprocess import Preprocessing
from ..strict_json import parsed
from .archive import pack_members, read_file, unpack_members
from .bundle_groups import MEMBER as GROUPS
from .bundle_groups import groups_of
from .inner_maps import InnerMap, maps_of
from .merged import MEMBER as MERGED
from .merged import MergedDevices
from .signing import BUNDLE, SIZE, PrivateKey, PublicKey
from .stored_members import Listing, StoredMembers

FORMAT_VERSION = 4
READABLE = (1, 2, 3, 4)  # 1: statistics have no moments of single classes; up to 2: the backbone gives no inner maps
WITHOUT_MAPS, WITHOUT_GROUPS = 2, 3  # what a bundle without them is written as: older programs read it too
MAX_MANIFEST = 1 << 20  # bytes
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
REQUIRED = ("backbone.tflite", "statistics.npz", "holdout.npz", "check.npz", "labels.txt")
OPTIONAL = ("backbone_edgetpu.tflite", "model.tflite", "head.npz", MERGED, GROUPS)
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
        manifest: what ``edgetl show`` prints.
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
    def signed(self) -> str | None:
        """When it was signed: UTC, ISO 8601; worth believing only where the signature was verified."""
        return self.manifest.get("signed")

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
    def maps(self) -> tuple[InnerMap, ...]:
        """The inner feature maps that the backbone gives too, finest first; none in a bundle that cannot inspect."""
        return maps_of(self.manifest)

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The groups of labels that devices learned and `edgetl merge` put there → their labels, sorted."""
        return groups_of(self.manifest)

    @cached_property
    def merged(self) -> MergedDevices:
        """Devices whose samples are in the statistics; raises BundleError where that cannot be told."""
        return MergedDevices.of(self.manifest, self.members)

    @property
    def backbone_digest(self) -> str:
        """SHA-256 of the ``.tflite`` whose embeddings statistics and samples hold."""
        return str(self.manifest["members"]["backbone.tflite"]["sha256"])


def write_bundle(
    path: Path, manifest: Mapping[str, Any], members: Mapping[str, bytes], key: PrivateKey | None = None
) -> str:
    """Write a bundle whole or not at all; the members' sizes and hashes are added to the manifest, and the format.

    Args:
        key: sign with it; the time of signing is added to the manifest too.

    Returns:
        SHA-256 of the file, hex.

    Raises:
        StorageError: it cannot be written; whatever stood at ``path`` is untouched.
    """
    order = [name for name in (*REQUIRED, *OPTIONAL) if name in members]
    listing = _listing({name: members[name] for name in order})
    full = {name: value for name, value in manifest.items() if name != "signed"}
    written = FORMAT_VERSION if GROUPS in members else WITHOUT_GROUPS if full.get("maps") else WITHOUT_MAPS
    full = {"format": written, **full, "members": listing} | ({"signed": signing_time()} if key else {})
    text = json.dumps(full, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()
    signature = {SIGNATURE: key.sign(BUNDLE, text)} if key else {}
    data = pack_members({MANIFEST: text, **signature, **{name: members[name] for name in order}})
    read_bundle(data, key.public if key else None)  # never write what could not be read
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def sign_bundle(bundle: Bundle, path: Path, key: PrivateKey) -> str:
    """Write a bundle again, signed now; returns the file's SHA-256, hex. Raises StorageError."""
    return write_bundle(path, bundle.manifest, bundle.members, key)


def signing_time() -> str:
    """Now, in UTC, to the second; ``SOURCE_DATE_EPOCH`` fixes it, so that signed files can be reproduced too."""
    seconds = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    return datetime.fromtimestamp(int(seconds), timezone.utc).isoformat()


def open_bundle(path: str | Path, trusted: PublicKey | None = None) -> Bundle:
    """Read, verify and parse a bundle file.

        >>> from edgetl_device import open_bundle
        >>> bundle = open_bundle("toys.edgetl")
        >>> bundle.name, bundle.labels
        ('toys', ('ball', 'box'))

    Args:
        trusted: refuse what is not signed by this key; None accepts unsigned bundles and looks at no signature.

    Raises:
        BundleError: not a bundle, damaged, or of a newer format.
        SignatureError: not signed by the trusted key.
    """
    return load_bundle(Path(path), trusted)[0]


def open_installed(path: Path) -> Bundle:
    """As :func:`open_bundle`, of one that this device has verified before: members stay in the file until asked for.

    Raises:
        BundleError: not a bundle, damaged, or of a newer format.
    """
    try:
        members = StoredMembers(path, (MANIFEST, SIGNATURE, *REQUIRED, *OPTIONAL))
        if MANIFEST not in members or int(members.listing[MANIFEST]["size"]) > MAX_MANIFEST:
            raise BundleError(f"no manifest, or one larger than {MAX_MANIFEST >> 20} MiB")
        manifest = _manifest(members[MANIFEST])
        members.hide(MANIFEST)
        _check_members(manifest, members.listing)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}") from None
    return Bundle(manifest, members, members.digest)


def load_bundle(path: Path, trusted: PublicKey | None = None) -> tuple[Bundle, bytes]:
    """As :func:`open_bundle`, with the very bytes that were verified."""
    if (path / "run.json").is_file():  # what `edgetl train` writes: a step too early
        command = f"`edgetl convert {quote(str(path))} -o {quote(path.name + '.edgetl')}`"
        raise BundleError(f"{path} is a RUN, not a bundle: {command} first")
    try:
        data = read_file(path)
        return read_bundle(data, trusted), data
    except (BundleError, SignatureError) as error:
        raise type(error)(f"{path}: {error}") from None
    except FileNotFoundError:
        raise BundleError(f"no such bundle: {path}; make one with `edgetl convert`") from None
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}") from None


def read_bundle(data: bytes, trusted: PublicKey | None = None) -> Bundle:
    """The bytes of a bundle → Bundle.

    Args:
        trusted: refuse what is not signed by this key; None accepts unsigned bundles and looks at no signature.

    Raises:
        BundleError: not a bundle, damaged, or of a newer format.
        SignatureError: not signed by the trusted key.
    """
    members = unpack_members(data, (MANIFEST, SIGNATURE, *REQUIRED, *OPTIONAL))
    text = members.pop(MANIFEST, b"")
    if trusted is not None:
        if len(members.get(SIGNATURE, b"")) != SIZE:
            raise SignatureError(
                f"not signed, but only what the key {trusted.fingerprint} signed is accepted here: "
                "`edgetl sign FILE.edgetl --key PREFIX.key`"
            )
        trusted.verify(BUNDLE, text, members[SIGNATURE])
    manifest = _manifest(text)
    _check_members(manifest, _listing(members))
    return Bundle(manifest, members, hashlib.sha256(data).hexdigest())


def _manifest(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_MANIFEST:
        raise BundleError(f"the manifest is larger than {MAX_MANIFEST >> 20} MiB")
    try:
        manifest = parsed(data)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"no readable manifest: {error}") from None
    if not isinstance(manifest, dict) or type(manifest.get("format")) is not int:
        raise BundleError("the manifest names no format version")
    if manifest["format"] not in READABLE:
        raise BundleError(
            f"bundle format {manifest['format']} is newer than {FORMAT_VERSION}, the last that this edgetl reads; "
            "update with `pip install --upgrade edgetl-device`"
        )
    wrong = [name for name, kind in _NEEDED.items() if not isinstance(manifest.get(name), kind)]
    if wrong:
        raise BundleError(f"the manifest lacks {', '.join(wrong)}")
    if not isinstance(manifest["backbone"].get("name"), str):
        raise BundleError("the manifest does not name its backbone")
    merged = manifest.get("merged", [])
    if not (isinstance(merged, list) and all(isinstance(device, str) for device in merged)):
        raise BundleError("the manifest's merged devices must be a list of names")
    labels = manifest["labels"]
    try:
        valid = all(isinstance(label, str) and check_sample_label(label) == label for label in labels)
        Preprocessing.from_json(manifest["preprocessing"])
        CodeTransform.from_json(manifest["codes"])
        _embedding_scale(manifest)
        maps, groups = maps_of(manifest), groups_of(manifest)
    except InputError as error:
        raise BundleError(f"the manifest is not valid: {error}") from None
    if not valid or labels != sorted(set(labels)):
        raise BundleError("the manifest's labels must be sorted and distinct")
    if maps and manifest["format"] <= WITHOUT_MAPS:
        raise BundleError(f"the manifest names inner maps, which format {manifest['format']} does not have")
    if bool(groups) != (GROUPS in manifest["members"]) or (groups and manifest["format"] <= WITHOUT_GROUPS):
        raise BundleError("the manifest names groups whose statistics are not there, or the other way round")
    if labels == [NOTHING]:
        raise BundleError(f"its only label is {NOTHING!r}, which is background and no class: teach it things too")
    if "signed" in manifest and not _is_time(manifest["signed"]):
        raise BundleError("the manifest's time of signing is no time")
    return manifest


def _embedding_scale(manifest: Mapping[str, Any]) -> float | None:
    scale = manifest.get("embedding_scale")
    if scale is not None and not (type(scale) in (int, float) and 0 < scale < float("inf")):
        raise InputError(f"the scale of embeddings must be positive, got {scale!r}")
    return scale


def _is_time(value: Any) -> bool:
    """Whether it is as :func:`signing_time` writes it: only then do times compare as texts."""
    try:
        return (
            isinstance(value, str) and datetime.fromisoformat(value).isoformat() == value and value.endswith("+00:00")
        )
    except ValueError:
        return False


def _listing(members: Mapping[str, bytes]) -> Listing:
    return {n: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for n, data in members.items()}


def _check_members(manifest: Mapping[str, Any], found: Listing) -> None:
    listing = manifest["members"]
    stored = set(found) - {SIGNATURE}
    if set(listing) != stored or not set(REQUIRED) <= stored:
        raise BundleError(f"expected the members {sorted({*listing, *REQUIRED})}, got {sorted(stored)}")
    for name in stored:
        if listing[name] != found[name]:
            raise BundleError(f"{name} is not the one that the manifest names")
