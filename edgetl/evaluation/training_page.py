"""A training as one HTML page: how right it is and where not, how it got there, and what may be wrong with photos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgetl_device import metrics
from edgetl_device.console import moment
from edgetl_device.files import write_atomically
from edgetl_device.photos import read_photo
from edgetl_device.region import in_words

from ..backbones.backbone import BackboneSpec
from ..reports.curves import Line, curves
from ..reports.intervals import spread
from ..reports.page import Drawing, Gallery, Heading, Part, Picture, Row, Table, Text, page, thumbnail
from ..reports.plots import reliability_plot
from ..training.finetuning import ENOUGH_TO_CHECK
from ..training.float_head import fit_float_head, predict
from ..training.runs import Run
from ..training.search import EPOCHS

EXAMPLES = 8  # photos of each kind that are shown
MOST_CLASSES = 30  # of a confusion matrix; of more the frequent confusions are listed alone
PAIRS = 4  # of near-copies that are shown
_BINS = 15
_CONFUSIONS = 10
_LOSS = "Loss: cross-entropy, smoothed where it is trained on."
_UNCHECKED = (
    f"Of fewer than about {ENOUGH_TO_CHECK} training photos none are kept to stop on: the last epoch was kept, and "
    "nothing says whether it is better than a solved head. Compare with a run of strategy head."
)
_SHAPED = {"crop": "its sides cut off to fit", "stretch": "stretched to fit", "letterbox": "with bars to fit"}


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What the float head says of the held-out photos.

    Args:
        rows: (h,) of the dataset.
        truth, predicted: (h,) class indices.
        sure: (h,) probability of what was predicted. Each half of the photos has the temperature that fits the other
            half, so that calibration is measured on photos that had no part in it.
    """

    rows: npt.NDArray[np.intp]
    truth: npt.NDArray[np.intp]
    predicted: npt.NDArray[np.intp]
    sure: npt.NDArray[np.floating]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """(h,) whether the predicted class is the true one."""
        return np.equal(self.truth, self.predicted)


def held_out_of(run: Run) -> HeldOut:
    """A run's held-out photos, asked once more."""
    dataset, values = run.dataset, run.float_embeddings()
    train, rows = dataset.rows("train"), np.asarray(dataset.rows("val", "test"), np.intp)
    head = fit_float_head(values, [dataset.labels[row] for row in train], train)
    predicted, scores = predict(head, values, rows.tolist())
    truth = np.searchsorted(dataset.classes, [dataset.labels[row] for row in rows])
    part = np.random.default_rng(run.seed).permutation(len(rows)) % 2
    return HeldOut(rows, truth, predicted, cross_fitted(scores, truth, part))


def cross_fitted(
    scores: npt.NDArray[np.floating], truth: npt.NDArray[np.intp], part: npt.NDArray[np.intp]
) -> npt.NDArray[np.floating]:
    """Scores (h, C), true classes (h,) and which of two halves each is in → (h,) probabilities of the top class."""
    sure = np.empty(len(scores))
    for half in (0, 1):
        here, other = part == half, part != half
        temperature = metrics.fit_temperature(scores[other], truth[other]) if other.any() else 1.0
        sure[here] = metrics.softmax(scores[here] / temperature).max(axis=1)
    return sure


def write_training_report(run: Run, path: Path) -> None:
    """The training as one self-contained HTML file, from a run that was just made: only it knows its near-copies.

    Raises:
        StorageError: the file cannot be written.
    """
    held = held_out_of(run)
    parts = [
        *_summary(run, held), *_classes(run, held), *_curves(run), *_trials(run), *_tuned(run), *_calibration(held),
        *_examples(run, held), *_copies(run), *_skipped(run), Heading("How it was trained"), _details(run),
    ]  # fmt: skip
    write_atomically(path, page(f"{run.folder.name}: training", parts))


def _summary(run: Run, held: HeldOut) -> list[Part]:
    right, total = int(held.right.sum()), len(held.rows)
    counts, interval = Counter(run.dataset.splits), spread(metrics.wilson_interval(right, total))
    balanced = metrics.balanced_accuracy(held.truth, held.predicted, len(run.dataset.classes))
    return [
        Text(f"{right / total:.3f} of {total} held-out photos are right ({interval}).", strong=True),
        Text(
            f"{balanced:.3f} if every class counts the same. {counts['train']} photos of {len(run.dataset.classes)} "
            "classes were trained on; the held-out ones decided nothing. The brackets hold the 95 % interval."
        ),
    ]


