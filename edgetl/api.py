"""What the program ``edgetl`` does, for a program of your own: photos → run → bundle → device.

One after the other, the examples of the functions below are one program. Nothing is printed; where something takes
minutes, ``progress=print`` tells what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from edgetl_device.bundle.bundle import Bundle, open_bundle
from edgetl_device.bundle.signing import read_private_key
from edgetl_device.console import refuse_existing
from edgetl_device.errors import InputError
from edgetl_device.photo_folders import named_photos
from edgetl_device.region import Region, check_region
from edgetl_device.starter import PATH as STARTER

from .backbones import backbone as backbones
from .backbones.backbone import BackboneSpec
from .backbones.own import OwnBackbone
from .conversion import convert as conversion
from .conversion.compression import Compression
from .conversion.convert import Converted
from .data.datasets import Dataset, find_all
from .deployment import deploy as deployment
from .deployment.deploy import Deployed
from .embedding import scale
from .embedding.engines import open_engine
from .embedding.scale import EmbeddedPhotos
from .evaluation import evaluate as evaluation
from .evaluation import predict as prediction
from .evaluation.evaluate import Evaluation
from .evaluation.page import write_report
from .evaluation.predict import Predictions
from .evaluation.training_page import write_training_report
from .imports import writing as importing
from .imports.writing import Imported
from .models import sources
from .models.own_backbone import is_own, own_backbone
from .training import advisor
from .training import train as training
from .training.accelerator import hardware
from .training.finetuning import Plan
from .training.network import Step, default_step
from .training.runs import Run, check_place, is_run, open_run
from .training.watching import TensorBoard, Watch

Progress = Callable[[str], None]
"""Is told a line for a person now and then."""

Quantization = Literal["int8", "int8-float-io", "int16x8", "float16", "dynamic", "none"]
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


def _silent(text: str) -> None:
    """Nobody is told."""


def load_photos(
    path: str | Path | Sequence[str | Path], *, val_split: float = 0.2, group: str | None = None, seed: int = 0
) -> Dataset:
    """Labelled photo files, with some of each class held out.

        >>> photos = load_photos("photos")
        >>> photos.classes, len(photos.rows("train")), len(photos.rows("val"))
        (('ball', 'box'), 32, 8)

    Args:
        path: a folder with one folder of photos per class, or the same under ``train/``, ``val/`` and ``test/``, or a
            CSV file with the columns ``path`` and ``label``, perhaps ``split`` and ``group``; or several of them, which
            become one data set.
        val_split: share to hold out, 0 … 0.9, where ``path`` says nothing of it.
        group: keeps photos on one side that belong together: a regular expression for their paths, or a column.
        seed: of the split; a photo that is added changes nothing for the others.

    Raises:
        InputError: it is none of these, or a class has no photo.
    """
    return find_all(as_paths(path), val_split, seed, group)


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
    progress: Progress = _silent,
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
        device: ``auto``, ``cpu``, ``gpu`` or one of several, such as ``gpu:1``.
        fine_tuning: how to fine-tune, for ``top`` and ``full``.

    Raises:
        InputError: photos, backbone or output cannot be used.
        StorageError: the run cannot be written.
    """
    check_place(Path(output), force)
    if report is not None:
        refuse_existing(Path(report), force)
    _check_tuning(tune, strategy)
    spec = replace(backbone_spec(backbone, alpha, image_size, weights, scale), region=region and check_region(region))
    plan = Plan("full" if strategy == "full" else "top", seed=seed, **fine_tuning)
    dataset = photos if isinstance(photos, Dataset) else load_photos(photos, seed=seed)
    groups = f" in {len(set(dataset.groups))} groups" if dataset.groups else ""
    progress(f"{len(dataset)} photos of {len(dataset.classes)} classes{groups}")
    machine = hardware(device)
    progress(f"training on the {machine.device}")

    watching = watch or (lambda facts: None)
    if tensorboard is not None:
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
        if report is not None:
            write_training_report(run, Path(report))
        return run

    try:
        return attempt(spec)
    except backbones.DownloadError:
        if weights is not None or backbone != backbones.BUILTIN.name:
            raise
        other, words = backbones.offline(spec.image_size)
        progress(f"the ImageNet weights could not be downloaded: using {words}")
        return attempt(replace(other, region=spec.region))


def _check_tuning(minutes: float | None, strategy: str) -> None:
    if minutes is not None and not 0 < minutes < 1e5:
        raise InputError(f"expected minutes above 0 to tune, got {minutes:g}")
    if minutes is not None and strategy == "head":
        raise InputError("the head is solved, there is nothing to tune: add --strategy top, full or auto")


def _at_most(size: int, spec: BackboneSpec, progress: Progress) -> BackboneSpec:
    if size < spec.image_size:
        progress(f"the photos are small: an input of {size} px instead of {spec.image_size}, unless --image-size says")
    return replace(spec, image_size=size)


