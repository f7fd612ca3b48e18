"""Where photos are embedded: on this machine's cores, or on an engine that others maintain.

An engine takes tasks and gives parts, in any order, and does a task again whose worker was lost. A part depends on its
task alone, so every engine, partition and retry gives the same bytes.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgetl_device.bundle.bundle import read_bundle
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.inference.backbone import Backbone, open_backbone

from .embed import embed_with
from .items import Item, items_of
from .listing import Task
from .parts import Maker, Part, part_of
from .photo import EmbeddedPhoto

Advance = Callable[[int], None]
"""Is told how many photos more are done."""

_NOTHING = PhotoError("")


@dataclass(frozen=True)
class Job:
    """What every worker has to know; plain data, so that it can be sent.

    Args:
        bundle: the bytes of a bundle file, for its backbone.
        runtime: of the TFLite runtime: ``auto``, ``litert`` or ``tflite``.
    """

    bundle: bytes = field(repr=False)
    runtime: str = "auto"

    def backbone(self) -> Backbone:
        """Ready to run."""
        return open_backbone(read_bundle(self.bundle), self.runtime)


def maker_with(backbone: Backbone) -> Maker:
    """What embeddings of this backbone are made by."""
    return Maker(backbone.digest, backbone.runtime, backbone.transform.to_json())


class Engine(Protocol):
    """Runs tasks somewhere."""

    def embed(self, job: Job, tasks: Iterable[Task], advance: Advance) -> Generator[Part, None, None]:
        """Each task's part, as soon as it is done, in any order; tasks are drawn when there is room for them."""


@dataclass(frozen=True)
class LocalEngine:
    """This machine's cores.

    Args:
        workers: how many processes; None for one a core.
    """

    workers: int | None = None

    def embed(self, job: Job, tasks: Iterable[Task], advance: Advance) -> Generator[Part, None, None]:
        """One stream of photos through one crew of processes, however many tasks there are."""
        return self.embed_by(job.backbone(), tasks, advance)

    def embed_by(self, backbone: Backbone, tasks: Iterable[Task], advance: Advance) -> Generator[Part, None, None]:
        """As :meth:`embed`, with a backbone that is ready."""
        maker = maker_with(backbone)
        with tempfile.TemporaryDirectory(prefix="edgetl-embed-") as spool:
            open_tasks: deque[_Open] = deque()
            files = _files(tasks, Path(spool), open_tasks)
            for result in embed_with(backbone, files, self.workers):
                yield from _finished(open_tasks, maker)
                open_tasks[0].take(result)
                advance(1)
            yield from _finished(open_tasks, maker)


class _Open:
    """A task whose photos are being embedded."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.items: list[Item] = []
        self.results: list[EmbeddedPhoto | PhotoError] = []
        self.listed = False

    @property
    def is_done(self) -> bool:
        self._pass_over()
        return self.listed and len(self.results) == len(self.items)

    def take(self, result: EmbeddedPhoto | PhotoError) -> None:
        """Of the next photo that has a file."""
        self._pass_over()
        self.items[len(self.results)].done()
        self.results.append(result)

    def _pass_over(self) -> None:
        while len(self.results) < len(self.items) and self.items[len(self.results)].file is None:
            self.results.append(_NOTHING)


def _files(tasks: Iterable[Task], spool: Path, open_tasks: deque[_Open]) -> Iterator[Path]:
    for task in tasks:
        current = _Open(task)
        open_tasks.append(current)
        for item in items_of(task, spool):
            current.items.append(item)
            if item.file is not None:
                yield item.file
        current.listed = True


def _finished(open_tasks: deque[_Open], maker: Maker) -> Iterator[Part]:
    while open_tasks and open_tasks[0].is_done:
        done = open_tasks.popleft()
        yield part_of(done.task, done.items, done.results, maker)


def open_engine(name: str) -> Engine:
    """``local``, ``ray``, or ``ray://HOST:PORT`` for a cluster that runs already.

    Raises:
        InputError: there is no such engine.
    """
    if name == "local":
        return LocalEngine()
    if name == "ray" or name.startswith("ray://"):
        from .ray_engine import RayEngine

        return RayEngine(name.removeprefix("ray") and name)
    raise InputError(f"there is no engine {name!r}: expected local, ray or ray://HOST:PORT")
