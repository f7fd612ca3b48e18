"""A group's labels, read from a store that holds many."""

from collections.abc import Callable

import numpy as np
from sqlite_steps import steps_of

from edgetl_device.store.group_store import GroupStore
from edgetl_device.store.same_photos import same_photos
from edgetl_device.store.store import Store

ROWS = np.arange(8, dtype=np.int8).reshape(2, 4)


def test_what_is_asked_all_the_time_costs_the_same_however_many_labels_there_are(tmp_path) -> None:
    store = Store(tmp_path / "store.sqlite")
    light = GroupStore(store, "light")
    first = store.add_samples("gear", ROWS, "b", "r", groups={"side": "up", "light": "dim"})

    def asked() -> dict[str, int]:
        newest = list(light.embeddings("b", 4))[-1][0][-1]
        questions: dict[str, Callable[[], object]] = {
            "names": lambda: store.grouped.names("b"),
            "newest": lambda: light.newest_samples("b", limit=2),
            "label of one": lambda: light.labels_of("b", first[:1]),
            "photo of one": lambda: store.photos("b", first[:1]),
            "what is not learned": lambda: (light.count_after("b", newest), list(light.embeddings("b", 4, newest))),
            "pending": lambda: light.pending("b"),
        }
        return {name: steps_of(store, ask) for name, ask in questions.items()}

    few = asked()
    store.add_samples("gear", np.tile(ROWS, (300, 1)), "b", "r", groups={"side": "up", "light": "dim"})
    many = asked()
    assert {name: many[name] for name in many if many[name] > few[name] + 20} == {}
    assert store.grouped.names("b") == ("light", "side") and store.grouped.names("other") == ()
    store.close()


def different(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 127, (count, 64), np.int8)


def test_a_photo_is_known_again_at_the_same_cost_however_many_are_stored(tmp_path) -> None:
    store = Store(tmp_path / "store.sqlite")
    mine, few = different(3, 0), 2
    store.add_samples("gear", mine, "b", "r")
    store.add_samples("", different(few, 1), "b", "r", groups={"side": "up"})
    light, side = GroupStore(store, "light"), GroupStore(store, "side")

    def asked(row: int) -> int:
        """Looking for a photo: it is there, it is not, and it is there in groups alone."""

        def ask() -> None:
            for raw in (mine[row : row + 1], different(1, 100 + row)):
                same_photos(store.database, "b", "r", [raw.tobytes()], "AND +label = ''")

        return steps_of(store, ask)

    before = asked(0)
    store.add_samples("gear", different(400, 2), "b", "r")
    side.add_samples("up", different(400, 3), "b", "r")
    light.add_samples("dim", different(400, 4), "b", "r")
    assert asked(1) <= before + 10
    ids = light.add_samples("dim", mine, "b", "r")
    assert ids == [1, 2, 3] and store.count() == 3 + few + 1200
    store.close()


def test_photos_that_begin_alike_are_told_apart_and_other_runtimes_are_others(tmp_path) -> None:
    store = Store(tmp_path / "store.sqlite")
    rows = np.zeros((3, 64), np.int8)
    rows[1, 63], rows[2, 40] = 1, 1
    first = store.add_samples("gear", rows, "b", "r")
    light = GroupStore(store, "light")
    assert light.add_samples("dim", rows[[2, 0]], "b", "r") == [first[2], first[0]]
    (other,) = light.add_samples("dim", rows[1:2], "b", "another runtime")
    assert other not in first and light.add_samples("dim", rows[1:2], "b", "r") == [first[1]]
    twice = light.add_samples("dim", rows[[0, 0]], "b", "r")  # labelled already: these are new photos
    assert len({*first, other, *twice}) == 6
    store.close()
