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

import numpy as np

from .harness import DATA, Report, need

SEED = 0
SEEDS = (0, 1, 2)  # of splits on which the head alone is held against the tutorial
EPOCHS = 10
MEMORY = (3_000, 100_000)
WEIGHTS = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def main() -> None:
    """``python -m benchmarks.train [tutorial] [top] [memory]``: all three, or those named."""
    parts = {"tutorial": against_the_tutorial, "top": with_and_without_the_cache, "memory": memory}
    for name in sys.argv[1:] or parts:
        parts[name]()


def against_the_tutorial() -> None:
    """The head alone, against Keras; one split says little about 0.01 of accuracy, so there are three."""
    from edgetl.training.train import Training, train

    report = Report(
        "train_tutorial",
        "Flowers: seconds and held-out accuracy of a head on a frozen backbone",
        SEED,
        "5 x faster than the tutorial's way, at equal or better accuracy",
    )
    for seed in SEEDS:
        dataset, spec = world(seed)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            accuracy = tutorial(dataset, spec)
            seconds = time.perf_counter() - started
            run = train(dataset, spec, Path(folder) / "head", Training(seed=seed))
        report.add(split=seed, way=f"Keras fit, {EPOCHS} epochs", seconds=seconds, accuracy=accuracy, times_faster=1.0)
        faster = seconds / run.seconds
        report.add(split=seed, way="edgetl train", seconds=run.seconds, accuracy=run.accuracy, times_faster=faster)
    report.save()


def with_and_without_the_cache() -> None:
    """Strategy ``top``, and what an epoch costs."""
    from edgetl.training.activation_cache import batches_of, fill
    from edgetl.training.embeddings import embed_float
    from edgetl.training.finetuning import Plan
    from edgetl.training.records import CacheKey, cache_folder
    from edgetl.training.train import Training, held_out_predictions, train

    dataset, spec = world()
    report = Report(
        "train_top",
        f"{len(dataset)} flowers: strategy top with and without the cache of activations",
        SEED,
        "0.90 held out; an epoch 2 x faster with the cache",
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EDGETL_CACHE"] = str(Path(folder) / "cache")
        plan = Plan("top", seed=SEED)
        for name, chosen in (
            ("cached", plan),
            ("cached by an earlier training", plan),
            ("not cached, 2 epochs", replace(plan, epochs=2, views=0)),
        ):
            output = Path(folder) / f"run{len(report.rows)}"
            run = train(dataset, spec, output, Training(chosen, seed=SEED, tell=print))
            epochs = [epoch["seconds"] for epoch in run.details["epochs"]]
            size = sum(path.stat().st_size for path in (cache_folder() / "boundary").glob("*.float16"))
            report.add(
                way=name, seconds=run.seconds, accuracy=run.accuracy, epochs=len(epochs),
                epoch_seconds=statistics.median(epochs[1:]), cache_MB=size / 1e6,
            )  # fmt: skip
        lower, upper = cut_of(spec)
        filled = fill(dataset.files(), lower, CacheKey(spec.image_size, plan.views, SEED))
        half = np.concatenate(list(batches_of(filled, upper)))
        exact = embed_float(chained(lower, upper), dataset.files(), spec.preprocessing, spec.input_range).values
        for name, values in (("head, exact activations", exact), ("head, float16 activations", half)):
            truth, told = held_out_predictions(dataset, values)
            report.add(
                way=name, seconds="", accuracy=float((truth == told).mean()), epochs=0, epoch_seconds="", cache_MB=""
            )
    report.save()


def world(seed: int = SEED) -> tuple[Any, Any]:
    """Flowers with their split, and the backbone."""
    from edgetl.backbones.backbone import BackboneSpec
    from edgetl.data.datasets import find_photos, split

    spec = BackboneSpec("mobilenet_v2", 0.35, 224, str(need(DATA / "weights" / WEIGHTS)))
    return split(find_photos(need(DATA / "data" / "flowers")), 0.2, seed), spec


def cut_of(spec: Any) -> tuple[Any, Any]:
    """The backbone in two."""
    from edgetl.backbones.backbone import build, cut

    return cut(build(spec, SEED), name=spec.name)


def chained(lower: Any, upper: Any) -> Any:
    """Both parts again, float32 between them."""
    return lambda batch, training: upper(lower(batch, training=training), training=training)


def tutorial(dataset: Any, spec: Any) -> float:
    """Keras ``fit`` as a tutorial has it → held-out accuracy."""
    from edgetl import tf
    from edgetl.backbones.backbone import build

    tensorflow, keras = tf.load(), tf.keras()
    base = build(spec, SEED)
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


def memory() -> None:
    """Train a head on ever more synthetic photos, each in a process of its own; anonymous memory, at its peak."""
    report = Report("train_memory", "peak memory of strategy head, photos of 32 px", SEED, "flat from 3,000 to 100,000")
    for count in MEMORY:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", _CHILD, folder, str(count)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        report.add(photos=count, **json.loads(told.splitlines()[-1]))
    report.save()


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
from edgetl.backbones.backbone import BackboneSpec
from edgetl.data.datasets import find_photos, split
from edgetl.training.train import train
started = time.perf_counter()
dataset = split(find_photos(folder / "p"), 0.2, 0)
train(dataset, BackboneSpec("mobilenet_v2", 0.35, 32, "builtin"), folder / "run")
print(json.dumps({"seconds": time.perf_counter() - started, "MiB": peak / 1024}))
"""


if __name__ == "__main__":
    main()
