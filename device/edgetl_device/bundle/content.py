"""What a bundle brought, parsed on demand: classifying needs the head, only retraining the statistics."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..arrays import Arrays, pack, text_array, text_values, unpack
from ..codes import Codes, Int8
from ..errors import BundleError, InputError, StorageError
from ..files import write_atomically
from ..heads.evidence import Correction, Evidence, gather
from ..heads.head import Head, fit_head
from ..heads.precision import Precision
from ..heads.precision_file import precision_bytes, read_precision
from ..heads.registry import current_name
from ..labels import MAX_LABELS
from ..statistics import Statistics
from .bundle import Bundle

log = logging.getLogger("edgetl.factory")

HOLDOUT_PER_CLASS = 100
MAX_HOLDOUT_BYTES = 32 << 20  # of raw embeddings; a bundle as made here holds at most a fifth of that
MAX_SEEN = 1 << 20  # fingerprints of training photos
MAX_CHECK_PHOTOS = 32
HOLDOUT_MEMBERS = {"raw", "labels", "seen"}
_FLOAT32 = np.dtype(np.float32)
FINGERPRINT_BYTES = 8  # of a photo file's SHA-256: one false match among 10⁵ photos in 10⁹ bundles


class BundleContent:
    """The learned content of a verified bundle.

    Args:
        solved_path: where the precision solved from its statistics is kept, if anywhere.
    """

    def __init__(self, bundle: Bundle, solved_path: Path | None = None) -> None:
        self.bundle = bundle
        self.solved_path = solved_path

    @cached_property
    def statistics(self) -> Statistics:
        """Statistics of the factory's training samples."""
        try:
            statistics = Statistics.from_bytes(self.bundle.members["statistics.npz"])
        except InputError as error:
            raise BundleError(f"statistics.npz: {error}") from None
        if statistics.backbone != self.bundle.backbone_digest or statistics.dimension != self.bundle.codes.dimension:
            raise BundleError("statistics.npz belongs to another backbone")
        if statistics.labels != self.bundle.labels:
            raise BundleError("statistics.npz has other labels than the manifest")
        if statistics.projected is not None and self.bundle.manifest["format"] == 1:
            raise BundleError("statistics.npz has moments of single classes, which format 1 does not have")
        return statistics

    @cached_property
    def solved(self) -> Precision | None:
        """Precision of the statistics, where :meth:`keep_solved` left it."""
        if self.solved_path is None or not self.bundle.labels:
            return None
        return read_precision(self.solved_path, self._source, self.bundle.codes.dimension)

    def keep_solved(self) -> None:
        """Solve the statistics once for all starts to come; a full disk costs time later, nothing else."""
        if self.solved_path is None or not self.statistics.labels:
            return
        precision = self.evidence(self.holdout[:0], (), "").core
        try:
            write_atomically(self.solved_path, precision_bytes(precision, self._source), private=True)
        except StorageError as error:
            log.warning("%s", error)

    @property
    def _source(self) -> bytes:
        return bytes.fromhex(self.bundle.manifest["members"]["statistics.npz"]["sha256"])

    @cached_property
    def _holdout(self) -> tuple[Codes, tuple[str, ...]]:
        arrays = _unpack(self.bundle, "holdout.npz", HOLDOUT_MEMBERS)
        raw = self._holdout_embeddings(arrays)
        labels = _row_labels(arrays, len(raw))
        if not set(labels) <= set(self.bundle.labels):
            raise BundleError("holdout.npz has other labels than the manifest")
        if max(Counter(labels).values(), default=0) > HOLDOUT_PER_CLASS:
            raise BundleError(f"holdout.npz has more than {HOLDOUT_PER_CLASS} embeddings of a class")
        return self.bundle.codes(raw), labels

    def _holdout_embeddings(self, arrays: Arrays) -> Int8:
        """Bounded before anything is made of them: they become floats, and are compared with each other."""
        raw = self._embeddings("holdout.npz", arrays)
        if len(raw) > HOLDOUT_PER_CLASS * len(self.bundle.labels) or raw.nbytes > MAX_HOLDOUT_BYTES:
            raise BundleError(
                f"holdout.npz: expected at most {HOLDOUT_PER_CLASS} embeddings a class and "
                f"{MAX_HOLDOUT_BYTES >> 20} MiB, got {len(raw)} of {raw.shape[1]} features"
            )
        return raw

    def _embeddings(self, member: str, arrays: Arrays) -> Int8:
        raw: Int8 = arrays["raw"]
        if raw.dtype != np.int8 or raw.ndim != 2 or raw.shape[1] != self.bundle.codes.dimension:
            raise BundleError(f"{member}: embeddings of shape {raw.shape} {raw.dtype} do not fit the backbone")
        return raw

    @property
    def holdout_raw(self) -> Int8:
        """(h, d) int8 raw embeddings of the holdout."""
        return self._holdout_embeddings(_unpack(self.bundle, "holdout.npz", HOLDOUT_MEMBERS))

    @property
    def holdout(self) -> Codes:
        """(h, d) uint8 codes that are in no statistics."""
        return self._holdout[0]

    @property
    def holdout_labels(self) -> tuple[str, ...]:
        """h labels."""
        return self._holdout[1]

    @cached_property
    def correction(self) -> Correction | None:
        """What the ``softmax`` rule learned from the factory's embeddings; None where another rule was chosen."""
        if "head.npz" not in self.bundle.members:
            return None
        arrays = _unpack(self.bundle, "head.npz", {"labels", "weights", "bias"})
        weights, bias = arrays["weights"], arrays["bias"]
        fits = bias.ndim == 1 and len(bias) <= MAX_LABELS and weights.shape == (len(bias), self.bundle.codes.dimension)
        if not fits or {weights.dtype, bias.dtype} != {_FLOAT32}:
            raise BundleError(f"head.npz: weights of shape {weights.shape} {weights.dtype} do not fit the backbone")
        if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
            raise BundleError("head.npz: weights that are not finite")
        return Correction(_row_labels(arrays, len(weights)), weights, bias)

    @cached_property
    def seen(self) -> frozenset[bytes]:
        """:func:`fingerprint` of every training photo: evaluation can tell what was seen from what was not."""
        rows = _unpack(self.bundle, "holdout.npz", HOLDOUT_MEMBERS)["seen"]
        if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != FINGERPRINT_BYTES:
            raise BundleError(f"holdout.npz: fingerprints of shape {rows.shape} {rows.dtype}")
        if len(rows) > MAX_SEEN:
            raise BundleError(f"holdout.npz: expected at most {MAX_SEEN} fingerprints, got {len(rows)}")
        return frozenset(row.tobytes() for row in rows)

    @cached_property
    def check(self) -> tuple[npt.NDArray[np.uint8], Int8, tuple[str, ...]]:
        """(k, h, w, 3) uint8 RGB photos, their (k, d) raw embeddings and the k labels the workstation predicted."""
        arrays = _unpack(self.bundle, "check.npz", {"photos", "raw", "labels"})
        photos, raw = arrays["photos"], self._embeddings("check.npz", arrays)
        size = self.bundle.preprocessing
        if len(raw) > MAX_CHECK_PHOTOS:
            raise BundleError(f"check.npz: expected at most {MAX_CHECK_PHOTOS} photos, got {len(raw)}")
        if photos.dtype != np.uint8 or photos.shape != (len(raw), size.height, size.width, 3):
            raise BundleError(f"check.npz: photos of shape {photos.shape} {photos.dtype} do not fit the backbone")
        if not len(raw):
            raise BundleError(
                "check.npz holds no photos: without them nobody can tell whether it works here; make the bundle with "
                "`edgetl convert`"
            )
        return photos, raw, _row_labels(arrays, len(raw))

    @property
    def rule(self) -> str:
        """Name of the learning rule that the bundle was made with, or of the one that took its place since."""
        try:
            return current_name(str(self.bundle.manifest["head"]))
        except InputError as error:
            raise BundleError(f"the bundle's head cannot be used: {error}; or update edgetl-device") from None

    def evidence(
        self, codes: Codes, labels: Sequence[str], runtime: str | Sequence[str], hidden: frozenset[str] = frozenset()
    ) -> Evidence:
        """What the factory knows, and device samples: codes (n, d) uint8 with their n labels."""
        origin = self.bundle.codes.origin
        return gather(
            self.statistics,
            self.holdout,
            self.holdout_labels,
            codes,
            labels,
            runtime,
            origin=origin,
            hidden=hidden,
            correction=self.correction,
            factory_precision=self.solved,
        )

    def head(self) -> Head:
        """The head as it came from the factory: solved from the statistics, so it cannot contradict them."""
        return fit_head(self.evidence(self.holdout[:0], (), ""), self.rule)


