"""Bundle + what devices learned → a new bundle: one addition, no photos, nothing approximated.

The result's statistics are, byte for byte, those of one machine that had seen all the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgetl_device import metrics
from edgetl_device.bundle.bundle import Bundle, write_bundle
from edgetl_device.bundle.content import BundleContent, BundleParts
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.signing import PrivateKey, PublicKey
from edgetl_device.errors import InputError
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import fit_head


@dataclass(frozen=True)
class Merged:
    """What a merge led to.

    Args:
        samples: how many device samples were added.
        devices: from how many devices.
        accuracy: of the new head on the bundle's holdout; None without one.
        bit_exact: whether one runtime made all embeddings.
        replaced: exports that a newer one of the same device replaced.
    """

    samples: int
    devices: int
    accuracy: float | None
    bit_exact: bool
    replaced: int


def read_export(path: Path, trusted: PublicKey | None = None) -> Export:
    """A file of ``edgetl-device export-stats`` → Export; raises InputError, SignatureError where a key is trusted."""
    try:
        return Export.from_bytes(path.read_bytes(), trusted)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


def merge(bundle: Bundle, exports: Sequence[Export], output: Path, key: PrivateKey | None = None) -> Merged:
    """Add devices' statistics to a bundle's and write the result, signed where a key is given.

    Raises:
        MismatchError: an export belongs to another backbone.
        InputError: a device is in the bundle already; adding it again would count its samples twice.
        StorageError: ``output`` cannot be written.
    """
    factory = BundleContent(bundle)
    before = list(bundle.manifest.get("merged", []))
    latest: dict[str, Export] = {}
    for export in sorted(exports, key=lambda export: export.time):
        if export.device in before:
            raise InputError(
                f"device {export.device[:8]} is in this bundle already: merge into the bundle it was made from"
            )
        latest[export.device] = export
    statistics = factory.statistics
    for export in latest.values():
        statistics = statistics + export.statistics
    none = factory.holdout[:0]
    origin = bundle.codes.origin
    correction = factory.correction
    held = (factory.holdout, factory.holdout_labels)
    evidence = gather(statistics, *held, none, (), "", origin=origin, correction=correction)
    head = fit_head(evidence, factory.rule)
    index = {label: row for row, label in enumerate(head.labels)}
    truth = np.array([index[label] for label in factory.holdout_labels], np.intp)
    accuracy = metrics.accuracy(truth, head.scorer.scores(factory.holdout).argmax(axis=1)) if len(truth) else None
    photos, check_raw, _ = factory.check
    told = head.probabilities(bundle.codes(check_raw))
    labels = tuple(head.labels[row.argmax()] if head.labels else "" for row in told)
    holdout = (factory.holdout_raw, factory.holdout_labels)
    model, check = bundle.members["backbone.tflite"], (photos, check_raw, labels)
    content = BundleParts(model, statistics, holdout, factory.seen, check, correction)
    # A fused model holds the old head: it is left out rather than kept wrong.
    manifest = {name: value for name, value in bundle.manifest.items() if name not in ("members", "format", "fused")}
    manifest |= {"name": output.stem, "labels": list(head.labels), "merged": sorted([*before, *latest])}
    twin = {name: data for name, data in bundle.members.items() if name == "backbone_edgetpu.tflite"}
    write_bundle(output, manifest, content.members() | twin, key)
    samples = sum(export.statistics.samples for export in latest.values())
    return Merged(samples, len(latest), accuracy, statistics.bit_exact, len(exports) - len(latest))
