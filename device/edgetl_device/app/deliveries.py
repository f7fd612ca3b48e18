"""Deliveries: recognitions on their way to whoever listens, the newest of each view, and how many there were."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

from ..view_names import ViewName
from .health import Tally
from .subscription import Recognition, Subscription


class Deliveries:
    """What one thread delivers, and any other listens to or asks for.

    Attributes:
        count: recognitions delivered.
        newest: the last one, of any view; None before the first.
        of: the last one of each view.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._tallies: dict[ViewName, Tally] = {}
        self._ended = False
        self.count = 0
        self.newest: Recognition | None = None
        self.of: dict[ViewName, Recognition] = {}

    def subscribe(self, notify: Callable[[], None] | None, wanted: Callable[[ViewName], bool] | None) -> Subscription:
        """Listen; as :class:`~edgetl_device.app.subscription.Subscription` says."""
        subscription = Subscription(self._leave, notify, wanted)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            ended = self._ended
        if ended:
            subscription.end()
        return subscription

    def deliver(self, recognition: Recognition) -> None:
        """Hand on a recognition; waits for nobody."""
        self.of[recognition.name] = self.newest = recognition
        self.count += 1
        with self._lock:
            self._tallies.setdefault(recognition.name, Tally()).note(time.monotonic())
            subscriptions = self._subscriptions
        for subscription in subscriptions:
            subscription.offer(recognition)

    def keep_only(self, names: Iterable[ViewName]) -> None:
        """Forget the newest recognitions of views that there are no more."""
        kept = set(names)
        for gone in [name for name in self.of if name not in kept]:
            self.of.pop(gone, None)

    def tallies(self) -> list[tuple[ViewName, Tally]]:
        """How many recognitions of each view there were, as of now."""
        with self._lock:
            return [(name, Tally(t.frames, t.times_s.copy(), t.first_s)) for name, t in self._tallies.items()]

    def end(self) -> None:
        """No more will come."""
        with self._lock:
            self._ended = True
            subscriptions = self._subscriptions
        for subscription in subscriptions:
            subscription.end()

    def _leave(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(other for other in self._subscriptions if other is not subscription)
