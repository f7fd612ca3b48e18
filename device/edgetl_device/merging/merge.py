"""Bundle + what devices learned → a new bundle: one addition, no photos, nothing approximated.

The result's statistics are, byte for byte, those of one machine that had seen all the samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ..bundle.bundle import Bundle, write_bundle
from ..bundle.bundle_groups import KEY as GROUPS
from ..bundle.bundle_groups import packed_groups
from ..bundle.content import BundleContent, BundleParts
from ..bundle.export import Export
from ..bundle.exported_samples import ExportedSamples
from ..bundle.group_content import GroupContent
from ..bundle.merged import KEY as MERGED
from ..bundle.possible import sound_content
from ..bundle.signing import PrivateKey
from ..errors import BundleError, CheckFailedError, InputError, MismatchError
from ..heads.evidence import gather
from ..heads.head import Head, fit_head
from ..labels import MAX_GROUPS, check_label_count
from ..learning.gate import confirmed_loss, on_holdout, possible_loss
from ..statistics import BLOCK_ROWS, MAX_SAMPLES, Statistics, statistics_of
from .exports import Source, latest, source_of
from .exports import read_export as read_export
from .label_map import Spelling, spellings

_SUSPECTS = 200  # devices of which each is tried alone, a head each


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
        spellings: labels that may be another one, spelt differently.
        groups: group of the result → how many samples were added to it.
    """

    samples: int
    devices: int
    accuracy: float | None
    bit_exact: bool
    replaced: int
    held_out: int = 0
    spellings: tuple[Spelling, ...] = ()
    groups: Mapping[str, int] = field(default_factory=dict)


