"""``edgetl train``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgetl_device.console import note, reports, say, table
from edgetl_device.errors import InputError

from ..outputs import check_output, check_writable
from .embedded import train_on_embeddings
from .next_step import say_next
from .options import EMB, FILE, FOLDER, OUTPUT, PHOTOS, backbone_options, fine_tuning_options, typed_names
from .skipped import by_reason, tell_skipped
from .waited import waited_s

if TYPE_CHECKING:
    from ..training.runs import Run


MANY_COPIES = 0.1  # share of photos; where more look like copies the hashes tell nothing (MNIST: 3,310 pairs)
FEW_PHOTOS = 100


@click.command(short_help="Train a classifier on PHOTOS")
@click.argument("photos", nargs=-1, type=PHOTOS)
@click.option("-o", "--output", type=OUTPUT, required=True, help="Folder to write: the RUN.")
@click.option("--embeddings", type=EMB,
              help="Of `edgetl embed`, in place of PHOTOS: of any number, which nothing reads again.")  # fmt: skip
@backbone_options
@click.option("--scale", metavar="MIN,MAX",
              help="With --backbone FILE: what pixels 0 and 255 became in its training.")  # fmt: skip
@click.option("--region", metavar="X,Y,W,H",
              help="The part of photos that counts, in shares such as 0.25,0,0.5,1; devices look there.")  # fmt: skip
@click.option("--strategy", type=click.Choice(["head", "top", "full", "auto"]), default="head", show_default=True,
              help="How much to train; auto asks `edgetl advise`.")  # fmt: skip
@fine_tuning_options
@click.option("--val-split", type=float, default=0.2, show_default=True, help="Share of photos to hold out.")
@click.option(
    "--group",
    metavar="REGEX",
    help="Keep photos together that share this pattern in their path, or this column of the CSV list.",
)
@click.option("--tensorboard", type=FOLDER, help="Write curves for TensorBoard here.")
@click.option("--report", type=FILE, help="Also write one self-contained HTML page.")
@click.option("--tune", type=float, metavar="MINUTES",
              help="Search so long for a better learning rate, label smoothing and batch size.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="cpu, gpu, one: gpu:1, or several: gpu:0,gpu:1.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted training.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed for the split, the views and the calibration.",
)
@click.option("--force", is_flag=True, help="Overwrite OUTPUT and the report.")
@reports
def train(
    photos: tuple[Path, ...],
    output: Path,
    embeddings: Path | None,
    backbone: str,
    alpha: float | None,
    image_size: int | None,
    weights: str | None,
    scale: str | None,
    region: str | None,
    strategy: Any,
    val_split: float,
    group: str | None,
    tensorboard: Path | None,
    report: Path | None,
    tune: float | None,
    device: str,
    resume: bool,
    seed: int,
    force: bool,
    **fine_tuning: Any,
) -> dict[str, Any]:
    """Teach a backbone the classes of PHOTOS: a folder with one folder per class, or a CSV list."""
    if embeddings is not None:
        return train_on_embeddings(embeddings, photos, output, val_split, seed, force)
    if not photos:
        raise InputError("say what to train on: PHOTOS, or --embeddings EMB")
    from edgetl_device.region import parse_region

    from .. import api
    from ..models.keras_files import parsed_scale
    from ..models.own_backbone import is_own
    from ..training.runs import check_place
    from ..training.train import checkpoint_of

    check_place(output, force)
    check_writable(output)
    if report is not None:
        check_output(report, force)
    limits = parsed_scale(scale)
    area = None if region is None else parse_region(region)
    if not is_own(backbone):  # a mistake in it is told before photos are looked for
        api.backbone_spec(backbone, alpha, image_size, weights, limits)
    of_tuning = fine_tuning.keys() - {"cache_limit"}  # embeddings are cached for the head too
    unused = typed_names(*of_tuning, "tensorboard") if strategy == "head" else []
    if unused:
        change = "changes" if len(unused) == 1 else "change"
        note(f"the head is solved, so {' and '.join(unused)} {change} nothing: add --strategy top, full or auto")
    dataset = api.load_photos(photos, val_split=val_split, group=group, seed=seed)
    try:
        run = api.train(
            dataset,
            output,
            strategy=strategy,
            backbone=backbone,
            alpha=alpha,
            image_size=image_size,
            weights=weights,
            scale=limits,
            region=area,
            seed=seed,
            resume=resume,
            force=force,
            progress=note,
            tensorboard=tensorboard,
            report=report,
            tune=tune,
            device=device,
            **fine_tuning,
        )
    except KeyboardInterrupt:
        if checkpoint_of(output).exists():
            note("what was trained so far is kept: go on with the same command and --resume")
        raise
    seconds = waited_s()
    _tell(run, seconds)
    if report is not None:
        say(f"wrote {report}")
    say_next("edgetl", "convert", output, "-o", f"{output}.edgetl")
    return {
        "accuracy": run.accuracy,
        "per_class": run.per_class,
        "held_out": dict(held_out_of(run)),
        "classes": list(run.dataset.classes),
        "photos": len(run.dataset),
        "skipped": list(run.skipped),
        "skipped_reasons": {reason: len(lines) for reason, lines in by_reason(run.skipped).items()},
        "remarks": run.details["remarks"],
        "strategy": run.strategy,
        "backbone": _backbone(run),
        "seconds": seconds,
        "device": run.details["device"],
        "tuned": run.details.get("tuned", []),
        "duplicates": {"labels": _names(run.duplicates.labels), "splits": _names(run.duplicates.splits)},
    }


def _backbone(run: Run) -> dict[str, object]:
    spec = run.spec
    found = {"name": spec.name, "alpha": spec.alpha, "image_size": spec.image_size, "weights": Path(spec.weights).name}
    return {**found, "region": None if spec.region is None else list(spec.region)}


def _tell(run: Run, seconds: float) -> None:
    spec = run.spec
    name = f"{spec.name} alpha {spec.alpha}" if spec.name != "own" else "your own architecture"
    if spec.region is not None:
        from edgetl_device.region import in_words

        note(f"looks at the region {in_words(spec.region)} of the photos")
    note(f"{name} at {spec.image_size} px, {Path(spec.weights).name} weights")
    tell_skipped(run.skipped)
    for remark, count in run.details["remarks"].items():
        note(f"{count} photos: {remark}")
    tell_duplicates(run)
    from edgetl_device.metrics import wilson_interval

    from ..reports.intervals import spread

    counts, held_out = Counter(run.dataset.labels), held_out_of(run)
    rows = []
    for label, recall in run.per_class.items():
        sure = wilson_interval(round((recall or 0.0) * held_out[label]), held_out[label])
        rows.append((label, counts[label], held_out[label], recall, spread(sure) if held_out[label] else None))
    table(("class", "photos", "held out", "recall", "95 % interval"), rows)
    total = held_out.total()
    of_all = spread(wilson_interval(round(run.accuracy * total), total))
    say(f"held-out accuracy {run.accuracy:.3f} ({of_all}) of {total} photos, in {seconds:.0f} s")


def held_out_of(run: Run) -> Counter[str]:
    """How many photos of each class the accuracy was measured on."""
    return Counter(run.dataset.labels[row] for row in run.dataset.rows("val", "test"))


def tell_duplicates(run: Run, most: int = 3) -> None:
    """A line for what may be near-copies that contradict or flatter; none where the hashes cannot tell photos apart."""
    copies, photos = run.duplicates, len(run.dataset)
    if copies.labels:
        others = f" and {len(copies.labels) - most} more" if len(copies.labels) > most else ""
        if len({path for pair in copies.labels for path in pair}) > MANY_COPIES * photos:
            note(
                f"{len(copies.labels)} pairs of photos under two labels look alike, too many to be copies: such plain "
                "pictures are not compared"
            )
        else:
            pairs = "; ".join(f"{one} and {other}" for one, other in copies.labels[:most])
            note(f"may be near-copies under two labels, one of which is wrong: {pairs}{others}")
    if copies.splits:
        held_out = len({other for _, other in copies.splits})
        one, other = copies.splits[0]
        if held_out > MANY_COPIES * len(run.dataset.rows("val", "test")) and photos > FEW_PHOTOS:
            note(
                f"{held_out} of the held-out photos look like a training photo: if they are frames of films, keep "
                "those together with --group; if all pictures are plain, this means nothing"
            )
        else:
            note(
                f"{held_out} of the held-out photos may nearly copy a training photo, such as {other} and {one}: then "
                "the accuracy flatters; keep them together with --group, or remove copies"
            )


def _names(pairs: tuple[tuple[Path, Path], ...]) -> list[list[str]]:
    return [[one.as_posix(), other.as_posix()] for one, other in pairs]
