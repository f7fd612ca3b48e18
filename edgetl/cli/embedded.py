"""``edgetl train`` and ``edgetl convert`` with ``--embeddings``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgetl_device.console import note, say, table
from edgetl_device.errors import InputError

from .next_step import say_next
from .options import check_bundle_name, refuse_typed
from .waited import waited_s

if TYPE_CHECKING:
    from ..training.embedded_run import EmbeddedRun


def train_on_embeddings(
    embeddings: Path, photos: tuple[Path, ...], output: Path, val_split: float, seed: int, force: bool
) -> dict[str, Any]:
    """What ``edgetl train --embeddings`` does; returns its result."""
    if photos:
        raise InputError(f"--embeddings takes the place of PHOTOS: leave out {photos[0]}, or --embeddings")
    refuse_typed("does not go with --embeddings, whose backbone is chosen", "output", "embeddings", "val_split",
                 "seed", "force")  # fmt: skip
    from .. import api

    run = api.train_embeddings(embeddings, output, val_split=val_split, seed=seed, force=force)
    seconds = waited_s()
    _tell(run, output, seconds)
    return {
        "accuracy": run.accuracy,
        "per_class": run.per_class,
        "held_out": run.held_out,
        "classes": sorted(run.per_class),
        "photos": run.photos,
        "unlabelled": run.unlabelled,
        "strategy": "head",
        "seconds": seconds,
    }


def _tell(run: EmbeddedRun, output: Path, seconds: float) -> None:
    from edgetl_device.metrics import wilson_interval

    from ..reports.intervals import spread

    if run.unlabelled:
        note(f"{run.unlabelled:,} photos have no label and are not used")
    rows = []
    for label, recall in run.per_class.items():
        held = run.held_out.get(label, 0)
        sure = spread(wilson_interval(round((recall or 0.0) * held), held)) if held else None
        rows.append((label, held, recall, sure))
    table(("class", "held out", "recall", "95 % interval"), rows)
    total = sum(run.held_out.values())
    of_all = spread(wilson_interval(round(run.accuracy * total), total))
    say(f"held-out accuracy {run.accuracy:.3f} ({of_all}) of {total:,} photos, in {seconds:.0f} s")
    say_next("edgetl", "convert", output, "-o", f"{output}.edgetl")


def convert_on_embeddings(
    run: Path | None, embeddings: Path | None, output: Path, options: dict[str, Any]
) -> dict[str, Any]:
    """What ``edgetl convert --embeddings``, or of a RUN on embeddings, does; returns its result."""
    check_bundle_name(output)
    refuse_typed("is of a float model, and embeddings have a backbone that is converted", "output", "embeddings",
                 "head", "seed", "sign", "force")  # fmt: skip
    if run is not None and options["seed"] is not None:
        raise InputError("--seed is the RUN's: leave it out")
    from .. import api

    taken = {name: options[name] for name in ("head", "seed", "sign", "force")}
    if run is None:
        done = api.convert_embeddings(embeddings or "", output, **taken)
    else:
        done = api.convert_embeddings(run, output, embeddings=embeddings, **taken)
    seconds = waited_s()
    say(f"held-out accuracy {done.accuracy:.3f} of {done.held_out:,} photos")
    say(f"wrote {output}: {done.size_bytes / 1e6:.1f} MB in {seconds:.0f} s")
    say_next("edgetl-device", "install", output)
    return {
        "path": str(output),
        "size_bytes": done.size_bytes,
        "quantization": done.manifest["quantization"],
        "parity": done.manifest["parity"],
        "ops": done.manifest["ops"],
        "maps": done.manifest.get("maps", []),
        "seconds": seconds,
    }
