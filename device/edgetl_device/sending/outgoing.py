"""What a device would send now: its samples as codes or their statistics, whichever is smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .. import __version__
from ..bundle.export import Export
from ..bundle.export_file import Content, ExportFile, blank_header, whole_export
from ..bundle.exported_samples import ExportedSamples, no_samples, samples_of
from ..bundle.signing import PrivateKey
from ..learning.learner import Learner
from ..statistics import Statistics, statistics_of

_CODES_WIN, _STATISTICS_WIN = 0.5, 4.0  # bytes of codes to bytes of products; in between both are made and compared


@dataclass(frozen=True, eq=False)
class Outgoing:
    """What is to be sent.

    Args:
        export: with all of its content.
        data: the export as bytes, signed where a key was given.
        withheld: labels with too few samples, and how many these are; they are not in the export.
    """

    export: Export
    data: bytes
    withheld: Mapping[str, int] = field(default_factory=dict)


def outgoing(
    learner: Learner, *, floor: int = 1, codes: bool = True, key: PrivateKey | None = None, machine: str = ""
) -> Outgoing:
    """What the device learned with its bundle's backbone, less what is pending.

    Args:
        floor: labels with fewer samples than this are left out.
        codes: samples may be sent as codes; otherwise only their sums.
        key: to sign with.
        machine: of the header.
    """
    store, bundle = learner.store, learner.bundle
    sequence = store.sequence()  # before reading: what is added meanwhile comes with a later export
    known = learner.device_statistics()
    counts = dict(zip(known.labels, known.counts.tolist(), strict=True))
    withheld = {label: count for label, count in counts.items() if count < floor}
    kept = known.samples - sum(withheld.values())
    merged = store.device in bundle.merged
    version = next(row for row in learner.versions() if row.id == learner.active_version)
    facts = {
        "bundle": bundle.name,
        "bundle_digest": bundle.digest,
        "version": version.id,
        "accuracy": version.metrics.get("accuracy"),
        "held_out": len(learner.factory.holdout_labels),
        "samples": kept,
        "withheld": sum(withheld.values()),
        "edgetl": __version__,
    }
    header = blank_header(store.device, sequence, machine=machine, after=bundle.digest if merged else "", facts=facts)
    found: list[tuple[bytes, Content]] = []
    size = known.dimension * kept / (known.dimension * (known.dimension + 1) / 2 * _bytes_of_product(kept))
    if codes and size <= _STATISTICS_WIN:
        samples = _samples(learner, withheld)
        found.append((whole_export(header, samples, key), samples))
    if not found or (codes and size > _CODES_WIN):
        statistics = _without(learner, known, withheld)
        found.append((whole_export(header, statistics, key), statistics))
    data, content = min(found, key=lambda pair: len(pair[0]))
    file = ExportFile.read(data)
    return Outgoing(Export(store.device, "", content, sequence, file.header), data, withheld)


def _bytes_of_product(samples: int) -> int:
    return np.min_scalar_type(max(samples, 1) * 255**2).itemsize


def _samples(learner: Learner, withheld: Mapping[str, int]) -> ExportedSamples:
    bundle = learner.bundle
    ids: list[int] = []
    labels: list[str] = []
    runtimes: list[str] = []
    codes = []
    for numbers, names, ran, raw in learner.store.embeddings(bundle.backbone_digest, bundle.codes.dimension):
        rows = [row for row, name in enumerate(names) if name not in withheld]
        ids += [numbers[row] for row in rows]
        labels += [names[row] for row in rows]
        runtimes += [ran[row] for row in rows]
        codes.append(bundle.codes(raw[rows]))
    if not ids:
        return no_samples(bundle.backbone_digest, bundle.codes.dimension)
    return samples_of(bundle.backbone_digest, ids, labels, runtimes, np.concatenate(codes))


def _without(learner: Learner, known: Statistics, withheld: Mapping[str, int]) -> Statistics:
    """Less the labels that are withheld, exactly: their samples are read, and subtracted."""
    if not withheld:
        return known
    bundle = learner.bundle
    for _, names, ran, raw in learner.store.embeddings(bundle.backbone_digest, bundle.codes.dimension):
        rows = [row for row, name in enumerate(names) if name in withheld]
        if rows:
            labels, runtimes = [names[row] for row in rows], [ran[row] for row in rows]
            known = known - statistics_of(bundle.codes(raw[rows]), labels, known.backbone, runtimes, known.projection)
    return known