def _classes(run: Run, held: HeldOut) -> list[Part]:
    labels = run.dataset.classes
    matrix = metrics.confusion(held.truth, held.predicted, len(labels))
    totals, hits, called = matrix.sum(axis=1), np.diag(matrix), matrix.sum(axis=0)
    trained = Counter(run.dataset.labels[row] for row in run.dataset.rows("train"))
    rows = [
        (
            label, trained[label], int(total), hit / total if total else None,
            spread(metrics.wilson_interval(int(hit), int(total))) if total else None, hit / said if said else None,
        )
        for label, total, hit, said in zip(labels, totals, hits, called, strict=True)
    ]  # fmt: skip
    parts: list[Part] = [
        Heading("Each class"),
        Text(
            "Right: the share of a class's held-out photos that get its label. Precision: how often the label is right "
            "when it is used."
        ),
        Table(("class", "trained on", "held out", "right", "95 % interval", "precision"), rows, shade=(3, 5)),
        *_confusions(labels, matrix),
    ]
    if len(labels) <= MOST_CLASSES:
        shares = matrix / np.maximum(totals[:, None], 1)
        parts += [
            Heading("Confusion matrix"),
            Text("Rows are what a photo shows, columns what it was called; the shares of a row add up to 1."),
            Table(
                ("", *labels),
                [(label, *map(float, row)) for label, row in zip(labels, shares, strict=True)],
                shade=range(1, len(labels) + 1),
            ),
        ]
    return parts


def _confusions(labels: Sequence[str], matrix: npt.NDArray[np.int64]) -> list[Part]:
    wrong = matrix - np.diag(np.diag(matrix))
    cells = [divmod(int(cell), len(labels)) for cell in np.argsort(-wrong, axis=None, kind="stable")[:_CONFUSIONS]]
    rows = [(labels[a], labels[b], int(wrong[a, b]), int(matrix[a].sum())) for a, b in cells if wrong[a, b]]
    if not rows:
        return []
    return [Heading("What is mixed up most"), Table(("photo of", "called", "photos", "of"), rows)]


def _curves(run: Run) -> list[Part]:
    epochs = run.details.get("epochs") or []
    if not epochs:
        return []
    best = max((facts["epoch"] for facts in epochs if facts["best"]), default=None)
    losses = [Line("trained on", [facts["loss"] for facts in epochs])]
    if epochs[0]["stop_accuracy"] is None:
        return [Heading("Epochs"), Text(_UNCHECKED), Drawing(curves(losses, "loss", None), _LOSS)]
    losses.append(Line("stopping part", [facts["stop_loss"] for facts in epochs], strong=True))
    shares = Line("right on the stopping part", [facts["stop_accuracy"] for facts in epochs], strong=True)
    drawings = [
        Drawing(curves(losses, "loss", best), _LOSS),
        Drawing(curves([shares], "accuracy", best, 1.004), "Accuracy."),
    ]
    start = run.details.get("start_accuracy")
    told = f"The start, a solved head, was {start:.3f} right there. " if start is not None else ""
    kept = f"Epoch {best} was kept, where the dashed line is." if best else "No epoch was better: the start was kept."
    return [
        Heading("Epochs"),
        Text(f"The stopping part is a tenth of the training photos, which chose the best epoch. {told}{kept}"),
        Row(drawings),
    ]


def _trials(run: Run) -> list[Part]:
    tried = run.details.get("trials") or []
    if not tried:
        return []
    words = {"all": "yes", "unmirrored": "not mirrored", "none": "no"}
    rows = [(f"{t['learning_rate']:g}", words[t["variation"]], t["accuracy"], t["loss"]) for t in tried]
    return [
        Heading("What was tried out"),
        Text("Short trainings, judged on the stopping part; a choice is taken where it is better by more than chance."),
        Table(("learning rate", "photos varied", "right", "loss"), rows),
    ]


def _tuned(run: Run) -> list[Part]:
    tried = sorted(run.details.get("tuned") or [], key=lambda each: each["loss"])
    if not tried:
        return []
    rows = [
        (
            f"{t['learning_rate']:g}", f"{t['label_smoothing']:g}", str(t["batch_size"]), t["accuracy"], t["loss"],
            f"{t['seconds']:.0f}", "taken" if t["taken"] else "",
        )
        for t in tried
    ]  # fmt: skip
    return [
        Heading("What the search tried"),
        Text(
            f"{EPOCHS} epochs each, judged on the stopping part at the best temperature. The least loss is taken if it "
            "is less than that of what was settled before by more than chance."
        ),
        Table(("learning rate", "smoothing", "batch", "right", "loss", "seconds", ""), rows),
    ]


