"""What waits for a connection: of each topic the newest alone, so a day without one takes no more than a minute."""

from __future__ import annotations

import threading


class Outbox:
    """Topic → its newest payload, and which of them the other end does not have yet.

    It never holds more than one payload a topic, and the topics are few and fixed; nobody who puts something in waits.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._kept: dict[str, bytes] = {}
        self._unsent: dict[str, None] = {}  # as an ordered set: the oldest first
        self._open = False
        self._closed = False

    def __len__(self) -> int:
        """How many payloads wait."""
        return len(self._unsent)

    @property
    def size_bytes(self) -> int:
        """Of all payloads that are kept."""
        with self._changed:
            return sum(len(payload) for payload in self._kept.values())

    def put(self, topic: str, payload: bytes, *, again: bool = False) -> None:
        """Leave a payload in the place of the topic's last one; an equal one is not sent again unless asked for."""
        with self._changed:
            if again or self._kept.get(topic) != payload:
                self._kept[topic] = payload
                self._unsent[topic] = None
                self._changed.notify_all()

    def open(self) -> None:
        """There is a new connection: everything that is kept has to be sent again."""
        with self._changed:
            self._unsent = dict.fromkeys(self._kept)
            self._open = True
            self._changed.notify_all()

    def shut(self) -> None:
        """There is no connection: let nothing out."""
        with self._changed:
            self._open = False

    def close(self) -> None:
        """No more will come: :meth:`take` returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether no more will come."""
        return self._closed

    def take(self, timeout_s: float) -> tuple[str, bytes] | None:
        """The topic that has waited longest and its payload; None after the timeout, while shut, or when closed."""
        with self._changed:
            self._changed.wait_for(lambda: (self._open and self._unsent) or self._closed, timeout_s)
            if not self._open or not self._unsent:
                return None
            topic = next(iter(self._unsent))
            del self._unsent[topic]
            return topic, self._kept[topic]

    def give_back(self, topic: str) -> None:
        """What was taken could not be sent."""
        with self._changed:
            self._unsent.setdefault(topic)
