import numpy as np
import pytest

from edgetl_device.errors import HomeError, StorageError
from edgetl_device.store import MIGRATIONS, Store

RAW = np.arange(12, dtype=np.int8).reshape(3, 4)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "device.sqlite"


def test_samples_are_there_after_reopening(path) -> None:
    ids = Store(path).add_samples("cat", RAW, "backbone", "litert-1")
    found, labels, raw = Store(path).embeddings("backbone", 4)
    assert found == ids and labels == ["cat"] * 3 and (raw == RAW).all()


def test_samples_of_another_backbone_are_not_mixed_in(path) -> None:
    store = Store(path)
    store.add_samples("cat", RAW, "one", "r")
    store.add_samples("dog", RAW, "two", "r")
    assert [row.label for row in store.samples("one")] == ["cat"] * 3
    assert store.embeddings("three", 4)[2].shape == (0, 4)


def test_a_failed_step_leaves_nothing_behind(path) -> None:
    store = Store(path)
    with pytest.raises(ZeroDivisionError), store.transaction():
        store._event("learn", {})
        raise ZeroDivisionError
    assert list(store._rows("SELECT count(*) FROM events")) == [(0,)]


def test_a_new_version_and_its_activation_are_one_step(path) -> None:
    store = Store(path)
    first = store.add_version("bundle", "factory", "installed", "lda", 0, b"head", {}, activate=True)
    second = store.add_version("bundle", "rejected", "worse", "lda", 3, b"head", {"accuracy": 0.5}, activate=False)
    assert store.active("bundle") == first and second == first + 1
    assert [row.state for row in store.versions("bundle")] == ["factory", "rejected"]
    assert store.versions("bundle")[1].metrics == {"accuracy": 0.5} and store.versions("other") == []


def test_forgetting_leaves_no_trace_in_the_files(path) -> None:
    secret = np.frombuffer(b"a-secret-embedding-of-64-bytes--" * 2, np.int8)[None]
    store = Store(path)
    ids = store.add_samples("cat", secret, "backbone", "r")

    def traces() -> bool:
        return any(secret.tobytes() in file.read_bytes() for file in path.parent.iterdir())

    assert traces()
    store.remove_samples("backbone", ids)
    assert not traces()


def test_forgetting_clears_the_heads_that_had_learned_it_and_no_others(path) -> None:
    store = Store(path)
    first = store.add_samples("cat", RAW[:1], "backbone", "r")
    store.add_version("b", "promoted", "", "lda", first[-1], b"one", {}, activate=True)
    second = store.add_samples("cat", RAW[1:2], "backbone", "r")
    store.add_version("b", "promoted", "", "lda", second[-1], b"two", {}, activate=True)
    store.remove_samples("backbone", second)
    assert [row.head for row in store.versions("b")] == [b"one", None]


def test_ids_are_never_used_again(path) -> None:
    store = Store(path)
    ids = store.add_samples("cat", RAW, "backbone", "r")
    store.remove_samples("backbone", ids)
    assert min(store.add_samples("cat", RAW, "backbone", "r")) > max(ids)


def test_a_file_that_is_no_store_is_refused_and_left_alone(path) -> None:
    path.write_bytes(b"these are my notes, not a database" * 100)
    with pytest.raises(HomeError, match="not a store"):
        Store(path)
    assert path.read_bytes().startswith(b"these are my notes")


def test_a_store_of_a_newer_edgetl_asks_for_an_update(path) -> None:
    Store(path)._db.pragma("user_version", len(MIGRATIONS) + 1)
    with pytest.raises(HomeError, match="newer edgetl"):
        Store(path)


def test_a_busy_store_says_so(path, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.store.BUSY_TIMEOUT_MS", 50)
    one, other = Store(path), Store(path)
    with one.transaction(), pytest.raises(StorageError, match="in use by another process"):
        other.add_samples("cat", RAW, "backbone", "r")
    assert other.add_samples("cat", RAW, "backbone", "r") == [1, 2, 3]


def test_a_full_database_is_a_clear_error_and_the_store_goes_on(path) -> None:
    store = Store(path)
    pages = store._db.pragma("page_count")
    store._db.pragma("max_page_count", pages + 2)
    with pytest.raises(StorageError, match="free some disk space"):
        store.add_samples("cat", np.zeros((50, 1000), np.int8), "backbone", "r")
    assert store.samples("backbone") == []
    store._db.pragma("max_page_count", 10**6)
    assert len(store.add_samples("cat", RAW, "backbone", "r")) == 3
