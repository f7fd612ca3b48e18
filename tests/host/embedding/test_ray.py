"""The engine Ray, on a small real cluster: the same bytes as this machine's cores, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import write_photos
from ports import free_port
from processes import descendants, wait_for

pytest.importorskip("edgetl")
pytest.importorskip("pyarrow")

from test_scale import files_of
from test_sources import samples, write_shard

import edgetl_device
from edgetl.embedding.embeddings import open_embeddings
from edgetl.embedding.engines import Advance, Job, LocalEngine, open_engine
from edgetl.embedding.listing import Task
from edgetl.embedding.parts import Part
from edgetl.embedding.ray_engine import RayEngine
from edgetl.embedding.scale import embed_photos
from edgetl_device.errors import InputError

pytestmark = pytest.mark.filterwarnings("default")  # of Ray's own modules


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, for all tests here; skips where it is not installed."""
    pytest.importorskip("ray", reason="Ray is not installed (pip install 'edgetl[ray]')")
    from edgetl.embedding.ray_engine import connected

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")  # on the loopback; else a token of the user's is made and wanted
        with connected("", cores=2):
            yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in folders and a shard, one photo and one shard damaged."""
    folder = write_photos(tmp_path_factory.mktemp("ray") / "photos", ("ball", "box"), 40)
    (folder / "box" / "0003.png").write_bytes(b"nothing")
    shard = write_shard(folder / "ball" / "a.tar", {f"{key}.png": data for key, _, data in samples(folder)[:9]})
    (folder / "ball" / "b.tar").write_bytes(shard.read_bytes()[:3000])
    return folder


class Killing(RayEngine):
    """Kills the first worker that is there."""

    def embed(self, job: Job, tasks: Iterable[Task], advance: Advance) -> Generator[Part, None, None]:
        killing = threading.Thread(target=lambda: os.kill(wait_for(workers, within_s=300)[0], signal.SIGKILL))
        killing.start()
        yield from super().embed(job, tasks, advance)
        killing.join()


def workers() -> list[int]:
    """Processes of this one's cluster that embed."""
    found = []
    for process in descendants(os.getpid()):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            found += [process] * (b"MapWorker" in Path(f"/proc/{process}/cmdline").read_bytes())
    return found


@pytest.mark.slow
def test_a_cluster_whose_worker_is_killed_gives_the_bytes_of_one_machine(
    cluster, photos, bundle_path, tmp_path
) -> None:
    alone = embed_photos(str(photos), tmp_path / "local", bundle_path, LocalEngine(1), part_photos=3)
    assert len(alone.skipped) == 2
    done = embed_photos(str(photos), tmp_path / "ray", bundle_path, Killing(), part_photos=3)
    assert (done.photos, done.skipped) == (alone.photos, alone.skipped)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")
    assert len(open_embeddings(tmp_path / "ray").parts) > 20


@pytest.mark.slow
def test_what_goes_wrong_in_a_worker_is_one_line(cluster, photos, bundle_path, tmp_path) -> None:
    job = Job(bundle_path.read_bytes(), "tflite-of-nobody")
    with pytest.raises(InputError, match="tflite-of-nobody") as told:
        list(RayEngine().embed(job, tasks_in(photos), lambda count: None))
    assert "\n" not in str(told.value) and len(str(told.value)) < 500


def tasks_in(folder: Path) -> list[Task]:
    from edgetl.embedding.listing import rows_of, tasks_of
    from edgetl.embedding.places import place_of

    return list(tasks_of(rows_of(place_of(str(folder)))))


def test_without_ray_the_message_says_what_to_install(photos, bundle_path, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"the engine ray is not installed: pip install 'edgetl\[ray\]'"):
        embed_photos(str(photos), tmp_path / "emb", bundle_path, open_engine("ray"))


def test_tasks_are_sent_in_loads_that_a_cluster_can_hold(photos, monkeypatch) -> None:
    from edgetl.embedding import ray_engine

    monkeypatch.setattr(ray_engine, "_MOST_WAITING", 1000)
    tasks = tasks_in(photos)
    waiting, first, sent = iter(tasks[1:]), tasks[0], 0
    while first is not None:
        packed, first = ray_engine._packed(first, waiting)
        sent += len(packed)
        assert packed
    assert sent == len(tasks) > 2


@pytest.mark.slow
@pytest.mark.usefixtures("after_the_cluster")
def test_a_cluster_that_runs_elsewhere_is_reached_by_its_address(photos, bundle_path, tmp_path) -> None:
    """Its head runs in an environment without this package: what workers need of it is sent."""
    embed_photos(str(photos), tmp_path / "local", bundle_path, LocalEngine(1), part_photos=40)
    with head(tmp_path) as address:
        embed_photos(str(photos), tmp_path / "ray", bundle_path, open_engine(address), part_photos=40)
    assert files_of(tmp_path / "ray") == files_of(tmp_path / "local")


@pytest.fixture
def after_the_cluster(cluster) -> None:
    """One process is connected to one cluster at a time."""
    import ray

    ray.shutdown()


@contextmanager
def head(folder: Path) -> Iterator[str]:
    """A cluster of one machine → its address."""
    port, client = free_port(), free_port()
    words = ["start", "--head", "--block", f"--port={port}", f"--ray-client-server-port={client}", "--num-cpus=2"]
    words += ["--include-dashboard=false", "--disable-usage-stats", "--min-worker-port=0", "--max-worker-port=0"]
    log = folder / "head.log"
    device = Path(edgetl_device.__path__[0]).parent
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *words],
            env={**os.environ, "PYTHONPATH": str(device)}, cwd=folder, stdout=said, stderr=said,
        )  # fmt: skip
    try:
        wait_for(lambda: "block forever" in log.read_text() or process.poll() is not None, within_s=180)
        assert process.poll() is None, log.read_text()
        yield f"ray://127.0.0.1:{client}"
    finally:
        process.terminate()
        process.wait()
