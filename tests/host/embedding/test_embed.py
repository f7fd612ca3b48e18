"""Embedding on every core."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_backbone, write_photos

from edgetl.data.duplicates import difference_hash
from edgetl.embedding.embed import embed_device, embed_files, embed_with
from edgetl.embedding.workers import on_every_core, worker_count
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


def test_embeddings_are_the_same_bytes_in_the_same_order_for_any_number_of_workers(files) -> None:
    backbone = tiny_backbone()
    alone = np.stack([backbone.embed(read_photo(path)) for path in files[:5] + files[6:-1]])
    for workers in (1, 2, 7):
        embedded = embed_device(backbone, files, workers)
        assert embedded.values.tobytes() == alone.tobytes(), workers
        assert embedded.rows == (*range(5), *range(6, 39))
        assert [str(files[5]) in embedded.skipped[0], str(files[-1]) in embedded.skipped[1]] == [True, True]
    digests = [hashlib.sha256(files[row].read_bytes()).digest() for row in embedded.rows]
    assert list(embedded.digests) == digests


def test_what_is_known_is_not_embedded_and_hashes_are_made_where_they_are_asked_for(files) -> None:
    backbone = tiny_backbone()
    known = hashlib.sha256(files[0].read_bytes()).digest()
    first, second = embed_files(
        files[:2], backbone.preprocessing, lambda: backbone.embed_photo, 1, known=known.__eq__, hashed=True
    )
    assert not isinstance(first, PhotoError) and not isinstance(second, PhotoError)
    assert (first.digest, first.value.size) == (known, 0)
    assert second.value.tobytes() == backbone.embed(read_photo(files[1])).tobytes()
    assert second.hash.tobytes() == difference_hash(backbone.preprocessing(read_photo(files[1]))).tobytes()


def test_every_worker_has_a_function_of_its_own_that_one_thread_calls() -> None:
    threads: dict[int, set[int]] = {}
    together = threading.Barrier(3, timeout=20)

    def make():
        number = len(threads)
        calls = threads.setdefault(number, set())

        def function(item: int) -> int:
            if not calls:
                together.wait()  # so that each of the three is at work
            calls.add(threading.get_ident())
            return item * item

        return function

    assert list(on_every_core(make, range(500), 3)) == [item * item for item in range(500)]
    assert [len(calls) for calls in threads.values()] == [1, 1, 1]


def test_an_error_in_a_worker_is_raised_where_its_result_would_be() -> None:
    def divide(item: int) -> float:
        return 1 / (100 - item)

    results = on_every_core(lambda: divide, range(500), 2)
    assert [next(results) for _ in range(96)] == [1 / (100 - item) for item in range(96)]
    with pytest.raises(ZeroDivisionError):
        next(results)


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
    assert [worker_count(size) for size in (1, 4 << 20, 100 << 20, 1 << 30)] == [8, 8, 3, 1]


def test_photos_none_of_which_can_be_read_are_refused_by_name(tmp_path) -> None:
    (tmp_path / "note.jpg").write_text("not a photo")
    with pytest.raises(InputError, match=r"none of 1 photos could be read, for example .*note\.jpg"):
        embed_device(tiny_backbone(), [tmp_path / "note.jpg"])
