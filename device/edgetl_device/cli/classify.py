"""``edgetl-device classify``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import note, progress, reports, say
from ..errors import InputError, PhotoError, StorageError
from ..photo_folders import named_photos
from .looking_options import asked_view, looking_options
from .options import in_home, runtime_option

if TYPE_CHECKING:
    from ..home import Home
    from ..inference.classifier import Prediction

UNKNOWN_CLOSEST = "unknown, closest: {}"


@click.command(short_help="Recognise what photos show")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=3, help="How many labels to print for each photo.")
@looking_options
@click.option(
    "--no-drift", is_flag=True, hidden=True, help="Do not count these photos for drift: `bench` classifies noise."
)
@runtime_option
@in_home
@reports
def classify(
    images: tuple[Path, ...],
    top: int,
    region: str | None,
    find: bool | None,
    no_drift: bool,
    runtime: str,
    home: Home,
) -> dict[str, Any]:
    """Label photos, or all photos of a folder. --region and --find hold for this time only."""
    from ..open_home import OpenHome
    from ..photos import read_photo

    opened = OpenHome(home, runtime)
    folder = named_photos(images, tell=note)
    _, view = asked_view(opened.view, region, find, folder.photos)
    backbone = opened.backbone.seeing(opened.view.looking_with(view))
    learner, classifier, groups = opened.learner, opened.learner.classifier(backbone), opened.groups
    learner.keep_head()
    drift = learner.drift()
    predictions, skipped = [], [str(item.path) for item in folder.unused]
    for path in progress(folder.photos, len(folder.photos), "classifying"):
        try:
            frame = read_photo(path)
            started = time.perf_counter()
            codes = backbone.codes(backbone.embed(frame)[None])
        except PhotoError as error:
            note(f"skipped: {error}" if str(path) in str(error) else f"skipped {path}: {error}")
            skipped.append(str(path))
            continue
        (prediction,) = classifier.classify_codes(codes, top)
        in_groups = {name: answers[0] for name, answers in groups.classify(codes, top).items()}
        latency_ms = (time.perf_counter() - started) * 1e3
        drift.update(codes)
        _say(path, prediction, in_groups)
        predictions.append(
            {
                "path": str(path),
                **_as_json(prediction),
                "latency_ms": latency_ms,
                "groups": {name: _as_json(of_group) for name, of_group in in_groups.items()},
            }
        )
    if classifier.head.novelty.shortcoming and classifier.head.labels:
        note(classifier.head.novelty.shortcoming)
    if not predictions:
        raise InputError(f"none of {len(skipped)} photos could be read")
    try:
        if not no_drift:
            learner.keep_drift(drift)
    except StorageError as error:  # the labels are right all the same
        note(f"drift was not saved: {error}")
    counts, unknown = _tally(predictions)
    if any(item["label"] is None for item in predictions) and not groups:
        say("teach it first: `edgetl-device learn LABEL PHOTO…`, or `edgetl-device run` and its page")
    elif len(predictions) > 1:
        _say_counts(predictions, groups)
    return {"predictions": predictions, "counts": counts, "unknown": unknown, "skipped": skipped}


def _say_counts(predictions: Sequence[Mapping[str, Any]], groups: Iterable[str]) -> None:
    """How many photos got each label, then the same of each group; nothing of labels where only groups were taught."""
    told = [("", predictions)] if any(item["label"] is not None for item in predictions) else []
    told += [(f"{name}: ", [item["groups"][name] for item in predictions]) for name in groups]
    start = f"{len(predictions)} photos: "
    for name, answers in told:
        counts, unknown = _tally(answers)
        words = [f"{label} {count}" for label, count in counts.items()] + [f"unknown {unknown}"] * (unknown > 0)
        say(f"{start}{name}{', '.join(words)}")
        start = "  "


def _say(path: Path, prediction: Prediction, in_groups: Mapping[str, Prediction]) -> None:
    """A line for the photo, and one for each group; where nothing but groups was taught, the first of them is it."""
    answers = [f"{name}: {_in_words(of_group)}" for name, of_group in in_groups.items()]
    if prediction.label is not None or not answers:
        answers = [_in_words(prediction), *answers]
    say(f"{path}: {answers[0]}")
    for answer in answers[1:]:
        say(f"  {answer}")


def _as_json(prediction: Prediction) -> dict[str, Any]:
    return {
        "label": prediction.label,
        "probability": prediction.probability,
        "unknown": prediction.unknown,
        "top": [{"label": label, "probability": value} for label, value in prediction.top],
    }


def _in_words(prediction: Prediction) -> str:
    if prediction.label is None:
        return "nothing learned yet"
    others = ", ".join(f"{label} {probability:.2f}" for label, probability in prediction.top)
    best = UNKNOWN_CLOSEST.format(prediction.label) if prediction.unknown else prediction.label
    return f"{best}  [{others}]"


def _tally(predictions: Sequence[Mapping[str, Any]]) -> tuple[dict[str, int], int]:
    """How many photos got each label, the most frequent first; how many are unknown instead."""
    known = Counter(item["label"] for item in predictions if item["label"] is not None and not item["unknown"])
    return dict(known.most_common()), sum(item["unknown"] for item in predictions)