def fingerprint(photo: bytes) -> bytes:
    """The bytes of a photo file → what :attr:`BundleContent.seen` holds of it."""
    return hashlib.sha256(photo).digest()[:FINGERPRINT_BYTES]


@dataclass(frozen=True, eq=False)
class BundleParts:
    """What goes into a bundle: the writing side of :class:`BundleContent`.

    Args:
        backbone: the ``.tflite`` file.
        statistics: of the training samples, embedded by exactly this backbone.
        holdout: (h, d) int8 raw embeddings that are in no statistics, and their h labels.
        seen: :func:`fingerprint` of every training photo.
        check: (k, h, w, 3) uint8 RGB preprocessed photos, their (k, d) int8 raw embeddings and the k labels predicted
            ("" in a bundle without classes).
        correction: what the ``softmax`` rule learned from the training embeddings.
    """

    backbone: bytes
    statistics: Statistics
    holdout: tuple[Int8, tuple[str, ...]]
    seen: frozenset[bytes]
    check: tuple[npt.NDArray[np.uint8], Int8, tuple[str, ...]]
    correction: Correction | None = None

    def members(self) -> dict[str, bytes]:
        """Member name → bytes, for :func:`~edgetl_device.bundle.bundle.write_bundle`."""
        raw, labels = self.holdout
        photos, check_raw, check_labels = self.check
        seen = np.frombuffer(b"".join(sorted(self.seen)), np.uint8).reshape(-1, FINGERPRINT_BYTES)
        members = {
            "backbone.tflite": self.backbone,
            "statistics.npz": self.statistics.to_bytes(),
            "holdout.npz": pack({"raw": raw, "labels": text_array(labels), "seen": seen}),
            "check.npz": pack({"photos": photos, "raw": check_raw, "labels": text_array(check_labels)}),
            "labels.txt": "".join(f"{label}\n" for label in self.statistics.labels).encode(),
        }
        if self.correction is not None:
            correction = self.correction
            arrays: Arrays = {
                "labels": text_array(correction.labels),
                "weights": correction.weights,
                "bias": correction.bias,
            }
            members["head.npz"] = pack(arrays)
        return members


def _row_labels(arrays: Arrays, rows: int) -> tuple[str, ...]:
    try:
        labels = text_values(arrays["labels"], rows)
    except InputError as error:
        raise BundleError(f"row labels: {error}") from None
    if len(labels) != rows:
        raise BundleError(f"expected {rows} row labels, got {len(labels)}")
    return labels


def _unpack(bundle: Bundle, member: str, names: set[str]) -> Arrays:
    try:
        return unpack(bundle.members[member], names)
    except InputError as error:
        raise BundleError(f"{member}: {error}") from None
