"""EMB → a head: statistics are summed part by part, so memory does not grow with the number of photos.

Statistics are integers: any order of the parts, any partition of the photos gives the same bytes. Which photos are held
out depends on the seed, their names and their labels alone, as in :func:`edgetl.data.datasets.split`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgetl_device.bundle.content import FINGERPRINT_BYTES, MAX_SEEN
from edgetl_device.codes import Int8
from edgetl_device.console import is_program
from edgetl_device.errors import InputError
from edgetl_device.heads.evidence import Evidence, gather
from edgetl_device.heads.head import Head, fit_head, scorer_class
from edgetl_device.heads.registry import DEFAULT, current_name
from edgetl_device.heads.scorer import Scorer
from edgetl_device.labels import check_label_count
from edgetl_device.progress_bar import shown
from edgetl_device.projected import ProjectedMoments, combined, moments_of
from edgetl_device.projection import Projection
from edgetl_device.statistics import Statistics, no_statistics, statistics_of

from ..embedding.embeddings import Embeddings
from ..embedding.parts import Rows
from .directions import leading_directions
from .holdout import most_of_a_class

Hashes = npt.NDArray[np.uint64]

_LAST = np.uint64(2**64 - 1)


@dataclass(frozen=True, eq=False)
class FromEmbeddings:
    """A head fitted on embeddings that were made before.

    Args:
        evidence: what it was fitted on.
        head: itself.
        holdout: (h, d) int8 raw embeddings that go into a bundle, and their h labels.
        seen: fingerprints of the training photos; none where there are more than a bundle can hold.
        held_out: label → how many photos were held out.
        right: label → how many of these the head gets right.
        unlabelled: photos without a label, which are not used.
    """

    evidence: Evidence
    head: Head
    holdout: tuple[Int8, tuple[str, ...]]
    seen: frozenset[bytes]
    held_out: Counter[str]
    right: Counter[str]
    unlabelled: int

    @property
    def photos(self) -> int:
        """That are used, held-out ones included."""
        return self.evidence.factory.samples + self.held_out.total()

    @property
    def accuracy(self) -> float:
        """On all held-out photos, 0 … 1."""
        return self.right.total() / self.held_out.total()

    @property
    def per_class(self) -> dict[str, float | None]:
        """Recall of each class; None for a class with nothing held out."""
        held = self.held_out
        return {label: self.right[label] / held[label] if held[label] else None for label in self.evidence.labels}


def fit_embeddings(
    embeddings: Embeddings, rule: str = DEFAULT, val_split: float = 0.2, seed: int = 0
) -> FromEmbeddings:
    """Fit a head, and measure it on the photos that are held out.

    Args:
        rule: a learning rule that needs nothing but statistics.
        val_split: share of each class to hold out, where the photos bring no ``val`` or ``test`` of their own.

    Raises:
        InputError: there are too few classes or photos, or the rule needs all embeddings at once.
    """
    rule = _from_statistics(rule)
    steps = _Steps(embeddings)
    drawn = _draw(steps.rows("choosing what is held out", "path", "label", "split", "sha256"), val_split, seed)
    statistics, holdout, seen = _summed(steps.rows("adding statistics"), drawn, embeddings)
    if not statistics.samples or not drawn.held:
        raise InputError("no photo is left to train on, or none to hold out: give each class two photos at least")
    transform = embeddings.maker.transform
    projection = leading_directions(statistics)
    if projection is not None:
        moments = _moments(steps.rows("adding moments"), drawn, projection, statistics, embeddings)
        statistics = replace(statistics, projected=moments)
    raw, labels = holdout
    evidence = gather(
        statistics, transform(raw), labels, transform(raw[:0]), (), embeddings.maker.runtime, origin=transform.origin
    )
    head = fit_head(evidence, rule)
    right = _right(steps.rows("checking the head"), drawn, head, embeddings)
    return FromEmbeddings(evidence, head, holdout, seen, drawn.held, right, drawn.unlabelled)


def _from_statistics(rule: str) -> str:
    rule = current_name(rule)
    if scorer_class(rule).correction.__func__ is not Scorer.correction.__func__:  # type: ignore[attr-defined]
        raise InputError(
            f"the head {rule} learns from all embeddings at once, which may not fit into memory: choose another --head"
        )
    return rule


class _Steps:
    """Passes over the embeddings, each with a bar."""

    def __init__(self, embeddings: Embeddings) -> None:
        self._embeddings = embeddings

    def rows(self, what: str, *columns: str) -> Iterator[Rows]:
        with shown(what, self._embeddings.photos) if is_program() else nullcontext(lambda: None) as tick:
            for rows in self._embeddings.rows(*columns):
                yield rows
                for _ in rows.labels:
                    tick()


@dataclass(frozen=True)
class _Drawn:
    """Which photos are held out, and which of those go into the bundle: those whose hash is not above a limit.

    Args:
        seed: of the hashes.
        limits: label → largest hash of a held-out photo, where splits are drawn; None where photos bring their own.
        kept: label → largest hash of a held-out photo that goes into the bundle.
        held: label → how many are held out.
        unlabelled: photos without a label.
    """

    seed: int
    limits: dict[str, np.uint64] | None
    kept: dict[str, np.uint64]
    held: Counter[str]
    unlabelled: int

    def masks(self, rows: Rows) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which photos (n,) are trained on, held out, and go into the bundle."""
        labelled = np.array([bool(label) for label in rows.labels], bool)
        hashes = _hashes(self.seed, rows.paths)
        if self.limits is None:
            held = labelled & np.array([split in ("val", "test") for split in rows.splits], bool)
        else:
            held = labelled & _within(hashes, rows.labels, self.limits)
        return labelled & ~held, held, held & _within(hashes, rows.labels, self.kept)


