"""Predictions of single frames → one that a person can read.

The rule. Log-probabilities are averaged exponentially over time (the logarithmic opinion pool, Genest and Zidek 1986,
https://doi.org/10.1214/ss/1177013825): evidence of an age of one time constant weighs 1/e, whatever the frame rate. A
frame that resembles nothing learned says so and does not vote for a label; the share of such frames is averaged alike.
Two hystereses keep the answer from flickering: another label takes over when it leads by ``MARGIN``, and "unknown"
begins above ``UNKNOWN_ON`` and ends below ``UNKNOWN_OFF``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from ..inference.classifier import Prediction
from ..view_names import ViewName
from .answers import Answer, Watched

DEFAULT_S = 0.3  # time constant: a new thing is named after about 0.2 s
MARGIN = 0.1  # of probability, by which a label must lead the shown one
UNKNOWN_ON, UNKNOWN_OFF = 0.6, 0.4  # of the recent frames' weight
_FLOOR = 1e-4  # a probability below it counts as this much, or one frame could veto a label for seconds
_ENOUGH = 1e-3  # weight of votes below which there is nothing to average


class Smoother:
    """Averages the predictions of one camera and one head.

    Args:
        time_constant_s: seconds; 0 turns smoothing off.
    """

    def __init__(self, time_constant_s: float = DEFAULT_S) -> None:
        self._time_constant_s = time_constant_s
        self.reset()

    def reset(self) -> None:
        """Forget everything: another head has other labels and other scores."""
        self._labels: tuple[str, ...] = ()
        self._votes: npt.NDArray[np.float64] = np.zeros(0)  # weighted sum of log-probabilities
        self._weight = 0.0  # of the votes
        self._strange = 0.0  # weighted sum of unknown frames
        self._total = 0.0  # weight of all frames
        self._shown: str | None = None
        self._unknown = False
        self._time_s: float | None = None

    def __call__(self, instant: Prediction, time_s: float) -> Prediction:
        """A frame's prediction with all labels in ``top``, and its time → what to show.

        ``top`` is sorted by averaged probability; the label may lag behind it by the margin.
        """
        if self._time_constant_s <= 0 or not instant.top:
            return instant
        probability = dict(instant.top)
        labels = tuple(sorted(probability))
        if labels != self._labels:
            self.reset()
            self._labels, self._votes = labels, np.zeros(len(labels))
        elapsed_s = 0.0 if self._time_s is None else max(time_s - self._time_s, 0.0)
        keep = float(np.exp(-elapsed_s / self._time_constant_s))
        new = 1.0 if self._time_s is None else 1.0 - keep
        self._time_s = time_s
        logs = np.log(np.maximum([probability[label] for label in labels], _FLOOR))
        vote = 0.0 if instant.unknown else new
        self._votes = self._votes * keep + logs * vote
        self._weight = self._weight * keep + vote
        self._strange = self._strange * keep + new * instant.unknown
        self._total = self._total * keep + new
        mean = self._votes / self._weight if self._weight > _ENOUGH else logs
        return self._decide(mean)

    def _decide(self, mean: npt.NDArray[np.float64]) -> Prediction:
        share = self._strange / self._total
        self._unknown = share > (UNKNOWN_OFF if self._unknown else UNKNOWN_ON)
        averaged = np.exp(mean - mean.max())
        averaged /= averaged.sum()
        order = np.argsort(-averaged, kind="stable")
        top = tuple((self._labels[index], float(averaged[index])) for index in order)
        values = dict(top)
        if self._shown is None or top[0][1] > values[self._shown] + MARGIN:
            self._shown = top[0][0]
        return Prediction(self._shown, values[self._shown], self._unknown, top)


class GroupSmoothers:
    """A smoother for each group of labels.

    Args:
        time_constant_s: as of :class:`Smoother`.
    """

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._smoothers: dict[str, tuple[object, Smoother]] = {}

    def __call__(
        self, heads: Mapping[str, object], instants: Mapping[str, Prediction], time_s: float
    ) -> dict[str, Prediction]:
        """Heads in use and what they say of a frame, by group → what to show; another head begins anew."""
        shown = {}
        for gone in self._smoothers.keys() - heads.keys():
            del self._smoothers[gone]
        for name, instant in instants.items():
            head, smoother = self._smoothers.get(name, (None, None))
            if smoother is None or head is not heads[name]:
                smoother = Smoother(self._time_constant_s)
                self._smoothers[name] = heads[name], smoother
            shown[name] = smoother(instant, time_s)
        return shown


class ViewSmoothers:
    """Smoothers of each view, for the question that it asks and for groups besides.

    Args:
        time_constant_s: as of :class:`Smoother`.
    """

    def __init__(self, time_constant_s: float) -> None:
        self._time_constant_s = time_constant_s
        self._of: dict[ViewName, tuple[Smoother, GroupSmoothers]] = {}

    def reset(self) -> None:
        """Another head is in use; heads of groups are told apart by themselves."""
        for smoother, _ in self._of.values():
            smoother.reset()

    def keep_only(self, names: Collection[ViewName]) -> None:
        """Forget views that there are no more."""
        self._of = {name: smoothers for name, smoothers in self._of.items() if name in names}

    def __call__(
        self, view: Watched, heads: Mapping[str, object], answer: Answer, time_s: float
    ) -> tuple[Prediction, dict[str, Prediction]]:
        """A frame's answer → what to show of it, and of the groups besides.

        Args:
            heads: of the groups.
        """
        if view.name not in self._of:
            self._of[view.name] = Smoother(self._time_constant_s), GroupSmoothers(self._time_constant_s)
        smoother, of_groups = self._of[view.name]
        if view.group is None:
            return smoother(answer.instant, time_s), of_groups(heads, answer.groups, time_s)
        if view.group not in heads:
            return answer.instant, {}
        return of_groups(heads, {view.group: answer.instant}, time_s)[view.group], {}
