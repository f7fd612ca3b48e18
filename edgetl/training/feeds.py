"""Where fine-tuning gets its inputs from: photos, or activations at the boundary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError, PhotoError
from edgetl_device.photos import decoded, photo_file
from edgetl_device.region import Region

from .. import tf
from ..backbones.backbone_spec import BackboneSpec
from ..data.streaming import ahead
from . import augmentation
from .activation_cache import CachedPhotos

_AHEAD = 32  # photos decoded ahead, at least

Rows = npt.NDArray[np.intp]
Arrays = tuple[npt.NDArray[Any], ...]
Variation = Literal["all", "unmirrored", "none"]
"""Random views, random views none of which is a mirror image, or the photos as they are."""


class Feed(Protocol):
    """Batches of rows of a dataset → arrays → what the network under training takes.

    Args:
        variation: how photos are varied.
    """

    variation: Variation

    def varied(
        self, batches: Sequence[Rows], key: tuple[int, ...], parts: Sequence[Rows] | None = None
    ) -> Iterator[Arrays]:
        """Random views of each batch; ``key`` (seed, epoch) makes them the same again.

        Args:
            parts: of each batch the positions that are wanted, in this order; None for all.
        """

    def plain(self, batches: Sequence[Rows]) -> Iterator[Arrays]:
        """The photos as the device sees them."""

    def inputs(self, arrays: Any) -> Any:
        """In the graph: one batch's arrays → the network's input, float32."""


class CachedFeed:
    """Activations at the boundary; each epoch takes one of a photo's cached views at random, or the plain one."""

    def __init__(self, cached: CachedPhotos) -> None:
        self._cached = cached
        self.variation: Variation = "all"

    def varied(
        self, batches: Sequence[Rows], key: tuple[int, ...], parts: Sequence[Rows] | None = None
    ) -> Iterator[Arrays]:
        """(n, …) float16; a view that is not to be gives way to the plain photo."""
        generator = np.random.default_rng(key)
        views = [generator.integers(0, 1 + self._cached.views, len(rows)) for rows in batches]
        if self.variation == "none":
            views = [np.zeros_like(chosen) for chosen in views]
        if self.variation == "unmirrored":
            pairs = zip(batches, views, strict=True)
            views = [np.where(self._mirrored[rows, chosen], 0, chosen) for rows, chosen in pairs]
        if parts is not None:  # only now: a part's views are those that it has in the whole batch
            batches = [rows[part] for rows, part in zip(batches, parts, strict=True)]
            views = [chosen[part] for chosen, part in zip(views, parts, strict=True)]
        return ahead(lambda item: self._read(*item), zip(batches, views, strict=True), 4, 1)

    @cached_property
    def _mirrored(self) -> npt.NDArray[np.bool_]:
        return self._cached.mirrored()

    def plain(self, batches: Sequence[Rows]) -> Iterator[Arrays]:
        """(n, …) float16."""
        return ahead(lambda rows: self._read(rows, 0), batches, 4, 1)

    def inputs(self, arrays: Any) -> Any:
        """They are the input already."""
        return tf.load().cast(arrays[0], "float32")

    def _read(self, rows: Rows, views: Any) -> Arrays:
        return (self._cached.read(rows, views),)


class PhotoFeed:
    """Photos, decoded anew in each epoch; the frozen part, if there is one, runs inside the step.

    Args:
        files: n photo files that are known to be readable.
        image_size: side of the backbone's input, pixels.
        lower: the frozen part, a Keras model, or None.
        augment: whether :meth:`varied` varies.
        strong: as in :func:`~edgetl.training.augmentation.random_views`.
        region: the part of the photos that counts; None is the largest square in the middle.
    """

    def __init__(
        self,
        files: Sequence[Path],
        image_size: int,
        lower: Any,
        augment: bool,
        strong: bool,
        region: Region | None = None,
    ) -> None:
        self._files, self._size, self._lower, self._strong = files, image_size, lower, strong
        self._preprocessing = BackboneSpec(image_size=image_size, region=region).preprocessing
        self.variation: Variation = "all" if augment else "none"

    def varied(
        self, batches: Sequence[Rows], key: tuple[int, ...], parts: Sequence[Rows] | None = None
    ) -> Iterator[Arrays]:
        """(n, s, s, 3) uint8, and (n, 16) float32 draws, each by its photo's row."""
        if parts is not None:
            batches = [rows[part] for rows, part in zip(batches, parts, strict=True)]
        if self.variation == "none":
            yield from self.plain(batches)
            return
        for rows, photos in zip(batches, self._decoded(batches, augmentation.wide_size(self._size)), strict=True):
            draws = augmentation.draw([(*key, int(row)) for row in rows])
            yield photos, augmentation.unmirrored(draws) if self.variation == "unmirrored" else draws

    def plain(self, batches: Sequence[Rows]) -> Iterator[Arrays]:
        """(n, s, s, 3) uint8."""
        for photos in self._decoded(batches, self._size):
            yield (photos,)

    def inputs(self, arrays: Any) -> Any:
        """Views, through the frozen part."""
        if len(arrays) == 1:
            photos = augmentation.whole(arrays[0])
        else:
            photos = augmentation.random_views(arrays[0], arrays[1], self._size, self._strong)
        if self._lower is None:
            return photos
        frozen = tf.load().stop_gradient(self._lower(photos, training=False))
        return tf.load().cast(frozen, "float32")  # from bfloat16 where the frozen part computes in it

    def _decoded(self, batches: Sequence[Rows], size: int) -> Iterator[npt.NDArray[np.uint8]]:
        preprocessing = replace(self._preprocessing, height=size, width=size)

        def load(row: int) -> npt.NDArray[np.uint8]:
            try:
                with photo_file(self._files[row]) as data, decoded(data) as photo:
                    return preprocessing(photo.image)
            except PhotoError as error:
                raise InputError(f"a photo changed during training: {error}") from None

        depth = max(_AHEAD, 2 * max(map(len, batches), default=0))  # two batches, so that a fast network is kept fed
        photos = ahead(load, (int(row) for rows in batches for row in rows), depth)
        for rows in batches:
            yield np.stack([next(photos) for _ in rows])