def _draw(batches: Iterable[Rows], val_split: float, seed: int) -> _Drawn:
    """Eight bytes of each photo are held, to find the limits exactly."""
    if not 0 < val_split < 0.9:
        raise InputError(f"the held-out share must be above 0 and below 0.9, got {val_split}")
    pools: dict[tuple[str, bool], list[Hashes]] = {}
    unlabelled = 0
    for rows in batches:
        keys = list(zip(rows.labels, (split in ("val", "test") for split in rows.splits), strict=True))
        hashes, numbers = _hashes(seed, rows.paths), {key: number for number, key in enumerate(dict.fromkeys(keys))}
        places = np.array([numbers[key] for key in keys], np.intp)
        for key, number in numbers.items():
            own = hashes[places == number]
            if key[0]:
                pools.setdefault(key, []).append(own)
            else:
                unlabelled += len(own)
    sizes = {key: sum(map(len, parts)) for key, parts in pools.items()}
    labels = sorted({label for label, _ in pools})
    if len(labels) < 2:
        raise InputError(
            f"these embeddings are of {len(labels)} classes: at least two are needed to tell apart"
            + (f"; {unlabelled} photos have no label" if unlabelled else "")
        )
    check_label_count(len(labels), "leave some out")
    brought = any(held for _, held in pools)
    most = most_of_a_class(len(labels))
    limits, kept, held = dict[str, np.uint64](), dict[str, np.uint64](), Counter[str]()
    for label in labels:
        if brought:
            count, pool = sizes.get((label, True), 0), pools.get((label, True), [])
        else:
            size = sizes[label, False]
            count, pool = min(size - 1, max(1, round(val_split * size))), pools[label, False]
        if count:
            ordered = np.sort(np.concatenate(pool))
            held[label], limits[label] = count, ordered[count - 1]
            kept[label] = ordered[min(count, most) - 1]
    untrained = [label for label in labels if not sizes.get((label, False), 0)]
    if untrained:
        raise InputError(f"class {untrained[0]!r} has no photo to train on: all of its photos are in val or test")
    return _Drawn(seed, None if brought else limits, kept, held, unlabelled)


