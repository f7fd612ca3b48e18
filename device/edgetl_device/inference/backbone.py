"""Backbone: photos → raw int8 embeddings → codes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from ..bundle.bundle import Bundle
from ..bundle.content import BundleContent
from ..bundle.inner_maps import InnerMap
from ..codes import Codes, CodeTransform, Int8
from ..console import progress
from ..errors import InputError, MismatchError, PhotoError
from ..looking import Looking
from ..photos import Image, read_photo
from ..preprocess import Preprocessing
from .backbone_trial import refuse_unsound
from .edgetpu import TWIN
from .interpreter import DEFAULT_THREADS, Interpreter, Tensor, TFLiteInterpreter, open_interpreter

P = TypeVar("P", bound="Path | Image")

NO_MAPS = (
    "this bundle cannot inspect, its backbone gives no inner maps: convert it again with `edgetl convert --inspectable`"
)

_AHEAD = 16  # photos decoded ahead of the interpreter: enough to keep it busy, few enough to stay small


@dataclass(frozen=True, eq=False)
class Embedded(Generic[P]):
    """What became of a number of photos.

    Args:
        raw: (n, d) int8 raw embeddings of those that could be read.
        used: these n.
        skipped: the others, each with what is wrong with it.
    """

    raw: Int8
    used: tuple[P, ...]
    skipped: tuple[tuple[P, str], ...]


class Backbone:
    """A frozen backbone with its preprocessing and code transform.

    Args:
        interpreter: preprocessed photo → raw embedding.
        preprocessing: frame → preprocessed photo.
        transform: raw embeddings → codes.
        digest: SHA-256 of the ``.tflite`` file.
        scale: one step of the int8 embedding where the interpreter gives float32; None where it gives int8.
        maps: the inner feature maps that it gives too; none where it cannot inspect.
        looking: how frames are prepared; None as the preprocessing says.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        preprocessing: Preprocessing,
        transform: CodeTransform,
        digest: str,
        scale: float | None = None,
        maps: tuple[InnerMap, ...] = (),
        looking: Looking | None = None,
    ) -> None:
        self.interpreter = interpreter
        self.preprocessing = preprocessing
        self.transform = transform
        self.digest = digest
        self.scale = scale
        self.maps = maps
        self.looking = looking or Looking(preprocessing)

    @property
    def runtime(self) -> str:
        """Name and version of the TFLite runtime."""
        return self.interpreter.runtime

    def another(self) -> Backbone | None:
        """The same backbone once more, to compute beside this one; None where there is one only, as on an Edge TPU."""
        if not isinstance(self.interpreter, TFLiteInterpreter) or self.interpreter.made_of is None:
            return None
        other = self.interpreter.another()
        return Backbone(other, self.preprocessing, self.transform, self.digest, self.scale, self.maps)

    def seeing(self, looking: Looking) -> Backbone:
        """The same backbone, with the same interpreter, that looks at frames in another way."""
        return Backbone(
            self.interpreter, self.preprocessing, self.transform, self.digest, self.scale, self.maps, looking
        )

    def embed(self, frame: Image) -> Int8:
        """(any, any, 3) uint8 BGR frame → (d,) int8 raw embedding; raises PhotoError as :class:`Looking`."""
        return self.embed_photo(self.looking(frame))

    def embed_photo(self, photo: npt.NDArray[np.uint8]) -> Int8:
        """(height, width, 3) uint8 RGB preprocessed photo → (d,) int8 raw embedding."""
        return _raw(self.interpreter(photo), self.scale, self.transform)

    def embed_with_maps(self, photo: npt.NDArray[np.uint8]) -> tuple[Int8, tuple[Int8, ...]]:
        """(height, width, 3) uint8 RGB prepared photo → (d,) int8 raw embedding and its inner maps, in one run.

        Returns:
            the embedding of :meth:`embed_photo`, byte for byte, and for each of :attr:`maps` (h, w, c) int8.

        Raises:
            MismatchError: the bundle's backbone gives no inner maps.
        """
        if not self.maps or not isinstance(self.interpreter, TFLiteInterpreter):
            raise MismatchError(NO_MAPS)
        raw, maps = self.interpreter.with_maps(photo)
        return _raw(raw, self.scale, self.transform), maps

    def embed_files(self, photos: Iterable[P]) -> Iterator[tuple[P, Int8 | PhotoError]]:
        """Photo files or (any, any, 3) uint8 BGR → (photo, (d,) int8 or what is wrong with it), in order.

        Decodes ahead in one thread.
        """
        for photo, prepared in prepare_files(photos, self.looking):
            yield photo, prepared if isinstance(prepared, PhotoError) else self.embed_photo(prepared)

    def embed_readable(self, photos: Sequence[P]) -> Embedded[P]:
        """Photo files or (any, any, 3) uint8 BGR → the embeddings of those that can be read.

        Raises:
            InputError: none of them can.
        """
        rows, used, skipped = [], [], []
        for photo, raw in progress(self.embed_files(photos), len(photos), "embedding"):
            if isinstance(raw, PhotoError):
                skipped.append((photo, str(raw)))
            else:
                rows.append(raw)
                used.append(photo)
        if not rows:
            reason = f" ({skipped[0][1]})" if skipped else ""
            raise InputError(f"none of {len(photos)} photos could be read{reason}: nothing was learned")
        return Embedded(np.stack(rows), tuple(used), tuple(skipped))

    def codes(self, raw: Int8) -> Codes:
        """(n, d) int8 → (n, d) uint8."""
        return self.transform(raw)


