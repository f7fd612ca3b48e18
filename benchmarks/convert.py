"""Every way to convert on flowers: what it costs in accuracy, what it buys in size, how long it takes.

``python -m benchmarks.convert [bare] [0.35] [1.0] [own] [vgg16]`` does all of it, or what is named. ``bare`` is our
export against the bare TFLiteConverter, ``own`` a classifier that a user trained with Keras 3, ``vgg16`` a large one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .harness import DATA, Report, need

BIN = Path(sys.executable).parent
WEIGHTS = {
    0.35: "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5",
    1.0: "weights/mobilenet_v2_1.0_224_no_top_dequantized.h5",
}
MODES = {name: ("--quantize", name) for name in ("int8", "int8-float-io", "int16x8", "float16", "dynamic", "none")}
COMPRESSED: dict[str, tuple[str, ...]] = {
    "int8, qat": ("--qat",),
    "int8, prune 0.5": ("--prune", "0.5"),
    "int8, cluster 16": ("--cluster", "16"),
    "int8, prune 0.5 + qat": ("--prune", "0.5", "--qat"),
    "int8, prune 0.5 + cluster 16": ("--prune", "0.5", "--cluster", "16"),
}
FIRST = {"int8": MODES["int8"]}
FEW = {"int8": MODES["int8"], "int8, prune 0.5": ("--prune", "0.5", "--epochs", "1")}


def recipes(alpha: float = 0.35, chosen: dict[str, tuple[str, ...]] | None = None) -> None:
    """Measure and save."""
    photos, weights = need(DATA / "data/flowers"), need(DATA / WEIGHTS[alpha])
    report = Report(
        f"convert-{alpha}",
        f"Converting MobileNetV2 α={alpha} @224 on 2,934 flowers (seed 0, 20 % held out), whole processes",
        reach="int8 within 0.01 of float; qat ≥ int8; prune 0.5 within 0.02",
    )
    with tempfile.TemporaryDirectory() as folder:
        run = os.environ.get("EDGETL_BENCH_RUN") or f"{folder}/run"
        if not Path(run).exists():
            edgetl("train", photos, "-o", run, "--weights", weights, "--alpha", alpha)
        for name, options in (chosen or FIRST | COMPRESSED | MODES).items():
            told, seconds, peak = edgetl(
                "convert", run, "-o", f"{folder}/f.edgetl", "--force", "--max-drop", 1, *options
            )
            parity, bought = told["parity"], told["compression"] or {}
            report.add(
                recipe=name,
                float=parity["float_accuracy"],
                converted=parity["converted_accuracy"],
                agreement=parity["agreement"],
                worst_class_drop=parity["worst_class_drop"],
                file_mb=told["proof"]["size_bytes"] / 1e6,
                zipped_mb=bought.get("zipped_bytes", 0) / 1e6 or None,
                zipped_before_mb=bought.get("plain_zipped_bytes", 0) / 1e6 or None,
                zeros=bought.get("sparsity"),
                seconds=seconds,
                peak_gb=peak / 1e6,
            )
            report.save()  # after each: a long benchmark that is interrupted keeps what it has


def bare(alpha: float = 0.35, runs: int = 2, samples: int = 100) -> None:
    """Our export with its proof against the bare converter, taken in turn; the same model, photos and settings."""
    from edgetl import tf
    from edgetl.backbones.backbone import BackboneSpec, build
    from edgetl.conversion.converter import export, representative_photos
    from edgetl.training.embeddings import to_float

    spec = BackboneSpec("mobilenet_v2", alpha, 224, str(need(DATA / WEIGHTS[alpha])))
    model, tensorflow = build(spec), tf.load()
    photos = np.random.default_rng(0).integers(0, 256, (samples, 224, 224, 3), dtype=np.uint8)
    photos = representative_photos(photos, spec.preprocessing)

    def direct() -> bytes:
        converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([to_float(photo[None], spec.input_range)] for photo in photos)
        converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type, converter.inference_output_type = tensorflow.uint8, tensorflow.int8
        data: bytes = converter.convert()
        return data

    times: dict[str, list[float]] = {"bare TFLiteConverter": [], "edgetl export with proof": []}
    calls: tuple[Any, ...] = (direct, lambda: export(model, photos, spec.input_range))
    for _ in range(runs):
        for name, call in zip(times, calls, strict=True):
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    report = Report(
        "convert-bare", f"Seconds to convert MobileNetV2 α={alpha} @224 to int8, {samples} photos", reach="≤ 1.3 ×"
    )
    for name, values in times.items():
        report.add(call=name, best_s=min(values), ratio=min(values) / min(times["bare TFLiteConverter"]))
    report.save()


def edgetl(*arguments: object) -> tuple[dict[str, Any], float, int]:
    """One ``edgetl`` command → its JSON, its wall time in seconds and its peak memory in kB."""
    command = [str(BIN / "edgetl"), *(str(argument) for argument in arguments), "--json"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return json.loads(told), time.perf_counter() - started, usage.ru_maxrss


def own() -> None:
    """What a Keras tutorial leaves, a nested MobileNetV2 with augmentation and scaling inside, in every format."""
    photos, weights = need(DATA / "data/flowers"), need(DATA / WEIGHTS[0.35])
    report = Report("convert-own", "A Keras 3 classifier of flowers (.keras), as a tutorial makes it: whole processes")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "mine.keras"
        subprocess.run([sys.executable, "-c", _TUTORIAL, photos, weights, model], check=True)
        for name, options in MODES.items():
            target = ("-o", f"{folder}/{name}.edgetl", "--max-drop", 1)
            told, seconds, peak = edgetl("convert", model, "--photos", photos, *target, *options)
            parity = told["parity"]
            report.add(
                recipe=name,
                float=parity["float_accuracy"],
                converted=parity["converted_accuracy"],
                agreement=parity["agreement"],
                file_mb=told["proof"]["size_bytes"] / 1e6,
                float_ops=told["ops"]["float"],
                seconds=seconds,
                peak_gb=peak / 1e6,
            )
            report.save()


_TUTORIAL = """
import sys, keras
photos, weights, model = sys.argv[1:]
feed = keras.utils.image_dataset_from_directory(
    photos, validation_split=0.2, subset="training", seed=0, image_size=(224, 224), label_mode="categorical")
