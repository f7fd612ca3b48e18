"""What a sink is, and when a label has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ...inference.classifier import Prediction
from ..subscription import Recognition

if TYPE_CHECKING:
    from ..app import App
    from ..inspecting import PartVerdict

HOLD_S = 0.5  # a label must last so long before it counts as a change
UNKNOWN = "unknown"  # cannot be a class: labels.RESERVED


class Sink(Protocol):
    """What takes recognitions."""

    def __call__(self, recognition: Recognition) -> object:
        """Take the newest recognition; called in a thread of the sink's own, and may take its time."""

    def close(self) -> None:
        """The app ends: make a running call return soon. Comes from another thread; one last call may follow it."""


@runtime_checkable
class Attached(Protocol):
    """A sink that works with the app, beyond what it recognises."""

    def attach(self, app: App) -> None:
        """The app that it belongs to; called once, before the first recognition."""


@runtime_checkable
class TakesParts(Protocol):
    """A sink that is told of each inspected part, too."""

    def part(self, verdict: PartVerdict) -> object:
        """Take a part's verdict; called in another thread of the sink's own, and may take its time."""


def shown(recognition: Recognition) -> str:
    """The label of a recognition, ``unknown`` where it resembles nothing learned."""
    return named(recognition.prediction)


def named(prediction: Prediction) -> str:
    """The label of a prediction, ``unknown`` where it resembles nothing learned."""
    return UNKNOWN if prediction.unknown or prediction.label is None else prediction.label


def change(label: str, before: str | None, recognition: Recognition, group: str | None = None) -> dict[str, object]:
    """A change of label as JSON: what webhooks and server-sent events say of it.

    Args:
        label: as :func:`shown`.
        before: the one that it follows; None at the first.
        group: whose label changed; None for the label without a group.
    """
    prediction = recognition.prediction if group is None else recognition.groups[group]
    told: dict[str, object] = {
        "label": label,
        "before": before,
        "probability": round(prediction.probability, 4),
        "unknown": label == UNKNOWN,
        "version": recognition.version,
    }
    return told if group is None else {"group": group, **told}


class Changes:
    """Debounces labels: reports a change once the new label has lasted.

    Args:
        hold_s: how long it must last, seconds of the camera's time.
        begin: the label before the first; with None the first counts as a change too.
    """

    def __init__(self, hold_s: float = HOLD_S, begin: str | None = UNKNOWN) -> None:
        self._hold_s = hold_s
        self._confirmed = begin
        self._candidate = begin
        self._since_s = 0.0

    @property
    def since_s(self) -> float:
        """When the newest label began, seconds of the camera's time; after a change that of the change's label."""
        return self._since_s

    def __call__(self, recognition: Recognition) -> str | None:
        """The label if this recognition changed it for good, else None."""
        return self.take(shown(recognition), recognition.frame.time_s)

    def take(self, label: str, time_s: float) -> str | None:
        """As a call, of a label at a time of the camera."""
        if label != self._candidate:
            self._candidate, self._since_s = label, time_s
        if label == self._confirmed or time_s - self._since_s < self._hold_s:
            return None
        self._confirmed = label
        return label


class GroupChanges:
    """As :class:`Changes`, for each group of labels; their first label counts as a change.

    Args:
        hold_s: how long a label must last, seconds of the camera's time.
    """

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._changes: dict[str, Changes] = {}
        self._before: dict[str, str] = {}

    def __call__(self, recognition: Recognition) -> list[tuple[str, str, str | None]]:
        """Group, label and the label before, of each that changed."""
        found = []
        for group, prediction in recognition.groups.items():
            changes = self._changes.setdefault(group, Changes(self._hold_s, None))
            label = changes.take(named(prediction), recognition.frame.time_s)
            if label is not None:
                found.append((group, label, self._before.get(group)))
                self._before[group] = label
        return found
