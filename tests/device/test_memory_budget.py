from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from edgetl_device.memory_budget import MemoryBudget


def test_threads_together_never_take_more_than_there_is() -> None:
    budget, inside, most = MemoryBudget(100), [0], [0]
    lock, sizes = threading.Lock(), [7, 40, 99, 1, 60, 100, 33] * 20

    def take(size: int) -> None:
        with budget.taken(size):
            with lock:
                inside[0] += size
                most[0] = max(most[0], inside[0])
            with lock:
                inside[0] -= size

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, sizes))
    assert 0 < most[0] <= 100 and budget.free == 100


def test_who_needs_more_than_there_is_is_let_in_alone() -> None:
    budget, order = MemoryBudget(100), []

    def large() -> None:
        with budget.taken(250):
            order.append("large")

    with budget.taken(10):
        thread = threading.Thread(target=large)
        thread.start()
        thread.join(0.1)
        order.append("small")
    thread.join(30)
    assert order == ["small", "large"]
