"""How much SQLite does for a question: its instructions, which do not depend on the machine."""

from __future__ import annotations

from collections.abc import Callable

from edgetl_device.store.store import Store


def steps_of(store: Store, ask: Callable[[], object]) -> int:
    """How many instructions a store's database takes while something is asked."""
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
