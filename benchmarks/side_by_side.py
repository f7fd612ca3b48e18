"""edgetl and a Keras tutorial side by side: the same photos, split, weights and process; float and int8.

    python -m benchmarks.side_by_side [flowers] [trashnet] [digits]

The tutorial's way is https://www.tensorflow.org/tutorials/images/transfer_learning: augmentation, ten epochs with a
frozen base at 1e-3, then ten with everything above the hundredth layer at 1e-5, and the TFLiteConverter with 200
representative photos. Each class has the same number of photos, as far as it has so many. Digits are neither mirrored
nor turned. Other frameworks are left out: their weights cannot be had without a network.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgetl import api, tf
from edgetl.backbones.backbone import BackboneSpec, build
from edgetl.data.datasets import Dataset, find_photos
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.inference.interpreter import TFLiteInterpreter

from .harness import DATA, Report, need

WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
TRAINED, HELD_OUT = 750, 500
EPOCHS, FROZEN = 10, 100
SIZES = {"flowers": 224, "trashnet": 224, "digits": 96}


def main() -> None:
    """All sets, or those named."""
    report = Report(
        "side_by_side",
        f"{TRAINED} photos to train on, {HELD_OUT} held out, MobileNetV2 α = 0.35, ImageNet weights: edgetl and Keras",
    )
    for name in sys.argv[1:] or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            dataset = some_of(find_photos(photos(name, work)))
            spec = BackboneSpec("mobilenet_v2", 0.35, SIZES[name], str(need(DATA / "weights" / WEIGHTS)))
            for strategy in ("head", "top"):
                row = timed(partial(ours, dataset, spec, strategy, work / strategy))
                report.add(photos=name, px=spec.image_size, way=f"edgetl, {strategy}", **row)
            for way, row in tutorial(dataset, spec, varied=name != "digits"):
                report.add(photos=name, px=spec.image_size, way=way, **row)
        report.save()


def photos(name: str, work: Path) -> Path:
    """A folder with one folder of photos a class."""
    if name != "digits":
        return need(DATA / "data" / name)
    with tarfile.open(need(DATA / "data" / "mnist-15k.tar.gz")) as stream:
        stream.extractall(work, filter="data")
    return work / "mnist" / "train"


def some_of(dataset: Dataset) -> Dataset:
    """The same number of photos of each class, drawn, as far as there are so many: for training, and held out."""
    order = np.random.default_rng(0).permutation(len(dataset))
    classes, sizes = len(dataset.classes), Counter(dataset.labels)
    taken, rows, splits = Counter[tuple[str, str]](), [], {}
    for row in map(int, order):
        label = dataset.labels[row]
        for part, total in (("train", TRAINED), ("val", HELD_OUT)):
            share = total / (TRAINED + HELD_OUT)
            if taken[label, part] < min(total // classes, int(share * sizes[label])):
                taken[label, part] += 1
                rows.append(row)
                splits[row] = part
                break
    rows.sort()
    chosen = dataset.take(rows)
    return Dataset(chosen.root, chosen.paths, chosen.labels, tuple(splits[row] for row in rows))


def timed(call: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What a way gives, with its seconds: on the clock, and of all cores together."""
    clock, cores = time.perf_counter(), time.process_time()
    row = call()
    return row | {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cores}


def ours(dataset: Dataset, spec: BackboneSpec, strategy: Any, folder: Path) -> dict[str, float]:
    """``edgetl train`` and ``edgetl convert``."""
    folder.mkdir()
    run = api.train(
        dataset, folder / "run", strategy=strategy, backbone=spec.name, alpha=spec.alpha, image_size=spec.image_size,
        weights=spec.weights,
    )  # fmt: skip
    done = api.convert(run, folder / "it.edgetl", force=True)
    size = len(open_bundle(folder / "it.edgetl").members["backbone.tflite"])
    return {"float": done.parity.float_accuracy, "int8": done.parity.converted_accuracy, "file_MB": size / 1e6}


def tutorial(dataset: Dataset, spec: BackboneSpec, varied: bool) -> list[tuple[str, dict[str, float]]]:
    """The frozen base, and then fine-tuning from there; each converted.

    Args:
        varied: whether photos are mirrored and turned, as the tutorial has it.
    """
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    base = build(spec, 0)
    base.trainable = False
    inputs = keras.Input((spec.image_size, spec.image_size, 3))
    seen = keras.layers.RandomRotation(0.2)(keras.layers.RandomFlip("horizontal")(inputs)) if varied else inputs
    features = keras.layers.Dropout(0.2)(base(seen, training=False))
    model = keras.Model(inputs, keras.layers.Dense(len(dataset.classes))(features))
    rows: list[tuple[str, dict[str, float]]] = []

    def stage(rate: float, first: int) -> dict[str, float]:
        model.compile(
            keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True), ["accuracy"]
        )
        model.fit(feed(dataset, "train", spec, True), initial_epoch=first, epochs=first + EPOCHS, verbose=2)
        exact = float(model.evaluate(feed(dataset, "val", spec, False), verbose=0)[1])
        return {"float": exact, **converted(keras, model, dataset, spec)}

    frozen = timed(lambda: stage(1e-3, 0))
    rows.append((f"Keras, frozen, {EPOCHS} epochs", frozen))
    base.trainable = True
    for layer in base.layers[:FROZEN]:
        layer.trainable = False
    tuned = timed(lambda: stage(1e-5, EPOCHS))
    together = {name: frozen[name] + tuned[name] for name in ("seconds", "cpu_seconds")}
    rows.append((f"Keras, then {EPOCHS} of fine-tuning", tuned | together))
    return rows


def feed(dataset: Dataset, part: str, spec: BackboneSpec, shuffle: bool) -> Any:
    """Photos of a split as the tutorial reads them, −1 … 1, in batches of 32."""
    tensorflow, size = tf.load(), (spec.image_size, spec.image_size)
    rows = dataset.rows(part)
    files = [str(dataset.root / dataset.paths[row]) for row in rows]
    labels = [dataset.classes.index(dataset.labels[row]) for row in rows]

    def load(path: Any, label: Any) -> Any:
        photo = tensorflow.image.decode_image(tensorflow.io.read_file(path), 3, expand_animations=False)
        return tensorflow.image.resize(photo, size) / 127.5 - 1.0, label

    data = tensorflow.data.Dataset.from_tensor_slices((files, labels))
    data = data.shuffle(len(rows), seed=0) if shuffle else data
    return data.map(load, tensorflow.data.AUTOTUNE).batch(32).prefetch(tensorflow.data.AUTOTUNE)


def converted(keras: Any, model: Any, dataset: Dataset, spec: BackboneSpec) -> dict[str, float]:
    """int8 by the TFLiteConverter, as its guide has it, and run on the held-out photos by LiteRT."""
    tensorflow = tf.load()
    some = feed(dataset, "train", spec, True).unbatch().batch(1).take(200)
    converter = tensorflow.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tensorflow.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([photo] for photo, _ in some)
    converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type, converter.inference_output_type = tensorflow.uint8, tensorflow.int8
    with tf.quiet():
        data = converter.convert()
    interpreter, right = TFLiteInterpreter(data), 0
    for photo, label in feed(dataset, "val", spec, False).unbatch().as_numpy_iterator():
        pixels = np.clip(np.rint(photo * 127.5 + 127.5), 0, 255).astype(np.uint8)
        right += int(np.argmax(interpreter(pixels)) == label)
    return {"int8": right / len(dataset.rows("val")), "file_MB": len(data) / 1e6}


if __name__ == "__main__":
    main()
