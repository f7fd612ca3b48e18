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
        self._gone: dict[str, Tally] = {}  # camera → what was recognised of views that it has no more
        self._kept: frozenset[ViewName] | None = None  # the views that there are; None: all
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
        name = recognition.name
        self.newest = recognition
        self.count += 1
        with self._lock:
            if self._kept is None or name in self._kept:
                self.of[name] = recognition
                self._tallies.setdefault(name, Tally()).note(time.monotonic())
            else:  # it was on its way when its view was removed
                self._gone.setdefault(name.camera, Tally()).note(time.monotonic())
            subscriptions = self._subscriptions
        for subscription in subscriptions:
            subscription.offer(recognition)

    def keep_only(self, names: Iterable[ViewName]) -> None:
        """Forget the newest recognitions of views that there are no more; how many there were stays in the sums."""
        with self._lock:
            self._kept = frozenset(names)
            self.of = {name: newest for name, newest in self.of.items() if name in self._kept}
            for name in self._tallies.keys() - self._kept:
                self._gone.setdefault(name.camera, Tally()).add(self._tallies.pop(name))

    def tallies(self, camera: str) -> tuple[list[Tally], Tally]:
        """What was recognised of each view of a camera, and of all those that it has no more, as of now."""
        with self._lock:
            views = [tally.copy() for name, tally in self._tallies.items() if name.camera == camera]
            return views, self._gone.get(camera, Tally()).copy()

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
