"""``edgetl-device``: thin commands over :class:`~edgetl_device.home.Home` and the learner."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .console import note, progress, refuse_existing, reports, run, say, table
from .errors import InputError, PhotoError

if TYPE_CHECKING:
    from .codes import Int8
    from .home import Home
    from .learner import Learner, Outcome

Command = Callable[..., Any]


def main() -> None:
    """Entry point of the ``edgetl-device`` program."""
    raise SystemExit(run(program, "edgetl-device"))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgetl-device")
@click.option("--home", type=click.Path(path_type=Path), help="State of this device (default: EDGETL_HOME).")
@click.pass_context
def program(context: click.Context, home: Path | None) -> None:
    """Recognise things with a camera, offline, and learn new ones on the spot."""
    if home is not None:
        context.default_map = {name: {"home": home} for name in program.commands}


def in_home(command: Command) -> Command:
    """Add ``--home`` to a command, which gets a Home."""

    def opened(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Home:
        from .home import Home, default_home

        return Home(value or default_home())

    return click.option(
        "--home",
        type=click.Path(path_type=Path),
        callback=opened,
        help="State of this device (default: EDGETL_HOME, else ~/.local/share/edgetl).",
    )(command)


runtime_option = click.option(
    "--runtime", type=click.Choice(["auto", "litert", "tflite"]), default="auto", help="TFLite runtime to use."
)


@program.command()
@click.argument("file", type=click.Path(path_type=Path))
@runtime_option
@in_home
@reports
def install(file: Path, runtime: str, home: Home) -> dict[str, Any]:
    """Verify a bundle, check it on this device and make it the current one."""
    bundle, agreement = home.install(file, runtime)
    learner = home.learner(runtime)
    version = learner.active_version
    if learner.samples() and learner.versions()[-1].id == version:
        version = learner.retrain().version
    say(f"installed {bundle.name}: {', '.join(bundle.labels) or 'no classes yet'} (version {version})")
    return {"name": bundle.name, "labels": list(bundle.labels), "version": version, "agreement": agreement}


@program.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", type=click.IntRange(1), default=3, help="How many labels to name for each photo.")
@runtime_option
@in_home
@reports
def classify(images: tuple[Path, ...], top: int, runtime: str, home: Home) -> dict[str, Any]:
    """Label photos, or all photos of a folder."""
    from .backbone import open_backbone
    from .photos import read_photo

    learner = home.learner(runtime)
    classifier = learner.classifier(open_backbone(learner.bundle, runtime))
    found, skipped = [], []
    paths = photo_paths(images)
    for path in progress(paths, len(paths), "classifying"):
        try:
            frame = read_photo(path)
        except PhotoError as error:
            note(f"skipped: {error}")
            skipped.append(str(path))
            continue
        started = time.perf_counter()
        prediction = classifier.classify(frame, top)
        latency_ms = (time.perf_counter() - started) * 1e3
        others = ", ".join(f"{label} {probability:.2f}" for label, probability in prediction.top)
        best = prediction.label or "nothing learned yet"
        say(f"{path}: {f'unknown (nearest: {best})' if prediction.unknown and prediction.label else best}  [{others}]")
        found.append(
            {
                "path": str(path),
                "label": prediction.label,
                "probability": prediction.probability,
                "unknown": prediction.unknown,
                "top": [{"label": label, "probability": value} for label, value in prediction.top],
                "latency_ms": latency_ms,
            }
        )
    if not found:
        raise InputError(f"none of {len(skipped)} photos could be read")
    return {"predictions": found, "skipped": skipped}


@program.command()
@click.argument("label")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--no-retrain", is_flag=True, help="Only store the samples.")
@runtime_option
@in_home
@reports
def learn(label: str, images: tuple[Path, ...], no_retrain: bool, runtime: str, home: Home) -> dict[str, Any]:
    """Store photos as samples of LABEL (a new label is a new class), then retrain."""
    from .backbone import open_backbone
    from .labels import check_label

    label = check_label(label)
    learner = home.learner(runtime)
    raw, skipped = embed(open_backbone(learner.bundle, runtime).embed_files, photo_paths(images))
    stored = len(learner.add(label, raw))
    say(f"stored {stored} sample{'s' if stored != 1 else ''} of {label}")
    result = {"stored": stored, "skipped": skipped}
    return result | (idle(learner) if no_retrain else judged(learner.retrain()))


@program.command()
@click.option("--head", type=str, help="Learning rule: predictive, familiar, lda or prototype (default: as before).")
@click.option("--accept-scene-change", is_flag=True, help="Promote although known classes lose on the holdout.")
@runtime_option
@in_home
@reports
def retrain(head: str | None, accept_scene_change: bool, runtime: str, home: Home) -> dict[str, Any]:
    """Fit a new head from factory statistics and stored samples."""
    outcome = home.learner(runtime).retrain(head, accept_scene_change=accept_scene_change)
    return judged(outcome)


@program.command()
@click.option("--label", help="Only samples of this label.")
@in_home
@reports
def samples(label: str | None, home: Home) -> dict[str, Any]:
    """List stored samples."""
    rows = home.learner().samples(label)
    table(("id", "label", "time"), [(row.id, row.label, row.time) for row in rows])
    return {"samples": [{"id": row.id, "label": row.label, "time": row.time} for row in rows]}


@program.command()
@click.argument("label")
@click.argument("ids", nargs=-1, required=True, type=int)
@in_home
@reports
def relabel(label: str, ids: tuple[int, ...], home: Home) -> dict[str, Any]:
    """Move samples to another label, then retrain."""
    learner = home.learner()
    moved = learner.relabel(label, ids)
    say(f"moved {moved} sample{'s' if moved != 1 else ''} to {label}")
    return {"moved": moved} | judged(learner.retrain())


@program.command()
@click.option("--label", help="All samples of this label; a factory label is hidden.")
@click.option("--sample", "ids", multiple=True, type=int, help="Samples: --sample 3 4 5.")
@click.option("--all", "everything", is_flag=True, help="All samples: back to what the factory knew.")
@click.argument("more", metavar="", nargs=-1, type=int)
@in_home
@reports
def forget(
    label: str | None, ids: tuple[int, ...], everything: bool, more: tuple[int, ...], home: Home
) -> dict[str, Any]:
    """Remove samples exactly, as if they had never been learned, then retrain."""
    if (label is not None) + bool(ids) + everything != 1:
        raise InputError("say what to forget: one of --label L, --sample ID… or --all")
    if more and not ids:
        raise InputError(f"say what {more[0]} is: --sample {more[0]}")
    learner = home.learner()
    chosen = [*ids, *more] or [row.id for row in learner.samples(label)]
    hide = label is not None and label in learner.bundle.labels
    if label is not None and not chosen and not hide:
        raise InputError(f"no label {label!r}: see `edgetl-device samples`")
    removed = learner.forget(chosen)
    if hide and label is not None:
        learner.hide(label)
        say(f"{label} came with the bundle: it is hidden from now on, but its statistics stay in the bundle")
    say(f"forgot {removed} sample{'s' if removed != 1 else ''}")
    return {"removed": removed, "hidden": hide} | retrained(learner.retrain())


@program.command()
@in_home
@reports
def versions(home: Home) -> dict[str, Any]:
    """List head versions."""
    learner = home.learner()
    active = learner.active_version
    rows = learner.versions()
    table(
        ("", "version", "state", "head", "time", "why"),
        [("*" if r.id == active else "", r.id, r.state, r.rule, r.time[:19], r.reason) for r in rows],
    )
    keys = ("id", "time", "state", "reason", "rule", "metrics")
    found = [{key: getattr(row, key) for key in keys} | {"active": row.id == active} for row in rows]
    return {"versions": [{"version": row.pop("id"), **row} for row in found]}


@program.command()
@click.argument("number", required=False, type=int)
@in_home
@reports
def rollback(number: int | None, home: Home) -> dict[str, Any]:
    """Re-activate an earlier head version (default: the last good one before the active)."""
    version = home.learner().rollback(number)
    say(f"version {version} is active again")
    return {"version": version}


@program.command()
@runtime_option
@in_home
@reports
def status(runtime: str, home: Home) -> dict[str, Any]:
    """Bundle, runtime, samples per label, active version, disk."""
    from .home import free_bytes

    learner = home.learner(runtime)
    counts: dict[str, int] = {}
    for row in learner.samples():
        counts[row.label] = counts.get(row.label, 0) + 1
    bundle = learner.bundle
    size_bytes = home.store_path.stat().st_size
    result = {
        "bundle": {"name": bundle.name, "labels": list(bundle.labels), "digest": bundle.digest},
        "runtime": learner.runtime,
        "samples": counts,
        "version": learner.active_version,
        "labels": list(learner.active_head().labels),
        "home": str(home.folder),
        "store_bytes": size_bytes,
        "free_bytes": free_bytes(home.folder),
    }
    say(f"bundle   {bundle.name}: {', '.join(bundle.labels) or 'no classes'}")
    say(f"runtime  {learner.runtime}")
    say(f"samples  {', '.join(f'{label} {count}' for label, count in counts.items()) or 'none yet'}")
    say(f"version  {learner.active_version}")
    say(f"disk     {size_bytes / 1e6:.1f} MB used, {free_bytes(home.folder) / 1e9:.1f} GB free in {home.folder}")
    return result


@program.command("export-stats")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@in_home
@reports
def export_stats(file: Path, force: bool, home: Home) -> dict[str, Any]:
    """Write what was learned as statistics: no photos, but class means can be read from them."""
    from .bundle import write_atomically
    from .export import Export

    refuse_existing(file, force)
    learner = home.learner()
    statistics = learner.device_statistics()
    if not statistics.samples:
        raise InputError("nothing was learned yet: `edgetl-device learn LABEL IMAGE…` first")
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    write_atomically(file, Export(learner.store.device, now, statistics).to_bytes())
    say(f"wrote {file}: {statistics.samples} samples of {', '.join(statistics.labels)}")
    return {"samples": statistics.samples, "labels": list(statistics.labels), "path": str(file)}


@program.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@in_home
@reports
def backup(file: Path, force: bool, home: Home) -> dict[str, Any]:
    """Copy samples and versions into one verified file, also while the app runs."""
    refuse_existing(file, force)
    learner = home.learner()
    if file.resolve() in (home.store_path.resolve(), learner.store.backup_path.resolve()):
        raise InputError(f"{file} belongs to the store itself: give another name")
    learner.store.backup(file)
    counts = {"samples": len(learner.samples()), "versions": len(learner.versions())}
    say(f"wrote {file}: {counts['samples']} samples, {counts['versions']} versions")
    return counts


@program.command()
@click.argument("file", type=click.Path(path_type=Path))
@in_home
@reports
def restore(file: Path, home: Home) -> dict[str, Any]:
    """Put a backup in the store's place; what stood there is moved aside, not deleted."""
    from .backup import restore_database
    from .store import check_backup

    home.bundle()
    if file.resolve() == home.store_path.resolve():
        raise InputError(f"{file} is the store itself: give the backup")
    check_backup(file)
    aside = restore_database(file, home.store_path)
    learner = home.learner()
    counts = {"samples": len(learner.samples()), "versions": len(learner.versions())}
    say(f"restored {counts['samples']} samples and {counts['versions']} versions")
    if aside is not None:
        say(f"what was there before is now {aside}")
    return counts


