"""Pruning, clustering and quantization-aware fine-tuning of a backbone, with TFMOT.

Each stage changes the weights and then fine-tunes them for some hundred steps, to keep the embeddings what they were:
the loss is the mean squared difference to the embeddings of the untouched backbone (FitNets, Romero et al., ICLR 2015,
https://arxiv.org/abs/1412.6550). No labels are used, so the backbone stays as general as it was, which matters to a
device that will be taught new classes.

Stages run in the order prune, cluster, QAT; later ones keep the zeros of pruning. Depthwise kernels are left alone by
pruning and clustering: they are few, and every one of them counts.
"""

from __future__ import annotations

import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.console import note
from edgetl_device.errors import CheckFailedError, InputError

from .. import tf
from ..models.flattening import flat_backbone
from ..tflite.graph import read
from ..training.embeddings import to_float
from . import quantization_aware
from .bias_correction import corrected
from .proof import MODES

MAX_PHOTOS = 4096  # fine-tuned on, class-balanced: 600 MB at 224 px
BATCH = 16
LEARNING_RATE = {"prune": 1e-3, "cluster": 3e-4, "qat": 3e-5}
STEPS = {"prune": 600, "cluster": 200, "qat": 500}
_FEWEST = 20  # steps in which something can be learned; pruning needs as many to reach its share
_FIRST = 64  # photos that ranges of activations start from, and that biases are corrected on
_SLACK = 0.005  # of sparsity: layers with few weights cannot hit it exactly


