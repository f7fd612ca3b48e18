"""The cache of activations: nothing is computed twice, and nobody reads another's records."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import write_photos
from small_backbone import SMALL

from edgetl.backbones.backbone import build, cut
from edgetl.data.datasets import Dataset, find_photos
from edgetl.data.streaming import Shot
from edgetl.training.activation_cache import batches_of, fill
from edgetl.training.records import CacheKey, RecordFile
from edgetl_device.photos import read_photo

KINDS = ("ball", "box", "kite", "ring")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return find_photos(write_photos(tmp_path_factory.mktemp("cached"), KINDS, 4, size=96))


def frozen_part(boundary: str | None = None):
    return cut(build(SMALL), boundary, "small")[0]


@pytest.mark.slow
def test_a_second_fill_computes_nothing_and_a_renamed_photo_is_known(dataset, tmp_path) -> None:
    lower = frozen_part()
    recipe = CacheKey(32, 1, 0)
    first = fill(dataset.files(), lower, recipe, folder=tmp_path)
    stamp = first.path.stat().st_size

    def never(*arguments: object, **options: object):
        raise AssertionError("computed again")

    lower.call = never
    moved = tmp_path / "moved.png"
    moved.write_bytes(dataset.files()[3].read_bytes())
    again = fill([*dataset.files(), moved], lower, recipe, folder=tmp_path)
    assert again.records[-1] == first.records[3] and again.path.stat().st_size == stamp
    assert (again.hashes[:-1] == first.hashes).all()


def test_a_torn_record_is_computed_again(tmp_path) -> None:
    cache = RecordFile(tmp_path / "k.float16", (2, 3), 1)
    shots = [Shot(bytes([n]) * 16, (), np.full(16, n, np.uint8)) for n in range(3)]
    values = np.arange(36, dtype=np.float16).reshape(3, 2, 2, 3)
    cache.append(shots, values)
    with cache.path.open("r+b") as stream:
        stream.truncate(2 * cache.record_bytes + 5)
    reopened = RecordFile(cache.path, (2, 3), 1)
    reopened.load_index()
    assert sorted(reopened.rows.values()) == [0, 1]
    assert cache.path.read_bytes() == values[:2].tobytes()


@pytest.mark.slow
def test_caches_of_other_networks_make_room_the_longest_unused_first(dataset, tmp_path) -> None:
    lower = frozen_part("last")
    for number, name in enumerate(("old", "new")):
        (tmp_path / f"{name}.float16").write_bytes(bytes(1000))
        (tmp_path / f"{name}.index").write_bytes(b"")
        os.utime(tmp_path / f"{name}.float16", (number, number))
    files = dataset.files()[:4]
    needed = 4 * 2 * int(np.prod(lower.output_shape[1:]))
    fill(files, lower, CacheKey(32, 0, 0), needed + 1500, tmp_path)
    assert not (tmp_path / "old.float16").exists() and (tmp_path / "new.float16").exists()


@pytest.mark.slow
def test_records_in_use_are_not_deleted_to_make_room(dataset, tmp_path) -> None:
    files, lower = dataset.files(), frozen_part()
    first = fill(files, lower, CacheKey(32, 0, 0), folder=tmp_path)
    expected = first.read(np.arange(len(files))).copy()
    room_for_one = first.path.stat().st_size
    fill(files[::-1], lower, CacheKey(32, 0, 1), room_for_one, tmp_path)
    again = fill(files[4:], lower, CacheKey(32, 0, 0), room_for_one, tmp_path)
    assert (first.read(np.arange(len(files))) == expected).all()
    assert (again.read(np.arange(len(files) - 4)) == expected[4:]).all()


@pytest.mark.slow
def test_two_caches_in_one_process_keep_their_photos_apart(dataset, tmp_path) -> None:
    """Filling a second cache once made room by deleting the first, which was then begun anew in another order."""
    files, model = dataset.files(), build(SMALL)
    lower, upper = cut(model, name="small")
    first = fill(files, lower, CacheKey(32, 0, 0), folder=tmp_path)
    other = fill(files, lower, CacheKey(32, 0, 1), 1, tmp_path)
    turned = fill(files[::-1], lower, CacheKey(32, 0, 0), 1, tmp_path)
    for cached, order in ((first, 1), (other, 1), (turned, -1)):
        values = np.concatenate(list(batches_of(cached, upper)))
        pixels = np.stack([SMALL.preprocessing(read_photo(path)) for path in files])
        np.testing.assert_allclose(values[::order], model(pixels / np.float32(127.5) - 1), rtol=0.02, atol=0.02)


def test_records_that_nobody_uses_any_more_make_room(dataset, tmp_path) -> None:
    files, lower = dataset.files(), frozen_part()
    path = fill(files, lower, CacheKey(32, 0, 0), folder=tmp_path).path
    fill(files, lower, CacheKey(32, 0, 1), 1, tmp_path)
    assert not path.exists() and not path.with_suffix(".index").exists()


def test_records_that_another_process_uses_are_not_deleted(dataset, tmp_path) -> None:
    files, lower = dataset.files(), frozen_part()
    path = fill(files, lower, CacheKey(32, 0, 0), folder=tmp_path).path
    code = f"import fcntl, sys; f = open({str(path)!r}, 'rb'); fcntl.flock(f, fcntl.LOCK_SH); print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        holder.stdout.readline()
        fill(files, lower, CacheKey(32, 0, 1), 1, tmp_path)
        assert path.exists()
        holder.stdin.close()
    fill(files, lower, CacheKey(32, 0, 2), 1, tmp_path)
    assert not path.exists()
