"""Run → bundle, and what a bundle is for: photos to evaluate or label, and a device."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from edgetl_device.bundle.bundle import Bundle, open_bundle
from edgetl_device.bundle.signing import read_private_key
from edgetl_device.photo_folders import named_photos

from ..conversion import convert as conversion
from ..conversion.asked import check_asked, check_epochs
from ..conversion.compression import Compression
from ..conversion.convert import Converted
from ..data.datasets import Dataset, find_all
from ..deployment import deploy as deployment
from ..deployment.deploy import Deployed
from ..evaluation import evaluate as evaluation
from ..evaluation import predict as prediction
from ..evaluation.evaluate import Evaluation
from ..evaluation.page import write_report
from ..evaluation.predict import Predictions
from ..models import sources
from ..models.model_kinds import refuse_folder, refuse_model
from ..outputs import check_output
from ..training.runs import Run, is_run, open_run
from .photos import as_paths
from .progress import Progress, silent

Quantization = Literal["int8", "int8-float-io", "int16x8", "float16", "dynamic", "none"]


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
        check_output(path, force)
    source = run.folder if isinstance(run, Run) else Path(run)
    compression = Compression(qat, prune, cluster, epochs, per_tensor)
    check_asked(source, quantize, compression, tuple(export), keep_head)
    key = None if sign is None else read_private_key(Path(sign))
    moved, names = None if photos is None else as_paths(photos), None if labels is None else Path(labels)
    check_epochs(source, compression, moved, seed or 0)
    options = conversion.Options(
        quantize, calibration_samples, max_drop, head, no_classes, None,
        compression,
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
        check_output(Path(report), force)
    if not isinstance(bundle, Bundle):
        refuse_folder(Path(bundle))
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    dataset = photos if isinstance(photos, Dataset) else find_all(as_paths(photos), one_class=True)
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
        check_output(Path(csv), force)
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
    progress: Progress = silent,
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


def open_bundle_or_run(path: Path) -> Bundle | Run:
    """What a path leads to; raises InputError or BundleError for anything else."""
    refuse_model(path)
    return open_run(path) if is_run(path) or path.is_dir() else open_bundle(path)
