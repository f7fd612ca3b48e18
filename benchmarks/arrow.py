"""The whole arrow on flowers: train → convert → install → classify → learn, through the two programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .harness import DATA, Report, compile_packages, need

BIN = Path(sys.executable).parent
WEIGHTS = "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"


def main() -> None:
    """Measure and save."""
    photos = need(DATA / "data/flowers")
    imprinting = need(DATA / "models/coral/imprinting")
    compile_packages()
    report = Report(
        "arrow",
        "The whole arrow on 2,934 flowers (seed 0, 20 % held out), MobileNetV2 α=0.35 @224, int8",
        reach="int8 ≥ 0.87 and ≤ 0.01 below float; train + convert ≤ 90 s; first label ≤ 0.8 s; classify ≤ 100 MB; "
        "Coral's three test photos right, flowers lose ≤ 0.02; also from --no-classes",
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        run, bundle, empty = work / "run", work / "flowers.edgetl", work / "empty.edgetl"
        trained = train_flowers(run)
        converted = edgetl("convert", run, "-o", bundle)
        edgetl("convert", run, "-o", empty, "--no-classes")
        parity = converted["parity"]
        report.add(figure="float accuracy (held out)", value=parity["float_accuracy"])
        report.add(figure="int8 accuracy (held out)", value=parity["converted_accuracy"])
        report.add(figure="same label", value=parity["agreement"])
        report.add(figure="train, whole process, s", value=trained["wall"])
        report.add(figure="convert, whole process, s", value=converted["wall"])
        report.add(figure="train + convert, s", value=trained["wall"] + converted["wall"])
        report.add(figure="bundle, MB", value=converted["size_bytes"] / 1e6)
        before = edgetl("evaluate", bundle, photos)
        report.add(figure="evaluate: unseen photos, before", value=before["accuracy_unseen"])
        for name, file in (("flowers", bundle), ("empty", empty)):
            home = work / f"home-{name}"
            device(home, "install", file)
            for label, count in (("cat", 1), ("dog", 1), ("hotdog", 2)):
                device(home, "learn", label, *(imprinting / f"{label}_train_{n}.png" for n in range(count)))
            tests = [imprinting / f"{label}_test_0.png" for label in ("cat", "dog", "hotdog")]
            told = [p["label"] for p in device(home, "classify", *tests)["predictions"]]
            right = sum(a == b for a, b in zip(told, ("cat", "dog", "hotdog"), strict=True))
            report.add(figure=f"Coral's test photos right, of 3, from the {name} bundle", value=right)
        report.add(figure="flowers after learning cat, dog, hotdog", value=flowers_after(work / "home-flowers", run))
        starts, peaks = zip(*(cold_start(work / "home-flowers", tests[0]) for _ in range(7)), strict=True)
        report.add(figure="classify, process start to label, median s", value=sorted(starts)[3])
        report.add(figure="classify, peak memory, MB", value=max(peaks) / 1e3)
    report.save()


def flowers_after(home: Path, run: Path) -> float:
    """Accuracy on the run's held-out photos of whatever the device's active head is."""
    value = json.loads((run / "run.json").read_text())
    held_out = [(Path(value["photos"]) / path, label) for path, label, split in value["samples"] if split == "val"]
    found = device(home, "classify", *(path for path, _ in held_out))["predictions"]
    right = sum(bool(p["label"] == label) for p, (_, label) in zip(found, held_out, strict=True))
    return right / len(held_out)


def cold_start(home: Path, photo: Path) -> tuple[float, int]:
    """Seconds from process start to end of ``classify`` of one photo, and its peak memory in kB."""
    command = [str(BIN / "edgetl-device"), "--home", str(home), "classify", "--json", str(photo)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return time.perf_counter() - started, usage.ru_maxrss


def train_flowers(run: Path) -> dict[str, Any]:
    """``edgetl train`` on flowers, into ``run``."""
    photos, weights = need(DATA / "data/flowers"), need(DATA / WEIGHTS)
    return edgetl("train", photos, "-o", run, "--weights", weights, "--alpha", 0.35)


def edgetl(*arguments: object) -> dict[str, Any]:
    """One ``edgetl`` command → its JSON and its wall time in seconds."""
    return _program("edgetl", *arguments)


def device(home: Path, *arguments: object) -> dict[str, Any]:
    """One ``edgetl-device`` command → its JSON and its wall time in seconds."""
    return _program("edgetl-device", "--home", home, *arguments)


def _program(name: str, *arguments: object) -> dict[str, Any]:
    command = [str(BIN / name), *(str(argument) for argument in arguments), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result | {"wall": time.perf_counter() - started}


if __name__ == "__main__":
    main()
