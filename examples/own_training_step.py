"""Fine-tune with a training step of your own: Mixup (Zhang et al. 2017, https://arxiv.org/abs/1710.09412).

python examples/own_training_step.py photos run
"""

import shlex
import sys
from typing import Any

from edgetl import Batch, Network, load_photos, train


def mixup(network: Network, optimizer: Any, batch: Batch) -> Any:
    """One step on photos that are blended in pairs, and their labels with them; it runs inside a tf.function."""
    import tensorflow as tf

    share = tf.random.uniform(())
    mixed = batch._replace(
        inputs=share * batch.inputs + (1 - share) * tf.reverse(batch.inputs, [0]),
        targets=share * batch.targets + (1 - share) * tf.reverse(batch.targets, [0]),
    )
    with tf.GradientTape() as tape:
        loss = network.loss(mixed)  # or your own, of network.logits(mixed.inputs, training=True)
    gradients = tape.gradient(loss, network.variables)
    optimizer.apply_gradients(zip(gradients, network.variables, strict=True))
    return loss


def main(photos: str, run: str, epochs: str = "12") -> None:
    """Train the upper layers of the built-in backbone, and say how it went."""
    trained = train(
        load_photos(photos), run, weights="builtin", strategy="top", step=mixup, epochs=int(epochs), progress=print
    )
    following = shlex.join(["edgetl", "convert", run, "-o", f"{run}.edgetl"])
    print(f"held-out accuracy {trained.accuracy:.3f}; next: {following}")


if __name__ == "__main__":
    main(*sys.argv[1:])
