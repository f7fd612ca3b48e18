"""Photos embedded on a Ray cluster (https://docs.ray.io): tasks in, parts out, by Ray Data's pool of actors.

Ray Data keeps as many tasks on their way as the actors can take, and gives the tasks of a lost worker to another one.
Its own readers are not used: they decode photos in another way than devices do. Workers need ``edgetl-device`` and what
the extra ``ray`` installs; this package's modules travel with the job.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import time
import warnings
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgetl_device.errors import EdgetlError, InputError

from .engines import Advance, Job, LocalEngine
from .listing import Task
from .parts import Part

log = logging.getLogger("edgetl.embedding")

_MOST_WAITING = 256 << 20  # bytes of packed tasks that the cluster holds at once: some 20 million photos
_ATTEMPTS = 3  # to start Ray: it gives itself 30 s, which a busy machine exceeds
_PAUSE_S = 5.0
_LONGEST_REASON = 300
_RETRIES = 10  # of a task whose worker was lost: a photo that ends every worker is not tried for ever
_OURS = "edgetl_device.errors."
_CAUSE = re.compile(r"^(edgetl_device\.errors\.)?\w[\w.]*(?:Error|Exception): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class RayEngine:
    """A Ray cluster.

    Args:
        address: ``ray://HOST:PORT`` of one that runs; nothing for one on this machine, for the time of a run.
    """

    address: str = ""

    def embed(self, job: Job, tasks: Iterable[Task], advance: Advance) -> Generator[Part, None, None]:
        """Each task's part, in the order in which they are done."""
        ray = _ray()
        waiting = iter(tasks)
        first = next(waiting, None)
        if first is None:  # of a run that was interrupted at its end
            return
        with connected(self.address):
            actors = max(1, int(ray.cluster_resources().get("CPU", 1)))
            log.info("embedding on %d cores of %d machines", actors, len(ray.nodes()))
            shared = [
                ray.put(pickle.dumps(job))
            ]  # by reference: an actor that is started again finds it, for this process keeps it
            run = _through_client(ray) if self.address else rows_of_parts
            while first is not None:
                packed, first = _packed(first, waiting)
                for row in run(packed, shared, actors):
                    part: Part = pickle.loads(row)  # of our own workers
                    advance(part.photos + len(part.skipped))
                    yield part


def _packed(first: Task, waiting: Iterator[Task]) -> tuple[list[bytes], Task | None]:
    """As many tasks as the cluster is to hold at once, and the next one."""
    packed = [_pack(first)]
    size = len(packed[0])
    for task in waiting:
        if size >= _MOST_WAITING:
            return packed, task
        packed.append(_pack(task))
        size += len(packed[-1])
    return packed, None


def _pack(task: Task) -> bytes:
    return zlib.compress(pickle.dumps(task), 1)


def rows_of_parts(packed: list[bytes], shared: list[Any], actors: int) -> Iterator[bytes]:
    """Packed tasks → pickled parts, as soon as they are done; runs on a machine of the cluster.

    Args:
        shared: of :class:`Embedder`.
        actors: how many embed at once.
    """
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.from_items([{"task": each} for each in packed], override_num_blocks=len(packed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray 2.60 has no other way to say how often
        done = dataset.map_batches(
            Embedder,
            fn_constructor_args=(shared,),
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(packed))),
            num_cpus=1,
            max_task_retries=_RETRIES,
        )
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)  # it tells every step
    try:
        for batch in done.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
            for row in batch.column("part"):
                yield row.as_py()
    except EdgetlError:
        raise
    except Exception as error:  # Ray's own, around whatever a worker raised
        raise _told(error) from None


def _through_client(ray: Any) -> Callable[[list[bytes], list[Any], int], Iterator[bytes]]:
    """Ray Data, run by an actor: it does not run on a machine that is no part of the cluster."""

    class Coordinator:  # local, so that it is sent whole: the server that hands it on has nothing of this package
        def load(self, packed: list[bytes], shared: list[Any], actors: int) -> None:
            from edgetl.embedding.ray_engine import rows_of_parts

            self.rows = rows_of_parts(packed, shared, actors)

        def next(self) -> bytes | None:
            return next(self.rows, None)

    coordinator = ray.remote(num_cpus=0)(Coordinator).remote()

    def rows(packed: list[bytes], shared: list[Any], actors: int) -> Iterator[bytes]:
        try:
            ray.get(coordinator.load.remote(packed, shared, actors))
            while (row := ray.get(coordinator.next.remote())) is not None:
                yield row
        except Exception as error:  # Ray's own, around whatever was raised there
            raise _told(error) from None

    return rows


class Embedder:
    """One actor: a backbone, and the tasks that it is given.

    Args:
        shared: a reference to the pickled job, in a list, so that Ray hands it on as it is.
    """

    def __init__(self, shared: list[Any]) -> None:
        import ray

        job: Job = pickle.loads(ray.get(shared[0]))
        self._backbone = job.backbone()
        self._engine = LocalEngine(1)

    def __call__(self, batch: Any) -> Any:
        """A table with the column ``task`` → one with the column ``part``."""
        import pyarrow

        tasks = [pickle.loads(zlib.decompress(each.as_py())) for each in batch.column("task")]
        parts = self._engine.embed_by(self._backbone, tasks, lambda count: None)
        return pyarrow.table({"part": pyarrow.array([pickle.dumps(part) for part in parts], pyarrow.large_binary())})


def _told(error: Exception) -> EdgetlError:
    """What went wrong on the cluster, in one line: Ray's text tells the innermost cause first."""
    cause = _CAUSE.search(str(error))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason = cause[2] if cause and cause[1] == _OURS else cause[0] if cause else lines[-1]
    return InputError(f"the Ray cluster gave up: {reason[:_LONGEST_REASON]}")


@contextmanager
def connected(address: str, cores: int | None = None) -> Iterator[None]:
    """Connected to a cluster, or with one on this machine; what was connected before stays so.

    Args:
        cores: of the one on this machine; None for all.

    Raises:
        InputError: it cannot be reached, or started.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address:
        options |= {"address": address, "runtime_env": {"py_modules": [str(Path(__file__).parents[1])]}}
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told without being asked
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what ends the run is told in one line
        options |= {"address": "local", "include_dashboard": False, "num_cpus": cores}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            ray.init(**options)
            break
        except Exception as error:  # of many kinds: time-outs, refused connections, other versions
            ray.shutdown()
            answered = "from server" in str(error)  # a cluster that is busy starts what we need too late
            if attempt == _ATTEMPTS or (address and not answered):
                where = f"reach the Ray cluster at {address}" if address else "start Ray on this machine"
                reason = " ".join(str(error).split())[:_LONGEST_REASON]
                raise InputError(f"cannot {where}: {reason}") from None
            log.warning("Ray did not start in time (attempt %d of %d): trying again", attempt, _ATTEMPTS)
            time.sleep(_PAUSE_S)
    try:
        yield
    finally:
        ray.shutdown()


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("the engine ray is not installed: pip install 'edgetl[ray]'") from None
    return ray
