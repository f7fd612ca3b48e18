"""Photos → run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from edgetl_device.errors import InputError
from edgetl_device.region import Region, check_region

from ..backbones import backbone as backbones
from ..backbones.backbone import BackboneSpec
from ..backbones.own import OwnBackbone
from ..data.datasets import Dataset
from ..evaluation.training_page import write_training_report
from ..models.own_backbone import is_own, own_backbone
from ..outputs import check_output, check_writable
from ..training import advisor
from ..training import train as training
from ..training.accelerator import hardware
from ..training.checkpoint import backbone_options, check_left, plan_options
from ..training.finetuning import Plan, too_few_to_tune
from ..training.network import Step, default_step
from ..training.runs import Run, check_place
from ..training.watching import TensorBoard, Watch, check_folder
from .photos import load_photos
from .progress import Progress, silent

Strategy = Literal["head", "top", "full", "auto"]


class FineTuning(TypedDict, total=False):
    """How ``train`` fine-tunes: the fields of :class:`~edgetl.training.finetuning.Plan`, which has the defaults."""

    epochs: int | None
    batch_size: int
    learning_rate: float | None
    warmup: float
    patience: int
    label_smoothing: float
    class_weights: bool
    train_batch_norm: bool
    augment: bool | None
    flip: bool | None
    strong: bool
    views: int
    boundary: str | None
    cache_limit: int


def train(
    photos: str | Path | Sequence[str | Path] | Dataset,
    output: str | Path,
    *,
    strategy: Strategy = "head",
    backbone: str = backbones.BUILTIN.name,
    alpha: float | None = None,
    image_size: int | None = None,
    weights: str | None = None,
    scale: tuple[float, float] | None = None,
    region: Region | None = None,
    step: Step = default_step,
    seed: int = 0,
    resume: bool = False,
    force: bool = False,
    progress: Progress = silent,
    watch: Watch | None = None,
    tensorboard: str | Path | None = None,
    report: str | Path | None = None,
    tune: float | None = None,
    device: str = "auto",
    **fine_tuning: Unpack[FineTuning],
) -> Run:
    """Teach a backbone the classes of photos and write the run, a folder that :func:`convert` reads.

        >>> run = train("photos", "run", weights="builtin")
        >>> run.strategy, run.spec.name, sorted(run.per_class)
        ('head', 'mobilenet_v2', ['ball', 'box'])

    Args:
        photos: of :func:`load_photos`, or a path for it.
        output: folder to write.
        strategy: how much to train: ``head``, ``top``, ``full``, or ``auto`` for what :mod:`edgetl.training.advisor`
            says.
        backbone: a name of :mod:`edgetl.backbones.catalogue`, or a ``.keras`` or ``.h5`` classifier of your own.
        alpha: width multiplier; default is 1.0, of the built-in weights 0.35.
        image_size: side of the input, pixels; default is that of the weights.
        weights: ``imagenet``, ``builtin``, ``none`` (random) or a weights file; default is ``imagenet``, and
            :func:`~edgetl.backbones.backbone.offline` where these cannot be downloaded.
        scale: of a classifier of your own: what pixels 0 and 255 became in its training, if it does not scale itself.
        region: (x, y, width, height) of the part of the photos that counts, in ten-thousandths of their sides; devices
            look at the same part of their frames.
        step: one step of fine-tuning; your own may compute another loss.
        seed: of split, views and calibration.
        resume: go on with an interrupted training.
        force: replace a run that is there.
        progress: told what happens.
        watch: called with the facts of each epoch, for MLflow and the like (:data:`edgetl.training.watching.Watch`).
        tensorboard: folder for TensorBoard's files.
        report: HTML page to write about the training.
        tune: minutes to search for a better learning rate, label smoothing and batch size, for ``top`` and ``full``.
        device: ``auto``, ``cpu``, ``gpu``, one of several, such as ``gpu:1``, or several, such as ``gpu:0,gpu:1``. With
            TF_CONFIG in the environment, several processes train together, and the first writes the run.
        fine_tuning: how to fine-tune, for ``top`` and ``full``.

    Raises:
        InputError: photos, backbone or output cannot be used.
        StorageError: the run cannot be written.
    """
    check_place(Path(output), force)
    check_writable(Path(output))
    if report is not None:
        check_output(Path(report), force)
    _check_tuning(tune, strategy)
    if tensorboard is not None:
        check_folder(Path(tensorboard))
    spec = replace(backbone_spec(backbone, alpha, image_size, weights, scale), region=region and check_region(region))
    plan = Plan("full" if strategy == "full" else "top", seed=seed, **fine_tuning)
    dataset = photos if isinstance(photos, Dataset) else load_photos(photos, seed=seed)
    groups = f" in {len(set(dataset.groups))} groups" if dataset.groups else ""
    progress(f"{len(dataset)} photos of {len(dataset.classes)} classes{groups}")
    training.check_classes(dataset, dataset)
    if tune and (too_few := too_few_to_tune(dataset, seed)):
        progress(too_few)
        tune = None
    check_left(
        training.checkpoint_of(Path(output)),
        _certain(plan, strategy, spec, weights, image_size),
        dataset,
        resume,
        force,
    )
    machine = hardware(device)
    progress(f"training on the {machine.device}")

    chief = machine.replicas.chief
    watching = (watch if chief else None) or (lambda facts: None)
    if tensorboard is not None and chief:
        watching = TensorBoard(Path(tensorboard), watch)

    def attempt(spec: BackboneSpec) -> Run:
        chosen: str = strategy
        if chosen == "auto":
            with machine.placed():
                advice = advisor.advise(dataset, spec, seed)
            chosen = advice.strategy
            progress(f"strategy {chosen}: {'; '.join(advice.reasons)}")
            if chosen == "full" and image_size is None and not isinstance(spec, OwnBackbone):
                spec = _at_most(advisor.input_size(dataset, spec, seed), spec, progress)
        if tune and chosen == "head":
            progress("nothing to tune: the head is solved")
        chosen_plan = None if chosen == "head" else replace(plan, strategy=chosen)
        options = training.Training(
            chosen_plan,
            step=step,
            resume=resume,
            force=force,
            seed=seed,
            tell=progress,
            cache_limit=plan.cache_limit,
            watch=watching,
            tune_s=60.0 * (tune or 0.0),
            machine=machine,
        )
        run = training.train(dataset, spec, Path(output), options)
        if report is not None and chief:
            write_training_report(run, Path(report))
        return run

    try:
        return attempt(spec)
    except backbones.DownloadError:
        if weights is not None or backbone != backbones.BUILTIN.name:
            raise
        other, words = backbones.offline(spec.image_size)
        left_out = "" if alpha is None else f", which leaves out --alpha {alpha:g}"
        progress(f"the ImageNet weights could not be downloaded: using {words}{left_out}")
        return attempt(replace(other, region=spec.region))


def _certain(
    plan: Plan, strategy: str, spec: BackboneSpec, weights: str | None, image_size: int | None
) -> dict[str, object]:
    """The options that a training begins with, but for those that something may still decide otherwise."""
    if strategy == "head":
        return {"strategy": "head"}
    later: set[str] = {"strategy"} if strategy == "auto" else set()
    if strategy == "auto" and image_size is None:  # it may be smaller for small photos
        later |= {"image_size"}
    if weights is None and spec.name == backbones.BUILTIN.name:  # where the weights cannot be downloaded
        later |= {"backbone", "alpha", "weights"}
    options = plan_options(plan) | backbone_options(spec)
    return {name: value for name, value in options.items() if name not in later}


def _check_tuning(minutes: float | None, strategy: str) -> None:
    if minutes is not None and not 0 < minutes < 1e5:
        raise InputError(f"expected minutes above 0 to tune, got {minutes:g}")
    if minutes is not None and strategy == "head":
        raise InputError("the head is solved, there is nothing to tune: add --strategy top, full or auto")


def _at_most(size: int, spec: BackboneSpec, progress: Progress) -> BackboneSpec:
    if size < spec.image_size:
        progress(f"the photos are small: an input of {size} px instead of {spec.image_size}, unless --image-size says")
    return replace(spec, image_size=size)


def backbone_spec(
    backbone: str,
    alpha: float | None = None,
    image_size: int | None = None,
    weights: str | None = None,
    scale: tuple[float, float] | None = None,
) -> BackboneSpec:
    """What identifies a backbone, where None is the default of its weights; raises InputError if there is none such."""
    if is_own(backbone):
        given = {"--alpha": alpha, "--image-size": image_size, "--weights": weights}
        unused = next((name for name, value in given.items() if value is not None), None)
        if unused is not None:
            raise InputError(f"{unused} is of edgetl's own architectures, and {backbone} brings its own: leave it out")
        return own_backbone(Path(backbone), scale)
    if scale is not None:
        raise InputError(
            "--scale is of a --backbone FILE of your own; edgetl's own backbones know theirs: leave it out"
        )
    base = backbones.default_spec(backbone, weights)
    spec = BackboneSpec(
        backbone,
        base.alpha if alpha is None else alpha,
        base.image_size if image_size is None else image_size,
        base.weights if weights is None else weights,
    )
    backbones.check(spec)
    return spec
