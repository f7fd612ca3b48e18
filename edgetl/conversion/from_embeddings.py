"""EMB → a bundle: the backbone that made the embeddings, with what was learned of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgetl_device.bundle.bundle import Bundle, write_bundle
from edgetl_device.bundle.content import BundleContent, BundleParts
from edgetl_device.bundle.merged import KEY as MERGED
from edgetl_device.bundle.signing import PrivateKey
from edgetl_device.errors import InputError
from edgetl_device.heads.registry import DEFAULT

from ..embedding.embeddings import open_embeddings
from ..training.embedded_run import EmbeddedRun, digest_of
from ..training.from_embeddings import FromEmbeddings, fit_embeddings

_OF_THE_OLD_HEAD = ("members", "format", "fused", "signed", MERGED)


@dataclass(frozen=True)
class ConvertedEmbeddings:
    """What was written.

    Args:
        path, size_bytes: the bundle.
        accuracy: on the held-out photos, 0 … 1.
        held_out: how many these are.
        manifest: of the bundle.
        seconds: wall time.
    """

    path: Path
    size_bytes: int
    accuracy: float
    held_out: int
    manifest: dict[str, Any]
    seconds: float


def convert_embeddings(
    folder: str | Path,
    output: str | Path,
    rule: str = DEFAULT,
    val_split: float = 0.2,
    seed: int = 0,
    key: PrivateKey | None = None,
    run: EmbeddedRun | None = None,
) -> ConvertedEmbeddings:
    """Fit a head on EMB and pack it with the backbone that made the embeddings.

    Args:
        rule: the learning rule.
        val_split, seed: which photos are held out.
        key: sign the bundle with it.
        run: refuse embeddings that are not those it was trained on.

    Raises:
        InputError: EMB cannot be used, or changed since training.
        StorageError: the bundle cannot be written.
    """
    started = time.perf_counter()
    output = Path(output)
    embeddings = open_embeddings(Path(folder))
    base = embeddings.bundle()
    fitted = fit_embeddings(embeddings, rule, val_split, seed)
    if run is not None and digest_of(fitted) != run.statistics:
        raise InputError(f"{folder} changed since training: train again")
    manifest, members = _packed(base, fitted)
    manifest |= {
        "name": output.stem,
        "created": run.created if run else datetime.now(UTC).isoformat(timespec="seconds"),
        "training": {"strategy": "head", "photos": fitted.photos, "seed": seed, "accuracy": fitted.accuracy},
    }
    write_bundle(output, manifest, members, key)
    held = fitted.held_out.total()
    elapsed = time.perf_counter() - started
    return ConvertedEmbeddings(output, output.stat().st_size, fitted.accuracy, held, manifest, elapsed)


def _packed(base: Bundle, fitted: FromEmbeddings) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and members; a fused model of the base holds another head, so it is left out."""
    photos, raw, _ = BundleContent(base).check
    head = fitted.head
    labels = tuple(head.labels[row.argmax()] for row in head.probabilities(base.codes(raw)))
    parts = BundleParts(
        base.members["backbone.tflite"],
        fitted.evidence.factory,
        fitted.holdout,
        fitted.seen,
        (photos, raw, labels),
        fitted.evidence.correction,
    )
    twin = {name: data for name, data in base.members.items() if name == "backbone_edgetpu.tflite"}
    manifest = {name: value for name, value in base.manifest.items() if name not in _OF_THE_OLD_HEAD}
    manifest |= {"labels": list(head.labels), "head": head.rule}
    manifest["parity"] = {"converted_accuracy": fitted.accuracy, "samples": fitted.held_out.total()}
    return manifest, parts.members() | twin
