"""One photo file → one embedding: what every worker does, in this process and in others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import PhotoError
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.photos import decoded, photo_file
from edgetl_device.preprocess import Preprocessing

from ..data.hashes import Hashes, grey_of, hashes_of

DIGEST_BYTES = 16
"""Of a file's SHA-256, by which a photo is known."""

Embedder = Callable[[npt.NDArray[np.uint8]], npt.NDArray[Any]]
"""(h, w, 3) uint8 RGB preprocessed photo → (d,) embedding."""

NOTHING = np.zeros(0, np.uint8)


@dataclass(frozen=True, eq=False)
class EmbeddedPhoto:
    """One photo file.

    Args:
        digest: its SHA-256, 32 bytes, or 16 where TensorFlow embedded it.
        value: (d,) embedding, int8 or float32; empty where its digest was known.
        hash: (16,) difference hash; empty where none was asked for.
        remark: what decoding did to the photo that a person should know, or nothing.
    """

    digest: bytes
    value: npt.NDArray[Any]
    hash: Hashes
    remark: str = ""


class FileEmbedder:
    """A ``.tflite`` backbone that is opened when it is first needed, and that can be opened elsewhere too.

    Args:
        model: gives the bytes of the file.
        runtime: as for :class:`~edgetl_device.inference.interpreter.TFLiteInterpreter`.
        quantization: one step and zero point of the int8 embedding where the file gives float32; None: as it gives.
        interpreter: of this very file, where one is open.
    """

    def __init__(
        self,
        model: Callable[[], bytes],
        runtime: str = "auto",
        quantization: tuple[float, int] | None = None,
        interpreter: TFLiteInterpreter | None = None,
    ) -> None:
        self.model, self.runtime, self.quantization = model, runtime, quantization
        self._interpreter = interpreter

    @property
    def interpreter(self) -> TFLiteInterpreter:
        """Of this process."""
        if self._interpreter is None:
            self._interpreter = TFLiteInterpreter(self.model(), self.runtime)
        return self._interpreter

    @property
    def value(self) -> np.dtype[Any]:
        """The type of one embedding."""
        output = self.interpreter.output
        return np.dtype((np.int8 if self.quantization else output.dtype, (output.shape[1],)))

    def __call__(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """(h, w, 3) uint8 RGB preprocessed photo → (d,) int8 or float32."""
        value = self.interpreter(photo)
        if self.quantization is None:
            return value
        from edgetl_device.inference.backbone import quantize

        return quantize(value, *self.quantization)


@dataclass(frozen=True, eq=False)
class PhotoEmbedder:
    """A function of photo files.

    Args:
        preprocessing, embedder: what is done to a decoded photo.
        known: the first :data:`DIGEST_BYTES` of the SHA-256 of files that need not be embedded.
        hashed: also compute difference hashes.
    """

    preprocessing: Preprocessing
    embedder: Embedder
    known: Container[bytes] = ()
    hashed: bool = False

    def __call__(self, paths: Sequence[Path]) -> list[EmbeddedPhoto | PhotoError]:
        """Files → the embedding of each, or what is wrong with it."""
        greys = list[npt.NDArray[np.uint8]]()
        found = [self._embedded(path, greys) for path in paths]
        hashes = iter(hashes_of(greys) if greys else ())  # together: NumPy is called less often
        return [
            each
            if isinstance(each, PhotoError)
            else EmbeddedPhoto(each[0], each[1], next(hashes) if self.hashed and each[1].size else NOTHING, each[2])
            for each in found
        ]

    def _embedded(
        self, path: Path, greys: list[npt.NDArray[np.uint8]]
    ) -> tuple[bytes, npt.NDArray[Any], str] | PhotoError:
        """SHA-256, embedding and remark; the grey picture is appended where a hash is asked for."""
        try:
            with photo_file(path) as data:
                digest = hashlib.sha256(data).digest()
                if digest[:DIGEST_BYTES] in self.known:
                    return digest, NOTHING, ""
                prepared, remark = self._prepared(path, data)
        except PhotoError as error:
            return PhotoError(str(error))  # without its traceback, which would keep the photo in memory
        if self.hashed:
            greys.append(grey_of(prepared))
        return digest, self.embedder(prepared), remark

    def _prepared(self, path: Path, data: bytes) -> tuple[npt.NDArray[np.uint8], str]:
        try:
            with decoded(data) as photo:
                return self.preprocessing(photo.image), photo.remark
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from None
