"""Passes of fine-tuning over photos, and the part of the training photos that judges them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.console import progress

from .. import tf
from ..data.datasets import Dataset
from .batch_norm import BatchNormStatistics
from .feeds import Feed, Rows
from .network import Batch, Network, Step
from .plan import Plan
from .replicas import ALONE, Replicas

EVALUATED = 128  # photos at once


class Epochs:
    """Passes over the photos that are trained on.

    Args:
        fit: rows of the dataset.
        plan: may be replaced between passes, by :meth:`use`.
        replicas: of the network.
        photos_per_class: of the median class, those that are trained on.
    """

    def __init__(
        self,
        network: Network,
        feed: Feed,
        dataset: Dataset,
        fit: Rows,
        plan: Plan,
        step: Step,
        xla: bool,
        replicas: Replicas = ALONE,
    ) -> None:
        tensorflow = tf.load()
        self._replicas = replicas
        self.network, self.feed, self.fit = network, feed, fit
        self._batch_norm, self._dataset, self._xla = BatchNormStatistics(network.body), dataset, xla
        self.use(plan)
        sizes = sorted(Counter(dataset.labels[row] for row in fit).values())
        self.photos_per_class = sizes[len(sizes) // 2]
        self._optimizer = optimizer = tf.keras().optimizers.Adam(plan.rate_at(0.0))
        optimizer.build(network.variables)
        self._inputs = tensorflow.function(feed.inputs, reduce_retracing=True)
        # On one device the inputs are computed outside of the step, so that XLA never sees them.
        inputs = feed.inputs if replicas.count > 1 else lambda arrays: arrays
        self._step = replicas.step(
            lambda arrays, targets, weights: step(network, optimizer, Batch(inputs(arrays), targets, weights)), xla
        )

    def use(self, plan: Plan) -> None:
        """Go by another plan from now on."""
        self.plan = plan
        self._targets, self._weights = _targets(self._dataset, self.fit, plan)

    def train(self, epoch: int, plan: Plan | None = None, most: int | None = None, what: str = "") -> float:
        """One pass, in an order drawn for this epoch → the mean loss of its steps.

        Args:
            plan: whose learning rate it has; None for the one it was made with.
            most: photos, drawn from all; None for all.
            what: it is called where progress is shown; nothing for its number.
        """
        plan, fit = plan or self.plan, self.fit
        order = np.random.default_rng([plan.seed, epoch]).permutation(len(fit))[:most]
        batches, filled = _batches(order, plan.batch_size, self._xla)
        losses = []
        parts = [self._replicas.shared(len(batch)) for batch in batches]
        several = self._replicas.count > 1
        mine = [part for part, _ in parts] if several else None
        varied = self.feed.varied([fit[batch] for batch in batches], (plan.seed, epoch), mine)
        for number, arrays in enumerate(
            progress(varied, len(batches), what or f"epoch {epoch + 1} of {plan.chosen_epochs}")
        ):
            self._optimizer.learning_rate.assign(plan.rate_at(epoch + number / len(batches)))
            chosen = batches[number]
            weights = self._weights[chosen]
            if filled and number == len(batches) - 1:
                weights[-filled:] = 0
                weights *= len(chosen) / (len(chosen) - filled)
            if several:
                part, share = parts[number]
                losses.append(self._step(arrays, self._targets[chosen][part], weights[part] * share))
            else:
                losses.append(self._step(self._inputs(arrays), self._targets[chosen], weights))
        if self.network.train_batch_norm:
            self._batch_norm.estimate(map(self._inputs, self.feed.plain(self._some())))
        return float(np.mean([float(loss) for loss in losses]))

    def _some(self, most: int = 16) -> list[Rows]:
        """Large batches of photos that batch normalization is estimated on."""
        order = np.random.default_rng(self.plan.seed).permutation(self.fit)
        batches = [order[start : start + EVALUATED] for start in range(0, len(order), EVALUATED)]
        return [batch for batch in batches[:most] if len(batch) == len(batches[0])]

    def optimizer_state(self) -> list[npt.NDArray[Any]]:
        """The optimizer's variables, for :meth:`restore_optimizer`."""
        return [variable.numpy() for variable in self._optimizer.variables]

    def restore_optimizer(self, values: Sequence[npt.NDArray[Any]]) -> None:
        """The inverse of :meth:`optimizer_state`."""
        for variable, value in zip(self._optimizer.variables, values, strict=True):
            variable.assign(value)


class StoppingPart:
    """The training photos that decide when to stop, which epoch was best, and how to train.

    Args:
        rows: of the dataset; perhaps none.
        replicas: those who have to agree on what they see here.
    """

    def __init__(self, network: Network, feed: Feed, dataset: Dataset, rows: Rows, replicas: Replicas = ALONE) -> None:
        self.rows, self._feed, self._replicas = rows, feed, replicas
        self._truth = np.searchsorted(dataset.classes, [dataset.labels[row] for row in rows])
        self._logits: Callable[[Any], Any] = tf.load().function(
            lambda arrays: network.logits(feed.inputs(arrays)), reduce_retracing=True
        )

    def judged(
        self, mirrored: bool = False, tempered: bool = False
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
        """Of each photo, whether the network as it is is right, and its cross-entropy: (n,) and (n,).

        Args:
            mirrored: asks about mirror images; of activations at a boundary instead of photos, nearly so.
            tempered: takes the temperature that suits these photos best.
        """
        rows = self.rows
        batches = [rows[start : start + EVALUATED] for start in range(0, len(rows), EVALUATED)]
        plain = self._feed.plain(batches)
        seen = (tuple(array[:, :, ::-1] for array in arrays) for arrays in plain) if mirrored else plain
        logits = np.concatenate([self._logits(arrays).numpy() for arrays in seen])
        if tempered and np.isfinite(logits).all():
            logits = logits / metrics.fit_temperature(logits, self._truth)
        logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
        entropy = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(rows)), self._truth]
        return self._replicas.agreed(logits.argmax(axis=1) == self._truth), self._replicas.agreed(entropy)

    def score(self) -> tuple[float, float]:
        """Accuracy and minus cross-entropy of the network as it is; the larger the better."""
        if not len(self.rows):
            return (0.0, 0.0)
        right, entropy = self.judged()
        return float(right.mean()), -float(entropy.mean())


def _batches(order: Rows, size: int, equal: bool) -> tuple[list[Rows], int]:
    """An order in batches, and how many rows at the end of the last are there only to fill it.

    Args:
        equal: whether all are to be of one size: XLA compiles a step anew for every other one.
    """
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    missing = size - len(batches[-1])
    if equal and missing and len(batches) > 1:
        batches[-1] = np.concatenate([batches[-1], order[:missing]])
        return batches, missing
    if len(batches) > 1 and len(batches[-1]) == 1:  # one photo has no batch statistics
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches, 0


def _targets(dataset: Dataset, fit: Rows, plan: Plan) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    classes = np.searchsorted(dataset.classes, [dataset.labels[row] for row in fit])
    count = len(dataset.classes)
    smoothing = plan.label_smoothing
    targets = np.eye(count, dtype=np.float32)[classes] * (1 - smoothing) + smoothing / count
    if not plan.class_weights:
        return targets, np.ones(len(fit), np.float32)
    sizes = np.maximum(np.bincount(classes, minlength=count), 1)
    return targets, (len(fit) / (count * sizes)).astype(np.float32)[classes]
