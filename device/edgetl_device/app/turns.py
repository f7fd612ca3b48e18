"""Values of several senders on their way to one taker, which serves the senders in turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Turns(Generic[K, T]):
    """Room for a few values of each sender. A sender that has had its turn queues up behind the others that wait.

    So each one that waits is served once before anyone is served twice, however fast or slow they are.

    Example:
        >>> turns = Turns[str, int]()
        >>> for sender, value in [("fast", 1), ("fast", 2), ("slow", 7), ("fast", 3)]:
        ...     _ = turns.put(sender, value, room=9)
        >>> [turns.get(), turns.get(), turns.get(), turns.get()]
        [1, 7, 2, 3]
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queues: dict[K, deque[T]] = {}  # in the order of their turns; none is empty
        self._rooms: dict[K, int] = {}
        self._closed = False

    def put(self, sender: K, value: T, *, room: int = 1, wait: bool = False) -> bool:
        """Leave a value: once there is room (``wait``), or in the oldest one's place; whether one was replaced."""
        with self._changed:
            while wait and len(self._queues.get(sender, ())) >= room and not self._closed:
                self._changed.wait()
            queue, self._rooms[sender] = self._queues.setdefault(sender, deque()), room
            replaced = len(queue) >= room
            if replaced:
                queue.popleft()
            queue.append(value)
            self._changed.notify_all()
            return replaced

    def get(self, timeout_s: float | None = None) -> T | None:
        """The value whose turn it is, waited for; None after the timeout, or when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._queues or self._closed, timeout_s)
            if not self._queues:
                return None
            sender = next(iter(self._queues))
            queue = self._queues.pop(sender)
            value = queue.popleft()
            if queue:
                self._queues[sender] = queue
            room = self._rooms[sender] if queue else self._rooms.pop(sender)
            if len(queue) <= room // 2:  # a sender that is woken for every value disturbs the taker
                self._changed.notify_all()
            return value

    def __bool__(self) -> bool:
        """Whether a value waits."""
        return bool(self._queues)

    def close(self) -> None:
        """No more will come; whoever waits goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether no more will come."""
        return self._closed
