"""Recognitions, and how they get from one thread to another: the newest of each view, never through long queues."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..camera import Frame
from ..codes import Int8
from ..inference.classifier import Prediction
from ..looking import Shares
from ..view_names import UNNAMED, ViewName
from .turns import Turns

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Recognition:
    """One recognised frame.

    Args:
        frame: what the camera saw.
        raw: (d,) int8 raw embedding, as the store keeps it.
        prediction: smoothed over frames, all labels in ``top``.
        instant: of this frame alone, all labels in ``top``.
        version: of the head.
        backbone: digest of the backbone that made ``raw``.
        part: (x, y, width, height) of what was looked at, as shares of the frame.
        view: how, :attr:`Looking.key <edgetl_device.looking.Looking.key>`.
        groups: group of labels → what it says, smoothed, all of its labels in ``top``.
        name: which view of which camera this is.
        group: the group of labels that ``prediction`` is about, where the view is bound to one.
    """

    frame: Frame
    raw: Int8
    prediction: Prediction
    instant: Prediction
    version: int
    backbone: str
    part: Shares = (0.0, 0.0, 1.0, 1.0)
    view: str = ""
    groups: Mapping[str, Prediction] = field(default_factory=dict)
    name: ViewName = UNNAMED
    group: str | None = None


class Slot(Generic[T]):
    """Room for a value, or a few, between two threads: the latest wins, or the sender waits.

    Args:
        room: for how many values.
    """

    def __init__(self, room: int = 1) -> None:
        self._changed = threading.Condition()
        self._values: deque[T] = deque()
        self._room = room
        self._closed = False

    def put(self, value: T, *, wait: bool = False) -> bool:
        """Leave a value: once there is room (``wait``), or in the oldest one's place; whether one was replaced."""
        with self._changed:
            while wait and len(self._values) >= self._room and not self._closed:
                self._changed.wait()
            replaced = len(self._values) >= self._room
            if replaced:
                self._values.popleft()
            self._values.append(value)
            self._changed.notify_all()
            return replaced

    def get(self, timeout_s: float | None = None) -> T | None:
        """Take the oldest value, waiting for one; None after the timeout, or when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._values or self._closed, timeout_s)
            value = self._values.popleft() if self._values else None
            if len(self._values) <= self._room // 2:  # a sender that is woken for every value disturbs the taker
                self._changed.notify_all()
            return value

    def get_all(self) -> list[T]:
        """Take all values, waiting for one; none when closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._values or self._closed)
            values = list(self._values)
            self._values.clear()
            self._changed.notify_all()
            return values

    def close(self) -> None:
        """Let everyone go who waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether no more will come."""
        return self._closed


class Subscription:
    """One listener's view of a pipeline: always the newest recognition of each view, never a queue.

    Args:
        leave: called when it is closed.
        notify: called when a recognition finds none of its view waiting: take all there are.
        wanted: the views it is about; None for all.
    """

    def __init__(
        self,
        leave: Callable[[Subscription], None],
        notify: Callable[[], None] | None,
        wanted: Callable[[ViewName], bool] | None = None,
    ) -> None:
        self._turns: Turns[ViewName, Recognition] = Turns()
        self._leave = leave
        self._notify = notify
        self._wanted = wanted

    def get(self, timeout_s: float | None = None) -> Recognition | None:
        """The newest recognition not yet taken, of the view whose turn it is, waited for; None after the timeout or
        when no more will come."""
        return self._turns.get(timeout_s)

    @property
    def waiting(self) -> bool:
        """Whether :meth:`get` would give one at once."""
        return bool(self._turns)

    @property
    def ended(self) -> bool:
        """Whether no more recognitions will come."""
        return self._turns.closed

    def close(self) -> None:
        """Listen no more; a waiting :meth:`get` returns."""
        self._leave(self)
        self._turns.close()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def offer(self, recognition: Recognition) -> None:
        """For the pipeline: leave a recognition and notify the listener; never waits."""
        if self._wanted is not None and not self._wanted(recognition.name):
            return
        if not self._turns.put(recognition.name, recognition):  # otherwise it was notified already
            self._notify_listener()

    def end(self) -> None:
        """For the pipeline: no more will come."""
        self._turns.close()
        self._notify_listener()

    def _notify_listener(self) -> None:
        if self._notify is not None:
            try:
                self._notify()
            except RuntimeError:  # the listener's event loop is gone
                self._leave(self)
