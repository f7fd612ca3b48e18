"""Fine-tuning: a solved head first, then the unfrozen part of the backbone with it.

Warm-up and cosine decay (Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983), label smoothing (Szegedy et al.
2015, https://arxiv.org/abs/1512.00567), class weights, batch normalization as it was. It stops early on a part of the
*training* photos, so that the held-out photos decide nothing and their accuracy stays an honest estimate; if no epoch
beats the start there, the start is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import progress
from edgetl_device.errors import InputError

from .. import tf
from ..data.datasets import Dataset, split
from .checkpoint import Checkpoint, load_checkpoint
from .feeds import Feed, Rows
from .network import Batch, Network, Step, default_step

STOPPING_SHARE = 0.1
_ENOUGH_TO_STOP = 20  # photos; on fewer an accuracy says nothing
_EVALUATED = 128  # photos at once


@dataclass(frozen=True)
class Plan:
    """How to fine-tune. What is None is chosen.

    Args:
        strategy: ``top`` or ``full``.
        epochs: at most; default 12.
        batch_size: photos a step.
        learning_rate: largest of Adam; default 0.001 for ``top``, 0.0002 for ``full``.
        warmup: epochs until it is reached; then it falls to zero along a cosine.
        patience: epochs without a better result on the stopping part before training ends.
        label_smoothing: share of a photo that is spread over all classes, 0 … 1.
        class_weights: whether photos of rare classes count more, so that all classes count the same.
        train_batch_norm: whether batch normalization is trained and uses the batch's statistics.
        augment: whether photos are varied.
        strong: stronger variation, drawn anew in every epoch, so nothing can be cached.
        views: random views of a photo that are cached; 0 draws anew in every epoch, without the cache.
        boundary: layer whose output the unfrozen part starts from; None for the architecture's own.
        cache_limit: bytes on disk for activations; 0 goes without.
        seed: of everything random.
    """

    strategy: str = "top"
    epochs: int | None = None
    batch_size: int = 32
    learning_rate: float | None = None
    warmup: float = 1.0
    patience: int = 8
    label_smoothing: float = 0.1
    class_weights: bool = True
    train_batch_norm: bool = False
    augment: bool = True
    strong: bool = False
    views: int = 4
    boundary: str | None = None
    cache_limit: int = 4 << 30
    seed: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in ("top", "full"):
            raise InputError(f"fine-tuning is top or full, got {self.strategy!r}")
        if (self.epochs is not None and self.epochs < 1) or self.batch_size < 2 or self.patience < 1:
            raise InputError("expected at least 1 epoch, a batch of at least 2 photos and a patience of at least 1")
        if self.learning_rate is not None and not 0 < self.learning_rate < 1:
            raise InputError(f"the learning rate must be above 0 and below 1, got {self.learning_rate}")
        if not 0 <= self.label_smoothing < 1 or self.views < 0 or self.warmup < 0:
            raise InputError("label smoothing must be 0 to below 1, views and warm-up not negative")

    @property
    def chosen_epochs(self) -> int:
        """At most so many."""
        return self.epochs or 12

    @property
    def chosen_rate(self) -> float:
        """The largest learning rate."""
        return self.learning_rate or {"top": 1e-3, "full": 2e-4}[self.strategy]

    def rate_at(self, epoch: float) -> float:
        """The learning rate after so many epochs."""
        if epoch < self.warmup:
            return self.chosen_rate * (epoch + 0.01) / (self.warmup + 0.01)
        span = max(self.chosen_epochs - self.warmup, 1e-9)
        return self.chosen_rate * 0.5 * (1 + math.cos(math.pi * min((epoch - self.warmup) / span, 1.0)))


def stopping_rows(dataset: Dataset, seed: int) -> tuple[list[int], list[int]]:
    """Training photos → rows to train on, and rows to stop on; groups stay whole. Too few: nothing to stop on."""
    train = dataset.rows("train")
    inner = split(dataset.take(train), STOPPING_SHARE, seed + 1) if len(train) > len(dataset.classes) else None
    stop = [] if inner is None else [train[row] for row in inner.rows("val")]
    if len(stop) < _ENOUGH_TO_STOP:
        return train, []
    return sorted(set(train) - set(stop)), stop


def finetune(
    network: Network,
    feed: Feed,
    dataset: Dataset,
    rows: tuple[Sequence[int], Sequence[int]],
    plan: Plan,
    checkpoint: Path,
    *,
    resume: bool = False,
    xla: bool = False,
    step: Step = default_step,
    tell: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Train a network, and leave it as it was after its best epoch.

    Args:
        rows: of the dataset: to train on, and to stop on.
        checkpoint: file that is written after every epoch.
        resume: go on from the checkpoint, if there is one; the result is that of a training that was never interrupted.
        xla: whether to compile the step.
        step: what happens to a batch.
        tell: called with a line about each epoch.

    Returns:
        For each epoch: ``epoch``, ``learning_rate``, ``loss``, ``seconds``, and ``stop_accuracy`` and ``stop_loss``.
    """
    epochs = _Epochs(network, feed, dataset, np.asarray(rows[0], np.intp), plan, step, xla)
    stopping = _StoppingPart(network, feed, dataset, np.asarray(rows[1], np.intp))
    identity = {"plan": asdict(replace(plan, cache_limit=0)), "photos": _identity(dataset)}
    start = load_checkpoint(checkpoint, identity) if resume else None
    if start is None:
        start = Checkpoint([], stopping.score(), network.state(), network.state(), epochs.optimizer_state())
    network.restore(start.state)
    epochs.restore_optimizer(start.optimizer)
    history, best, best_state = list(start.history), start.best, start.best_state

    while len(history) < plan.chosen_epochs and not _stale(history, plan.patience):
        started = time.perf_counter()
        loss = epochs.train(len(history))
        score = stopping.score()
        better = score > best or not len(stopping.rows)
        if better:
            best, best_state = score, network.state()
        facts = {
            "epoch": len(history) + 1,
            "learning_rate": plan.rate_at(len(history) + 1.0),
            "loss": loss,
            "stop_accuracy": score[0] if len(stopping.rows) else None,
            "stop_loss": -score[1] if len(stopping.rows) else None,
            "best": better,
            "seconds": time.perf_counter() - started,
        }
        history.append(facts)
        Checkpoint(history, best, network.state(), best_state, epochs.optimizer_state()).save(checkpoint, identity)
        tell(_line(facts, plan))
    network.restore(best_state)
    return history


