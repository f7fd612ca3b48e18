"""Photos to learn from, as arrays: an archive of small photos, and machine parts rendered by this project."""

from __future__ import annotations

import tarfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

UNSEEN_KINDS = ("bearing", "hinge", "hook")
"""Rendered kinds left out, so that there remain rendered things that the student has never seen."""

_PART_SEED = 1_000_003  # the demo and the tests use small seeds: none of these photos is shown there


def read_archives(paths: list[Path], part: str) -> tuple[np.ndarray, np.ndarray]:
    """Photos `part/CLASS/….JPEG` of .tar.gz archives, all of one square size.

    Returns:
        (n, side, side, 3) uint8 RGB, and (n,) int64 labels: places in the sorted names of classes. Nothing here learns
        from the labels; they serve to measure.
    """
    names, contents = [], []
    for path in paths:
        with tarfile.open(path) as archive:
            for member in archive:
                pieces = member.name.split("/")
                if member.isfile() and pieces[-3:-2] == [part]:
                    names.append(pieces[-2])
                    contents.append(archive.extractfile(member).read())  # type: ignore[union-attr]
    if not names:
        raise SystemExit(f"{paths[0]}: expected photos {part}/CLASS/NAME.JPEG, found none")
    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(_decoded, contents)))
    return images, np.unique(names, return_inverse=True)[1]


def rendered_parts(per_kind: int, side: int) -> np.ndarray:
    """Photos of the rendered kinds that may be learned from, all lights in turn: (n, side, side, 3) uint8 RGB."""
    from edgetl_device import parts

    kinds = [kind for kind in parts.KINDS if kind not in UNSEEN_KINDS]
    jobs = [(kind, number, side) for kind in kinds for number in range(per_kind)]
    with ProcessPoolExecutor() as pool:
        return np.stack(list(pool.map(_rendered, jobs, chunksize=50)))


def _decoded(content: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit("a photo of the archive cannot be decoded; expected JPEG or PNG")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _rendered(job: tuple[str, int, int]) -> np.ndarray:
    from edgetl_device import parts

    kind, number, side = job
    light = parts.LIGHTS[number % len(parts.LIGHTS)]
    return cv2.cvtColor(parts.render(kind, light=light, size=side, seed=_PART_SEED + number), cv2.COLOR_BGR2RGB)
