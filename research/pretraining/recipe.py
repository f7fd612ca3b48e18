"""Every number of the pre-training run, and how learning rate and image size change over it."""

from __future__ import annotations

from dataclasses import dataclass

ALPHA = 0.35
IMAGE_SIZE = 96
"""Pixels a side at which the backbone is used afterwards."""

WEIGHTS_NAME = f"mobilenet_v2_{ALPHA}_{IMAGE_SIZE}.h5"


@dataclass(frozen=True)
class Recipe:
    """A training run; two runs with equal recipes, data, software and machine give equal weights.

    The learning rate warms up, stays constant, and falls linearly to zero over the last `cooldown` of the
    run (Hägele et al. 2024, https://arxiv.org/abs/2405.18392). Unlike a cosine, the constant part does not
    depend on the length of the run: it can be shortened or extended from a checkpoint at any epoch before the
    cooldown.

    Images grow during the run (Tan & Le 2021, https://arxiv.org/abs/2104.00298): an epoch at 48 pixels has
    a quarter of the pixels of one at 96. It ends at 80: crops show things larger than whole photos do, so the
    best size to use a network at is above the one it was trained at (Touvron et al. 2019,
    https://arxiv.org/abs/1906.06423).

    Plain cross-entropy, no label smoothing and no dropout: both raise accuracy on the training classes and
    lower that of a linear classifier on other classes (Kornblith et al. 2021, https://arxiv.org/abs/2010.16402).

    Attributes:
        epochs: passes over the training photos.
        seed: of initial weights, order and augmentation.
        stages: (fraction of the run at which it begins, image size in pixels), ascending, the first at 0.0.
        batch_size: photos a step. Cut into `towers` equal parts.
        towers: parts of a batch that run side by side, a thread each, so that threads need not wait for each
            other after every op; every part has its own batch norm statistics.
        learning_rate: after the warm-up, of stochastic gradient descent with Nesterov momentum.
        momentum: of the gradient.
        weight_decay: L2 penalty, on the weights of full convolutions and of the classifier only.
        warmup: epochs over which the learning rate rises linearly from zero.
        cooldown: fraction of the run over which it falls linearly to zero.
        batch_norm_momentum: Keras' own 0.999 is too slow for a run of this length.
        rendered_per_kind: rendered photos of each kind of machine part (see `rendered.py`); 0 for none.
        rendered_from: fraction of the run at which they join.
        average_decay: of the exponential moving average of the weights over steps, which is what is kept
            (Polyak & Juditsky 1992).
    """

    epochs: int = 52
    seed: int = 0
    stages: tuple[tuple[float, int], ...] = ((0.0, 48), (0.25, 64), (0.92, 80))
    batch_size: int = 128
    towers: int = 2
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: float = 1.0
    cooldown: float = 0.3
    batch_norm_momentum: float = 0.98
    rendered_per_kind: int = 700
    rendered_from: float = 0.76
    average_decay: float = 0.999

    def image_size(self, epoch: int) -> int:
        """Pixels a side in `epoch` (0-based).

        >>> [Recipe(epochs=52).image_size(epoch) for epoch in (0, 12, 13, 47, 48)]
        [48, 48, 64, 64, 80]
        """
        begun = [size for start, size in self.stages if start * self.epochs <= epoch]
        return begun[-1]

    def takes_rendered(self, epoch: int) -> bool:
        """Whether rendered photos are among those of `epoch` (0-based).

        >>> [Recipe(epochs=10, rendered_from=0.7).takes_rendered(epoch) for epoch in (0, 6, 7)]
        [False, False, True]
        """
        return bool(self.rendered_per_kind) and epoch >= self.rendered_from * self.epochs

    def learning_rate_at(self, epoch: float) -> float:
        """Learning rate after `epoch` epochs, a fraction within one.

        >>> recipe = Recipe(epochs=10, learning_rate=0.1, warmup=1.0, cooldown=0.3)
        >>> [round(recipe.learning_rate_at(epoch), 3) for epoch in (0, 0.5, 1, 7, 8.5, 10)]
        [0.0, 0.05, 0.1, 0.1, 0.05, 0.0]
        """
        rising = epoch / self.warmup if self.warmup else 1.0
        falling = (self.epochs - epoch) / (self.cooldown * self.epochs) if self.cooldown else 1.0
        return self.learning_rate * max(0.0, min(1.0, rising, falling))