def embed(
    photos: str | Path,
    output: str | Path,
    *,
    engine: str = "local",
    bundle: str | Path | None = None,
    force: bool = False,
) -> EmbeddedPhotos:
    """Photos of any number → a folder of Parquet files with their raw int8 embeddings.

        >>> done = embed("photos", "embedded")
        >>> done.photos, done.skipped
        (40, ())

    Args:
        photos: a folder with one folder per class, a list (``.csv``, ``.tsv``, ``.parquet``), a tar shard or a folder
            of those, or the address of any of them in an object store.
        output: folder to write; what an interrupt left there is gone on with.
        engine: ``local``, ``ray``, or ``ray://HOST:PORT`` for a cluster that runs.
        bundle: whose backbone embeds; default is the one that comes with ``edgetl-device``.
        force: replace what is there.

    Raises:
        InputError: there are no photos, the engine is not installed, or ``output`` may not be written.
        StorageError: it cannot be written.
    """
    source = STARTER if bundle is None else Path(bundle)
    return scale.embed_photos(str(photos), Path(output), source, open_engine(engine), force)


def convert(
    run: str | Path | Run,
    output: str | Path,
    *,
    quantize: Quantization = "int8",
    head: str = conversion.Options.head,
    photos: str | Path | Sequence[str | Path] | None = None,
    labels: str | Path | None = None,
    scale: tuple[float, float] | None = None,
    resize: str | None = None,
    calibration_samples: int = 200,
    max_drop: float = 0.01,
    qat: bool = False,
    prune: float | None = None,
    cluster: int | None = None,
    epochs: int | None = None,
    per_tensor: bool = False,
    no_classes: bool = False,
    fused: bool = False,
    keep_head: bool = False,
    export: Sequence[str] = (),
    edgetpu: bool = False,
    explainable: bool = False,
    inspectable: bool | None = None,
    sign: str | Path | None = None,
    seed: int | None = None,
    force: bool = False,
    verbose: bool = False,
) -> Converted:
    """Quantize a float model, fit the head on the result, hold it against the float model and write a bundle.

        >>> converted = convert("run", "toys.edgetl", quantize="float16")
        >>> converted.parity.converted_accuracy >= converted.parity.float_accuracy - 0.01
        True

    Args:
        run: what :func:`train` made, or a Keras image classifier: ``.keras``, ``.h5`` or a SavedModel folder.
        output: file to write, ``NAME.edgetl``.
        quantize: number format of the backbone.
        head: learning rule, a name of :data:`edgetl_device.heads.registry.HEADS`.
        photos: of a run: where its photos are now; of a classifier: the photos to convert with.
        labels: of a classifier: file with the label of each output, one a line.
        scale: of a classifier: what pixel values 0 and 255 became in its training.
        resize: of a classifier: ``crop``, ``stretch`` or ``letterbox``, as its photos were resized in training; found
            by which gives the most right labels where it is not said.
        calibration_samples: representative photos, class-balanced.
        max_drop: accuracy that conversion may cost, as a share.
        qat, prune, cluster, epochs: quantization-aware training, share of weights to set to zero, distinct values a
            kernel, and how long each is fine-tuned.
        no_classes: make a bundle that knows nothing yet, and is taught on the device.
        fused: add one file with backbone and head, for other apps.
        keep_head: of a classifier: give that file its own last layer, as it is, in place of the bundle's head.
        export: files of the float model to write beside ``output``: ``keras``, ``onnx`` or both.
        edgetpu: add the backbone compiled for the Edge TPU.
        explainable: let the backbone export its feature map.
        inspectable: let it give inner maps for visual inspection; by default where that is free, which it is in int8.
        sign: private key to sign with.
        seed: of calibration, holdout and fine-tuning; default is the run's.
        force: replace a file that is there.
        verbose: let TensorFlow's converter speak, on stderr, and compare layers.

    Raises:
        InputError: a combination that does not work, or photos that are gone.
        CheckFailedError: the result loses more than ``max_drop``, or is not what was asked for; nothing is written.
        StorageError: the bundle cannot be written.
    """
    for path in (Path(output), *(Path(output).with_suffix(f".{kind}") for kind in export)):
        refuse_existing(path, force)
    source = run.folder if isinstance(run, Run) else Path(run)
    key = None if sign is None else read_private_key(Path(sign))
    moved, names = None if photos is None else as_paths(photos), None if labels is None else Path(labels)
    options = conversion.Options(
        quantize, calibration_samples, max_drop, head, no_classes, None,
        Compression(qat, prune, cluster, epochs, per_tensor),
        layers=verbose, fused=fused, keep_head=keep_head, edgetpu=edgetpu, explainable=explainable,
        inspectable=inspectable, export=tuple(export),
    )  # fmt: skip
    return conversion.convert(
        lambda: sources.open_source(source, moved, names, scale, seed, resize), Path(output), options, verbose, key
    )