def _calibration(held: HeldOut) -> list[Part]:
    counts, sure, right = metrics.reliability(held.sure, held.right, _BINS)
    error = metrics.expected_calibration_error(held.sure, held.right, _BINS)
    drawn = reliability_plot(counts.tolist(), sure.tolist(), right.tolist(), 1 / _BINS)
    return [
        Heading("Calibration"),
        Text(
            f"Expected calibration error {error:.3f} on {len(held.rows)} held-out photos, each half with the "
            "temperature that fits the other. Perfect bars end on the dashed line."
        ),
        Drawing(drawn, "Share of right answers at each predicted probability; dots mark the mean of each bin."),
    ]


def _examples(run: Run, held: HeldOut) -> list[Part]:
    wrong, right = np.flatnonzero(~held.right), np.flatnonzero(held.right)
    worst = wrong[np.argsort(-held.sure[wrong], kind="stable")][:EXAMPLES]
    doubtful = right[np.argsort(held.sure[right], kind="stable")][:EXAMPLES]
    others = np.setdiff1d(right, doubtful)
    drawn = np.random.default_rng(run.seed).permutation(others)[:EXAMPLES]
    parts: list[Part] = [Heading("Wrong, the surest first")]
    if len(worst):
        parts += [Text("A wrong label in the folder, or something to collect more photos of?")]
    for title, chosen in (("", worst), ("Right, but least sure", doubtful), ("Right, drawn at random", drawn)):
        pictures = [_example(run, held, int(number)) for number in chosen]
        parts += [Heading(title)] if title else []
        parts.append(Gallery(pictures) if pictures else Text("None."))
    return parts


def _example(run: Run, held: HeldOut, number: int) -> Picture:
    row, labels = int(held.rows[number]), run.dataset.classes
    truth, said = labels[held.truth[number]], labels[held.predicted[number]]
    is_what = "" if truth == said else f", is {truth}"
    return _picture(run, row, f"{said} {held.sure[number]:.2f}{is_what} ({run.dataset.paths[row].name})")


def _picture(run: Run, row: int, caption: str) -> Picture:
    photo = run.spec.preprocessing(read_photo(run.dataset.files()[row]))
    return Picture(thumbnail(photo), caption)


def _copies(run: Run) -> list[Part]:
    copies, row_of = run.duplicates, {path: row for row, path in enumerate(run.dataset.paths)}
    parts: list[Part] = []
    for pairs, told in (
        (copies.labels, "under two labels, one of which is wrong"),
        (copies.splits, "in training and held-out photos: there the accuracy flatters"),
    ):
        if not pairs:
            continue
        count = f"{len(pairs)} pairs look alike" if len(pairs) > 1 else "One pair looks alike"
        shown = [row_of[path] for pair in pairs[:PAIRS] for path in pair]
        captions = [
            f"{run.dataset.labels[row]}, {run.dataset.splits[row]} ({run.dataset.paths[row].name})" for row in shown
        ]
        parts += [
            Text(f"{count} {told}."),
            Gallery([_picture(run, row, caption) for row, caption in zip(shown, captions, strict=True)]),
        ]
    return [Heading("May be near-copies"), *parts] if parts else []


def _skipped(run: Run) -> list[Part]:
    if not run.skipped:
        return []
    reasons = Counter(line.partition(": ")[2] for line in run.skipped)
    return [Heading("Not used"), Table(("files", "why"), [(count, reason) for reason, count in reasons.most_common()])]


def _region(spec: BackboneSpec) -> list[tuple[str, object]]:
    if spec.region is None:
        return []
    return [("region", f"{in_words(spec.region)} of each photo, {_SHAPED[spec.preprocessing.resize]}")]


def _details(run: Run) -> Table:
    spec, plan = run.spec, run.details.get("plan") or {}
    rows: list[tuple[str, object]] = [
        ("backbone", f"{spec.name}, alpha {spec.alpha:g}, {spec.image_size} × {spec.image_size} pixels"),
        ("weights", Path(spec.weights).name),
        *_region(spec),
        ("strategy", run.strategy),
        ("trained on", run.details.get("device", "")),
        ("seconds, without starting up", f"{run.seconds:.0f}"),
        ("seed", str(run.seed)),
        ("made", moment(run.created)),
    ]
    named = ("learning_rate", "batch_size", "label_smoothing", "augment", "flip", "views", "train_batch_norm")
    for name in (name for name in named if name in plan):
        value = plan[name]
        rows.append((name.replace("_", " "), ("yes" if value else "no") if isinstance(value, bool) else str(value)))
    return Table(("", ""), rows)
