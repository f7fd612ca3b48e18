"""How much of what the cores can do do ``train``, ``convert`` and ``evaluate`` use?

    python -m benchmarks.embedding [PHOTOS] [RUNS]

The ideal is a bare interpreter of the same file and the decoding of the same photos, in a process for each core. It has
no head. It is measured in turn with the three, so that a busy machine slows both; ratios are medians of these pairs.
``work_ratio`` holds CPU time against CPU time, which other work on the machine changes less. Photos of 64 px,
built-in backbone at 96 px, 48 classes, two of the photos' each. What loads or converts a model once is not timed.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from edgetl.backbones.backbone import BUILTIN, build
from edgetl.conversion.converter import export, representative_photos
from edgetl.data.datasets import Dataset
from edgetl.embedding import float_backbone
from edgetl.embedding.embed import embed_device
from edgetl.embedding.float_file import float_file
from edgetl.embedding.workers import one_blas_thread
from edgetl.evaluation import evaluate
from edgetl.training.directions import leading_directions
from edgetl.training.embeddings import embed_once
from edgetl_device.codes import CodeTransform
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import Head, fit_head
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.inference.thread_count import cores
from edgetl_device.photos import read_photo
from edgetl_device.statistics import statistics_of

from .harness import DATA, Report, need

REACH = "each at least 0.85 of the ideal"


def bare(files: list[Path], model: bytes, orders: Connection) -> None:
    """One core of the ideal: at each order, all its photos through the interpreter; answers with its CPU time."""
    interpreter, preprocessing = TFLiteInterpreter(model), BUILTIN.preprocessing
    while orders.recv():
        started = time.process_time()
        for path in files:
            interpreter(preprocessing(read_photo(path)))
        orders.send(time.process_time() - started)


@contextmanager
def ideal(files: list[Path], model: bytes) -> Iterator[Callable[[], float]]:
    """A call that takes all photos through a bare interpreter, in a process for each core, and gives their CPU time."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for core in range(cores()):
        ours, theirs = context.Pipe()
        context.Process(target=bare, args=(files[core :: cores()], model, theirs), daemon=True).start()
        pipes.append(ours)

    def run() -> float:
        for pipe in pipes:
            pipe.send(True)
        return float(sum(pipe.recv() for pipe in pipes))

    run()  # started, and warm
    yield run
    for pipe in pipes:
        pipe.send(False)


def photos(folder: Path, count: int) -> list[Path]:
    """So many of the small photos."""
    with tarfile.open(need(DATA / "data" / "tiny-imagenet-50k.tar.gz")) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith("train/"):
                archive.extract(member, folder, filter="data")
                count -= 1
            if not count:
                break
    return sorted(folder.rglob("*.JPEG"))


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Wall time of a call, and CPU time: of the processes that it answers for, or of this one and those it started."""
    started, used = time.perf_counter(), _cpu_time()
    answer = call()
    elapsed = time.perf_counter() - started
    return elapsed, answer if isinstance(answer, float) else _cpu_time() - used


def _cpu_time() -> float:
    return sum(os.times()[:4])


def main(count: int, runs: int) -> None:
    """Measure and save."""
    report = Report("embedding", f"Photos a second on {cores()} cores, against what they can do", reach=REACH)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["EDGETL_CACHE"] = str(folder / "cache")
        files = photos(folder / "photos", count)
        names = _classes(files)
        dataset = Dataset(folder / "photos", tuple(path.relative_to(folder / "photos") for path in files), names,
                          ("train",) * len(files))  # fmt: skip
        model = build(BUILTIN)
        sample = np.stack([BUILTIN.preprocessing(read_photo(path)) for path in files[:: len(files) // 100]])
        int8 = export(model, representative_photos(sample, BUILTIN.preprocessing), BUILTIN.input_range).data
        float32 = float_file(model, BUILTIN.preprocessing, BUILTIN.input_range)
        vars(float_backbone)["float_file"] = lambda *_: float32
        vars(float_backbone)["_WORTH"] = 0
        backbone = _backbone(int8)
        raw = embed_device(backbone, files).values
        labels = list(names)
        codes = backbone.codes(raw)
        along = leading_directions(statistics_of(codes, labels, backbone.digest, backbone.runtime))
        statistics_ = statistics_of(codes, labels, backbone.digest, backbone.runtime, along)
        head = fit_head(gather(statistics_, codes[::50], labels[::50], codes[:0], (), backbone.runtime))
        ideals = {
            name: stack.enter_context(ideal(files, data)) for name, data in (("int8", int8), ("float32", float32))
        }
        measured: dict[str, tuple[str, Callable[[], object]]] = {
            "convert": ("int8", lambda: embed_device(backbone, files)),
            "evaluate": ("int8", lambda: _evaluate(dataset, backbone, head)),
            "train": ("float32", lambda: embed_once(model, files, BUILTIN, folder / "float.npy", 0)),
            "train, the cache empty": ("float32", lambda: _anew(model, files, folder)),
            "train, again": ("float32", lambda: embed_once(model, files, BUILTIN, folder / "float.npy")),
        }
        for name, (kind, call) in measured.items():
            seconds(call)
            pairs = [(seconds(ideals[kind]), seconds(call)) for _ in range(runs)]
            report.add(
                what=name,
                model=kind,
                ideal_per_s=round(count / statistics.median(best for (best, _), _ in pairs)),
                per_s=round(count / statistics.median(took for _, (took, _) in pairs)),
                ratio=round(statistics.median(best / took for (best, _), (took, _) in pairs), 3),
                work_ratio=round(statistics.median(best / took for (_, best), (_, took) in pairs), 3),
                runs=runs,
            )
    report.save()


def _classes(files: list[Path]) -> tuple[str, ...]:
    folders = [path.parent.name for path in files]
    known = sorted(set(folders))
    return tuple(known[known.index(folder) // 2 * 2] for folder in folders)


def _evaluate(dataset: Dataset, backbone: Backbone, head: Head) -> object:
    with one_blas_thread():
        return evaluate._ask(dataset, backbone, head, frozenset())


def _anew(model: Any, files: list[Path], folder: Path) -> object:
    for path in (folder / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    return embed_once(model, files, BUILTIN, folder / "float.npy")


def _backbone(data: bytes) -> Backbone:
    interpreter = TFLiteInterpreter(data)
    transform = CodeTransform(interpreter.output.zero_point, interpreter.output.shape[1])
    return Backbone(interpreter, BUILTIN.preprocessing, transform, "")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*(arguments + [24_000, 5][len(arguments) :]))
