"""What a sink is, and when a label has changed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ...inference.classifier import Prediction
from ...view_names import ViewName
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
class RemembersViews(Protocol):
    """A sink that remembers something of each view."""

    def keep_only(self, names: Collection[ViewName]) -> None:
        """Only these views are left; called in the thread that calls the sink."""


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
        group: whose label changed; None for what the view asks.
    """
    name, asked = recognition.name.to_json(), recognition.group if group is None else group
    prediction = recognition.prediction if group is None else recognition.groups[group]
    told: dict[str, object] = {
        "label": label,
        "before": before,
        "probability": round(prediction.probability, 4),
        "unknown": label == UNKNOWN,
        "version": recognition.version,
    }
    return {**name, **({} if asked is None else {"group": asked}), **told}


class Changes:
    """Debounces labels: reports a change once the new label has lasted; of each view by itself.

    Args:
        hold_s: how long it must last, seconds of the camera's time.
        begin: the label before the first; with None the first counts as a change too.
    """

    def __init__(self, hold_s: float = HOLD_S, begin: str | None = UNKNOWN) -> None:
        self._hold_s, self._begin = hold_s, begin
        self._of: dict[object, _Held] = {}
        self._before: dict[object, str] = {}

    @property
    def since_s(self) -> float:
        """When the newest label began, seconds of the camera's time; where all labels are of one view."""
        return max((held.since_s for held in self._of.values()), default=0.0)

    def __call__(self, recognition: Recognition) -> str | None:
        """The label if this recognition changed it for good, else None."""
        return self.take(shown(recognition), recognition.frame.time_s, recognition.name)

    def with_before(self, recognition: Recognition) -> tuple[str, str | None] | None:
        """As a call, with the label that it follows in its view; None of the first."""
        label = self(recognition)
        if label is None:
            return None
        before, self._before[recognition.name] = self._before.get(recognition.name), label
        return label, before

    def keep_only(self, names: Collection[ViewName]) -> None:
        """Forget views that there are no more: one that comes again under its name begins anew."""
        self.keep(lambda of: of in names)
        self._before = {of: label for of, label in self._before.items() if of in names}

    def forget(self, of: object) -> None:
        """As :meth:`keep_only` without this one; from any thread."""
        self._of.pop(of, None)
        self._before.pop(of, None)

    def keep(self, wanted: Callable[[Any], bool]) -> None:
        """Forget what :meth:`take` was told of anything else."""
        self._of = {of: held for of, held in self._of.items() if wanted(of)}

    def take(self, label: str, time_s: float, of: object = None) -> str | None:
        """As a call, of a label at a time of the camera.

        Args:
            of: whose label it is.
        """
        held = self._of.setdefault(of, _Held(self._begin, self._begin, 0.0))
        if label != held.candidate:
            held.candidate, held.since_s = label, time_s
        if label == held.confirmed or time_s - held.since_s < self._hold_s:
            return None
        held.confirmed = label
        return label


@dataclass
class _Held:
    confirmed: str | None
    candidate: str | None
    since_s: float


class GroupChanges:
    """As :class:`Changes`, for each group of labels; their first label counts as a change.

    Args:
        hold_s: how long a label must last, seconds of the camera's time.
    """

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._changes = Changes(hold_s, None)
        self._before: dict[tuple[ViewName, str], str] = {}

    def keep_only(self, names: Collection[ViewName]) -> None:
        """As of :class:`Changes`."""
        self._changes.keep(lambda of: of[0] in names)
        self._before = {of: label for of, label in self._before.items() if of[0] in names}

    def __call__(self, recognition: Recognition) -> list[tuple[str, str, str | None]]:
        """Group, label and the label before, of each that changed."""
        found = []
        for group, prediction in recognition.groups.items():
            of = (recognition.name, group)
            label = self._changes.take(named(prediction), recognition.frame.time_s, of)
            if label is not None:
                found.append((group, label, self._before.get(of)))
                self._before[of] = label
        return found
