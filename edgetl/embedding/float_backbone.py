"""A float Keras backbone on photo files: by LiteRT on every core, or by TensorFlow where that is sooner done."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.errors import PhotoError
from edgetl_device.preprocess import Preprocessing

from .. import tf
from ..data.streaming import Shot, batched, shots
from .embed import EmbeddedPhoto, FileEmbedder, embed_files
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
    known: Container[bytes] = (),
    expected: int | None = None,
) -> Iterator[EmbeddedPhoto | PhotoError]:
    """Photo files in order → (d,) float32 embeddings and difference hashes; LiteRT's and TensorFlow's agree to 1e-5.

    Args:
        model: Keras, (n, h, w, 3) float32 → (n, d) float32.
        scale: what the uint8 values 0 and 255 stand for at its input.
        known: the first 16 bytes of the SHA-256 of files that need not be embedded.
        expected: how many photos will have to be embedded; None: all of them.
    """
    pixels = (len(files) if expected is None else expected) * preprocessing.height * preprocessing.width
    if pixels < _WORTH or tf.on_gpu():
        return _by_tensorflow(model, files, preprocessing, scale, known)
    embedder = FileEmbedder(lambda: float_file(model, preprocessing, scale))
    workers = worker_count(_FLOAT_BYTES * model.count_params())
    return embed_files(files, preprocessing, embedder, workers, known=known, hashed=True)


def _by_tensorflow(
    model: Any,
    files: Sequence[Path],
    preprocessing: Preprocessing,
    scale: tuple[float, float],
    known: Container[bytes],
) -> Iterator[EmbeddedPhoto | PhotoError]:
    tensorflow = tf.load()
    low, step = scale[0], (scale[1] - scale[0]) / 255
    call = tensorflow.function(
        lambda photos: model(tensorflow.cast(photos, "float32") * step + low, training=False), reduce_retracing=True
    )
    for batch in batched(shots(files, (preprocessing,), known.__contains__), _BATCH):
        pixels = [shot.photos[0] for shot in batch if isinstance(shot, Shot) and shot.photos]
        values = iter(np.asarray(call(np.stack(pixels))) if pixels else ())
        for shot in batch:
            if isinstance(shot, PhotoError):
                yield shot
            else:
                value = next(values) if shot.photos else shot.hash
                yield EmbeddedPhoto(shot.digest, value, shot.hash, shot.remark)
