"""Float model → bundle: convert, fit the head on the converted backbone, hold it against the float pipeline, pack."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.bundle.bundle import write_bundle
from edgetl_device.bundle.content import FINGERPRINT_BYTES, BundleParts
from edgetl_device.bundle.signing import PrivateKey
from edgetl_device.console import Stages
from edgetl_device.errors import InputError, PhotoError
from edgetl_device.files import write_atomically
from edgetl_device.heads.evidence import Evidence, empty_evidence
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.heads.registry import DEFAULT
from edgetl_device.inference.backbone import Backbone, prepare_files

from ..data.datasets import balanced
from ..embedding.embed import Embedded, embed_device
from ..models.float_model import FloatModel, run_source
from ..tflite.edgetpu_compiler import Compiled, compile_model, find_compiler
from ..tflite.feature_map import expose_feature_map
from ..tflite.fused_proof import Fused
from ..training.train import Run
from . import compression, exports, layer_errors, one_file
from .asked import converted_already, what_to_try
from .before_rounding import Prepared, prepared
from .compression import Compressed, Compression
from .converter import Exported, export, representative_photos
from .fitting import Fitted, converted_backbone, fit, holdout_rows
from .inspectable import Inspectable, make_inspectable
from .parity import Parity, gate
from .proof import MODES, describe

CHECK_PHOTOS = 8
CHECK_PHOTOS_WITHOUT_CLASSES = 2  # no label can be near another: whether embeddings agree, one photo tells
NO_COMPRESSION = Compression()
LAYER_PHOTOS = 8  # on which float and converted layers are compared


@dataclass(frozen=True)
class Options:
    """What ``edgetl convert`` may be asked for.

    Args:
        quantize: a key of :data:`~edgetl.conversion.proof.MODES`.
        calibration_samples: training photos that set the ranges of the integers, class-balanced, at most.
        max_drop: accuracy on the held-out photos that conversion may cost, as a share: 0.01 is one photo in a hundred.
        head: a key of :data:`~edgetl_device.heads.registry.HEADS`, the learning rule.
        no_classes: whether the bundle shall know nothing yet, to be taught on the device.
        compression: what TFMOT does before.
        photos: where the run's photos are now; None where they were.
        layers: whether to compare float and converted layers.
        fused: whether to add one file with backbone and head, for other apps.
        keep_head: whether that file shall have the last layer that the model came with.
        export: kinds of :data:`~edgetl.conversion.exports.KINDS`, files of the float model beside the bundle.
        edgetpu: whether to add the backbone's twin for the Edge TPU.
        explainable: whether the backbone shall export its feature map too, for explanations.
        inspectable: whether it shall give inner maps for visual inspection; None where that is free: of int8.
    """

    quantize: str = "int8"
    calibration_samples: int = 200
    max_drop: float = 0.01
    head: str = DEFAULT
    no_classes: bool = False
    photos: Path | None = None
    compression: Compression = NO_COMPRESSION
    layers: bool = False
    fused: bool = False
    keep_head: bool = False
    export: tuple[str, ...] = ()
    edgetpu: bool = False
    explainable: bool = False
    inspectable: bool | None = None


@dataclass(frozen=True)
class Converted:
    """What was written, and what it cost.

    Args:
        worst_class: the class that :attr:`Parity.worst_class_drop` is about.
        seconds: wall time of the conversion, without importing TensorFlow where that was done before.
        compressed: what compression bought; None where none was asked for.
        prepared: the network before rounding, with one scale a kernel or the model's own head; None as it came.
        layers: errors of each layer, in execution order; empty where they were not asked for.
        fused, compiled: the two optional files; None where they were not asked for.
        inspectable: the inner maps; None where it has none, for the reason ``not_inspectable``.
        own_head: of a fused file with the model's own head, against the model; None where it has the bundle's.
        exports: files of the float model for other tools, written beside the bundle.
    """

    path: Path
    size_bytes: int
    quantization: str
    parity: Parity
    worst_class: str
    exported: Exported
    seconds: float
    manifest: dict[str, Any]
    compressed: Compressed | None
    layers: tuple[layer_errors.LayerError, ...]
    fused: Fused | None
    compiled: Compiled | None
    inspectable: Inspectable | None
    not_inspectable: str
    own_head: Parity | None = None
    exports: tuple[exports.OtherFile, ...] = ()
    prepared: Prepared | None = None

    @property
    def ops(self) -> dict[str, int]:
        """Operators in the backbone file: all, and those that compute in floating point."""
        proof = self.exported.proof
        return {"total": proof.total, "float": proof.float_ops}


def convert_run(run: Run, output: Path, options: Options, verbose: bool = False) -> Converted:
    """Convert a RUN and write its bundle; as :func:`convert`."""
    return convert(lambda: run_source(run, options.photos), output, options, verbose)


def convert(
    load: Callable[[], FloatModel], output: Path, options: Options, verbose: bool = False, key: PrivateKey | None = None
) -> Converted:
    """Convert a float model and write its bundle, or raise and leave ``output`` as it was.

    Args:
        load: gives the model; called after the options were checked, because it takes seconds.
        key: sign the bundle with it.

    Raises:
        InputError: a combination that does not work, or photos that are gone.
        CheckFailedError: the result is not what was asked for, or loses more than ``max_drop`` against the float
            pipeline.
        StorageError: the bundle cannot be written.
    """
    started = time.perf_counter()
    compression.check(options.compression, options.quantize)
    exports.check(options.export)
    _check_extras(options)
    one = options.fused or options.keep_head
    extra = (_with_layers(options), one, options.edgetpu, bool(options.export), _with_preparation(options))
    with Stages(5 + sum(extra)) as stage:
        stage("loading the model")
        source = load()
        if options.keep_head:
            one_file.check_own_head(source)
        stage("reading photos")
        calibration = source.training_photos(options.calibration_samples)
        representative = representative_photos(calibration, source.preprocessing)
        ready = None
        if _with_preparation(options) and source.ready is None:
            stage("preparing for rounding")
            ready = prepared(source, calibration, options.compression.per_tensor)
        stage("compressing and quantizing" if options.compression else "quantizing")
        model, exported, compressed = _exported(source, representative, options, ready, verbose)
        plain = expose_feature_map(exported.data) if options.explainable else exported.data
        inner, not_inner = _with_maps(plain, representative, options.inspectable)
        data = inner.data if inner else plain
        backbone = converted_backbone(data, source, representative)
        stage("embedding photos")
        embedded = embed_device(backbone, source.dataset.files())
        if len(embedded.rows) != len(source.dataset):
            raise InputError(f"photos changed since training: {embedded.skipped[0]}; train again")
        stage("fitting the head")
        fitted = fit(source, backbone, embedded.values, options.head)
        layers: tuple[layer_errors.LayerError, ...] = ()
        if _with_layers(options) and model is not None:
            stage("comparing layers")
            layers = layer_errors.measure(exported.data, model, calibration[:LAYER_PHOTOS], source.scale, verbose)
            layer_errors.log_report(layers)
        advice = what_to_try(source, options.quantize, options.compression) if fitted.parity.drop > 0 else ""
        gate(fitted.parity, options.max_drop, f"{source.caution} {advice}".strip(), len(source.dataset.classes))
        fused = compiled = None
        if one:
            stage("checking the fused model")
            fused = _fused(exported, source, backbone, fitted, options, output.stem)
        if options.export:
            stage("exporting the float model")
        files = exports.exported_files(source, options.export)
        if options.edgetpu:
            stage("compiling for the Edge TPU")
            compiled = compile_model(plain)  # over USB maps would cost time
    manifest, members = _packed(source, backbone, fitted, exported, options, data, embedded)
    manifest["name"] = output.stem
    if inner is not None:
        manifest["maps"] = [each.to_json() for each in inner.maps]
    if compiled is not None:
        members["backbone_edgetpu.tflite"], manifest["edgetpu"] = compiled.data, compiled.to_json()
    if fused is not None:
        members["model.tflite"], manifest["fused"] = fused.file.data, fused.to_json()
    write_bundle(output, manifest, members, key)
    for file in files:
        write_atomically(file.path(output), file.data)
    elapsed, size = time.perf_counter() - started, output.stat().st_size
    return Converted(
        output, size, exported.proof.mode, fitted.parity, fitted.worst_class, exported, elapsed, manifest, compressed,
        layers, fused.file if fused else None, compiled, inner, not_inner, fused.own if fused else None, files, ready,
    )  # fmt: skip


def _with_maps(
    data: bytes, photos: npt.NDArray[np.uint8], asked: bool | None
) -> tuple[Inspectable | None, str]:  # fmt: skip
    """The backbone with inner maps; None where it was asked for none, or has none, and why."""
    if asked is False:
        return None, "--no-inspectable"
    try:
        return make_inspectable(data, photos), ""
    except InputError as error:
        if asked:
            raise InputError(f"--inspectable: {error}") from None
        return None, str(error)


def _fused(
    exported: Exported, source: FloatModel, backbone: Backbone, fitted: Fitted, options: Options, name: str
) -> one_file.OneFile:
    if options.keep_head:
        return one_file.with_own_head(exported, source, options.max_drop, name)
    return one_file.with_bundles_head(exported, source, backbone, fitted, name)


def _with_layers(options: Options) -> bool:
    return options.layers and options.quantize != "none"


def _with_preparation(options: Options) -> bool:
    """A solved head takes up what rounding adds to the mean; one that is kept cannot, and one scale adds too much."""
    kept = options.keep_head and MODES[options.quantize].integer and not options.compression
    return options.compression.per_tensor or kept


def _packed(
    source: FloatModel, backbone: Backbone, fitted: Fitted, exported: Exported, options: Options, data: bytes,
    embedded: Embedded,
) -> tuple[dict[str, Any], dict[str, bytes]]:  # fmt: skip
    """The manifest and the members that every bundle has."""
    evidence, head = fitted.evidence, fitted.head
    if options.no_classes:
        evidence = empty_evidence(backbone.digest, backbone.transform.dimension)
        head = fit_head(evidence, options.head)
    manifest = _manifest(source, backbone, head, fitted.parity, exported, options)
    return manifest, _content(data, head, evidence, source, embedded, backbone).members()


def _exported(
    source: FloatModel, representative: npt.NDArray[np.uint8], options: Options, ready: Prepared | None, verbose: bool
) -> tuple[Any, Exported, Compressed | None]:
    """The float model after compression, its ``.tflite`` file, and what compression bought where it was asked for."""
    asked = options.compression
    if source.ready is not None:
        if asked or asked.per_tensor or options.quantize != "int8":
            raise converted_already(str(source.describes["name"]))
        return None, Exported(source.ready, describe(source.ready)), None
    if not asked:
        model = ready.corrected() if ready else source.backbone
        plain = export(model, representative, source.scale, options.quantize, verbose, asked.per_tensor)
        return ready.model if ready else model, plain, None
    photos = source.training_photos(compression.MAX_PHOTOS)
    model = compression.compress(
        ready.model if ready else source.keras(), photos, source.scale, asked, source.seed, verbose
    )
    exported = export(model, representative, source.scale, options.quantize, verbose, asked.per_tensor)
    plain = export(source.backbone, representative[-8:], source.scale, options.quantize, verbose, asked.per_tensor)
    return model, exported, compression.bought(exported.data, plain.data, asked, model)


def _manifest(
    source: FloatModel, backbone: Backbone, head: Head, parity: Parity, exported: Exported, options: Options
) -> dict[str, Any]:
    proof = exported.proof
    manifest: dict[str, Any] = {
        "created": source.created,
        "labels": list(head.labels),
        "head": head.rule,
        "preprocessing": source.preprocessing.to_json(),
        "codes": backbone.transform.to_json(),
        "backbone": source.describes,
        "quantization": proof.mode,
        "training": source.training,
        "parity": parity.to_json(),
        "ops": {"total": proof.total, "float": proof.float_ops},
    }
    if backbone.scale is not None:
        manifest["embedding_scale"] = backbone.scale
    if options.compression:
        manifest["compression"] = asdict(options.compression)
    return manifest


def _check_extras(options: Options) -> None:
    """Before anything takes long: can the optional files be made at all?"""
    if (options.fused or options.keep_head) and options.no_classes:
        option = "--keep-head" if options.keep_head else "--fused"
        raise InputError(f"{option} needs classes to tell apart: leave out --no-classes, or {option}")
    if options.edgetpu and options.quantize != "int8":
        raise InputError(f"--edgetpu needs --quantize int8: the Edge TPU has no {options.quantize}")
    if options.inspectable and options.quantize not in ("int8", "int8-float-io"):
        raise InputError(
            f"--inspectable needs --quantize int8 or int8-float-io: {options.quantize} has no inner maps of integers"
        )
    if options.edgetpu:
        find_compiler()


def _content(
    model: bytes, head: Head, evidence: Evidence, source: FloatModel, embedded: Embedded, backbone: Backbone
) -> BundleParts:
    dataset, raw = source.dataset, embedded.values
    held_out = dataset.rows("val", "test")
    wanted = CHECK_PHOTOS if head.labels else CHECK_PHOTOS_WITHOUT_CLASSES
    check = [held_out[row] for row in balanced(dataset.take(held_out), wanted, source.seed)]
    files = dataset.take(check).files()
    photos = [photo for _, photo in prepare_files(files, source.preprocessing) if not isinstance(photo, PhotoError)]
    probabilities = head.predict(backbone.codes(raw[check]))[0]
    labels = tuple(head.labels[row.argmax()] if head.labels else "" for row in probabilities)
    holdout = holdout_rows(dataset, source.seed) if head.labels else []
    trained_on = (embedded.digests[row][:FINGERPRINT_BYTES] for row in dataset.rows("train")) if head.labels else ()
    return BundleParts(
        model,
        evidence.factory,
        (raw[holdout], tuple(dataset.labels[row] for row in holdout)),
        frozenset(trained_on),
        (np.stack(photos), raw[check], labels),
        evidence.correction,
    )
