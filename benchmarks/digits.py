"""Digits with ``--strategy auto`` and nothing else: what it chooses, how long it takes, and how right it is."""

from __future__ import annotations

import tarfile
import tempfile
import time
from pathlib import Path

from edgetl import api

from .harness import DATA, Report, need


def main() -> None:
    """Measure and save."""
    archive = need(DATA / "data/mnist-15k.tar.gz")
    report = Report(
        "digits",
        "12,000 digits of 28 px to train on, 3,000 held out; built-in weights, --strategy auto",
        reach="int8 ≥ 0.990",
    )
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        with tarfile.open(archive) as stream:
            stream.extractall(work, filter="data")
        started = time.perf_counter()
        run = api.train(work / "mnist", work / "run", strategy="auto", weights="builtin", progress=print)
        trained = time.perf_counter() - started
        done = api.convert(run, work / "digits.edgetl")
        plan = run.details["plan"]
        report.add(figure="strategy", value=run.strategy)
        report.add(figure="input, px", value=run.spec.image_size)
        report.add(figure="learning rate", value=plan["learning_rate"])
        report.add(figure="photos varied", value=plan["augment"])
        report.add(figure="photos mirrored", value=plan["flip"])
        report.add(figure="start, on the stopping part", value=run.details["start_accuracy"])
        report.add(figure="held out, float", value=done.parity.float_accuracy)
        report.add(figure="held out, int8", value=done.parity.converted_accuracy)
        report.add(figure="training, s", value=trained)
    report.save()


if __name__ == "__main__":
    main()
