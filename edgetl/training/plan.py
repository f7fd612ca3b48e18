"""How to fine-tune: the options."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgetl_device.errors import InputError

from .feeds import Variation


@dataclass(frozen=True)
class Plan:
    """How to fine-tune. What is None is chosen.

    Args:
        strategy: ``top`` or ``full``.
        epochs: at most; default 12.
        batch_size: photos a step.
        learning_rate: largest of Adam; default 0.001 for ``top``, 0.0002 for ``full``, or some times that if
            :mod:`~edgetl.training.trials` find it better.
        warmup: epochs until it is reached; then it falls to zero along a cosine.
        patience: epochs without a better result on the stopping part before training ends.
        label_smoothing: share of a photo that is spread over all classes, 0 … 1.
        class_weights: whether photos of rare classes count more, so that all classes count the same.
        train_batch_norm: whether batch normalization is trained and uses the batch's statistics.
        augment: whether photos are varied; default yes, unless there are very many and a trial does better without.
        flip: whether half of the varied photos are mirrored; default yes, unless a trial finds that mirror images are
            other things.
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
    augment: bool | None = None
    flip: bool | None = None
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
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label smoothing must be 0 or above and below 1, got {self.label_smoothing}")
        if self.views < 0 or self.warmup < 0:
            raise InputError(f"views and warm-up must not be negative, got {self.views} and {self.warmup}")

    @property
    def chosen_epochs(self) -> int:
        """At most so many."""
        return self.epochs or 12

    @property
    def variation(self) -> Variation:
        """How photos are varied, where nothing was chosen yet."""
        return "none" if self.augment is False else "unmirrored" if self.flip is False else "all"

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
