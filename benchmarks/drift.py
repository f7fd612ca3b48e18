"""How often is a change of scene noticed, how soon, and how often is one reported that never was?"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from edgetl_device.codes import CodeTransform
from edgetl_device.heads.novelty import Novelty, fit_novelty
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.learning.drift import Drift
from edgetl_device.photos import read_photo
from edgetl_device.preprocess import Preprocessing

from .harness import DATA, Report, need
from .situations import BACKBONE, FOLDERS, Codes, Names, backbone, embeddings, halves

DRAWS, DIMMED_PHOTOS = 40, 120
FIRST_SEED = 500  # the bounds were chosen on seeds below 10

Rows = npt.NDArray[np.intp]
NO_ROWS: Rows = np.zeros(0, np.intp)


def known(
    name: str, seed: int, learned: tuple[Codes, Names] | None = None, without: Rows = NO_ROWS
) -> tuple[Novelty, Codes, Names]:
    """What a head knows that has a holdout of 16 % and learned some device samples; then photos it does not hold.

    Drift is told by the holdout and by samples alone, so that its statistics may be of the same photos.
    """
    from edgetl_device.heads.evidence import gather
    from edgetl_device.statistics import statistics_of

    codes, labels = embeddings(name)
    held, rest = _split(labels, seed)
    held = np.setdiff1d(held, without)
    shown, names = learned if learned is not None else (codes[:0], labels[:0])
    texts = tuple(str(label) for label in labels[held])
    factory = statistics_of(codes[held], texts, "b", "r")
    evidence = gather(factory, codes[held], texts, shown, [str(label) for label in names], "r")
    return fit_novelty(evidence), codes[rest], labels[rest]


def _split(labels: Names, seed: int) -> tuple[Rows, Rows]:
    rest, held = halves(labels, 0.16, np.random.default_rng([8, seed]))
    return np.flatnonzero(held), np.flatnonzero(rest)


def noticed(novelty: Novelty, stream: Codes) -> int | None:
    """After how many frames it drifts, or None."""
    drift = Drift(novelty)
    for number, row in enumerate(stream, 1):
        if drift.update(row[None]).state == "drifting":
            return number
    return None


def darker(share: float) -> tuple[Codes, Rows]:
    """Some flowers at a share of their light, embedded by the backbone of all benchmarks; and which they are."""
    from edgetl.data.datasets import find_photos

    interpreter = TFLiteInterpreter(backbone(), threads=2)
    transform = CodeTransform(interpreter.output.zero_point, interpreter.output.shape[1])
    model = Backbone(interpreter, Preprocessing(224, 224), transform, "")
    files = find_photos(need(DATA / FOLDERS["flowers"])).files()
    rows = np.linspace(0, len(files) - 1, DIMMED_PHOTOS).astype(np.intp)
    frames = (cv2.convertScaleAbs(read_photo(files[row]), alpha=share) for row in rows)
    return model.codes(np.stack([model.embed(np.asarray(frame, np.uint8)) for frame in frames])), rows


def main() -> None:
    """Measure and save."""
    report = Report(
        "drift",
        f"Streams of up to 300 photos: share reported as drifting, and after how many; {BACKBONE}",
        seed=FIRST_SEED,
        reach="false alarms ≤ 2 %, other scenes always",
    )

    def measure(stream: str, knows: str, drifted: str, of: Callable[[int], int | None]) -> None:
        found = [of(FIRST_SEED + draw) for draw in range(DRAWS)]
        told = [frames for frames in found if frames is not None]
        median = float(np.median(told)) if told else None
        report.add(stream=stream, knows=knows, scene_changed=drifted, reported=len(told) / DRAWS, median_frames=median)
        print(report.rows[-1], flush=True)

    def shuffled(seed: int, codes: Codes) -> Codes:
        rows = np.random.default_rng([9, seed]).permutation(len(codes))[:300]
        return codes[rows]

    def same(name: str) -> Callable[[int], int | None]:
        def run(seed: int) -> int | None:
            novelty, codes, _ = known(name, seed)
            return noticed(novelty, shuffled(seed, codes))

        return run

    def one_class(seed: int) -> int | None:
        novelty, codes, labels = known("flowers", seed)
        label = np.unique(labels)[seed % 5]
        return noticed(novelty, shuffled(seed, codes[labels == label]))

    def lingering(seed: int) -> int | None:
        novelty, codes, _ = known("flowers", seed)
        return noticed(novelty, np.repeat(shuffled(seed, codes), 30, axis=0)[:3000])

    def other(name: str, knows: str, per_class: int = 0) -> Callable[[int], int | None]:
        def run(seed: int) -> int | None:
            codes, labels = embeddings(name)
            order = np.random.default_rng([10, seed]).permutation(len(codes))
            rows = [row for label in np.unique(labels) for row in order[labels[order] == label][:per_class]]
            novelty, _, _ = known(knows, seed, (codes[rows], labels[rows]) if rows else None)
            rest = np.setdiff1d(np.arange(len(codes)), rows)
            return noticed(novelty, shuffled(seed, codes[rest]))

        return run

    def dim(share: float) -> Callable[[int], int | None]:
        codes, rows = darker(share)
        return lambda seed: noticed(known("flowers", seed, without=rows)[0], shuffled(seed, codes))

    measure("flowers", "flowers", "no", same("flowers"))
    measure("paintings", "paintings", "no", same("art"))
    measure("one kind of flower", "flowers", "no", one_class)
    measure("flowers, 30 frames of each", "flowers", "no", lingering)
    measure("paintings", "flowers", "yes", other("art", "flowers"))
    measure("litter", "flowers", "yes", other("trashnet", "flowers"))
    measure("cartoons", "paintings", "yes", other("cartoon", "art"))
    measure("cartoons", "paintings, 20 cartoons a class", "learned", other("cartoon", "art", 20))
    for share in (0.5, 0.25, 0.1):
        measure(f"flowers at {share:.0%} of their light", "flowers", "partly", dim(share))
    report.save()


if __name__ == "__main__":
    main()