def quantize(values: npt.NDArray[np.float32], scale: float, zero_point: int) -> Int8:
    """Float embeddings of any shape → int8, as TFLite's QUANTIZE: ``round(v / scale) + zero_point``, clipped."""
    steps = np.rint(values / np.float32(scale)) + zero_point
    return np.asarray(np.clip(np.nan_to_num(steps, nan=zero_point), -128, 127), np.int8)


def raw_embeddings(bundle: Bundle, values: npt.NDArray[Any]) -> Int8:
    """What a bundle's backbone gave, (…, d) int8 or float32 → (…, d) int8 raw embeddings.

    Raises:
        MismatchError: the manifest does not describe such values.
    """
    if values.shape[-1] != bundle.codes.dimension or (values.dtype == np.int8) != (bundle.embedding_scale is None):
        raise MismatchError(
            f"the manifest describes {bundle.codes.dimension} features, "
            f"the backbone gives {values.shape} {values.dtype}"
        )
    return _raw(values, bundle.embedding_scale, bundle.codes)


def _raw(values: npt.NDArray[Any], scale: float | None, transform: CodeTransform) -> Int8:
    return values if scale is None else quantize(values, scale, transform.zero_point)


def open_backbone(bundle: Bundle, runtime: str = "auto", threads: int = DEFAULT_THREADS) -> Backbone:
    """A bundle's backbone, ready to run, on the Edge TPU where the bundle has a twin for it and it works.

    Raises:
        RuntimeMissingError: no runtime can run it.
        MismatchError: the manifest does not describe it.
    """
    interpreter = open_interpreter(bundle.members["backbone.tflite"], bundle.members.get(TWIN), runtime, threads)
    preprocessing, transform = bundle.preprocessing, bundle.codes
    scale, output = bundle.embedding_scale, interpreter.output
    is_float = output.dtype == np.float32
    actual = interpreter.input.shape, output.shape[1], transform.zero_point if is_float else output.zero_point, is_float
    stated = (1, preprocessing.height, preprocessing.width, 3), transform.dimension, transform.zero_point, bool(scale)
    if actual != stated:
        raise MismatchError(f"the manifest describes a backbone {stated}, the file holds {actual}")
    maps = bundle.maps if interpreter.accelerator is None else ()
    _check_maps(maps, interpreter.maps)
    return Backbone(interpreter, preprocessing, transform, bundle.backbone_digest, scale, maps)


def _check_maps(stated: tuple[InnerMap, ...], actual: tuple[Tensor, ...]) -> None:
    """Raise MismatchError unless the file holds the maps that the manifest states; none stated, none are looked at."""
    if not stated:
        return
    found = [(tensor.shape, tensor.dtype.name, tensor.scale, tensor.zero_point) for tensor in actual]
    expected = [((1, *inner.shape), "int8", inner.scale, inner.zero_point) for inner in stated]
    if found != expected:
        raise MismatchError(f"the manifest describes the inner maps {expected}, the file holds {found}")


def open_tried_backbone(bundle: Bundle, runtime: str = "auto", threads: int = DEFAULT_THREADS) -> Backbone:
    """As :func:`open_backbone`, for a bundle that anybody may have made: its check photos go through a child first.

    Raises:
        BundleError: the backbone crashes, never ends or needs too much memory, or the bundle has no check photos.
        RuntimeMissingError, MismatchError: as :func:`open_backbone`.
    """
    refuse_unsound(bundle.members["backbone.tflite"], BundleContent(bundle).check[0], runtime)
    return open_backbone(bundle, runtime, threads)


def prepare_files(
    photos: Iterable[P], preprocessing: Callable[[Image], npt.NDArray[np.uint8]]
) -> Iterator[tuple[P, npt.NDArray[np.uint8] | PhotoError]]:
    """Photo files → (photo, preprocessed (height, width, 3) uint8 RGB or the error), in order, a few ahead.

    What was decoded before, (any, any, 3) uint8 BGR, may be among them.
    """

    def prepare(photo: P) -> npt.NDArray[np.uint8] | PhotoError:
        try:
            return preprocessing(read_photo(photo) if isinstance(photo, Path) else photo)
        except PhotoError as error:
            return PhotoError(str(error))  # without its traceback, which would keep the file in memory

    with ThreadPoolExecutor(1, thread_name_prefix="decode") as pool:
        waiting: deque[tuple[P, Future[npt.NDArray[np.uint8] | PhotoError]]] = deque()
        for photo in photos:
            waiting.append((photo, pool.submit(prepare, photo)))
            if len(waiting) > _AHEAD:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()