@dataclass(frozen=True)
class Compression:
    """What TFMOT is asked for.

    Args:
        qat: quantization-aware fine-tuning.
        prune: share of zeros in each Conv2D and Dense kernel, 0 … 1; None for no pruning.
        cluster: how many distinct values each of those keeps; None for no clustering.
        epochs: of fine-tuning in each stage; None for :data:`STEPS`, however many photos there are.
        per_tensor: whether kernels shall have one scale for all channels: biases are corrected for it, and
            quantization-aware training prepares for it.
    """

    qat: bool = False
    prune: float | None = None
    cluster: int | None = None
    epochs: int | None = None
    per_tensor: bool = False

    def __bool__(self) -> bool:
        return self.qat or self.prune is not None or self.cluster is not None

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages in the order in which they run."""
        asked = {"prune": self.prune is not None, "cluster": self.cluster is not None, "qat": self.qat}
        return tuple(name for name in STEPS if asked[name])


@dataclass(frozen=True)
class Compressed:
    """What compression bought: the backbone file with and without it.

    Args:
        size_bytes, plain_size_bytes: of the ``.tflite`` file; the same unless weights take fewer bits.
        zipped_bytes, plain_zipped_bytes: after deflate (level 9), where zeros and repeated values pay off.
        sparsity: share of zeros among the weights of convolutions and fully connected layers, depthwise ones apart.
        distinct: largest number of distinct values in a channel of those.
        integer_kernels: how many kernels of integers the file holds, depthwise ones included.
        trained_kernels: how many were trained with quantizers, at least as many; None without ``qat``.
    """

    size_bytes: int
    plain_size_bytes: int
    zipped_bytes: int
    plain_zipped_bytes: int
    sparsity: float
    distinct: int
    integer_kernels: int
    trained_kernels: int | None = None


def check(asked: Compression, mode: str) -> None:
    """Raise InputError for a combination that does not work; loads nothing."""
    if asked.prune is not None and not 0 < asked.prune <= 0.95:
        raise InputError(f"--prune is the share of weights to remove, above 0 and at most 0.95, got {asked.prune}")
    if asked.cluster is not None and not 2 <= asked.cluster <= 256:
        raise InputError(f"--cluster is the number of values each kernel keeps, 2 to 256, got {asked.cluster}")
    if asked.prune is not None and asked.cluster == 2:
        raise InputError("--prune with --cluster needs at least 3 values: one of them is zero")
    if asked.epochs is not None and not asked:
        raise InputError("--epochs is of fine-tuning: it needs --qat, --prune or --cluster")
    if asked.qat and not MODES[mode].integer:
        raise InputError(f"--qat trains for integer arithmetic, --quantize {mode} computes in float: leave one out")
    if asked.per_tensor and not MODES[mode].integer:
        raise InputError(f"--per-tensor needs integer arithmetic, --quantize {mode} computes in float: leave one out")
    if asked.qat and asked.cluster is not None:
        raise InputError(
            "--qat and --cluster do not go together: quantization per channel gives each channel its own values, "
            "so nothing keeps a kernel's clusters through quantization-aware training; leave one out"
        )


def compress(
    backbone: Any,
    photos: npt.NDArray[np.uint8],
    scale: tuple[float, float],
    asked: Compression,
    seed: int = 0,
    verbose: bool = False,
) -> Any:
    """A Keras 2 backbone → the compressed one, flat, with batch normalisation folded; reproducible with the seed.

    Args:
        photos: (n, h, w, 3) uint8 RGB to fine-tune on.
        scale: what the uint8 values 0 and 255 stand for at the backbone's input.

    Raises:
        InputError: the backbone holds something that TFMOT does not take; the message names it.
        CheckFailedError: the result is not as sparse or as clustered as was asked for.
    """
    keras = tf.keras(verbose)
    keras.utils.set_random_seed(seed)
    teacher = flat_backbone(backbone)
    check_steps(asked, len(photos))
    if asked.qat:
        quantization_aware.check_layers(teacher)
    batches = (to_float(photos[start : start + 32], scale) for start in range(0, len(photos), 32))
    targets = np.concatenate([np.asarray(teacher(batch, training=False)) for batch in batches])
    model = keras.models.clone_model(teacher)
    model.set_weights(teacher.get_weights())
    stages: dict[str, Callable[..., Any]] = {"prune": _prune, "cluster": _cluster, "qat": _qat}
    for name in asked.stages:
        steps = _steps(name, len(photos), asked)
        what = f"{name}: fine-tuning on {len(photos)} photos"
        task = _Task(photos, targets, scale, steps, LEARNING_RATE[name], seed, what)
        try:
            with warnings.catch_warnings():  # of TFMOT and Keras about each other; stderr stays open for progress
                warnings.simplefilter("ignore")
                model = stages[name](model, task, asked)
        except (ValueError, RuntimeError, NotImplementedError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"TFMOT cannot {name} this backbone: {reason}") from None
    _verify(model, asked)
    if asked.per_tensor and not asked.qat:
        return corrected(model, to_float(photos[:_FIRST], scale), True).model
    return model


def check_steps(asked: Compression, photos: int) -> None:
    """Raise InputError where so many photos, fewer of which may be readable, make too few steps to learn in."""
    for name in asked.stages:
        steps = _steps(name, photos, asked)
        if steps < _FEWEST:
            raise InputError(
                f"--epochs {asked.epochs} of {photos} photos is {steps} steps of {name}, too few to learn: leave "
                f"--epochs out, or give {-(-_FEWEST // -(-photos // BATCH))} or more"
            )


def _steps(stage: str, photos: int, asked: Compression) -> int:
    return STEPS[stage] if asked.epochs is None else -(-photos // BATCH) * asked.epochs


def bought(data: bytes, plain: bytes, asked: Compression, model: Any) -> Compressed:
    """The compressed ``.tflite`` file against the uncompressed one.

    Args:
        model: what :func:`compress` gave, of which the file was made.

    Raises:
        CheckFailedError: zeros are gone, or the file has kernels of integers that were not trained as such.
    """
    weights = read(data).weights()
    kernels = [
        tensor.value.reshape(tensor.shape[0], -1)
        for operator, tensor in weights
        if operator.name != "DEPTHWISE_CONV_2D" and tensor.value is not None
    ]
    zeros, total = sum(int((kernel == 0).sum()) for kernel in kernels), sum(kernel.size for kernel in kernels)
    sparsity = zeros / max(total, 1)
    if asked.prune is not None and sparsity < asked.prune - _SLACK:
        raise CheckFailedError(f"the file holds {sparsity:.3f} zeros, --prune asked for {asked.prune}")
    distinct = max((len(np.unique(row)) for kernel in kernels for row in kernel), default=0)
    if asked.cluster is not None and distinct > asked.cluster:
        raise CheckFailedError(f"a channel in the file holds {distinct} values, --cluster asked for {asked.cluster}")
    sizes = (len(data), len(plain), len(zlib.compress(data, 9)), len(zlib.compress(plain, 9)))
    integers = len({id(tensor) for _, tensor in weights if tensor.scales})
    trained = quantization_aware.kernels(model) if asked.qat else None  # all of them, or there would be no model
    if trained is not None and trained < integers:
        raise CheckFailedError(
            f"the file holds {integers} kernels of integers, --qat trained {trained} of them; leave --qat out"
        )
    return Compressed(*sizes, sparsity, distinct, integers, trained)


@dataclass(frozen=True, eq=False)
class _Task:
    """Fine-tuning: photos (n, h, w, 3) uint8 and the embeddings (n, d) that they should keep."""

    photos: npt.NDArray[np.uint8]
    targets: npt.NDArray[np.float32]
    scale: tuple[float, float]
    steps: int
    rate: float
    seed: int
    what: str

    def tune(self, model: Any, callbacks: tuple[Any, ...] = (), keep_zeros: bool = False) -> None:
        """Fine-tune in place: Adam, learning rate falling to 0 as a cosine. Kernels may keep their zeros."""
        tensorflow, keras = tf.load(), tf.keras()
        power = float(np.square(self.targets).mean()) or 1.0
        rate = keras.optimizers.schedules.CosineDecay(self.rate, self.steps)
        model.compile(
            keras.optimizers.Adam(rate, clipnorm=1.0),
            loss=lambda wanted, actual: tensorflow.reduce_mean(tensorflow.square(wanted - actual), axis=-1) / power,
        )
        rows = np.random.default_rng(self.seed)
        total, started = self.steps, time.perf_counter()
        note(f"{self.what}, {total} steps of {min(BATCH, len(self.photos))}")
        kernels = [v for v in model.trainable_variables if keep_zeros and v.name.endswith("/kernel:0")]
        masks = [tensorflow.cast(kernel != 0, kernel.dtype) for kernel in kernels]
        for callback in callbacks:
            callback.set_model(model)
            callback.on_train_begin()
        done, recent, epoch = 0, 0.0, 0
        while done < total:
            order = rows.permutation(len(self.photos))
            for start in range(0, len(order), BATCH)[: total - done]:
                chosen = order[start : start + BATCH]
                for callback in callbacks:
                    callback.on_train_batch_begin(done)
                loss = model.train_on_batch(to_float(self.photos[chosen], self.scale), self.targets[chosen])
                for kernel, mask in zip(kernels, masks, strict=True):
                    kernel.assign(kernel * mask)
                recent = loss if not done else 0.95 * recent + 0.05 * loss
                done += 1
                if done in (5, 20) or done % 100 == 0 or done == total:
                    left = (time.perf_counter() - started) / done * (total - done)
                    to_go = f", about {left:.0f} s left" if done < total else ""
                    note(f"  step {done} of {total}, relative error {recent:.4f}{to_go}")
            for callback in callbacks:
                callback.on_epoch_end(epoch)
            epoch += 1


def _tfmot() -> Any:
    tf.keras()
    with tf.quiet():
        import tensorflow_model_optimization as tfmot
    return tfmot


def _kernel_layer(layer: Any) -> bool:
    """Conv2D or Dense, and not DepthwiseConv2D, which Keras derives from another class."""
    return type(layer).__name__ in ("Conv2D", "Dense")


def _wrapped(model: Any, wrap: Callable[[Any], Any]) -> Any:
    keras = tf.keras()
    return keras.models.clone_model(model, clone_function=lambda layer: wrap(layer) if _kernel_layer(layer) else layer)


def _prune(model: Any, task: _Task, asked: Compression) -> Any:
    """Zhu and Gupta, "To prune, or not to prune", 2017 (https://arxiv.org/abs/1710.01878): a polynomial schedule."""
    sparsity = _tfmot().sparsity.keras
    every = max(1, task.steps // 20)
    last = max(every, task.steps * 4 // 10 // every * every)  # the rest of the steps heals
    schedule = sparsity.PolynomialDecay(0.0, asked.prune, begin_step=0, end_step=last, frequency=every)
    pruned = _wrapped(model, lambda layer: sparsity.prune_low_magnitude(layer, pruning_schedule=schedule))
    task.tune(pruned, (sparsity.UpdatePruningStep(),))
    return sparsity.strip_pruning(pruned)


def _cluster(model: Any, task: _Task, asked: Compression) -> Any:
    from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as experimental

    clustering = _tfmot().clustering.keras
    options = {
        "number_of_clusters": asked.cluster,
        "cluster_centroids_init": clustering.CentroidInitialization.KMEANS_PLUS_PLUS,
        "preserve_sparsity": asked.prune is not None,
    }
    clustered = _wrapped(model, lambda layer: experimental.cluster_weights(layer, **options))
    task.tune(clustered)
    return clustering.strip_clustering(clustered)


def _qat(model: Any, task: _Task, asked: Compression) -> Any:
    """Jacob et al., CVPR 2018 (https://arxiv.org/abs/1712.05877): weights learn to live with rounding.

    The quantizers are taken off again and the ordinary converter quantizes the trained weights: ranges come from
    calibration, scales per channel also in depthwise convolutions, which TFMOT would quantize per tensor.
    """
    some = to_float(task.photos[:_FIRST], task.scale)
    if asked.per_tensor:
        model = corrected(model, some, True).model
    student = quantization_aware.aware(model, asked.per_tensor)
    quantization_aware.calibrate(student, model, some)
    found, of = quantization_aware.quantized_kernels(student), quantization_aware.kernels(model)
    note(f"{found} of {of} kernels are trained with quantizers: they learn to live with rounding")
    task.tune(student, keep_zeros=asked.prune is not None)
    return quantization_aware.without_quantizers(student, model)


def _verify(model: Any, asked: Compression) -> None:
    """The stripped model is as sparse and as clustered as was asked for, layer by layer."""
    for layer in filter(_kernel_layer, model.layers):
        kernel = layer.kernel.numpy()
        share, distinct = float((kernel == 0).mean()), len(np.unique(kernel))
        if asked.prune is not None and share < asked.prune - max(_SLACK, 1 / kernel.size):
            raise CheckFailedError(f"layer {layer.name} has {share:.3f} zeros, --prune asked for {asked.prune}")
        if asked.cluster is not None and distinct > asked.cluster:
            raise CheckFailedError(f"layer {layer.name} has {distinct} values, --cluster asked for {asked.cluster}")
