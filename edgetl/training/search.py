"""A search for how to fine-tune within a given time: short but whole trainings, judged on the stopping part.

:mod:`.trials` has settled by then how photos are varied, and how large a learning rate the start bears. Here a grid of
learning rates, label smoothing and batch sizes is trained for a few epochs each, warm-up and decay included: what the
trials settled first, then the others in an order that is drawn, because a random part of a grid tells more than its
beginning (Bergstra and Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html). It ends when the time is up.

Cross-entropy on the stopping part decides, at the temperature that suits each training best: the head that is solved in
the end is calibrated by itself. Another choice than the first is taken only if it is better by more than chance. Every
result is kept in the cache, so a search that was interrupted goes on, and one with more time adds to it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import StorageError
from edgetl_device.files import write_atomically

from .epochs import Epochs, StoppingPart
from .plan import Plan
from .records import cache_folder
from .trials import ENOUGH, ERRORS, beyond_chance

EPOCHS = 3  # of each training
TIMES = (1 / 3, 1.0, 3.0, 8.0)  # the default learning rate
SMOOTHINGS = (0.1, 0.0)
BATCHES = (32, 16, 64)
_VERSION = 1
_DIVERGED = 100.0  # loss of a training that came to nothing


@dataclass(frozen=True)
class Candidate:
    """What a training of the grid has."""

    learning_rate: float
    label_smoothing: float
    batch_size: int

    @property
    def words(self) -> str:
        """For a person."""
        return f"learning rate {self.learning_rate:g}, smoothing {self.label_smoothing:g}, batches of {self.batch_size}"


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Args:
        accuracy, loss: on the stopping part; the loss at its best temperature.
        seconds: it took, whenever it was run.
        taken: whether the training goes on with it.
    """

    learning_rate: float
    label_smoothing: float
    batch_size: int
    accuracy: float
    loss: float
    seconds: float
    taken: bool = False


@dataclass(frozen=True, eq=False)
class _Result:
    right: npt.NDArray[np.bool_]
    entropy: npt.NDArray[np.float64]
    seconds: float


def search(
    epochs: Epochs,
    stopping: StoppingPart,
    plan: Plan,
    asked: Plan,
    identity: Any,
    deadline: float,
    tell: Callable[[str], None],
) -> tuple[Plan, tuple[Tuned, ...]]:
    """Try what is left open; network and optimizer are left as they were.

    Args:
        plan: what the trials settled; it stays unless another is better.
        asked: what was asked for: what differs from the defaults there is not tried.
        identity: JSON of what the training is of.
        deadline: on ``time.perf_counter``; after it only what is in the cache is taken.
    """
    if len(stopping.rows) < ENOUGH:
        tell(f"nothing is tuned: {len(stopping.rows)} photos to stop on cannot tell trainings apart, {ENOUGH} could")
        return plan, ()
    start, optimizer = epochs.network.state(), epochs.optimizer_state()
    candidates = list(_grid(plan, asked))
    results: dict[Candidate, _Result] = {}
    for number, candidate in enumerate(candidates, 1):
        path = _remembered_at(identity, start, plan, candidate)
        result = _read(path, len(stopping.rows))
        known = result is not None
        if result is None:
            left = deadline - time.perf_counter()
            if results and left < float(np.mean([each.seconds for each in results.values()])):
                continue
            result = _trained(epochs, stopping, plan, candidate)
            epochs.network.restore(start)
            epochs.restore_optimizer(optimizer)
            _write(path, result)
        results[candidate] = result
        left = max(deadline - time.perf_counter(), 0.0)
        when = "known from before" if known else f"{left / 60:.1f} min left"
        tell(
            f"tuning {number}/{len(candidates)}: {candidate.words}: loss {result.entropy.mean():.3f}, "
            f"{result.right.mean():.3f} right; {when}"
        )
    best = _best(results, candidates[0])
    tell(f"tuned with {len(results)} of {len(candidates)}: {best.words}")
    tuned = [
        Tuned(
            **asdict(c),
            accuracy=float(r.right.mean()),
            loss=float(r.entropy.mean()),
            seconds=r.seconds,
            taken=c == best,
        )
        for c, r in results.items()
    ]
    return replace(plan, **asdict(best)), tuple(tuned)


def _grid(plan: Plan, asked: Plan) -> Iterator[Candidate]:
    """The plan's own first, the others in an order that is drawn."""
    usual, default = Plan(asked.strategy), Candidate(plan.chosen_rate, plan.label_smoothing, plan.batch_size)
    open_rate = asked.learning_rate is None
    rates = [usual.chosen_rate * times for times in TIMES] if open_rate else [plan.chosen_rate]
    smoothings = SMOOTHINGS if asked.label_smoothing == usual.label_smoothing else (plan.label_smoothing,)
    batches = BATCHES if asked.batch_size == usual.batch_size else (plan.batch_size,)
    others = [Candidate(float(f"{r:.3g}"), s, b) for r, s, b in itertools.product(rates, smoothings, batches)]
    order = np.random.default_rng(asked.seed).permutation(len(others))
    yield default
    yield from (others[row] for row in order if others[row] != default)


def _trained(epochs: Epochs, stopping: StoppingPart, plan: Plan, candidate: Candidate) -> _Result:
    started = time.perf_counter()
    short = replace(plan, epochs=EPOCHS, **asdict(candidate))
    epochs.use(short)
    try:
        for epoch in range(EPOCHS):
            epochs.train(epoch, what=f"tuning, epoch {epoch + 1} of {EPOCHS}")
        right, entropy = stopping.judged(tempered=True)
        entropy = np.nan_to_num(entropy, nan=_DIVERGED, posinf=_DIVERGED)
    finally:
        epochs.use(plan)
    return _Result(right, entropy, time.perf_counter() - started)


def _best(results: dict[Candidate, _Result], default: Candidate) -> Candidate:
    """The smallest loss, if it is smaller than the default's by more than chance."""
    best = min(results, key=lambda candidate: float(results[candidate].entropy.mean()))
    return best if beyond_chance(results[default].entropy - results[best].entropy) else default


def _remembered_at(identity: Any, start: list[npt.NDArray[Any]], plan: Plan, candidate: Candidate) -> Path:
    told = [_VERSION, EPOCHS, ERRORS, identity, plan.variation, plan.augment, asdict(candidate)]
    digest = hashlib.sha256(json.dumps(told).encode())
    for values in start:
        digest.update(np.ascontiguousarray(values).tobytes())
    return cache_folder() / "trials" / f"{digest.hexdigest()[:32]}.tuned.json"


def _read(path: Path, photos: int) -> _Result | None:
    try:
        value = json.loads(path.read_bytes())
        right, entropy = np.array(value["right"], np.bool_), np.array(value["entropy"], np.float64)
        seconds = float(value["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # never run, or not to be read: run it
    usable = right.shape == entropy.shape == (photos,) and np.isfinite(entropy).all() and math.isfinite(seconds)
    return _Result(right, entropy, seconds) if usable else None


def _write(path: Path, result: _Result) -> None:
    value = {"right": result.right.tolist(), "entropy": result.entropy.tolist(), "seconds": result.seconds}
    with suppress(OSError, StorageError):  # it is run again next time
        write_atomically(path, json.dumps(value).encode())
