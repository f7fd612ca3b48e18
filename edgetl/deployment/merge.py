"""Bundle + what devices learned → a new bundle: one addition, no photos, nothing approximated.

The result's statistics are, byte for byte, those of one machine that had seen all the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgetl_device.bundle.bundle import Bundle, write_bundle
from edgetl_device.bundle.content import BundleContent, BundleParts
from edgetl_device.bundle.export import Export
from edgetl_device.bundle.possible import check_possible, sound_content
from edgetl_device.bundle.signing import PrivateKey, PublicKey
from edgetl_device.errors import BundleError, CheckFailedError, InputError
from edgetl_device.files import read_bounded
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.labels import check_label_count
from edgetl_device.learning.gate import confirmed_loss, on_holdout, possible_loss
from edgetl_device.statistics import MAX_SAMPLES, Statistics

MAX_EXPORT = 256 << 20  # bytes, as of a bundle


@dataclass(frozen=True)
class Merged:
    """What a merge led to.

    Args:
        samples: how many device samples were added.
        devices: from how many devices.
        accuracy: of the new head on the bundle's holdout; None without one.
        bit_exact: whether one runtime made all embeddings.
        replaced: exports that a newer one of the same device replaced.
        held_out: how many photos the accuracy was measured on.
    """

    samples: int
    devices: int
    accuracy: float | None
    bit_exact: bool
    replaced: int
    held_out: int = 0


def read_export(path: Path, trusted: PublicKey | None = None) -> Export:
    """A file of ``edgetl-device export-stats`` → Export; raises InputError, SignatureError where a key is trusted."""
    try:
        export = Export.from_bytes(read_bounded(path, MAX_EXPORT), trusted)
        check_possible(export.statistics)
        return export
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except InputError as error:
        raise type(error)(f"{path}: {error}") from None


def merge(
    bundle: Bundle, exports: Sequence[Export], output: Path, key: PrivateKey | None = None, *, accept: bool = False
) -> Merged:
    """Add devices' statistics to a bundle's and write the result, signed where a key is given.

    Args:
        accept: write it even where classes that the bundle knows get worse.

    Raises:
        MismatchError: an export belongs to another backbone.
        InputError: a device is in the bundle already, so adding it again would count its samples twice; or two of its
            exports contradict each other; or there would be too many labels.
        CheckFailedError: classes that the bundle knows would get worse on its held-out photos.
        StorageError: ``output`` cannot be written.
    """
    factory = sound_content(bundle)
    before = list(bundle.manifest.get("merged", []))
    latest = _latest(exports, before)
    statistics = factory.statistics
    for export in latest.values():
        if statistics.samples + export.statistics.samples > MAX_SAMPLES:
            raise InputError(
                f"the export of device {export.device[:8]} counts {export.statistics.samples} samples: with them the "
                f"bundle would have more than the {MAX_SAMPLES} that one can hold; nothing was written"
            )
        statistics = _with(statistics, export)
    check_label_count(len(statistics.labels), "merge fewer devices, or agree on labels")
    head = _head(factory, statistics)
    objection = _objection(factory, head)
    if objection and not accept:
        raise CheckFailedError(
            f"not merged: {objection}{_suspects(factory, latest)}; nothing was written (--accept insists)"
        )
    photos, check_raw, _ = factory.check
    probabilities = head.probabilities(bundle.codes(check_raw))
    labels = tuple(head.labels[row.argmax()] if head.labels else "" for row in probabilities)
    parts = BundleParts(
        bundle.members["backbone.tflite"],
        statistics,
        (factory.holdout_raw, factory.holdout_labels),
        factory.seen,
        (photos, check_raw, labels),
        factory.correction,
    )
    # A fused model holds the old head: it is left out rather than kept wrong.
    manifest = {name: value for name, value in bundle.manifest.items() if name not in ("members", "format", "fused")}
    manifest |= {"name": output.stem, "labels": list(head.labels), "merged": sorted([*before, *latest])}
    twin = {name: data for name, data in bundle.members.items() if name == "backbone_edgetpu.tflite"}
    members = parts.members() | twin
    _check_readable(replace(bundle, manifest=bundle.manifest | manifest, members=members))
    write_bundle(output, manifest, members, key)
    samples = sum(export.statistics.samples for export in latest.values())
    truth = np.asarray(factory.holdout_labels, np.str_)
    accuracy = None
    if len(truth):
        accuracy = float((np.asarray(head.labels, np.str_)[head.holdout_scores.argmax(axis=1)] == truth).mean())
    return Merged(samples, len(latest), accuracy, statistics.bit_exact, len(exports) - len(latest), len(truth))


def _check_readable(bundle: Bundle) -> None:
    """Never write what no device could use."""
    content = BundleContent(bundle)
    try:
        _ = content.statistics, content.holdout, content.seen, content.check, content.correction
    except BundleError as error:
        raise InputError(
            f"merged, these would make a bundle that no device accepts ({error}); nothing was written"
        ) from None


def _latest(exports: Sequence[Export], merged: Sequence[str]) -> dict[str, Export]:
    """Device → its last export, by the changes to its store and not by its clock, which may be wrong."""
    latest: dict[str, Export] = {}
    for export in sorted(exports, key=lambda export: export.order):
        if export.device in merged:
            raise InputError(
                f"device {export.device[:8]} is in this bundle already: merge into the bundle it was made from"
            )
        other = latest.get(export.device)
        if (
            other is not None
            and other.sequence is not None
            and other.sequence == export.sequence
            and other.statistics.to_bytes() != export.statistics.to_bytes()
        ):
            raise InputError(
                f"two exports of device {export.device[:8]} have the same number ({export.sequence}) and differ: "
                "was its store copied? Export again, and merge that one"
            )
        latest[export.device] = export
    return latest


def _with(statistics: Statistics, export: Export) -> Statistics:
    """Their sum. Moments of single classes along another projection, or where the bundle has none, are left out."""
    more, projection = export.statistics, statistics.projection
    other = more.projection
    if other is not None and (projection is None or not projection.same_as(other)):
        more = replace(more, projected=None)
    return statistics + more


def _head(factory: BundleContent, statistics: Statistics) -> Head:
    held = (factory.holdout, factory.holdout_labels)
    origin, correction = factory.bundle.codes.origin, factory.correction
    evidence = gather(statistics, *held, factory.holdout[:0], (), "", origin=origin, correction=correction)
    return fit_head(evidence, factory.rule)


def _objection(factory: BundleContent, head: Head) -> str | None:
    """What the gate of a device would say of the new head on the bundle's held-out photos."""
    answers = on_holdout(head, factory.head(), factory.holdout_labels)
    return confirmed_loss(answers, "held-out photos") or possible_loss(answers, "held-out photos")


def _suspects(factory: BundleContent, latest: Mapping[str, Export]) -> str:
    """The devices that do harm by themselves, to be looked at first."""
    guilty = [
        device[:8]
        for device, export in sorted(latest.items())
        if len(latest) > 1 and _objection(factory, _head(factory, _with(factory.statistics, export)))
    ]
    return f"; look at the labels of device {', '.join(guilty)}" if guilty else ""