def merge(
    bundle: Bundle,
    exports: Sequence[Export | Source],
    output: Path,
    key: PrivateKey | None = None,
    *,
    accept: bool = False,
    names: Mapping[str, str] | None = None,
) -> Merged:
    """Add what devices learned to a bundle's statistics and write the result, signed where a key is given.

    Args:
        accept: write it even where classes that the bundle knows get worse.
        names: label of devices → label to use, in groups too.

    Raises:
        MismatchError: an export belongs to another backbone.
        InputError: a device is in the bundle already, so adding it again would count its samples twice; or two of its
            exports contradict each other; or there would be too many labels.
        CheckFailedError: classes that the bundle knows would get worse on its held-out photos.
        StorageError: ``output`` cannot be written.
    """
    factory = sound_content(bundle)
    sources = [each if isinstance(each, Source) else source_of(each) for each in exports]
    chosen = latest(sources, bundle.merged, bundle.digest)
    totals = _added(factory, chosen, names or {})
    total = totals.pop("")
    statistics, devices = (
        total.statistics(),
        sorted({device for each in (total, *totals.values()) for device in each.labels}),
    )
    groups = {name: each.statistics() for name, each in totals.items()}
    for each in (statistics, *groups.values()):
        check_label_count(len(each.labels), "merge fewer devices, or agree on labels")
    head = _head(factory, statistics)
    objection = _objection(factory, head)
    if objection and not accept:
        raise CheckFailedError(
            f"not merged: {objection}{_suspects(factory, chosen, names or {})}; nothing was written (--accept insists)"
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
    left_out = ("members", "format", "fused", MERGED, GROUPS)
    merged = bundle.merged.joined_by(devices)
    manifest = {name: value for name, value in bundle.manifest.items() if name not in left_out}
    named, packed = packed_groups(groups)
    manifest |= {"name": output.stem, "labels": list(head.labels)} | merged.manifest | named
    twin = {name: data for name, data in bundle.members.items() if name == "backbone_edgetpu.tflite"}
    members = parts.members() | twin | merged.members | packed
    _check_readable(replace(bundle, manifest=bundle.manifest | manifest, members=members))
    write_bundle(output, manifest, members, key)
    truth = np.asarray(factory.holdout_labels, np.str_)
    accuracy = None
    if len(truth):
        accuracy = float((np.asarray(head.labels, np.str_)[head.holdout_scores.argmax(axis=1)] == truth).mean())
    known = {"": factory.statistics.labels, **bundle.groups}
    spelt = [each for name, of in {"": total, **totals}.items() for each in spellings(known.get(name, ()), of.labels)]
    return Merged(
        samples=total.samples,
        devices=len(devices),
        accuracy=accuracy,
        bit_exact=all(each.bit_exact for each in (statistics, *groups.values())),
        replaced=len(sources) - len(chosen),
        held_out=len(truth),
        spellings=tuple(spelt),
        groups={name: totals[name].samples for name, each in groups.items() if each.labels},
    )


def _added(factory: BundleContent, sources: Sequence[Source], names: Mapping[str, str]) -> dict[str, _Total]:
    """Group → the bundle's statistics and what devices add to them; "" for the labels without a group."""
    totals = {"": _Total(factory.statistics, names)}
    for name in factory.bundle.groups:
        totals[name] = _Total(GroupContent(factory, name).statistics, names)
    for source in sources:
        export = source.read()
        totals[""].add(export)
        for name in export.groups:
            if name not in totals:
                totals[name] = _Total(GroupContent(factory, name).statistics, names)
            totals[name].add(export.of_group(name))
        if len(totals) > MAX_GROUPS + 1:
            raise InputError(
                f"a bundle holds at most {MAX_GROUPS} groups, these would be {len(totals) - 1}: "
                f"{', '.join(sorted(totals)[1:])}; agree on their names, or merge fewer devices"
            )
    return totals


class _Total:
    """A sum of exports, in any order; samples are collected until there are enough for a matrix product to pay."""

    def __init__(self, known: Statistics, names: Mapping[str, str]) -> None:
        self._sum, self._names = known, dict(names)
        self._waiting: list[ExportedSamples] = []
        self.samples = 0
        self.labels: dict[str, tuple[str, ...]] = {}

    def add(self, export: Export) -> None:
        """One more.

        Raises:
            MismatchError: it belongs to another backbone.
            InputError: it would be too much for a bundle.
        """
        known, who = self._sum, f"the export of device {export.device[:8]}"
        check_backbone(export, known)
        if known.samples + self._count_waiting() + export.samples > MAX_SAMPLES:
            raise InputError(
                f"{who} counts {export.samples} samples: with them the bundle would have more than the {MAX_SAMPLES} "
                "that one can hold; nothing was written"
            )
        if not export.samples:  # of a device that learned nothing, or forgot all
            return
        named = export.with_labels(self._names)
        self.samples += export.samples
        self.labels[export.device] = tuple(sorted({*self.labels.get(export.device, ()), *named.labels}))
        if isinstance(named.content, ExportedSamples):
            self._waiting.append(named.content)
            if self._count_waiting() >= BLOCK_ROWS:
                self._add_waiting()
        else:
            self._sum = _with(known, named)

    def statistics(self) -> Statistics:
        """Of all that was added."""
        self._add_waiting()
        return self._sum

    def _count_waiting(self) -> int:
        return sum(map(len, self._waiting))

    def _add_waiting(self) -> None:
        parts, self._waiting = self._waiting, []
        labels = [part.labels[place] for part in parts for place in part.label_of]
        runtimes = [part.runtimes[place] for part in parts for place in part.runtime_of]
        if labels:
            known, codes = self._sum, np.concatenate([part.codes for part in parts])
            more = statistics_of(codes, labels, known.backbone, runtimes, known.projection)
            self._sum = known.folded() + more.folded()


def check_backbone(export: Export, known: Statistics) -> None:
    """Raise MismatchError where an export is not of the backbone that these statistics are of."""
    content = export.content
    wide = content.codes.shape[1] if isinstance(content, ExportedSamples) else content.dimension
    if (content.backbone, wide) != (known.backbone, known.dimension):
        made = f", made with the bundle {export.bundle}," if export.bundle else ""
        raise MismatchError(
            f"the export of device {export.device[:8]}{made} is of backbone {content.backbone[:12]} ({wide} features), "
            f"and this bundle has {known.backbone[:12]} ({known.dimension} features): use one bundle on all devices"
        )


def _check_readable(bundle: Bundle) -> None:
    """Never write what no device could use."""
    content = BundleContent(bundle)
    try:
        _ = content.statistics, content.holdout, content.seen, content.check, content.correction
        _ = [GroupContent(content, name).statistics for name in bundle.groups]
    except BundleError as error:
        raise InputError(
            f"merged, these would make a bundle that no device accepts ({error}); nothing was written"
        ) from None


def _with(statistics: Statistics, export: Export) -> Statistics:
    """Their sum. Moments of single classes along another projection, or where the bundle has none, are left out."""
    return statistics + export.statistics_along(statistics.projection)


def _head(factory: BundleContent, statistics: Statistics) -> Head:
    held = (factory.holdout, factory.holdout_labels)
    origin, correction = factory.bundle.codes.origin, factory.correction
    evidence = gather(statistics, *held, factory.holdout[:0], (), "", origin=origin, correction=correction)
    return fit_head(evidence, factory.rule)


def _objection(factory: BundleContent, head: Head) -> str | None:
    """What the gate of a device would say of the new head on the bundle's held-out photos."""
    answers = on_holdout(head, factory.head(), factory.holdout_labels)
    return confirmed_loss(answers, "held-out photos") or possible_loss(answers, "held-out photos")


def _suspects(factory: BundleContent, chosen: Sequence[Source], names: Mapping[str, str]) -> str:
    """The devices that do harm by themselves, to be looked at first."""
    if not 1 < len(chosen) <= _SUSPECTS:
        return ""
    guilty = []
    for source in chosen:
        alone = _Total(factory.statistics, names)
        alone.add(source.read())
        if _objection(factory, _head(factory, alone.statistics())):
            guilty.append(source.device[:8])
    return f"; look at the labels of device {', '.join(sorted(set(guilty)))}" if guilty else ""
