"""Training: how fast and how good is each strategy, against the tutorial's way, and does memory stay flat?

The tutorial's way is Keras ``fit`` on a frozen base with a softmax layer, ten epochs over the photos, as in
https://www.tensorflow.org/tutorials/images/transfer_learning. Same photos, same split, same weights, same process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from .harness import DATA, Report, need

SEED = 0
EPOCHS = 10
MEMORY = (3_000, 100_000)
WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def main() -> None:
    """``python -m benchmarks.train [PHOTOS]``: another folder for a quick look; its results are not saved."""
    from edgetl import boundary, training
    from edgetl.backbones import BackboneSpec
    from edgetl.datasets import find_photos, split
    from edgetl.finetuning import Plan

    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else need(DATA / "data" / "flowers")
    spec = BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / "weights" / WEIGHTS)))
    dataset = split(find_photos(photos), 0.2, SEED)
    report = Report(
        "train",
        f"{len(dataset)} photos, seed {SEED}: seconds and held-out accuracy of each way to train",
        SEED,
        "head 5 x faster than the tutorial's way and as good; top 0.90 and 2 x faster an epoch with the cache",
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGETL_CACHE"] = str(Path(folder) / "cache")
        started = time.perf_counter()
        accuracy = tutorial(dataset, spec)
        add(report, "Keras fit, frozen base, 10 epochs", time.perf_counter() - started, accuracy, EPOCHS)
        run = training.train(dataset, spec, Path(folder) / "head", training.Training(seed=SEED))
        add(report, "train --strategy head", run.seconds, run.accuracy, 0)
        plan = Plan("top", seed=SEED)
        for name, plans in (
            ("train --strategy top", plan),
            ("the same, photos cached already", plan),
            ("the same, without the cache, 2 epochs", replace(plan, epochs=2, views=0)),
        ):
            output = Path(folder) / str(len(report.rows))
            run = training.train(dataset, spec, output, training.Training(plans, seed=SEED, tell=print))
            epochs = [epoch["seconds"] for epoch in run.details["epochs"]]
            add(report, name, run.seconds, run.accuracy, len(epochs), statistics.median(epochs[1:] or epochs))
        size = sum(path.stat().st_size for path in (boundary.cache_folder() / "boundary").glob("*.float16"))
        print(f"cache: {size / 1e6:.0f} MB")
    for count in MEMORY:
        seconds, mebibytes = memory(count)
        report.add(
            way=f"head, {count} photos of 32 px", seconds=seconds, accuracy="", epochs=0, s_epoch="", MiB=mebibytes
        )
    if len(sys.argv) < 2:
        report.save()
    else:
        from .harness import table

        print(table(report.rows))


def add(report: Report, way: str, seconds: float, accuracy: float, epochs: int, epoch: float | str = "") -> None:
    """One row."""
    report.add(way=way, seconds=seconds, accuracy=accuracy, epochs=epochs, s_epoch=epoch, MiB="")
    print(report.rows[-1], flush=True)


def tutorial(dataset: Any, spec: Any) -> float:
    """Keras ``fit`` as a tutorial has it → held-out accuracy."""
    from edgetl import backbones, tf

    tensorflow, keras = tf.load(), tf.keras()
    base = backbones.build(spec, SEED)
    base.trainable = False
    size = spec.image_size

    def load(path: Any, label: Any) -> Any:
        photo = tensorflow.image.decode_jpeg(tensorflow.io.read_file(path), 3)
        return tensorflow.image.resize(photo, (size, size)) / 127.5 - 1.0, label

    def feed(rows: list[int], shuffle: bool) -> Any:
        labels = [dataset.classes.index(dataset.labels[row]) for row in rows]
        files = [str(dataset.root / dataset.paths[row]) for row in rows]
        data = tensorflow.data.Dataset.from_tensor_slices((files, labels))
        data = data.shuffle(len(rows), seed=SEED) if shuffle else data
        return data.map(load, tensorflow.data.AUTOTUNE).batch(32).prefetch(tensorflow.data.AUTOTUNE)

    inputs = keras.Input((size, size, 3))
    outputs = keras.layers.Dense(len(dataset.classes))(keras.layers.Dropout(0.2)(base(inputs, training=False)))
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(feed(dataset.rows("train"), True), epochs=EPOCHS, verbose=2)
    return float(model.evaluate(feed(dataset.rows("val"), False), verbose=0)[1])


def memory(count: int) -> tuple[float, float]:
    """Train a head on so many synthetic photos, in a process of its own → seconds, peak anonymous memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        told = subprocess.run(
            [sys.executable, "-c", _CHILD, folder, str(count)], check=True, capture_output=True, text=True
        ).stdout
    found = json.loads(told.splitlines()[-1])
    return found["seconds"], found["MiB"]


_CHILD = """
import json, sys, threading, time
from pathlib import Path
import cv2, numpy as np
folder, count = Path(sys.argv[1]), int(sys.argv[2])
generator = np.random.default_rng(0)
for label in range(10):
    (folder / "p" / str(label)).mkdir(parents=True)
for number in range(count):
    colour = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8) // 2 + 12 * (number % 10)
    photo = cv2.resize(colour.astype(np.uint8), (32, 32))
    cv2.imwrite(str(folder / "p" / str(number % 10) / f"{number:06}.jpg"), photo)
peak = 0
def watch():
    global peak
    while True:
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = max(peak, next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))
        time.sleep(0.05)
threading.Thread(target=watch, daemon=True).start()
from edgetl import training
from edgetl.backbones import BackboneSpec
from edgetl.datasets import find_photos, split
started = time.perf_counter()
dataset = split(find_photos(folder / "p"), 0.2, 0)
training.train(dataset, BackboneSpec("mobilenet_v2", 0.35, 32, "builtin"), folder / "run")
print(json.dumps({"seconds": time.perf_counter() - started, "MiB": peak / 1024}))
"""


if __name__ == "__main__":
    main()