class _Epochs:
    """Passes over the photos that are trained on.

    Args:
        fit: rows of the dataset.
    """

    def __init__(
        self, network: Network, feed: Feed, dataset: Dataset, fit: Rows, plan: Plan, step: Step, xla: bool
    ) -> None:
        tensorflow = tf.load()
        self._feed, self._fit, self._plan = feed, fit, plan
        self._targets, self._weights = _targets(dataset, fit, plan)
        self._optimizer = optimizer = tf.keras().optimizers.Adam(plan.rate_at(0.0))
        optimizer.build(network.variables)
        self._step = tensorflow.function(
            lambda batch: step(network, optimizer, batch), jit_compile=xla, reduce_retracing=True
        )
        self._inputs = tensorflow.function(feed.inputs, reduce_retracing=True)

    def train(self, epoch: int) -> float:
        """One pass, in an order drawn for this epoch → the mean loss of its steps."""
        plan, fit = self._plan, self._fit
        order = np.random.default_rng([plan.seed, epoch]).permutation(len(fit))
        batches = [order[start : start + plan.batch_size] for start in range(0, len(order), plan.batch_size)]
        if len(batches) > 1 and len(batches[-1]) == 1:  # one photo has no batch statistics
            batches[-2:] = [np.concatenate(batches[-2:])]
        losses = []
        varied = self._feed.varied([fit[batch] for batch in batches], (plan.seed, epoch))
        for number, arrays in enumerate(progress(varied, len(batches), f"epoch {epoch + 1} of {plan.chosen_epochs}")):
            self._optimizer.learning_rate.assign(plan.rate_at(epoch + number / len(batches)))
            chosen = batches[number]
            losses.append(self._step(Batch(self._inputs(arrays), self._targets[chosen], self._weights[chosen])))
        return float(np.mean([float(loss) for loss in losses]))

    def optimizer_state(self) -> list[npt.NDArray[Any]]:
        """The optimizer's variables, for :meth:`restore_optimizer`."""
        return [variable.numpy() for variable in self._optimizer.variables]

    def restore_optimizer(self, values: Sequence[npt.NDArray[Any]]) -> None:
        """The inverse of :meth:`optimizer_state`."""
        for variable, value in zip(self._optimizer.variables, values, strict=True):
            variable.assign(value)


class _StoppingPart:
    """The training photos that decide when to stop, and which epoch was best.

    Args:
        rows: of the dataset; perhaps none.
    """

    def __init__(self, network: Network, feed: Feed, dataset: Dataset, rows: Rows) -> None:
        self.rows, self._feed = rows, feed
        self._truth = np.searchsorted(dataset.classes, [dataset.labels[row] for row in rows])
        self._logits = tf.load().function(lambda arrays: network.logits(feed.inputs(arrays)), reduce_retracing=True)

    def score(self) -> tuple[float, float]:
        """Accuracy and minus cross-entropy of the network as it is; the larger the better."""
        rows = self.rows
        if not len(rows):
            return (0.0, 0.0)
        batches = [rows[start : start + _EVALUATED] for start in range(0, len(rows), _EVALUATED)]
        logits = np.concatenate([self._logits(arrays).numpy() for arrays in self._feed.plain(batches)])
        logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        entropy = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(rows)), self._truth]
        return float((logits.argmax(axis=1) == self._truth).mean()), -float(entropy.mean())


def _targets(dataset: Dataset, fit: Rows, plan: Plan) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    classes = np.searchsorted(dataset.classes, [dataset.labels[row] for row in fit])
    count = len(dataset.classes)
    smoothing = plan.label_smoothing
    targets = np.eye(count, dtype=np.float32)[classes] * (1 - smoothing) + smoothing / count
    if not plan.class_weights:
        return targets, np.ones(len(fit), np.float32)
    sizes = np.maximum(np.bincount(classes, minlength=count), 1)
    return targets, (len(fit) / (count * sizes)).astype(np.float32)[classes]


def _stale(history: Sequence[dict[str, Any]], patience: int) -> bool:
    return len(history) >= patience and not any(facts["best"] for facts in history[-patience:])


def _identity(dataset: Dataset) -> list[Any]:
    return [[path.as_posix() for path in dataset.paths], list(dataset.labels), list(dataset.splits)]


def _line(facts: dict[str, Any], plan: Plan) -> str:
    text = f"epoch {facts['epoch']}/{plan.chosen_epochs}: loss {facts['loss']:.3f}"
    if facts["stop_accuracy"] is not None:
        text += f", {facts['stop_accuracy']:.3f} right on the stopping part{' (best)' if facts['best'] else ''}"
    return f"{text}, {facts['seconds']:.1f} s"
