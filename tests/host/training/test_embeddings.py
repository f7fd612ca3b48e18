"""Float embeddings: by LiteRT or TensorFlow, kept for the next training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos
from small_backbone import SMALL

from edgetl.backbones.backbone import build
from edgetl.embedding import crew, float_backbone
from edgetl.training import embeddings
from edgetl.training.embeddings import Written, embed_once, embed_to_file
from edgetl_device.errors import InputError

COUNT = 48


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photos; the second is none, the fourth is the third once more, and one is of another size."""
    folder = write_photos(tmp_path_factory.mktemp("embeddings"), ("ball", "box"), COUNT // 2)
    found = sorted(folder.rglob("*.png"))
    found[1].write_text("not a photo")
    found[3].write_bytes(found[2].read_bytes())
    return found


@pytest.fixture
def counted(monkeypatch, tmp_path) -> Iterator[list[int]]:
    """How many photos each call embedded; the cache is empty."""
    monkeypatch.setenv("EDGETL_CACHE", str(tmp_path / "cache"))
    counts: list[int] = []
    whole = embeddings.embed_float_files

    def counting(*arguments: object, **options: object) -> Iterator[object]:
        counts.append(0)
        for photo in whole(*arguments, **options):  # type: ignore[arg-type]
            counts[-1] += bool(getattr(photo, "value", np.zeros(0)).size)
            yield photo

    monkeypatch.setattr(embeddings, "embed_float_files", counting)
    yield counts


def same(one: Written, other: Written) -> bool:
    return (one.rows, one.skipped, one.hashes.tobytes()) == (other.rows, other.skipped, other.hashes.tobytes())


@pytest.mark.slow
def test_litert_and_tensorflow_give_the_same_embeddings_and_litert_the_same_bytes(files, tmp_path, monkeypatch) -> None:
    model = build(SMALL)
    by_tensorflow = embed_to_file(model, files, SMALL, tmp_path / "tensorflow.npy")
    monkeypatch.setattr(float_backbone, "_WORTH", 0)
    monkeypatch.setattr(crew, "_WORTH_S", 0.0)
    written = []
    for workers in (1, 3):
        monkeypatch.setattr(float_backbone, "worker_count", lambda _, workers=workers: workers)
        assert same(embed_to_file(model, files, SMALL, tmp_path / f"{workers}.npy"), by_tensorflow)
        written.append((tmp_path / f"{workers}.npy").read_bytes())
    assert written[0] == written[1]
    values = np.load(tmp_path / "1.npy")
    np.testing.assert_allclose(values, np.load(tmp_path / "tensorflow.npy"), atol=1e-5 * np.abs(values).max())
    assert len(by_tensorflow.rows) == COUNT - 1 and "not a photo" in by_tensorflow.skipped[0]


@pytest.mark.slow
@pytest.mark.parametrize("worth", [0, 1 << 60], ids=["litert", "tensorflow"])
def test_nothing_is_embedded_twice_and_an_interrupted_training_goes_on(
    files, tmp_path, counted, monkeypatch, worth
) -> None:
    monkeypatch.setattr(float_backbone, "_WORTH", worth)
    model = build(SMALL)
    direct = embed_to_file(model, files, SMALL, tmp_path / "direct.npy")
    first = embed_once(model, files[:40], SMALL, tmp_path / "first.npy")
    again = embed_once(model, files[:40], SMALL, tmp_path / "again.npy")
    assert same(first, again) and (tmp_path / "first.npy").read_bytes() == (tmp_path / "again.npy").read_bytes()
    grown = embed_once(model, files, SMALL, tmp_path / "grown.npy")
    assert same(grown, direct)
    np.testing.assert_allclose(np.load(tmp_path / "grown.npy"), np.load(tmp_path / "direct.npy"), atol=1e-5)
    assert counted == [COUNT - 1, 39, 0, COUNT - 40]
    other = build(SMALL, seed=1)
    embed_once(other, files, SMALL, tmp_path / "other.npy")
    assert counted[-1] == COUNT - 1, "another network"

    def cut_off(*arguments: object, **options: object) -> Iterator[object]:
        photos = float_backbone.embed_float_files(*arguments, **options)  # type: ignore[arg-type]
        yield from (next(photos) for _ in range(37))
        raise KeyboardInterrupt

    third = build(SMALL, seed=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embeddings, "embed_float_files", cut_off)
        with pytest.raises(KeyboardInterrupt):
            embed_once(third, files, SMALL, tmp_path / "third.npy")
    embed_once(third, files, SMALL, tmp_path / "third.npy")
    assert counted[-1] == COUNT - 2 - embeddings.BATCH, "but for a batch that was not full, and the copy"


@pytest.mark.slow
def test_without_room_or_a_place_for_the_cache_everything_is_embedded(files, tmp_path, counted, monkeypatch) -> None:
    model = build(SMALL)
    embed_once(model, files, SMALL, tmp_path / "one.npy", limit=10)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGETL_CACHE", str(tmp_path / "file"))
    embed_once(model, files, SMALL, tmp_path / "two.npy")
    assert counted == [COUNT - 1, COUNT - 1] and not (tmp_path / "cache").exists()
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()
    with pytest.raises(InputError, match="none of 1 photos could be read"):
        embed_once(model, files[1:2], SMALL, tmp_path / "three.npy")
