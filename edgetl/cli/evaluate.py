"""``edgetl evaluate``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetl_device.console import is_verbose, note, reports, say, table

from ..outputs import check_output
from .options import BUNDLE, FILE, PHOTOS

if TYPE_CHECKING:
    from ..evaluation.evaluate import Evaluation, Outcomes

_MERGED = 3  # bins of reliability that one line of the terminal shows


@click.command(short_help="Measure a bundle's accuracy on PHOTOS")
@click.argument("file", type=BUNDLE)
@click.argument("photos", nargs=-1, required=True, type=PHOTOS)
@click.option("--group", metavar="NAME", help="A group of the bundle: PHOTOS are in folders named by its labels.")
@click.option("--report", type=FILE, help="Also write one self-contained HTML page.")
@click.option("--slices", type=FILE, help="CSV with a path column and columns to break accuracy down by.")
@click.option("--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime.")
@click.option("--force", is_flag=True, help="Overwrite the report.")
@reports
def evaluate(
    file: Path,
    photos: tuple[Path, ...],
    group: str | None,
    report: Path | None,
    slices: Path | None,
    runtime: str,
    force: bool,
) -> dict[str, Any]:
    """Measure a bundle's accuracy on PHOTOS, with the device's own code and runtime."""
    from edgetl_device.bundle.bundle import open_bundle

    from .. import api
    from ..models.model_kinds import refuse_folder

    if report is not None:
        check_output(report, force)
    refuse_folder(file)
    bundle = open_bundle(file)
    result = api.evaluate(bundle, photos, group=group, slices=slices, report=report, runtime=runtime, force=force)
    _say(result)
    if is_verbose():
        from ..evaluation.shrinkage_audit import audit_bundle

        note(audit_bundle(bundle))
    if report is not None:
        say(f"wrote {report}")
    return _as_json(result) | {"group": group}


def _say(result: Evaluation) -> None:
    from ..evaluation.figures import headline
    from ..reports.intervals import spread

    for reason in result.skipped:
        note(f"skipped: {reason}")
    for line in headline(result):
        say(line)
    say()
    if 0 < result.unseen < result.samples:
        say("of the new photos:")
    rows = [
        (label, of.samples, of.share("right"), spread(of.interval("right")), of.share("unknown"), of.share("wrong"))
        for label, of in result.classes.items()
    ]
    table(("class", "photos", "right", "95 % interval", "unknown", "wrong"), rows)
    for column, slices in result.slices.items():
        say()
        table(
            (column, "photos", "accuracy", "95 % interval", ""),
            [(s.value, s.samples, s.accuracy, spread(s.interval), "worse" if s.worse else "") for s in slices],
        )
    say()
    table(("probability said", "photos", "right"), _reliability(result))
    say()
    accuracy, which = result.accuracy_unseen, "new photos"
    if accuracy is None or result.unseen == result.samples:
        accuracy, which = result.accuracy, "all photos"
    say(f"the most probable label is right, called unknown or not, on {accuracy:.3f} of {which}")
    latency = ", ".join(f"{point} {value:.1f} ms" for point, value in result.latency_ms.items())
    say(f"calibration error {result.ece:.3f}; {result.runtime}, latency {latency}")


def _reliability(result: Evaluation) -> list[tuple[str, int, float]]:
    """How often each third of fifteen bins was right: what was said, photos, share right; without empty ones."""
    counts, _, right = result.reliability
    rows = []
    for start in range(0, len(counts), _MERGED):
        bins = slice(start, start + _MERGED)
        if count := int(counts[bins].sum()):
            said = f"{start / len(counts):.1f} … {(start + _MERGED) / len(counts):.1f}"
            rows.append((said, count, float((counts[bins] * right[bins]).sum()) / count))
    return rows


def _as_json(result: Evaluation) -> dict[str, Any]:
    return {
        "accuracy": result.accuracy,
        "accuracy_unseen": result.accuracy_unseen,
        "balanced_accuracy": result.balanced_accuracy,
        "samples": result.samples,
        "unseen": result.unseen,
        "right": result.outcomes.share("right"),
        "unknown": result.unknown,
        "wrong": result.outcomes.share("wrong"),
        "intervals": _intervals(result.outcomes),
        "unseen_outcomes": _outcomes(result.outcomes_unseen) if result.outcomes_unseen is not None else None,
        "classes": {label: _outcomes(of) for label, of in result.classes.items()},
        "per_class": result.per_class,
        "labels": list(result.labels),
        "confusion": result.confusion.tolist(),
        "confusion_unknown": result.confusion_unknown.tolist(),
        "ece": result.ece,
        "reliability": [
            {"probability": float(sure), "right": float(right), "photos": int(count)}
            for count, sure, right in zip(*result.reliability, strict=True)
            if count
        ],
        "latency_ms": result.latency_ms,
        "slices": {column: [asdict(s) for s in slices] for column, slices in result.slices.items()},
        "skipped": list(result.skipped),
        "runtime": result.runtime,
    }


def _outcomes(outcomes: Outcomes) -> dict[str, Any]:
    shares = {name: outcomes.share(name) for name in ("right", "unknown", "wrong")}
    return {"samples": outcomes.samples, **shares, "intervals": _intervals(outcomes)}


def _intervals(outcomes: Outcomes) -> dict[str, list[float]]:
    return {name: list(outcomes.interval(name)) for name in ("right", "unknown", "wrong")}