def photo_paths(images: Iterable[Path]) -> list[Path]:
    """Files as given, folders as the photos directly or deeper inside them, sorted."""
    from .photos import is_photo_name

    found = []
    for path in images:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if is_photo_name(p) and p.is_file())
            if not inside:
                raise InputError(f"no photos in {path}")
            found += inside
        elif not path.exists():
            raise InputError(f"no such file: {path}")
        else:
            found.append(path)
    return found


def embed(embed_files: Callable[[Iterable[Path]], Any], paths: list[Path]) -> tuple[Int8, list[str]]:
    """Photo files → (n, d) int8 raw embeddings and the names of those that could not be read."""
    import numpy as np

    rows, skipped = [], []
    for path, raw in progress(embed_files(paths), len(paths), "embedding"):
        if isinstance(raw, PhotoError):
            note(f"skipped: {raw}")
            skipped.append(str(path))
        else:
            rows.append(raw)
    if not rows:
        raise InputError(f"none of {len(paths)} photos could be read: nothing was learned")
    return np.stack(rows), skipped


def retrained(outcome: Outcome) -> dict[str, Any]:
    """Tell the outcome of a retraining, and what to do about a rejection."""
    say(f"{outcome.reason} ({outcome.retrain_ms:.0f} ms); version {outcome.version} is active")
    if not outcome.promoted:
        say("the samples are kept: check them with `edgetl-device samples`, relabel or forget the wrong ones,")
        say("or, if the scene really changed, `edgetl-device retrain --accept-scene-change`")
    return {
        "version": outcome.version,
        "promoted": outcome.promoted,
        "reason": outcome.reason,
        "accuracy": outcome.accuracy,
        "retrain_ms": outcome.retrain_ms,
    }


def judged(outcome: Outcome) -> dict[str, Any]:
    """As :func:`retrained`, with exit code 1 where the gate said no."""
    return retrained(outcome) | {"exit_code": 0 if outcome.promoted else 1}


def idle(learner: Learner) -> dict[str, Any]:
    """The result of storing without retraining."""
    reason = "not retrained: `edgetl-device retrain` when all samples are in"
    say(reason)
    return {"version": learner.active_version, "promoted": False, "reason": reason, "retrain_ms": None}
