"""The one place that sets TensorFlow up, and the only way to import it.

TFMOT works with Keras 2 only, so ``TF_USE_LEGACY_KERAS`` must be set before TensorFlow is imported. Importing takes
about 6 s: call :func:`load` inside functions, never at module level.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from edgetl_device.inference.native_log import captured_stderr


def load(verbose: bool = False) -> Any:
    """Import TensorFlow, set up for Keras 2 → the ``tensorflow`` module; its noise is silenced unless ``verbose``."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # else it takes all memory of all GPUs at once
    if not verbose:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("GLOG_minloglevel", "3")
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        logging.getLogger("absl").setLevel(logging.ERROR)
    with quiet(verbose):
        import tensorflow as tf
    if not verbose:
        tf.get_logger().setLevel(logging.ERROR)
    return tf


def keras(verbose: bool = False) -> Any:
    """Keras 2 → the ``tf_keras`` module."""
    load(verbose)
    with quiet(verbose):
        import tf_keras
    return tf_keras


def keras3(verbose: bool = False) -> Any:
    """Keras 3 on TensorFlow → the ``keras`` module; it lives beside Keras 2 and only loads users' files."""
    load(verbose)
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with quiet(verbose):
        import keras
    return keras


def on_gpu() -> bool:
    """Whether computation is placed on a GPU where this is called."""
    return "GPU" in (load().zeros(1) + 1.0).device  # of an operation: constants may lie anywhere


@contextmanager
def quiet(verbose: bool = False) -> Iterator[None]:
    """Drop import warnings, and what C++ logs before its own log level is read."""
    if verbose:
        yield
        return
    with warnings.catch_warnings(), captured_stderr():
        warnings.simplefilter("ignore")
        yield


def inference(model: Any) -> Callable[[Any], Any]:
    """A Keras model or a plain callable → a function of a batch that never trains."""
    if hasattr(model, "layers"):
        return lambda batch: model(batch, training=False)
    return model  # type: ignore[no-any-return]


def lite_converter(call: Callable[[Any], Any], shape: tuple[int, ...]) -> Any:
    """A ``TFLiteConverter`` of a function of one float32 tensor of this shape.

    It is given the function's variables and nothing else of the model: given a Keras model, TensorFlow writes all of
    it, each layer's own functions included, and reads it back, ten seconds for the same bytes.
    """
    tensorflow = load()
    signature = [tensorflow.TensorSpec(shape, tensorflow.float32)]
    concrete = tensorflow.function(call, input_signature=signature).get_concrete_function()
    kept = tensorflow.Module()
    kept.kept = list(concrete.variables)
    return tensorflow.lite.TFLiteConverter.from_concrete_functions([concrete], kept)
