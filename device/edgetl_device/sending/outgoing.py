"""What a device would send now: its samples as codes or their statistics, whichever is smaller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .. import __version__
from ..bundle.export import Export
from ..bundle.export_file import Content, blank_header, whole_export
from ..bundle.export_parts import ExportParts, whole_parts
from ..bundle.exported_samples import ExportedSamples, no_samples, samples_of
from ..bundle.signing import PrivateKey
from ..learning.groups import Groups
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
        withheld_in_groups: group → the same of its labels.
    """

    export: Export
    data: bytes
    withheld: Mapping[str, int] = field(default_factory=dict)
    withheld_in_groups: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def outgoing(
    learner: Learner, *, floor: int = 1, codes: bool = True, key: PrivateKey | None = None, machine: str = ""
) -> Outgoing:
    """What the device learned with its bundle's backbone, in groups too, less what is pending.

    Args:
        floor: labels with fewer samples than this are left out.
        codes: samples may be sent as codes; otherwise only their sums.
        key: to sign with.
        machine: of the header.
    """
    store, bundle = learner.store, learner.bundle
    sequence = store.sequence()  # before reading: what is added meanwhile comes with a later export
    found = {name: _chosen(each, floor, codes) for name, each in {"": learner, **Groups(learner)}.items()}
    contents = {name: content for name, (content, _) in found.items() if not name or len(content.labels)}
    withheld = {name: less for name, (_, less) in found.items()}
    own = withheld.pop("")
    merged = store.device in bundle.merged
    version = learner.version(learner.active_version)
    facts = {
        "bundle": bundle.name,
        "bundle_digest": bundle.digest,
        "version": version.id,
        "accuracy": version.metrics.get("accuracy"),
        "held_out": len(learner.factory.holdout_labels),
        "samples": _samples_in(contents[""]),
        "withheld": sum(own.values()),
        "edgetl": __version__,
    }
    header = blank_header(store.device, sequence, machine=machine, after=bundle.digest if merged else "", facts=facts)
    data = whole_parts(header, contents, key)
    export = Export(store.device, "", contents.pop(""), sequence, ExportParts.read(data).header, contents)
    return Outgoing(export, data, own, {name: less for name, less in withheld.items() if less})


def _chosen(learner: Learner, floor: int, codes: bool) -> tuple[Content, dict[str, int]]:
    """What to send of one group's learner, or of that without a group, and what is withheld."""
    known = learner.device_statistics()
    counts = dict(zip(known.labels, known.counts.tolist(), strict=True))
    withheld = {label: count for label, count in counts.items() if count < floor}
    kept = known.samples - sum(withheld.values())
    found: list[Content] = []
    size = known.dimension * kept / (known.dimension * (known.dimension + 1) / 2 * _bytes_of_product(kept))
    if codes and size <= _STATISTICS_WIN:
        found.append(_samples(learner, withheld))
    if not found or (codes and size > _CODES_WIN):
        found.append(_without(learner, known, withheld))
    if len(found) > 1:
        blank = blank_header(learner.store.device, 0)
        found.sort(key=lambda content: len(whole_export(blank, content)))
    return found[0], withheld


def _samples_in(content: Content) -> int:
    return len(content) if isinstance(content, ExportedSamples) else content.samples


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
