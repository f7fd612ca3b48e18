"""Embedding on every core."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_backbone, write_photos
from processes import is_running, wait_for

from edgetl.data.hashes import difference_hash
from edgetl.embedding import crew
from edgetl.embedding.embed import EmbeddedPhoto, FileEmbedder, embed_device, embed_files, embed_with
from edgetl.embedding.photo import NOTHING
from edgetl.embedding.worker import photos_of, result_of
from edgetl.embedding.workers import worker_count
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.inference.backbone import Backbone
from edgetl_device.photos import read_photo


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty photos, of which the sixth is none and the last is gone."""
    folder = write_photos(tmp_path_factory.mktemp("embedding"), ("ball", "box"), 20)
    found = sorted(folder.rglob("*.png"))
    found[5].write_text("not a photo")
    found[-1].unlink()
    return found


@pytest.fixture
def started(monkeypatch) -> list[crew._Worker]:
    """The other processes that embedded; they are started however little there is to do."""
    workers: list[crew._Worker] = []

    class Worker(crew._Worker):
        def __init__(self, setup: int) -> None:
            super().__init__(setup)
            workers.append(self)

    monkeypatch.setattr(crew, "_WORTH_S", 0.0)
    monkeypatch.setattr(crew, "_Worker", Worker)
    return workers


@pytest.mark.parametrize(("before", "others"), [(0.0, 1), (1e9, 0)])
def test_of_a_stream_others_embed_once_so_much_was_done_as_they_take_to_start(
    files, started, monkeypatch, before, others
) -> None:
    monkeypatch.setattr(crew, "_START_S", before)
    list(embed_with(tiny_backbone(), iter(files), 2))
    assert len(started) == others


def taken_by_others(monkeypatch) -> list[int]:
    """How many photos are in each batch that another process has done."""
    counts: list[int] = []
    read = crew.photos_of
    monkeypatch.setattr(crew, "photos_of", lambda *given: counts.append(given[2]) or read(*given))
    return counts


def test_embeddings_are_the_same_bytes_in_the_same_order_for_any_number_of_workers(files, started, monkeypatch) -> None:
    backbone, elsewhere = tiny_backbone(), taken_by_others(monkeypatch)
    alone = np.stack([backbone.embed(read_photo(path)) for path in files[:5] + files[6:-1]])
    for workers in (1, 3):
        embedded = embed_device(backbone, files, workers)
        assert embedded.values.tobytes() == alone.tobytes(), workers
        assert embedded.rows == (*range(5), *range(6, 39))
        assert [str(files[5]) in embedded.skipped[0], str(files[-1]) in embedded.skipped[1]] == [True, True]
    digests = [hashlib.sha256(files[row].read_bytes()).digest() for row in embedded.rows]
    assert list(embedded.digests) == digests
    assert elsewhere, "others did their share"
    assert [worker.process.returncode for worker in started] == [-9, -9]


def test_a_worker_that_is_killed_costs_nothing_but_time(files, started, monkeypatch, caplog) -> None:
    backbone = tiny_backbone()
    alone = embed_device(backbone, files, 1)
    give = crew._Worker.give

    def killed(worker: crew._Worker, batch: crew._Batch) -> None:
        give(worker, batch)
        worker.process.kill()

    monkeypatch.setattr(crew._Worker, "give", killed)
    embedded = embed_device(backbone, files, 2)
    assert embedded.values.tobytes() == alone.values.tobytes() and embedded.skipped == alone.skipped
    assert [worker.process.returncode for worker in started] == [-9]
    assert "ended with code -9; others do its share" in caplog.text


def test_a_worker_that_hangs_is_given_up(files, started, monkeypatch, caplog) -> None:
    backbone = tiny_backbone()
    alone = embed_device(backbone, files, 1)
    give = crew._Worker.give

    def stopped(worker: crew._Worker, batch: crew._Batch) -> None:
        worker.process.send_signal(signal.SIGSTOP)
        give(worker, batch)

    monkeypatch.setattr(crew, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(crew._Worker, "give", stopped)
    embedded = embed_device(backbone, files, 2)
    assert embedded.values.tobytes() == alone.values.tobytes() and embedded.skipped == alone.skipped
    assert "others do its share" in caplog.text and started[0].process.returncode == -9


def test_who_stops_asking_leaves_no_process_behind(files, started) -> None:
    photos = embed_with(tiny_backbone(), files[:5] * 400, 2)
    while not started:
        next(photos)
    photos.close()  # type: ignore[attr-defined]
    assert started[0].process.returncode == -9


@pytest.mark.slow
def test_a_program_that_is_killed_leaves_no_process_behind(files, tmp_path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom conftest import tiny_backbone\n"
        "from edgetl.embedding import crew\nfrom edgetl.embedding.embed import embed_with\n"
        "crew._WORTH_S = 0\nworker = crew._Worker.__init__\n"
        "def tell(self, setup):\n    worker(self, setup)\n    print(self.process.pid, flush=True)\n"
        "crew._Worker.__init__ = tell\n"
        "for _ in embed_with(tiny_backbone(), [Path(sys.argv[1])] * 10**6, 2): pass\n"
    )
    tests = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [tests, tests / "support", *sys.path]))}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(files[0])], stdout=subprocess.PIPE, text=True, env=environment
    ) as program:
        assert program.stdout is not None
        other = int(program.stdout.readline())
        assert Path(f"/proc/{other}").exists()
        program.kill()
    wait_for(lambda: not is_running(other))


