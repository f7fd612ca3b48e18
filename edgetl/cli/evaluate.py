"""``edgetl evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetl_device.console import is_verbose, note, refuse_existing, reports, say, table

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation


@click.command(short_help="Measure a bundle's accuracy on PHOTOS")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("photos", type=click.Path(path_type=Path))
@click.option("--report", type=click.Path(path_type=Path), help="Also write one self-contained HTML page.")
@click.option(
    "--slices", type=click.Path(path_type=Path), help="CSV with a path column and columns to break accuracy down by."
)
@click.option("--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime.")
@click.option("--force", is_flag=True, help="Overwrite the report.")
@reports
def evaluate(
    file: Path, photos: Path, report: Path | None, slices: Path | None, runtime: str, force: bool
) -> dict[str, Any]:
    """Measure a bundle's accuracy on PHOTOS, with the device's own code and runtime."""
    from edgetl_device.bundle.bundle import open_bundle

    from .. import api

    if report is not None:
        refuse_existing(report, force)
    bundle = open_bundle(file)
    result = api.evaluate(bundle, photos, slices=slices, report=report, runtime=runtime, force=force)
    _say(result)
    if is_verbose():
        from ..evaluation.shrinkage_audit import audit_bundle

        note(audit_bundle(bundle))
    if report is not None:
        say(f"wrote {report}")
    return _as_json(result)


def _say(result: Evaluation) -> None:
    for reason in result.skipped:
        note(f"skipped: {reason}")
    say(f"accuracy {result.accuracy:.3f} on {result.samples} photos, {result.runtime}")
    if result.unseen < result.samples:
        unseen = f"{result.accuracy_unseen:.3f} on {result.unseen}" if result.unseen else "none"
        say(f"photos the bundle was not trained on: {unseen}")
    table(("class", "recall"), list(result.per_class.items()))
    for column, slices in result.slices.items():
        rows = [(s.value, s.samples, s.accuracy, "worse" if s.worse else "") for s in slices]
        table((column, "photos", "accuracy", ""), rows)
    say(
        f"called unknown: {result.unknown:.1%}; calibration error {result.ece:.3f}; "
        f"latency p50 {result.latency_ms['p50']:.1f} ms, p95 {result.latency_ms['p95']:.1f} ms"
    )


def _as_json(result: Evaluation) -> dict[str, Any]:
    return {
        "accuracy": result.accuracy,
        "accuracy_unseen": result.accuracy_unseen,
        "balanced_accuracy": result.balanced_accuracy,
        "samples": result.samples,
        "unseen": result.unseen,
        "unknown": result.unknown,
        "per_class": result.per_class,
        "labels": list(result.labels),
        "confusion": result.confusion.tolist(),
        "ece": result.ece,
        "latency_ms": result.latency_ms,
        "slices": {
            column: [{"value": s.value, "samples": s.samples, "accuracy": s.accuracy, "worse": s.worse} for s in slices]
            for column, slices in result.slices.items()
        },
        "skipped": list(result.skipped),
        "runtime": result.runtime,
    }
