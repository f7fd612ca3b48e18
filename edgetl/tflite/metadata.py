"""TFLite Metadata: what another app needs to know to run a model, inside the file itself.

A flatbuffer of TFLite Support's schema (``metadata_schema.fbs``, identifier M001) in a buffer of the model, and the
files it names in a zip archive behind the model. MediaPipe, TFLite's Task Library and Android Studio read it:
https://ai.google.dev/edge/litert/conversion/tensorflow/metadata. The generated classes for it come with packages that
are not installed beside TensorFlow 2.21, so the few tables an image classifier has are written here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgetl_device.arrays import EPOCH

from .model import schema

NAME = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"  # the first version of the schema has everything that is used here
_RGB, _AXIS_LABELS = 1, 2  # ColorSpaceType, AssociatedFileType
_FEATURE, _IMAGE, _NORMALIZATION = 1, 2, 1  # members of the unions ContentProperties and ProcessUnitOptions


@dataclass(frozen=True)
class ClassifierMetadata:
    """What the metadata of an image classifier says.

    Args:
        name: of the model.
        description: a sentence for people.
        labels: (C,) in the order of the scores.
        mean, std: ``(pixel − mean) / std`` is what the float model takes; readers of a quantized model feed pixels.
        smallest, largest: ends of the input's range after that.
    """

    name: str
    description: str
    labels: Sequence[str]
    mean: float
    std: float
    smallest: float
    largest: float


def describe(model: Any, classifier: ClassifierMetadata) -> None:
    """Put the metadata into ``ModelT``, in place of what was there."""
    buffer = schema().BufferT()
    buffer.data = list(_flatbuffer(classifier))
    model.buffers.append(buffer)
    entry = schema().MetadataT()
    entry.name, entry.buffer = NAME, len(model.buffers) - 1
    kept = [other for other in model.metadata or [] if other.name not in (NAME, NAME.encode())]
    model.metadata = [*kept, entry]


def with_labels(model: bytes, labels: Sequence[str]) -> bytes:
    """The file with its label file, one label a line, in a zip archive behind it; the same input, the same bytes."""
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(LABELS_FILE, EPOCH), "".join(f"{label}\n" for label in labels))
    return buffer.getvalue()


def _flatbuffer(classifier: ClassifierMetadata) -> bytes:
    """Bottom up, as flatbuffers are built; slots are the positions of fields in the schema's tables."""
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    text = builder.CreateString

    mean, std = _floats(builder, classifier.mean), _floats(builder, classifier.std)
    normalization = _table(builder, {0: mean, 1: std})
    photo = {
        0: text("image"),
        1: text("The photo, RGB, resized."),
        3: _table(builder, {1: _table(builder, {}, {0: _RGB})}, {0: _IMAGE}),
        4: _vector(builder, [_table(builder, {1: normalization}, {0: _NORMALIZATION})]),
        5: _stats(builder, classifier.smallest, classifier.largest),
    }
    file = {0: text(LABELS_FILE), 1: text("Labels, in the order of the scores.")}
    scores = {
        0: text("probability"),
        1: text("Probability of each label."),
        3: _table(builder, {1: _table(builder, {})}, {0: _FEATURE}),
        5: _stats(builder, 0.0, 1.0),
        6: _vector(builder, [_table(builder, file, {2: _AXIS_LABELS})]),
    }
    graph = {2: _vector(builder, [_table(builder, photo)]), 3: _vector(builder, [_table(builder, scores)])}
    model = {
        0: text(classifier.name),
        1: text(classifier.description),
        3: _vector(builder, [_table(builder, graph)]),
        4: text("edgetl"),
        7: text(_PARSER),
    }
    builder.Finish(_table(builder, model), _IDENTIFIER)
    return bytes(builder.Output())


def _table(builder: Any, offsets: Mapping[int, int], kinds: Mapping[int, int] | None = None) -> int:
    """A table → its offset; slot → offset of what is in it, and slot → value of enumerations."""
    kinds = kinds or {}
    builder.StartObject(max([*offsets, *kinds], default=-1) + 1)
    for slot, offset in offsets.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, kind in kinds.items():
        builder.PrependUint8Slot(slot, kind, 0)
    end: int = builder.EndObject()
    return end


def _stats(builder: Any, smallest: float, largest: float) -> int:
    most, least = _floats(builder, largest), _floats(builder, smallest)
    return _table(builder, {0: most, 1: least})


def _floats(builder: Any, value: float) -> int:
    builder.StartVector(4, 1, 4)
    builder.PrependFloat32(value)
    end: int = builder.EndVector()
    return end


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    end: int = builder.EndVector()
    return end
