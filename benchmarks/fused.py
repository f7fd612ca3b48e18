"""One file for other apps: does it say what the bundle says, to the TFLite runtime alone and to MediaPipe?

MediaPipe wants other versions than TensorFlow, so it runs in an environment of its own: set MEDIAPIPE_PYTHON to the
Python of one (``python -m venv m && m/bin/pip install mediapipe``); without it that row is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl.embedding.embed import embed_device
from edgetl.tflite import fused, fused_proof
from edgetl.training.train import open_run
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.registry import HEADS
from edgetl_device.inference.backbone import open_backbone, prepare_files
from edgetl_device.inference.interpreter import TFLiteInterpreter

from .arrow import edgetl, train_flowers
from .harness import Report, interleaved_ms
from .situations import factory_statistics

COUNTS = {
    "all photos": (10_000,) * 5,
    "5 of the first class": (5, *[10_000] * 4),
    "3 to 600 a class": (3, 10, 30, 100, 600),
}
OUTSIDE = """
import json, sys
import mediapipe, numpy
vision = mediapipe.tasks.vision
options = vision.ImageClassifierOptions(
    base_options=mediapipe.tasks.BaseOptions(model_asset_path=sys.argv[1]), max_results=1)
with vision.ImageClassifier.create_from_options(options) as classifier:
    images = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=p) for p in numpy.load(sys.argv[2])]
    names = [classifier.classify(i).classifications[0].categories[0].category_name for i in images]
print(json.dumps({"version": mediapipe.__version__, "labels": names}))
"""


def main() -> None:
    """Measure and save."""
    report = Report(
        "fused",
        "Flowers, MobileNetV2 α=0.35 @224, int8: the fused model against the bundle on 587 held-out photos",
        reach="the same top label on at least 99.5 %",
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        train_flowers(work / "run")
        edgetl("convert", work / "run", "-o", work / "flowers.edgetl", "--fused")
        measure(report, work)
    report.save()


def measure(report: Report, work: Path) -> None:
    """Every rule, on balanced and on unbalanced photos."""
    run, bundle = open_run(work / "run"), open_bundle(work / "flowers.edgetl")
    backbone, data = open_backbone(bundle), run.dataset
    file = bundle.members["backbone.tflite"]
    codes = backbone.codes(embed_device(backbone, data.files()).values)
    train, held_out = data.rows("train"), data.rows("val", "test")
    pairs = prepare_files([data.files()[row] for row in held_out], backbone.preprocessing)
    shown = np.stack([photo for _, photo in pairs if isinstance(photo, np.ndarray)])
    truth = np.array([data.classes.index(data.labels[row]) for row in held_out])
    for situation, counts in COUNTS.items():
        kept = [
            row for label, count in zip(data.classes, counts, strict=True)
            for row in [row for row in train if data.labels[row] == label][:count]
        ]  # fmt: skip
        statistics = factory_statistics(
            codes[kept], [data.labels[row] for row in kept], backbone.digest, backbone.runtime
        )
        holdout = [data.labels[row] for row in held_out]
        evidence = gather(statistics, codes[held_out], holdout, codes[:0], (), backbone.runtime)
        for rule in HEADS:
            head = fit_head(evidence, rule)
            formula = fused.formula(head, backbone.transform)
            model = fused.fuse(file, formula, head.labels, backbone.transform, None, run.spec.input_range, "flowers")
            told, wanted = (
                fused_proof.predict(model, shown).argmax(axis=1),
                head.predict(codes[held_out])[0].argmax(axis=1),
            )
            report.add(
                training=situation, head=rule, reader="TFLite runtime", same_label=float((told == wanted).mean()),
                bundle_accuracy=float((wanted == truth).mean()), fused_accuracy=float((told == truth).mean()),
                added_kB=round((len(model) - len(file)) / 1e3),
            )  # fmt: skip
    model = bundle.members["model.tflite"]
    names, reader = outside(work, model, shown)
    if names:
        told = fused_proof.predict(model, shown).argmax(axis=1)
        other = np.array([data.classes.index(name) for name in names])
        report.add(
            training="all photos", head="predictive", reader=reader, same_label=float((other == told).mean()),
            bundle_accuracy=float((told == truth).mean()), fused_accuracy=float((other == truth).mean()), added_kB=0,
        )  # fmt: skip
    backbone_alone, one_file = TFLiteInterpreter(file), fused_proof.Runner(model)
    times = interleaved_ms(
        {"backbone": lambda: backbone_alone(shown[0]), "fused": lambda: one_file(shown[0])}, runs=101
    )
    print({name: round(value, 3) for name, value in times.items()}, "ms a photo, one thread")


def outside(work: Path, model: bytes, shown: npt.NDArray[np.uint8]) -> tuple[list[str], str]:
    """What MediaPipe's ImageClassifier says of the file as it came out of the bundle, and its version."""
    python = os.environ.get("MEDIAPIPE_PYTHON")
    if python is None:
        print("MediaPipe: left out (set MEDIAPIPE_PYTHON)")
        return [], ""
    (work / "model.tflite").write_bytes(model)
    np.save(work / "photos.npy", shown)
    command = [python, "-c", OUTSIDE, str(work / "model.tflite"), str(work / "photos.npy")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["labels"], f"MediaPipe {answer['version']}"


if __name__ == "__main__":
    main()
