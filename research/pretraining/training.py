"""The loop over epochs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from research.pretraining.archive import Archive, Photos
from research.pretraining.checkpoint import Checkpoint, load_checkpoint
from research.pretraining.network import Network, save_weights
from research.pretraining.probe import LabelledPhotos, lda_accuracy, pooled_features
from research.pretraining.recipe import IMAGE_SIZE, WEIGHTS_NAME, Recipe
from research.pretraining.rendered import KINDS, rendered_photos


def use_threads(towers: int) -> None:
    """One thread a tower. Only before TensorFlow has run anything in this process.

    Raises:
        RuntimeError: TensorFlow already runs with other settings.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(towers)


def pretrain(
    archive: Archive,
    folder: Path,
    recipe: Recipe,
    *,
    resume: bool = False,
    probes: dict[str, LabelledPhotos] | None = None,
    probe_every: int = 5,
    report: Callable[[dict[str, Any]], None] = lambda facts: None,
) -> Checkpoint:
    """Trains, and after every epoch writes `folder/checkpoint.npz` and the weights so far, `WEIGHTS_NAME`.

    Args:
        archive: photos trained on and validated on.
        folder: existing folder for the results.
        recipe: the run.
        resume: go on from `folder/checkpoint.npz`.
        probes: photos to measure the frozen features on every `probe_every` epochs and at the end, by name;
            they are only looked at: nothing of the run depends on them.
        report: called with a dict after every epoch, and about every 10 s within one.

    Returns:
        The run's end, as written to the folder.

    Raises:
        PretrainingError: `resume` with a checkpoint that is missing, damaged, or of another run.
    """
    network = Network(len(archive.classes) + len(KINDS), recipe)
    train = archive.train
    done, history, wall, cpu = 0, [], 0.0, 0.0
    checkpoint = None
    if resume:
        checkpoint = load_checkpoint(folder, recipe, archive.sha256)
        network.restore(checkpoint.state)
        done, history = checkpoint.epoch, checkpoint.history
        wall, cpu = checkpoint.wall_seconds, checkpoint.cpu_seconds
    wall_start, cpu_start = time.monotonic() - wall, time.process_time() - cpu
    for epoch in range(done, recipe.epochs):
        if train is archive.train and recipe.takes_rendered(epoch):
            train = _joined(train, rendered_photos(recipe, train.images.shape[1], len(archive.classes)))
        facts = _train_epoch(network, train, epoch, report)
        facts["val_accuracy"] = network.accuracy(archive.val, IMAGE_SIZE)
        kept = network.averaged_backbone()
        if (epoch + 1) % probe_every == 0 or epoch + 1 == recipe.epochs:
            for name, photos in (probes or {}).items():
                facts[f"probe_{name}"] = lda_accuracy(pooled_features(kept, photos), photos)
        wall, cpu = time.monotonic() - wall_start, time.process_time() - cpu_start
        facts |= {"wall_seconds": round(wall), "cpu_seconds": round(cpu)}
        history = [*history, facts]
        save_weights(kept, folder / WEIGHTS_NAME)
        checkpoint = Checkpoint(epoch + 1, asdict(recipe), archive.sha256, wall, cpu, history, network.state())
        checkpoint.save(folder)
        report(facts)
    assert checkpoint is not None  # A recipe has at least one epoch.
    return checkpoint


def _joined(one: Photos, other: Photos) -> Photos:
    return Photos(np.concatenate([one.images, other.images]), np.concatenate([one.labels, other.labels]))


def _train_epoch(
    network: Network, train: Photos, epoch: int, report: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    recipe = network.recipe
    steps = max(1, len(train) // recipe.batch_size)
    order = np.random.default_rng([recipe.seed, epoch]).permutation(len(train))
    # Fewer photos than a batch (tests) are repeated; else what does not fill a batch waits for another epoch.
    order = np.resize(order, steps * recipe.batch_size).reshape(steps, recipe.batch_size)
    size = recipe.image_size(epoch)
    sums, start, last = np.zeros(2), time.monotonic(), time.monotonic()
    for step, chosen in enumerate(order):
        rate = recipe.learning_rate_at(epoch + step / steps)
        sums += network.step(
            train.images[chosen], train.labels[chosen],
            size=size, learning_rate=rate, number=epoch * steps + step,
        )  # fmt: skip
        if time.monotonic() - last > 10:
            last = time.monotonic()
            speed = (step + 1) * recipe.batch_size / (last - start)
            report({"epoch": epoch + 1, "done": (step + 1) / steps, "photos_per_second": round(speed)})
    loss, accuracy = (sums / steps).round(4).tolist()
    return {
        "epoch": epoch + 1,
        "size": size,
        "learning_rate": round(rate, 5),
        "loss": loss,
        "accuracy": accuracy,
    }
