"""What of photos is stored when inspection is taught: embeddings and inner maps of their turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..codes import Int8
from ..console import progress
from ..errors import InputError, PhotoError
from ..inference.backbone import Backbone
from ..photos import Image, read_photo
from ..store.inspected import InspectedPhoto, InspectedRow
from ..view import View

ASPECT = 1.05  # by which a frame's aspect ratio may differ from those taught
_NAMED = 6  # ids, or ranges of them, in a message


def prepare(
    images: Sequence[Path | Image],
    view: View,
    backbone: Backbone,
    taught: Sequence[InspectedRow],
    verdict: str,
    together: bool,
) -> tuple[list[InspectedPhoto], list[tuple[Path | None, str]]]:
    """Photos as they are stored, and what is wrong with the others.

    Args:
        images: photo files, or (height, width, 3) uint8 BGR.
        view: how to look at them.
        backbone: that gives inner maps.
        taught: what is known already, whose shape they must have.
        verdict: one of :data:`~edgetl_device.store.inspected.VERDICTS`.
        together: whether they are one burst.

    Raises:
        InputError: none can be used.
    """
    size = backbone.preprocessing
    photos, skipped = list[InspectedPhoto](), list[tuple[Path | None, str]]()
    for image in progress(images, len(images), "teaching"):
        path = image if isinstance(image, Path) else None
        try:
            frame = read_photo(image) if isinstance(image, Path) else image
            refuse_other_shape(frame, taught)
            turns = view.turns(view.photo(frame, size.height, size.width))
        except PhotoError as error:
            skipped.append((path, str(error)))
            continue
        runs = [backbone.embed_with_maps(turn) for turn in turns]
        raw = np.stack([raw for raw, _ in runs])
        maps = np.stack([np.concatenate([values.ravel() for values in maps]) for _, maps in runs])
        height, width = frame.shape[:2]
        photos.append(InspectedPhoto(raw, maps, width, height, verdict, 0 if together else None))
    if not photos:
        reason = f" ({skipped[0][1]})" if skipped else ""
        raise InputError(f"none of {len(images)} photos can be used{reason}: nothing was stored")
    return photos, skipped


def split_maps(values: Int8, backbone: Backbone) -> tuple[Int8, ...]:
    """(t, m) int8 maps of a photo's turns, one behind the other → each as (t, h, w, c)."""
    shapes = [each.shape for each in backbone.maps]
    ends = np.cumsum([height * width * channels for height, width, channels in shapes])[:-1]
    parts = zip(np.split(values, ends, axis=1), shapes, strict=True)
    return tuple(part.reshape(len(values), *shape) for part, shape in parts)


def sizes_of(backbone: Backbone) -> tuple[int, int]:
    """How many values an embedding has, and all inner maps of a photo."""
    return backbone.transform.dimension, sum(h * w * c for h, w, c in (m.shape for m in backbone.maps))


def turns_of(view: View, backbone: Backbone) -> int:
    """How many turns of a photo are taught."""
    size = backbone.preprocessing
    return (8 if size.height == size.width else 4) if view.turned else 1


def refuse_other_shape(frame: Image, taught: Sequence[InspectedRow]) -> None:
    """Raise PhotoError where a frame is taller or wider than any that was taught: it would look stretched."""
    if not taught:
        return
    shapes = sorted((row.width / row.height, row.width, row.height) for row in taught)
    shape = frame.shape[1] / frame.shape[0]
    if not shapes[0][0] / ASPECT <= shape <= shapes[-1][0] * ASPECT:
        _, width, height = shapes[0]
        raise PhotoError(
            f"a photo of {frame.shape[1]} x {frame.shape[0]} pixels has another shape than those taught, such as "
            f"{width} x {height}: use the same camera and cut"
        )


def question_about(ids: Sequence[int], taught: int) -> str:
    """What to ask about photos that were taught as good and look as if they were not."""
    runs = list[list[int]]()
    for number in ids:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number, number])
    words = [str(first) if first == last else f"{first}-{last}" for first, last in runs]
    some = " ".join(words[:_NAMED]) + (" …" if len(words) > _NAMED else "")
    return (
        f"{len(ids)} of these {taught} would have been flagged: if they are not good, "
        f"`edgetl-device inspect bad {some}`"
    )