def _hashes(seed: int, paths: Sequence[str]) -> Hashes:
    """(n,) the first eight bytes of what :func:`~edgetl.data.datasets.split` draws by."""
    start = hashlib.sha256(f"{seed}:".encode())
    data = bytearray()
    for path in paths:
        one = start.copy()
        one.update(path.encode("utf-8", "surrogatepass"))
        data += one.digest()[:8]
    return np.frombuffer(bytes(data), ">u8").astype(np.uint64)


def _within(hashes: Hashes, labels: Sequence[str], limits: dict[str, np.uint64]) -> npt.NDArray[np.bool_]:
    known = np.array([label in limits for label in labels], bool)
    return known & (hashes <= np.array([limits.get(label, _LAST) for label in labels], np.uint64))


def _summed(
    batches: Iterable[Rows], drawn: _Drawn, embeddings: Embeddings
) -> tuple[Statistics, tuple[Int8, tuple[str, ...]], frozenset[bytes]]:
    """Statistics of the training photos, the holdout, and fingerprints of what was trained on."""
    maker = embeddings.maker
    total = _Tree(no_statistics(maker.backbone, maker.transform.dimension).folded())
    raw, labels, seen = [np.zeros((0, maker.transform.dimension), np.int8)], list[str](), set[bytes]()
    for rows in batches:
        train, _, kept = drawn.masks(rows)
        raw.append(rows.raw[kept])
        labels += [rows.labels[row] for row in np.flatnonzero(kept)]
        chosen = np.flatnonzero(train)
        if len(seen) <= MAX_SEEN:
            seen.update(rows.digests[row][:FINGERPRINT_BYTES] for row in chosen)
        if len(chosen):
            codes = maker.transform(rows.raw[chosen])
            total.add(statistics_of(codes, [rows.labels[row] for row in chosen], maker.backbone, maker.runtime))
    fingerprints = frozenset(seen) if len(seen) <= MAX_SEEN else frozenset[bytes]()
    return total.sum(), (np.concatenate(raw), tuple(labels)), fingerprints


class _Tree:
    """A sum of which parts of the same size are added: log n of them wait, and integers stay small for long."""

    def __init__(self, nothing: Statistics) -> None:
        self._nothing = nothing
        self._levels: list[Statistics | None] = []

    def add(self, part: Statistics) -> None:
        carried = part.folded()
        for level, waiting in enumerate(self._levels):
            if waiting is None:
                self._levels[level] = carried
                return
            self._levels[level], carried = None, waiting + carried
        self._levels.append(carried)

    def sum(self) -> Statistics:
        total = self._nothing
        for waiting in self._levels:
            if waiting is not None:
                total = total + waiting
        return total


def _moments(
    batches: Iterable[Rows], drawn: _Drawn, projection: Projection, statistics: Statistics, embeddings: Embeddings
) -> ProjectedMoments | None:
    row_of = {label: row for row, label in enumerate(statistics.labels)}
    places = [np.arange(len(row_of))] * 2
    total: ProjectedMoments | None = None
    for rows in batches:
        chosen = np.flatnonzero(drawn.masks(rows)[0])
        codes = embeddings.maker.transform(rows.raw[chosen])
        part = moments_of(projection, codes, [row_of[rows.labels[row]] for row in chosen], len(row_of))
        total = combined(total, part, places, len(row_of), 1)
    return total


def _right(batches: Iterable[Rows], drawn: _Drawn, head: Head, embeddings: Embeddings) -> Counter[str]:
    right = Counter[str]()
    for rows in batches:
        held = np.flatnonzero(drawn.masks(rows)[1])
        if len(held):
            found = head.predict(embeddings.maker.transform(rows.raw[held]))[0].argmax(axis=1)
            right.update(
                label for row, best in zip(held, found, strict=True) if (label := rows.labels[row]) == head.labels[best]
            )
    return right
