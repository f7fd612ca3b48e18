"""Training: photos + backbone → RUN, a folder with everything that conversion needs.

The head is one linear solve on embeddings, whatever the strategy; ``top`` and ``full`` first make better embeddings.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.console import Stages
from edgetl_device.errors import InputError
from edgetl_device.labels import check_label_count

from ..backbones.backbone import BackboneSpec, build, cut
from ..data.datasets import Dataset
from ..data.duplicates import find_duplicates
from ..data.hashes import Hashes
from .accelerator import Hardware, hardware
from .activation_cache import CachedPhotos, batches_of, fill, fits
from .checkpoint import backbone_options, check_left, plan_options
from .embeddings import embed_once, embed_to_file, write_rows
from .feeds import CachedFeed, Feed, PhotoFeed
from .finetuning import ENOUGH_TO_CHECK, Plan, finetune, stopping_rows
from .float_head import fit_float_head, float_codes, predict
from .network import Network, Step, build_network, default_step, unfreeze
from .records import DEFAULT_LIMIT, CacheKey
from .runs import FLOAT_FILE, MOST_PHOTOS, Run, new_run, open_run, save_run
from .watching import Watch

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
        tell: called with a line now and then.
        cache_limit: bytes on disk for embeddings of backbones as they are; 0 keeps none.
        watch: is called with the facts of each epoch, and at the end with the accuracy.
        tune_s: seconds to search for a better way to fine-tune; 0 for none.
        machine: of :func:`~.accelerator.hardware`; None for what that chooses.
    """

    plan: Plan | None = None
    step: Step = default_step
    resume: bool = False
    force: bool = False
    seed: int = 0
    tell: Callable[[str], None] = lambda text: None
    cache_limit: int = DEFAULT_LIMIT
    watch: Watch = lambda facts: None
    tune_s: float = 0.0
    machine: Hardware | None = None


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
    if len(dataset) > MOST_PHOTOS:
        raise InputError(f"at most {MOST_PHOTOS:,} photos can be trained on, got {len(dataset):,}")
    machine = options.machine or hardware()
    _check_several(machine, options)
    if machine.replicas.chief:
        known = plan_options(options.plan) if options.plan else {"strategy": "head"}
        check_left(checkpoint_of(output), known, dataset, options.resume, options.force)
        if options.resume and options.plan and not checkpoint_of(output).exists():
            options.tell(f"no {checkpoint_of(output)} to go on from: starting anew")
        return _trained_run(dataset, spec, output, options, machine)
    with TemporaryDirectory(prefix="edgetl-") as folder:  # the same training; the chief's is kept
        run = _trained_run(dataset, spec, Path(folder) / "run", options, machine)
        return replace(run, folder=output)


def _trained_run(dataset: Dataset, spec: BackboneSpec, output: Path, options: Training, machine: Hardware) -> Run:
    started = time.perf_counter()
    checkpoint = checkpoint_of(output)
    with new_run(output, options.force) as folder, machine.placed(), Stages(3) as stage:
        stage("loading the backbone")
        model = build(spec, options.seed)
        stage("embedding photos" if options.plan is None else "fine-tuning")
        if options.plan is None:
            trained = _as_it_is(model, dataset, spec, folder / FLOAT_FILE, options.cache_limit)
            trained = replace(trained, details={"device": machine.device})
        else:
            trained = _fine_tuned(model, dataset, spec, options, machine, checkpoint, folder / FLOAT_FILE)
        readable = trained.dataset
        stage("fitting the head")
        truth, predicted = held_out_predictions(readable, np.load(folder / FLOAT_FILE, mmap_mode="r"))
        recall = metrics.per_class_recall(truth, predicted, len(readable.classes))
        run = Run(
            output,
            spec,
            readable,
            (*trained.skipped, *map(str, dataset.unused)),
            options.seed,
            options.plan.strategy if options.plan else "head",
            metrics.accuracy(truth, predicted),
            {label: None if np.isnan(r) else float(r) for label, r in zip(readable.classes, recall, strict=True)},
            datetime.now(UTC).isoformat(timespec="seconds"),
            time.perf_counter() - started,
            trained.details | {"remarks": dict(trained.remarks)},
            find_duplicates(readable, trained.hashes),
        )
        save_run(folder, run, model)
    checkpoint.unlink(missing_ok=True)
    options.watch({"accuracy": run.accuracy})
    return run


def _check_several(machine: Hardware, options: Training) -> None:
    """Raise InputError for what several devices cannot do together."""
    if machine.replicas.count == 1 or options.plan is None:
        return
    if options.plan.train_batch_norm:
        raise InputError(
            "--train-batch-norm needs one device, such as --device gpu:0: each would see its own share only"
        )
    if options.tune_s and not machine.replicas.alone:
        raise InputError("--tune goes by the clock, which processes do not share: leave it out with TF_CONFIG")


def checkpoint_of(output: Path) -> Path:
    """What an interrupted fine-tuning leaves beside its RUN to be."""
    return output.with_name(f"{output.name}.checkpoint")


@dataclass(frozen=True, eq=False)
class _Trained:
    """A trained backbone's photos; their embeddings are in a file.

    Args:
        dataset: the photos that could be read.
        hashes: (n, 16) difference hashes of them.
        skipped: what is wrong with each of the others.
        remarks: what was done to photos in decoding → to how many.
        details: of the training, for a reader.
    """

    dataset: Dataset
    hashes: Hashes
    skipped: tuple[str, ...]
    remarks: Mapping[str, int]
    details: dict[str, Any]


