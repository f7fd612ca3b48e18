"""A group's labels, read from a store that holds many."""

from collections.abc import Callable

import numpy as np

from edgetl_device.store.group_store import GroupStore
from edgetl_device.store.store import Store

ROWS = np.arange(8, dtype=np.int8).reshape(2, 4)


def steps_of(store: Store, ask: Callable[[], object]) -> int:
    """How many instructions SQLite takes for a question."""
    steps = [0]

    def count() -> bool:
        steps[0] += 1
        return False

    store.database._db.set_progress_handler(count, 1)
    try:
        ask()
    finally:
        store.database._db.set_progress_handler(None)
    return steps[0]


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
