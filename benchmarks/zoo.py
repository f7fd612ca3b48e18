"""Architectures of Keras' own zoo as people bring them: does int8 keep their embeddings, and is one file possible?

Weights are random, for want of a download, with the batch statistics of the photos they are asked about. Nothing was
trained to stay small, so this is harder for integers than real weights are. Where int8 loses much, 16-bit activations
tell whether those are the reason. ``python -m benchmarks.zoo NAME…`` measures some of them.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl import tf
from edgetl.conversion.converter import export, representative_photos
from edgetl.tflite.fused_proof import predict
from edgetl.tflite.kept_head import keep_head
from edgetl_device.errors import EdgetlError
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.photos import read_photo
from edgetl_device.preprocess import Preprocessing

from .harness import DATA, RESULTS, Report, need

SIZE = 72  # pixels; Xception takes no fewer than 71
NAMES = (
    "MobileNetV3Large", "MobileNetV3Small", "EfficientNetV2B0", "EfficientNetB0", "ResNet50V2", "Xception",
    "ConvNeXtTiny", "DenseNet121", "NASNetMobile",
)  # fmt: skip
PIXELS_INSIDE = ("MobileNetV3", "EfficientNet", "ConvNeXt")  # these scale pixels themselves
POOR = 0.95  # centred cosine below which int16x8 is tried too
FITTED, ASKED, CALIBRATED = 80, 80, 40

Floats = npt.NDArray[np.float32]
Photos = npt.NDArray[np.uint8]


def main(names: list[str]) -> None:
    """Measure, and save after each; what was measured before and is not now stays."""
    report = Report(
        "zoo",
        f"Keras' architectures @{SIZE}, random weights, batch statistics of flowers: the converted file against float, "
        f"on {ASKED} photos that calibrated nothing",
        reach="centred cosine .9 in int8, and a fused file that says what its parts say",
    )
    before = RESULTS / "zoo.json"
    earlier = json.loads(before.read_text())["rows"] if before.is_file() else []
    report.rows += [row for row in earlier if names and row["architecture"] not in names]
    photos = flowers(FITTED + ASKED)
    centred = {}
    for name in names or NAMES:
        centred[name] = measure(report, name, "int8", photos)
        report.save("rows of earlier runs on this machine" if earlier and names else "")
    for name in (name for name, found in centred.items() if found < POOR):
        measure(report, name, "int16x8", photos)
        report.save("rows of earlier runs on this machine" if earlier and names else "")


def flowers(count: int) -> Photos:
    """(count, SIZE, SIZE, 3) uint8 RGB, of all classes in turn."""
    folders = sorted(need(DATA / "data/flowers").iterdir())
    files = [sorted(folder.iterdir())[: count // len(folders)] for folder in folders]
    prepare = Preprocessing(SIZE, SIZE)
    return np.stack([prepare(read_photo(path)) for paths in zip(*files, strict=True) for path in paths])


def scale_of(name: str) -> tuple[float, float]:
    """What pixels 0 and 255 become before the model sees them."""
    return (0.0, 255.0) if name.startswith(PIXELS_INSIDE) else (-1.0, 1.0)


def scaled(photos: Photos, scale: tuple[float, float]) -> Floats:
    """Pixels as the model sees them."""
    low, high = scale
    return np.asarray(photos.astype(np.float32) / 255 * (high - low) + low, np.float32)


def build(name: str, photos: Photos) -> Any:
    """Scaled pixels → pooled features, with batch statistics of these photos."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    make = getattr(keras.applications, name)
    model = make(weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), pooling="avg")
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(scaled(photos, scale_of(name)), training=True)
    return model


def measure(report: Report, name: str, mode: str, photos: Photos) -> float:
    """One row; the centred cosine, or 1 where there is none."""
    started = time.perf_counter()
    model, scale = build(name, photos[:FITTED]), scale_of(name)
    call = tf.load().function(lambda batch: model(batch, training=False))
    exact = np.concatenate([np.asarray(call(scaled(part, scale))) for part in np.split(photos, 8)])
    row: dict[str, Any] = {"architecture": name, "mode": mode}
    try:
        representative = representative_photos(photos[:CALIBRATED], Preprocessing(SIZE, SIZE))
        data = export(model, representative, scale, mode).data
    except EdgetlError as error:
        report.add(**row, size_mb=None, cosine=None, centred=None, neighbour=None, fused=None,
                   seconds=time.perf_counter() - started, refused=str(error))  # fmt: skip
        return 1.0
    known, found, wanted = embed(data, photos[:FITTED]), embed(data, photos[FITTED:]), exact[FITTED:]
    mean = wanted.mean(axis=0)
    centred = cosine(found - mean, wanted - mean)
    same = nearest(found, known) == nearest(wanted, exact[:FITTED])
    report.add(
        **row, size_mb=len(data) / 1e6, cosine=cosine(found, wanted), centred=centred, neighbour=float(same.mean()),
        fused=fused(data, exact, found, photos[FITTED:], scale), seconds=time.perf_counter() - started, refused="",
    )  # fmt: skip
    return centred


def embed(data: bytes, photos: Photos) -> Floats:
    """(n, d) by the converted file, as real numbers."""
    interpreter = TFLiteInterpreter(data)
    raw = np.stack([interpreter(photo) for photo in photos]).astype(np.float32)
    output = interpreter.output
    return (raw - output.zero_point) * np.float32(output.scale) if output.dtype == np.int8 else raw


def cosine(one: Floats, other: Floats) -> float:
    """Mean cosine of pairs of rows."""
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float((np.einsum("nd,nd->n", one, other) / np.maximum(norms, 1e-12)).mean())


def nearest(asked: Floats, known: Floats) -> npt.NDArray[np.intp]:
    """For each row of one, the row of the other that is most like it, by centred cosine."""
    mean = known.mean(axis=0)
    others = (known - mean) / np.maximum(np.linalg.norm(known - mean, axis=1, keepdims=True), 1e-12)
    return np.asarray(((asked - mean) @ others.T).argmax(axis=1))


def fused(data: bytes, exact: Floats, found: Floats, photos: Photos, scale: tuple[float, float]) -> float:
    """How often a fused file with a random linear head says what that head says of the file's own embeddings."""
    weights = np.random.default_rng(0).normal(size=(exact.shape[1], 5)).astype(np.float32) / exact.std()
    bias = -(exact.mean(axis=0) @ weights)
    told = predict(keep_head(data, weights, bias, tuple("abcde"), scale, "zoo"), photos).argmax(axis=1)
    return float((told == (found @ weights + bias).argmax(axis=1)).mean())


if __name__ == "__main__":
    main(sys.argv[1:])