def test_what_a_worker_says_arrives_as_it_was() -> None:
    value, digest = np.arange(4, dtype=np.float32), bytes(range(32))
    photos = [
        EmbeddedPhoto(digest, value, np.arange(16, dtype=np.uint8), "12 bits"),
        PhotoError("\udcff.png: it is damaged"),
        EmbeddedPhoto(digest, NOTHING, NOTHING),
    ]
    first, second, third = photos_of(result_of(photos), np.dtype((np.float32, (4,))), 3, hashed=True)
    assert isinstance(first, EmbeddedPhoto) and isinstance(third, EmbeddedPhoto)
    assert (first.digest, first.value.tolist(), first.remark) == (digest, [0, 1, 2, 3], "12 bits")
    assert first.hash.tolist() == list(range(16)) and str(second) == str(photos[1])
    assert (third.digest, third.value.size, third.hash.size) == (digest, 0, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_known_is_not_embedded_and_hashes_are_made_where_they_are_asked_for(files, started, workers) -> None:
    backbone = tiny_backbone()
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in files[:30]]
    data = backbone.interpreter.made_of[0]
    photos = embed_files(
        files[:30], backbone.preprocessing, FileEmbedder(lambda: data), workers,
        known={digests[0][:16], digests[20][:16]}, hashed=True,
    )  # fmt: skip
    for number, photo in enumerate(photos):
        if isinstance(photo, PhotoError):
            continue
        assert photo.digest == digests[number]
        if number in (0, 20):
            assert not photo.value.size
            continue
        prepared = backbone.preprocessing(read_photo(files[number]))
        assert photo.value.tobytes() == backbone.embed_photo(prepared).tobytes()
        assert photo.hash.tobytes() == difference_hash(prepared).tobytes()
    assert len(started) == workers - 1


def test_what_an_embedder_raises_is_raised_where_its_result_would_be(files) -> None:
    left = [3]

    def embedder(photo: np.ndarray) -> np.ndarray:
        left[0] -= 1
        return np.ones(1) / left[0] if left[0] else np.array(1 / left[0])

    photos = embed_files(files[:5], tiny_backbone().preprocessing, embedder)
    with pytest.raises(ZeroDivisionError):
        list(photos)
    assert not left[0]


def test_what_cannot_be_copied_is_run_by_one_worker(files) -> None:
    backbone, threads = tiny_backbone(), set()

    class OnlyOne:
        runtime = "fake"

        def __call__(self, photo: np.ndarray) -> np.ndarray:
            threads.add(threading.get_ident())
            return backbone.interpreter(photo)

    only = Backbone(OnlyOne(), backbone.preprocessing, backbone.transform, "")
    assert len(list(embed_with(only, files, workers=4))) == len(files) and len(threads) == 1


def test_large_models_run_fewer_copies_than_there_are_cores(monkeypatch) -> None:
    monkeypatch.setattr("edgetl.embedding.workers.cores", lambda: 8)
    monkeypatch.setattr("edgetl.embedding.workers._memory_bytes", lambda: 1 << 40)
    assert [worker_count(size) for size in (1, 4 << 20, 100 << 20, 1 << 30)] == [8, 8, 3, 1]


def test_photos_none_of_which_can_be_read_are_refused_by_name(tmp_path) -> None:
    (tmp_path / "note.jpg").write_text("not a photo")
    with pytest.raises(InputError, match=r"none of 1 photos could be read, for example .*note\.jpg"):
        embed_device(tiny_backbone(), [tmp_path / "note.jpg"])


def test_no_more_workers_than_photos_of_the_largest_kind_fit_into_memory(monkeypatch) -> None:
    monkeypatch.setattr("edgetl.embedding.workers.cores", lambda: 8)
    monkeypatch.setattr("edgetl.embedding.workers._memory_bytes", lambda: 2_000_000_000)
    assert worker_count(1) == 3