def evaluate(
    bundle: str | Path | Bundle,
    photos: str | Path | Sequence[str | Path] | Dataset,
    *,
    group: str | None = None,
    slices: str | Path | None = None,
    report: str | Path | None = None,
    runtime: str = "auto",
    force: bool = False,
) -> Evaluation:
    """How a bundle does on labelled photos, with the device's own code and runtime.

        >>> evaluation = evaluate("toys.edgetl", "new-photos")
        >>> evaluation.labels, evaluation.confusion.shape, evaluation.samples
        (('ball', 'box'), (2, 2), 12)

    Args:
        photos: folders or a list, as for :func:`load_photos`; all of them count.
        group: a group of the bundle's labels, where these are the classes of the photos.
        slices: CSV file with the column ``path`` and columns to tell accuracy apart by.
        report: also write one self-contained HTML page.
        runtime: TFLite runtime: ``auto``, ``litert`` or ``tflite``.
        force: replace a report that is there.

    Raises:
        InputError: no bundle, or photos of a class that it does not know.
        StorageError: the report cannot be written.
    """
    if report is not None:
        refuse_existing(Path(report), force)
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    dataset = photos if isinstance(photos, Dataset) else find_all(as_paths(photos))
    if slices is not None:
        dataset = evaluation.with_columns(dataset, Path(slices))
    result = evaluation.evaluate(opened, dataset, runtime, group)
    if report is not None:
        write_report(result, opened, Path(report), group)
    return result


def predict(
    source: str | Path | Bundle | Run,
    photos: str | Path | Iterable[str | Path],
    *,
    csv: str | Path | None = None,
    top: int = 3,
    runtime: str = "auto",
    force: bool = False,
) -> Predictions:
    """Label photos with a bundle or a run, on every core of this machine.

        >>> predictions = predict("toys.edgetl", "new-photos")
        >>> predictions.counts, predictions.predictions[0].label
        ({'ball': 6, 'box': 6}, 'ball')

    Args:
        source: a bundle, or a run, which answers as a bundle of it in float would.
        photos: files, and folders, whose sub-folders count too.
        csv: also write the table ``path,label,probability,unknown``.
        top: how many labels to name for each photo.
        runtime: TFLite runtime: ``auto``, ``litert`` or ``tflite``.
        force: replace a table that is there.

    Raises:
        InputError: no bundle or run, or no photo that can be read.
        StorageError: the table cannot be written.
    """
    if csv is not None:
        refuse_existing(Path(csv), force)
    named = [photos] if isinstance(photos, str | Path) else list(photos)
    found = named_photos([Path(path) for path in named])
    opened = source if isinstance(source, Bundle | Run) else open_bundle_or_run(Path(source))
    result = prediction.predict(opened, found.photos, runtime, top)
    result = replace(result, skipped=(*result.skipped, *map(str, found.unused)))
    if csv is not None:
        result.write_csv(Path(csv))
    return result


def deploy(
    target: str,
    bundle: str | Path,
    *,
    port: int | None = None,
    home: str = "",
    runtime: bool = True,
    public_key: str | Path | None = None,
    allow_downgrade: bool = False,
    progress: Progress = _silent,
) -> Deployed:
    """Bring a bundle to a device over your own ssh: send, verify, try it out there, switch; else the old one stays.

        >>> deploy("camera", "toys.edgetl", runtime=False).version
        1

    Args:
        target: as for ssh, ``USER@HOST``.
        port: of the ssh server there; default is as configured.
        home: device home there; default is ``~/.local/share/edgetl``.
        runtime: also install or update ``edgetl-device`` there.
        public_key: have the device accept only what this key signed, from now on.
        allow_downgrade: accept a bundle that was signed before the one that is there.
        progress: told what happens.

    Raises:
        InputError: no bundle.
        CheckFailedError: anything failed; on the device the old bundle keeps running.
    """
    return deployment.deploy(
        target,
        Path(bundle),
        port=port,
        home=home,
        runtime=runtime,
        install_options=("--allow-downgrade",) if allow_downgrade else (),
        public_key=None if public_key is None else Path(public_key),
        progress=progress,
    )


def import_photos(format_: str, source: str | Path, output: str | Path, *, force: bool = False) -> Imported:
    """Another tool's export → a list that :func:`load_photos` reads, with its photos beside it.

    Args:
        format_: ``coco``, ``label-studio``, ``roboflow``, ``huggingface`` (a folder of images) or ``parquet``.
        source: the export: a file or a folder.
        output: list to write, ``NAME.csv``; the photos lie in ``NAME-photos`` beside it.
        force: replace what is there.

    Raises:
        InputError: the export cannot be read, or has no photos that can be used.
        StorageError: they cannot be written.
    """
    return importing.import_photos(format_, Path(source), Path(output), force)


def as_paths(paths: str | Path | Sequence[str | Path]) -> tuple[Path, ...]:
    """One path or several → all of them."""
    return (Path(paths),) if isinstance(paths, str | Path) else tuple(Path(path) for path in paths)


def open_bundle_or_run(path: Path) -> Bundle | Run:
    """What a path leads to; raises InputError or BundleError for anything else."""
    return open_run(path) if is_run(path) or path.is_dir() else open_bundle(path)


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
