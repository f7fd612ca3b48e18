"""Training: photos + backbone → RUN, a folder with everything that conversion needs.

The head is one linear solve on embeddings, whatever the strategy; ``top`` and ``full`` first make better embeddings.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.errors import InputError

from ..backbones import backbone as backbones
from ..backbones.backbone import BackboneSpec
from ..data.datasets import Dataset
from ..data.duplicates import Hashes, find_duplicates
from . import activation_cache as boundary
from . import embeddings
from .accelerator import hardware
from .feeds import CachedFeed, Feed, PhotoFeed
from .finetuning import Plan, finetune, stopping_rows
from .float_head import fit_float_head, float_codes, predict
from .network import Step, build_network, default_step, unfreeze
from .runs import FLOAT_FILE, MOST_PHOTOS, Run, new_run, open_run, save_run

__all__ = ["Plan", "Run", "Training", "fit_float_head", "float_codes", "open_run", "train", "train_head"]


@dataclass(frozen=True)
class Training:
    """What :func:`train` is asked for, beside photos and backbone.

    Args:
        plan: how to fine-tune; None trains the head alone.
        step: one step of it; your own is the hook for a custom training loop.
        resume: go on with what an interrupt left.
        force: replace an existing RUN, and drop what an interrupt left.
        seed: of split, head and calibration.
        tell: told a line now and then.
    """

    plan: Plan | None = None
    step: Step = default_step
    resume: bool = False
    force: bool = False
    seed: int = 0
    tell: Callable[[str], None] = lambda text: None


def train_head(dataset: Dataset, spec: BackboneSpec, output: Path, seed: int = 0, force: bool = False) -> Run:
    """Train a head on a frozen backbone: :func:`train` with nothing else."""
    return train(dataset, spec, output, Training(seed=seed, force=force))


def train(dataset: Dataset, spec: BackboneSpec, output: Path, options: Training = Training()) -> Run:
    """Train and write the RUN whole or not at all.

    An interrupted fine-tuning leaves ``OUTPUT.checkpoint``, which ``resume`` goes on from.

    Raises:
        InputError: photos, weights or ``output`` cannot be used.
        StorageError: the RUN, or the cache of activations, cannot be written.
    """
    started = time.perf_counter()
    checkpoint = checkpoint_of(output)
    if len(dataset) > MOST_PHOTOS:
        raise InputError(f"at most {MOST_PHOTOS:,} photos can be trained on, got {len(dataset):,}")
    if options.plan is not None and checkpoint.exists() and not options.resume and not options.force:
        raise InputError(f"{checkpoint} is of an interrupted training: go on with --resume, or start anew with --force")
    if options.resume and options.plan is not None and not checkpoint.exists():
        options.tell(f"no {checkpoint} to go on from: starting anew")
    with new_run(output, options.force) as folder:
        model = backbones.build(spec, options.seed)
        if options.plan is None:
            embedded = embeddings.embed_to_file(model, dataset.files(), spec, folder / FLOAT_FILE)
            readable, details = readable_part(dataset, embedded.rows), {"device": hardware().device}
            hashes, skipped = embedded.hashes, embedded.skipped
        else:
            fine = _fine_tuned(model, dataset, spec, options.plan, options, checkpoint, folder)
            readable, hashes, skipped, details = fine
        truth, predicted = held_out_predictions(readable, np.load(folder / FLOAT_FILE, mmap_mode="r"))
        recall = metrics.per_class_recall(truth, predicted, len(readable.classes))
        run = Run(
            output,
            spec,
            readable,
            skipped,
            options.seed,
            options.plan.strategy if options.plan else "head",
            metrics.accuracy(truth, predicted),
            {label: None if np.isnan(r) else float(r) for label, r in zip(readable.classes, recall, strict=True)},
            datetime.now(UTC).isoformat(timespec="seconds"),
            time.perf_counter() - started,
            details,
            find_duplicates(readable, hashes),
        )
        save_run(folder, run, model)
    checkpoint.unlink(missing_ok=True)
    return run


def checkpoint_of(output: Path) -> Path:
    """What an interrupted fine-tuning leaves beside its RUN to be."""
    return output.with_name(f"{output.name}.checkpoint")


def _fine_tuned(
    model: Any, dataset: Dataset, spec: BackboneSpec, plan: Plan, options: Training, checkpoint: Path, folder: Path
) -> tuple[Dataset, Hashes, tuple[str, ...], dict[str, Any]]:
    """Train ``model`` in place and write its embeddings → readable photos, their hashes, what was skipped, facts."""
    machine, tell = hardware(), options.tell
    lower, upper = (None, model) if plan.strategy == "full" else backbones.cut(model, plan.boundary, spec.name)
    cached, why = None, _why_not_cached(plan, lower, len(dataset))
    feed: Feed
    if lower is not None and not why:
        recipe = boundary.CacheKey(spec.image_size, plan.views if plan.augment else 0, plan.seed)
        cached = boundary.fill(dataset.files(), lower, recipe, plan.cache_limit)
        readable, hashes, skipped = readable_part(dataset, cached.rows), cached.hashes, cached.skipped
        tell(f"activations of {len(readable)} photos cached in {cached.path.parent}: epochs run the top alone")
        embeddings.write_rows(folder / FLOAT_FILE, boundary.batches_of(cached, upper), len(readable))
        feed = CachedFeed(cached)
    else:
        if plan.strategy == "top":
            tell(f"no cache of activations: {why}; every epoch runs the whole backbone")
        embedded = embeddings.embed_to_file(model, dataset.files(), spec, folder / FLOAT_FILE)
        readable, hashes, skipped = readable_part(dataset, embedded.rows), embedded.hashes, embedded.skipped
        feed = PhotoFeed(readable.files(), spec.image_size, lower, plan.augment, plan.strong)
    fit, stop = stopping_rows(readable, plan.seed)
    unfreeze(model, upper, plan.train_batch_norm)
    body = in_mixed_precision(upper) if machine.mixed_precision else upper
    values = np.load(folder / FLOAT_FILE, mmap_mode="r")
    network = build_network(body, values, readable.labels, fit, stop, plan.train_batch_norm)
    weights = int(sum(np.prod(variable.shape) for variable in network.variables))
    tell(f"{weights:,} of {model.count_params():,} weights are trained, on {len(fit)} photos; {len(stop)} to stop on")
    history = finetune(
        network, feed, readable, (fit, stop), plan, checkpoint,
        resume=options.resume, xla=machine.xla, step=options.step, tell=tell,
    )  # fmt: skip
    if body is not upper:
        upper.set_weights(body.get_weights())
    for layer in model.layers:
        layer.trainable = layer.name != "scaling"
    if cached is not None:
        embeddings.write_rows(folder / FLOAT_FILE, boundary.batches_of(cached, upper), len(readable))
    else:
        embeddings.embed_to_file(model, readable.files(), spec, folder / FLOAT_FILE)
    options_used = asdict(replace(plan, epochs=plan.chosen_epochs, learning_rate=plan.chosen_rate))
    facts = {"device": machine.device, "cached": cached is not None, "plan": options_used, "epochs": history}
    return readable, hashes, skipped, facts


def _why_not_cached(plan: Plan, lower: Any, photos: int) -> str:
    if lower is None:
        return "nothing is frozen"
    if plan.augment and plan.strong:
        return "strong augmentation is drawn anew for every epoch"
    if plan.augment and plan.views == 0:
        return "--views 0 draws new views for every epoch"
    if not boundary.fits(lower.output_shape[1:], plan.views if plan.augment else 0, photos, plan.cache_limit):
        return f"it would be larger than --cache-limit, {plan.cache_limit / 1e9:.1f} GB"
    return ""


def in_mixed_precision(model: Any) -> Any:
    """A copy of a Keras model that computes in bfloat16 beside float32 weights (https://arxiv.org/abs/1905.12322)."""
    config = model.get_config()
    for layer in config["layers"]:
        if layer["class_name"] != "InputLayer":
            layer["config"]["dtype"] = "mixed_bfloat16"
    copy = type(model).from_config(config)
    copy.set_weights(model.get_weights())
    return copy


def held_out_predictions(
    dataset: Dataset, values: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Class indices (h,) of the held-out photos: the truth, and what a float head fitted on the others says."""
    train, held_out = dataset.rows("train"), dataset.rows("val", "test")
    head = fit_float_head(values, [dataset.labels[row] for row in train], train)
    index = {label: number for number, label in enumerate(dataset.classes)}
    truth = np.array([index[dataset.labels[row]] for row in held_out], np.intp)
    return truth, predict(head, values, held_out)[0]


def readable_part(dataset: Dataset, rows: tuple[int, ...]) -> Dataset:
    """The photos at ``rows``, which could be read; raises InputError if too few are left of a class."""
    readable = dataset.take(rows)
    check_classes(dataset, readable)
    return readable


def check_classes(asked: Dataset, readable: Dataset) -> None:
    """Raise InputError if unreadable photos left a class without training photos, or nothing to hold out."""
    trained = {readable.labels[row] for row in readable.rows("train")}
    for label in asked.classes:
        if label not in trained:
            raise InputError(f"class {label!r} has no readable training photo: replace the damaged files")
    if not readable.rows("val", "test"):
        raise InputError("no photo is left to hold out: give each class at least two readable photos, of two groups")