def _as_it_is(model: Any, dataset: Dataset, spec: BackboneSpec, embeddings: Path, cache_limit: int) -> _Trained:
    """Embed the photos with the backbone as it is, into a file; what was embedded before comes from the cache."""
    embedded = embed_once(model, dataset.files(), spec, embeddings, cache_limit)
    readable = readable_part(dataset, embedded.rows)
    return _Trained(readable, embedded.hashes, embedded.skipped, embedded.remarks, {})


def _fine_tuned(
    model: Any,
    dataset: Dataset,
    spec: BackboneSpec,
    options: Training,
    machine: Hardware,
    checkpoint: Path,
    embeddings: Path,
) -> _Trained:
    """Train ``model`` in place, and write its embeddings into a file."""
    plan, tell = options.plan, options.tell
    assert plan is not None, "the head alone is solved"
    lower, upper = (None, model) if plan.strategy == "full" else cut(model, plan.boundary, spec.name)
    if lower is not None and machine.mixed_precision:
        lower = in_mixed_precision(lower)
    cached = _cached(dataset, lower, spec, plan, tell)
    if cached is None:
        start = _as_it_is(model, dataset, spec, embeddings, plan.cache_limit)
        augment = plan.augment is not False
        feed: Feed = PhotoFeed(start.dataset.files(), spec.image_size, lower, augment, plan.strong, spec.region)
    else:
        start = _Trained(readable_part(dataset, cached.rows), cached.hashes, cached.skipped, cached.remarks, {})
        write_rows(embeddings, batches_of(cached, upper), len(start.dataset))
        feed = CachedFeed(cached)
    readable = start.dataset
    fit, stop = rows = stopping_rows(readable, plan.seed)
    unfreeze(model, upper, plan.train_batch_norm)
    body = in_mixed_precision(upper) if machine.mixed_precision else upper
    values = np.load(embeddings, mmap_mode="r")
    network = build_network(body, values, readable.labels, fit, stop, plan.train_batch_norm)
    _tell_size(network, model, rows, tell)
    tuned = finetune(
        network, feed, readable, rows, plan, checkpoint,
        backbone=backbone_options(spec), resume=options.resume, xla=machine.xla, step=options.step, tell=tell,
        watch=options.watch, tune_s=options.tune_s, replicas=machine.replicas,
    )  # fmt: skip
    if body is not upper:
        upper.set_weights(body.get_weights())
    for layer in model.layers:
        layer.trainable = layer.name != "scaling"
    if cached is not None:
        write_rows(embeddings, batches_of(cached, upper), len(readable))
    else:
        embed_to_file(model, readable.files(), spec, embeddings)
    facts = {
        "device": machine.device,
        "cached": cached is not None,
        "plan": asdict(replace(tuned.plan, epochs=plan.chosen_epochs)),
        "epochs": tuned.history,
        "trials": [asdict(trial) for trial in tuned.trials],
        "tuned": [asdict(each) for each in tuned.tuned],
        "start_accuracy": tuned.start_accuracy,
    }
    return replace(start, details=facts)


def _tell_size(network: Network, model: Any, rows: tuple[list[int], list[int]], tell: Callable[[str], None]) -> None:
    weights = int(sum(np.prod(variable.shape) for variable in network.variables))
    fit, stop = map(len, rows)
    tell(f"{weights:,} of {model.count_params():,} weights are trained, on {fit} photos; {stop} to stop on")
    if not stop:
        tell(
            f"so few photos leave none to stop on (about {ENOUGH_TO_CHECK} would): the last epoch is kept, and nothing "
            "says whether it is better than --strategy head"
        )


def _cached(
    dataset: Dataset, lower: Any, spec: BackboneSpec, plan: Plan, tell: Callable[[str], None]
) -> CachedPhotos | None:
    """The activations of the frozen part, or None where a cache is of no use."""
    why_not = _why_not_cached(plan, lower, len(dataset))
    if why_not:
        if plan.strategy == "top":
            tell(f"no cache of activations: {why_not}; every epoch runs the whole backbone")
        return None
    key = CacheKey(spec.image_size, plan.views if plan.augment is not False else 0, plan.seed, region=spec.region)
    cached = fill(dataset.files(), lower, key, plan.cache_limit)
    tell(f"activations of {len(cached.rows)} photos cached in {cached.path.parent}: epochs run the top alone")
    return cached


def _why_not_cached(plan: Plan, lower: Any, photos: int) -> str:
    if lower is None:
        return "nothing is frozen"
    if plan.augment is not False and plan.strong:
        return "strong augmentation is drawn anew for every epoch"
    if plan.augment is not False and plan.views == 0:
        return "--views 0 draws new views for every epoch"
    if not fits(lower.output_shape[1:], plan.views if plan.augment is not False else 0, photos, plan.cache_limit):
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
    """Raise InputError if there are too many classes, one without training photos, or nothing to hold out."""
    check_label_count(len(asked.classes), "leave some out")
    trained = {readable.labels[row] for row in readable.rows("train")}
    for label in asked.classes:
        if label not in trained:
            raise InputError(f"class {label!r} has no readable training photo: replace the damaged files")
    if not readable.rows("val", "test"):
        groups = Counter(label for label, _ in set(zip(readable.labels, readable.groups, strict=False)))
        large = bool(groups) and min(groups.values()) > 1
        raise InputError(
            "no photo is left to hold out: "
            + ("all groups are too large for that share: raise --val-split, or make smaller groups" if large
               else "give each class at least two readable photos, of two groups")
        )  # fmt: skip
