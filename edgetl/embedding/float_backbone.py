"""A float Keras backbone on photo files: by LiteRT on every core, or by TensorFlow where that is sooner done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import PhotoError
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing

from .. import tf
from ..data.streaming import DIGEST_BYTES, Shot, batched, shots
from .embed import EmbeddedPhoto, Embedder, embed_files
from .float_file import float_file
from .workers import worker_count

_BATCH = 32
_WORTH = 100_000_000  # pixels of all photos; of fewer TensorFlow is sooner done than its converter
_FLOAT_BYTES = 4


def embed_float_files(
    model: Any,
    files: Sequence[Path],
    preprocessing: Preprocessing,
    scale: tuple[float, float],
    known: Callable[[bytes], bool] = lambda _: False,
    expected: int | None = None,
) -> Iterator[EmbeddedPhoto | PhotoError]:
    """Photo files in order → (d,) float32 embeddings and difference hashes; LiteRT's and TensorFlow's agree to 1e-5.

    Args:
        model: Keras, (n, h, w, 3) float32 → (n, d) float32.
        scale: what the uint8 values 0 and 255 stand for at its input.
        known: of the first 16 bytes of a file's SHA-256, whether its photo need not be embedded.
        expected: how many photos will have to be embedded; None: all of them.
    """
    pixels = (len(files) if expected is None else expected) * preprocessing.height * preprocessing.width
    if pixels < _WORTH or tf.on_gpu():
        return _by_tensorflow(model, files, preprocessing, scale, known)
    made = _Once(lambda: float_file(model, preprocessing, scale))

    def embedder() -> Embedder:
        lazily: list[TFLiteInterpreter] = []

        def embed(photo: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
            if not lazily:
                lazily.append(TFLiteInterpreter(made()))
            return lazily[0](photo)

        return embed

    workers = worker_count(_FLOAT_BYTES * model.count_params())
    return embed_files(
        files, preprocessing, embedder, workers, known=lambda digest: known(digest[:DIGEST_BYTES]), hashed=True
    )


def _by_tensorflow(
    model: Any,
    files: Sequence[Path],
    preprocessing: Preprocessing,
    scale: tuple[float, float],
    known: Callable[[bytes], bool],
) -> Iterator[EmbeddedPhoto | PhotoError]:
    tensorflow = tf.load()
    low, step = scale[0], (scale[1] - scale[0]) / 255
    call = tensorflow.function(
        lambda photos: model(tensorflow.cast(photos, "float32") * step + low, training=False), reduce_retracing=True
    )
    for batch in batched(shots(files, (preprocessing,), known), _BATCH):
        pixels = [shot.photos[0] for shot in batch if isinstance(shot, Shot) and shot.photos]
        values = iter(np.asarray(call(np.stack(pixels))) if pixels else ())
        for shot in batch:
            if isinstance(shot, PhotoError):
                yield shot
            else:
                value = next(values) if shot.photos else shot.hash
                yield EmbeddedPhoto(shot.digest, value, shot.hash, shot.remark)


class _Once:
    """What takes long is made by the first thread that asks for it."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: bytes | None = None

    def __call__(self) -> bytes:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made