base = keras.applications.MobileNetV2(input_shape=(224, 224, 3), alpha=0.35, include_top=False, weights=weights)
base.trainable = False
inputs = keras.Input((224, 224, 3))
x = keras.layers.RandomFlip("horizontal")(inputs)
x = keras.layers.Rescaling(1 / 127.5, -1)(x)
x = keras.layers.GlobalAveragePooling2D()(base(x, training=False))
outputs = keras.layers.Dense(len(feed.class_names), activation="softmax")(keras.layers.Dropout(0.2)(x))
whole = keras.Model(inputs, outputs)
whole.compile(keras.optimizers.Adam(1e-3), "categorical_crossentropy", metrics=["accuracy"])
whole.fit(feed, epochs=5, verbose=2)
whole.save(model)
"""


def vgg16() -> None:
    """A user's own VGG16 with random weights, on rendered parts: 15 million weights, 15 GFLOP a photo."""
    from edgetl import tf

    keras = tf.keras()
    keras.utils.set_random_seed(0)
    entry = keras.Input((224, 224, 3))
    base = keras.applications.VGG16(weights=None, include_top=False, pooling="avg")
    out = keras.layers.Dense(2, activation="softmax")(base(keras.layers.Rescaling(1 / 127.5, -1)(entry)))
    report = Report("convert-vgg16", "VGG16 without top, random weights, 20 rendered photos: whole processes")
    with tempfile.TemporaryDirectory() as folder:
        keras.Model(entry, out).save(f"{folder}/vgg16.keras")
        edgetl("parts", f"{folder}/parts", "--classes", "bolt,gear", "--per-class", 10)
        for name in ("int8", "float16"):
            common = ("--photos", f"{folder}/parts", "--calibration-samples", 8, "--max-drop", 1, "--quantize", name)
            told, seconds, peak = edgetl("convert", f"{folder}/vgg16.keras", "-o", f"{folder}/{name}.edgetl", *common)
            size, floats = told["proof"]["size_bytes"], told["ops"]["float"]
            report.add(recipe=name, file_mb=size / 1e6, float_ops=floats, seconds=seconds, peak_gb=peak / 1e6)
    report.save()


def main() -> None:
    """``python -m benchmarks.convert [bare] [0.35] [1.0] [own] [vgg16]``"""
    wide = partial(recipes, 1.0, FEW)
    parts: dict[str, Callable[[], None]] = {"bare": bare, "0.35": recipes, "1.0": wide, "own": own, "vgg16": vgg16}
    for name in sys.argv[1:] or parts:
        parts[name]()


if __name__ == "__main__":
    main()
