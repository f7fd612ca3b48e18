"""An inspection report as one HTML page: what is found, what is flagged wrongly, and where the heat is."""

from __future__ import annotations

from pathlib import Path

from edgetl_device.bundle.bundle import Bundle
from edgetl_device.files import write_atomically
from edgetl_device.metrics import auroc, wilson_interval
from edgetl_device.percent import percent

from ..reports.intervals import spread
from ..reports.page import Drawing, Gallery, Heading, Part, Picture, Table, Text, page
from ..reports.plots import roc_plot
from .inspection import GOOD, InspectionReport


def write_inspection_page(report: InspectionReport, bundle: Bundle, path: Path) -> None:
    """The report as one self-contained HTML file; raises StorageError if it cannot be written."""
    parts = [*_summary(report), *_kinds(report), *_curve(report), *_pictures(report)]
    if report.skipped:
        parts += [Heading("Skipped"), *(Text(reason) for reason in report.skipped)]
    write_atomically(path, page(f"{bundle.name}: inspection", parts))


def _summary(report: InspectionReport) -> list[Part]:
    alarms, good = report.flagged(GOOD)
    found, bad = report.flagged()
    share, low, high = report.expected
    rows = [
        ("defects found", found, bad, found / bad, spread(wilson_interval(found, bad))),
        ("good ones flagged", alarms, good, alarms / good, spread(wilson_interval(alarms, good))),
    ]
    place = report.localisation
    return [
        Text(f"{found} of {bad} defects found, {alarms} of {good} good photos flagged.", strong=True),
        Text(
            f"Taught with {report.taught} good photos and no defect. From these alone it expected to flag "
            f"{percent(share, 1)} of good ones, {percent(low, 1)} to {percent(high, 1)}. Whatever the threshold, a "
            f"defect has the higher score in {percent(report.auroc, 1)} of pairs of a photo with one and a good photo "
            "(AUROC)."
        ),
        Table(("", "photos", "of", "share", "95 % interval"), rows),
        *(Text(f"{warning[:1].upper()}{warning[1:]}.") for warning in report.warnings),
        *([] if place is None else [
            Text(f"Where it is: pixel AUROC {place.pixel_auroc:.3f}, overlap with each defect (PRO) {place.pro:.3f}, "
                 f"from {place.photos} masks.")
        ]),
    ]  # fmt: skip


def _kinds(report: InspectionReport) -> list[Part]:
    rows = []
    for kind in report.kinds:
        hits, total = report.flagged(kind)
        area = auroc(report.scores(kind), report.scores(GOOD))
        rows.append((kind, total, hits / total, spread(wilson_interval(hits, total)), area))
    return [
        Heading("Each kind of defect"),
        Text("Found: the share that is flagged. AUROC: how well its scores are told from those of good photos."),
        Table(("kind", "photos", "found", "95 % interval", "AUROC"), rows, shade=(2, 4)),
    ]


def _curve(report: InspectionReport) -> list[Part]:
    alarms, good = report.flagged(GOOD)
    found, bad = report.flagged()
    drawing = roc_plot(report.roc(), (alarms / good, found / bad))
    return [Heading("Every threshold"), Drawing(drawing, "The dot is the threshold that was chosen from good photos.")]


def _pictures(report: InspectionReport) -> list[Part]:
    parts: list[Part] = [Heading("Where it looks unusual")]
    for kind in (*report.kinds, GOOD):
        shown = [
            Picture(one.picture, f"{kind}: {'flagged' if one.flagged else 'not flagged'}, score {one.score:.1f}")
            for one in report.checked
            if one.kind == kind and one.picture is not None
        ]
        parts.append(Gallery(shown))
    return parts
