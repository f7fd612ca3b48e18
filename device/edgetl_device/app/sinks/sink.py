"""What a sink is, and when a label has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

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
    prediction = recognition.prediction
    return UNKNOWN if prediction.unknown or prediction.label is None else prediction.label


def change(label: str, before: str | None, recognition: Recognition) -> dict[str, object]:
    """A change of label as JSON: what webhooks and server-sent events say of it.

    Args:
        label: as :func:`shown`.
        before: the one that it follows; None at the first.
    """
    return {
        "label": label,
        "before": before,
        "probability": round(recognition.prediction.probability, 4),
        "unknown": label == UNKNOWN,
        "version": recognition.version,
    }


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

    def __call__(self, recognition: Recognition) -> str | None:
        """The label if this recognition changed it for good, else None."""
        label = shown(recognition)
        if label != self._candidate:
            self._candidate, self._since_s = label, recognition.frame.time_s
        if label == self._confirmed or recognition.frame.time_s - self._since_s < self._hold_s:
            return None
        self._confirmed = label
        return label
