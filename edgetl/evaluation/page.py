"""An evaluation as one HTML page: what it gets right, what it mixes up, whom it serves worse, and how sure it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgetl_device.bundle.bundle import Bundle
from edgetl_device.console import moment
from edgetl_device.files import write_atomically

from ..reports.intervals import spread
from ..reports.page import Drawing, Gallery, Heading, Part, Picture, Table, Text, page, thumbnail
from ..reports.plots import reliability_plot
from .evaluate import Evaluation
from .figures import headline

_OF_NEW = " Of the photos that it was not trained on."


def write_report(result: Evaluation, bundle: Bundle, path: Path, group: str | None = None) -> None:
    """The evaluation, of a group of labels where one is named, as one self-contained HTML file; raises StorageError."""
    parts = [*_summary(result), *_classes(result), *_slices(result), *_calibration(result), *_mistakes(result)]
    if result.skipped:
        parts += [Heading("Skipped"), *(Text(reason) for reason in result.skipped)]
    parts += [Heading("The bundle"), _bundle(bundle, result)]
    write_atomically(path, page(f"{bundle.name}: evaluation{'' if group is None else f' of {group}'}", parts))


def _summary(result: Evaluation) -> list[Part]:
    outcomes = result.outcomes_unseen or result.outcomes
    rows = [
        (name, getattr(outcomes, name), outcomes.share(name), spread(outcomes.interval(name)))
        for name in ("right", "unknown", "wrong")
    ]
    return [
        *(Text(f"{line}.", strong=not number) for number, line in enumerate(headline(result))),
        Table(("what it says", "photos", "share", "95 % interval"), rows),
        Text(
            f"{_top_label(result)} A photo takes {result.latency_ms['p50']:.1f} ms on this machine (median; 95 % take "
            f"less than {result.latency_ms['p95']:.1f} ms)."
        ),
    ]


def _top_label(result: Evaluation) -> str:
    if _is_mixed(result):
        return f"The most probable label is right on {result.accuracy_unseen:.3f} of these, called unknown or not."
    same = f"{result.balanced_accuracy:.3f} if every class counts the same"
    return f"The most probable label is right on {result.accuracy:.3f} of these, called unknown or not; {same}."


def _is_mixed(result: Evaluation) -> bool:
    """Whether some of the photos were trained on: what is said is then said of the others."""
    return 0 < result.unseen < result.samples


def _classes(result: Evaluation) -> list[Part]:
    matrix = result.confusion_unknown
    totals, hits = matrix.sum(axis=1), np.diag(matrix)
    precision = hits / np.maximum(matrix[:, :-1].sum(axis=0), 1)
    index = {label: number for number, label in enumerate(result.labels)}
    rows = [
        (
            label, of.samples, of.share("right"), spread(of.interval("right")), of.share("unknown"), of.share("wrong"),
            float(precision[index[label]]),
        )
        for label, of in result.classes.items()
    ]  # fmt: skip
    shares = matrix / np.maximum(totals[:, None], 1)
    of_new = _OF_NEW if _is_mixed(result) else ""
    return [
        Heading("Each class"),
        Text(
            "Right: the share of a class's photos that get its label. Precision: how often the label is right when it "
            f"is used.{of_new}"
        ),
        Table(("class", "photos", "right", "95 % interval", "unknown", "wrong", "precision"), rows, shade=(2, 6)),
        Heading("Confusion matrix"),
        Text("Rows are what a photo shows, columns what it was called; the shares of a row add up to 1." + of_new),
        Table(
            ("", "photos", *result.labels, "unknown"),
            [
                (label, int(total), *map(float, row))
                for label, total, row in zip(result.labels, totals, shares, strict=True)
            ],
            shade=range(2, len(result.labels) + 3),
        ),
    ]


def _slices(result: Evaluation) -> list[Part]:
    parts: list[Part] = []
    for column, slices in result.slices.items():
        worse = [item.value for item in slices if item.worse]
        verdict = "No group is worse than the rest by more than chance."
        if worse:
            verdict = f"Worse than the rest by more than chance: {', '.join(worse)}."
        if _is_mixed(result):
            verdict += _OF_NEW
        rows = [(s.value, s.samples, s.accuracy, spread(s.interval)) for s in slices]
        parts += [
            Heading(f"By {column}"),
            Text(verdict),
            Table((column, "photos", "accuracy", "95 % interval"), rows, shade=(2,)),
        ]
    return parts


def _calibration(result: Evaluation) -> list[Part]:
    counts, sure, right = result.reliability
    drawn = reliability_plot(counts.tolist(), sure.tolist(), right.tolist(), 1 / len(counts))
    excess = float((counts * (sure - right)).sum())
    verdict = "well calibrated" if result.ece < 0.05 else "overconfident" if excess > 0 else "underconfident"
    return [
        Heading("Calibration"),
        Text(
            f"Expected calibration error {result.ece:.3f}: {verdict}. Perfect bars end on the dashed line."
            f"{_OF_NEW if _is_mixed(result) else ''}"
        ),
        Drawing(drawn, "Share of right answers at each predicted probability; dots mark the mean of each bin."),
    ]


def _mistakes(result: Evaluation) -> list[Part]:
    if not result.mistakes:
        return [Heading("Mistakes"), Text("None.")]
    pictures = [
        Picture(thumbnail(m.photo), f"{m.predicted} {m.probability:.2f}, is {m.label} ({m.path.name})")
        for m in result.mistakes
    ]
    return [
        Heading("The most confident mistakes"),
        Text("A wrong label in the folder, or something to collect more photos of?"),
        Gallery(pictures),
    ]


def _bundle(bundle: Bundle, result: Evaluation) -> Table:
    backbone, size = bundle.manifest["backbone"], bundle.preprocessing
    width = f", alpha {backbone['alpha']}" if "alpha" in backbone else ""  # a model of the user's own has none
    rows = [
        ("backbone", f"{backbone['name']}{width}, {size.height} × {size.width} pixels"),
        ("quantization", bundle.manifest["quantization"]),
        ("made", moment(str(bundle.manifest["created"]))),
        ("runtime", result.runtime),
        ("digest", bundle.digest[:16]),
    ]
    return Table(("", ""), rows)
