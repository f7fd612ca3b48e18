"""Short trials that choose what nobody can know beforehand: the learning rate, and how photos may be varied.

A trial trains from the start on a part of the photos, with a warm-up and a fall of its own, and is judged on the
stopping part. Defaults stay unless something else is better there by more than chance: by two standard errors of
the difference in cross-entropy, photo by photo. Held-out photos are not looked at.

Short trials favour small learning rates over those that end better (Wu et al. 2018, "Understanding Short-Horizon Bias
in Stochastic Meta-Optimization", https://arxiv.org/abs/1803.02021), so with very many photos a larger one need only be
as good.

Mirroring is given up if a network that was trained without it knows mirror images clearly less often: then they are
other things, as those of digits and arrows are. Its loss decides nothing: any variation slows a short training down.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import StorageError
from edgetl_device.files import write_atomically

from .epochs import Epochs, StoppingPart
from .feeds import Variation
from .plan import Plan
from .records import cache_folder

ENOUGH = 100  # photos to stop on: fewer cannot tell two trainings apart
PLENTY = 900  # photos a class that are trained on: from so many on, they may do without variation
STEPS = 200  # of a trial, at most, and at most half an epoch
_FEWEST = 20
TIMES = (3.0, 8.0)  # the default learning rate, tried in turn while that helps
ERRORS = 2.0  # standard errors
LOST = 0.05  # accuracy on mirror images below that on the photos, from which on they are other things
ALMOST_ALL = 0.99  # right at the start: where no trial gains anything, no training will


@dataclass(frozen=True)
class Trial:
    """What a trial was, and what came of it.

    Args:
        learning_rate, variation: what it tried.
        accuracy, loss: on the stopping part.
    """

    learning_rate: float
    variation: Variation
    accuracy: float = math.nan
    loss: float = math.nan


@dataclass(frozen=True)
class Choice:
    """What the trials say.

    Args:
        plan: with learning rate and variation chosen.
        trials: in order.
        hopeless: whether the start is right almost always, and no trial was better.
    """

    plan: Plan
    trials: tuple[Trial, ...] = ()
    hopeless: bool = False


def choose(epochs: Epochs, stopping: StoppingPart, plan: Plan, identity: Any, tell: Callable[[str], None]) -> Choice:
    """Fill in what a plan leaves open; the network and its optimizer are left as they were.

    Args:
        identity: JSON of what the training is of; the trials of the very same one are not run twice.
    """
    default = Trial(plan.chosen_rate, plan.variation)
    epochs.feed.variation = default.variation
    if len(stopping.rows) < ENOUGH or not (plan.learning_rate is None or _open_variations(plan, epochs)):
        return Choice(_settled(plan, default))
    start, optimizer = epochs.network.state(), epochs.optimizer_state()
    path = _remembered_at(identity, start)
    choice = _read(path, plan)
    if choice is None:
        trials = _Trials(epochs, stopping, plan, start, optimizer)
        best = trials.run(default.learning_rate, default.variation)
        for variation in _open_variations(plan, epochs):
            other = trials.run(best.learning_rate, variation)
            if variation == "none":
                taken = trials.better(other, best)
            else:
                taken = trials.mirror_images_are_other_things and not trials.better(best, other)
            best = other if taken else best
        for times in TIMES if plan.learning_rate is None else ():
            other = trials.run(default.learning_rate * times, best.variation)
            as_good = epochs.photos_per_class >= PLENTY and not trials.better(best, other)
            if not (as_good or trials.better(other, best)):
                break
            best = other
        choice = Choice(_settled(plan, best), tuple(trials.done), trials.hopeless())
        _write(path, choice, best)
    epochs.feed.variation = choice.plan.variation
    tell(_words(choice))
    return choice


class _Trials:
    def __init__(
        self, epochs: Epochs, stopping: StoppingPart, plan: Plan, start: list[Any], optimizer: list[Any]
    ) -> None:
        self._epochs, self._stopping, self._plan = epochs, stopping, plan
        self._start, self._optimizer = start, optimizer
        self._at_start = stopping.judged()
        self.done: list[Trial] = []
        self.mirror_images_are_other_things = False
        self._entropies: dict[Trial, npt.NDArray[np.float64]] = {}

    def run(self, rate: float, variation: Variation) -> Trial:
        epochs, plan = self._epochs, self._plan
        steps = min(STEPS, max(_FEWEST, math.ceil(len(epochs.fit) / plan.batch_size / 2)))
        epochs.feed.variation = variation
        epochs.train(0, replace(plan, learning_rate=rate, epochs=1, warmup=0.2), steps * plan.batch_size, "a trial")
        right, entropy = self._stopping.judged()
        if variation == "unmirrored":
            lost = right.astype(float) - self._stopping.judged(mirrored=True)[0]
            self.mirror_images_are_other_things = lost.mean() > LOST and beyond_chance(lost)
        epochs.network.restore(self._start)
        epochs.restore_optimizer(self._optimizer)
        trial = Trial(rate, variation, float(right.mean()), float(entropy.mean()))
        self._entropies[trial] = entropy
        self.done.append(trial)
        return trial

    def better(self, one: Trial, other: Trial) -> bool:
        """Whether one has the smaller cross-entropy by more than chance."""
        return beyond_chance(self._entropies[other] - self._entropies[one])

    def hopeless(self) -> bool:
        """Whether the start is right almost always, and none was right more often, or as often with a smaller loss."""
        right, entropy = self._at_start
        start = (float(right.mean()), -float(entropy.mean()))
        return start[0] >= ALMOST_ALL and all((trial.accuracy, -trial.loss) <= start for trial in self.done)


def _open_variations(plan: Plan, epochs: Epochs) -> tuple[Variation, ...]:
    """What is to be tried beside the default. With few photos, going without would overfit, which no trial sees."""
    if plan.augment is False:
        return ()
    mirroring: tuple[Variation, ...] = ("unmirrored",) if plan.flip is None else ()
    return (*mirroring, "none") if plan.augment is None and epochs.photos_per_class >= PLENTY else mirroring


def _settled(plan: Plan, best: Trial) -> Plan:
    varied = best.variation != "none"
    return replace(plan, learning_rate=best.learning_rate, augment=varied, flip=best.variation == "all")


def _words(choice: Choice) -> str:
    tried = ", ".join(f"{t.learning_rate:g}{_HOW[t.variation]} {t.loss:.3f}" for t in choice.trials)
    how = _HOW[choice.plan.variation]
    return f"learning rate {choice.plan.chosen_rate:g}{how}; losses of short trials on the stopping part: {tried}"


_HOW = {"all": "", "unmirrored": ", photos not mirrored", "none": ", photos not varied"}


def beyond_chance(gains: npt.NDArray[np.float64]) -> bool:
    """Whether the mean of a paired difference is above 0 by more than chance."""
    return bool(np.isfinite(gains).all() and gains.mean() > ERRORS * gains.std(ddof=1) / math.sqrt(len(gains)))


def _remembered_at(identity: Any, start: list[npt.NDArray[Any]]) -> Path:
    digest = hashlib.sha256(json.dumps([2, PLENTY, STEPS, TIMES, ERRORS, LOST, ALMOST_ALL, identity]).encode())
    for values in start:
        digest.update(np.ascontiguousarray(values).tobytes())
    return cache_folder() / "trials" / f"{digest.hexdigest()[:32]}.json"


def _read(path: Path, plan: Plan) -> Choice | None:
    try:
        value = json.loads(path.read_bytes())
        trials = tuple(Trial(**trial) for trial in value["trials"])
        return Choice(_settled(plan, trials[value["best"]]), trials, bool(value["hopeless"]))
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None  # never run, or not to be read: run them


def _write(path: Path, choice: Choice, best: Trial) -> None:
    trials = [asdict(trial) for trial in choice.trials]
    value = {"trials": trials, "best": choice.trials.index(best), "hopeless": choice.hopeless}
    with suppress(OSError, StorageError):  # they are run again next time
        write_atomically(path, json.dumps(value).encode())
