"""Photos of any number → EMB, on any engine; a run that was killed goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from edgetl_device.bundle.bundle import load_bundle
from edgetl_device.console import is_program
from edgetl_device.errors import InputError
from edgetl_device.inference.backbone import open_tried_backbone
from edgetl_device.progress_bar import shown

from .embeddings import Unfinished, check_place, writing
from .engines import Engine, Job, maker_with
from .listing import PART_PHOTOS, Task, rows_of, tasks_of
from .parts import digest_of, require_pyarrow
from .places import Place, is_address, place_of


@dataclass(frozen=True)
class EmbeddedPhotos:
    """What was embedded.

    Args:
        photos: how many, those of earlier runs included.
        skipped: what is wrong with each of the others, ``name: reason``.
        resumed: how many photos were there already.
        seconds: wall time of this run.
    """

    photos: int
    skipped: tuple[str, ...]
    resumed: int
    seconds: float


def embed_photos(
    source: str,
    output: Path,
    bundle: Path,
    engine: Engine,
    force: bool = False,
    part_photos: int = PART_PHOTOS,
) -> EmbeddedPhotos:
    """Embed photos of a folder, a list, tar shards or an object store with a bundle's backbone, into Parquet.

    Args:
        source: a path or an address.
        output: folder to write: EMB.
        part_photos: of one part, at most.

    Raises:
        InputError: there are no photos, or ``output`` may not be written.
        StorageError: it cannot be written.
    """
    require_pyarrow()
    started = time.perf_counter()
    place = place_of(source)
    check_place(output, force)
    with shown("looking for photos") if is_program() else nullcontext():
        parts, total, by_part = _count(place, part_photos)
    opened, data = load_bundle(bundle)
    job, maker = Job(data), maker_with(open_tried_backbone(opened))
    absolute = str(place) if is_address(source) else str(Path(source).resolve())
    with writing(output, maker, job.bundle, absolute, force) as unfinished:
        work = _Work(unfinished, place, part_photos)
        what = "embedding shards" if by_part else "embedding photos"
        with shown(what, parts if by_part else total) if is_program() else nullcontext(lambda: None) as tick:
            progress = _Progress(tick, by_part)
            with closing(engine.embed(job, work.left(progress), progress.photos)) as done:
                for part in done:
                    unfinished.add(part)
                    work.took(part.photos, part.skipped)
                    progress.part()
        if not work.photos:
            unfinished.remove()
            raise InputError(f"none of {len(work.skipped)} photos of {place} could be read, such as {work.skipped[0]}")
        unfinished.finish(work.parts, work.photos, len(work.skipped))
    return EmbeddedPhotos(work.photos, tuple(sorted(work.skipped)), work.resumed, time.perf_counter() - started)


def _count(place: Place, part_photos: int) -> tuple[int, int, bool]:
    """How many parts and photos there are, and whether only parts can be counted; raises InputError of nothing."""
    parts = photos = shards = 0
    for task in tasks_of(rows_of(place), part_photos):
        parts, photos, shards = parts + 1, photos + len(task.rows), shards + task.rows[0].is_shard
    if not parts:
        raise InputError(f"{place} holds no photos")
    return parts, photos, shards > 0


class _Progress:
    """Of photos; of parts where nobody knows how many photos there will be."""

    def __init__(self, tick: Callable[[], None], by_part: bool) -> None:
        self._tick, self._by_part = tick, by_part

    def photos(self, count: int) -> None:
        """So many more are done."""
        for _ in range(0 if self._by_part else count):
            self._tick()

    def part(self) -> None:
        """One more is done."""
        if self._by_part:
            self._tick()


class _Work:
    """The tasks that are left, and a count of all."""

    def __init__(self, unfinished: Unfinished, place: Place, part_photos: int) -> None:
        self._unfinished, self._place, self._part_photos = unfinished, place, part_photos
        self.parts = self.photos = self.resumed = 0
        self.skipped: list[str] = []

    def left(self, progress: _Progress) -> Iterator[Task]:
        """Tasks without a part; what is there is counted."""
        for task in tasks_of(rows_of(self._place), self._part_photos):
            self.parts += 1
            if self._unfinished.has(task.number, digest_of(task)):
                photos, skipped = self._unfinished.skipped_of(task.number)
                self.took(photos, skipped)
                self.resumed += photos
                progress.photos(photos + len(skipped))
                progress.part()
            else:
                yield task

    def took(self, photos: int, skipped: Iterable[str]) -> None:
        """One part more."""
        self.photos += photos
        self.skipped += skipped
