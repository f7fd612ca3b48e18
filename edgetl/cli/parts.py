"""``edgetl parts``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgetl_device.console import refuse_existing, reports, say
from edgetl_device.errors import InputError, StorageError

from .next_step import say_next
from .options import FOLDER


@click.command(short_help="Write built-in photos of machine parts to try it with")
@click.argument("folder", type=FOLDER)
@click.option("--per-class", type=click.IntRange(1), default=60, show_default=True, help="Photos of each kind.")
@click.option("--classes", default="", help="Kinds, separated by commas (default: all).")
@click.option("--light", default="normal", show_default=True, help="normal, dim, warm or harsh.")
@click.option(
    "--size", type=click.IntRange(32, 1024), help="Side, pixels (default: 224; the height with --small: 480)."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another seed, other photos.")
@click.option("--defects", is_flag=True, help="Good and damaged parts of one kind, for inspection (default: gear).")
@click.option("--small", is_flag=True, help="Small parts anywhere on a still table, and the empty table.")
@click.option("--force", is_flag=True, help="Write into a folder that exists.")
@reports
def parts(
    folder: Path,
    per_class: int,
    classes: str,
    light: str,
    size: int | None,
    seed: int,
    defects: bool,
    small: bool,
    force: bool,
) -> dict[str, Any]:
    """Write the built-in rendered photos of machine parts, one folder per kind."""
    from edgetl_device.parts import DEFECTS, EMPTY, KINDS, write_damaged, write_photos, write_small

    if defects and small:
        raise InputError("choose one: --defects or --small")
    refuse_existing(folder, force)
    side = size or (480 if small else 224)
    kinds = tuple(sorted({name.strip() for name in classes.split(",") if name.strip()})) or KINDS
    try:
        if defects:
            kind = kinds[0] if classes else "gear"
            if classes and len(kinds) != 1:
                raise InputError(f"--defects are of one kind of part, got {', '.join(kinds)}")
            count = write_damaged(folder, kind=kind, per_class=per_class, light=light, size=side, seed=seed)
            say(f"wrote {count} photos of good and damaged {kind}s to {folder}")
            say_next("edgetl-device", "inspect", "learn", folder / "train" / "good")
            return {"photos": count, "classes": ["good", *DEFECTS]}
        write = write_small if small else write_photos
        count = write(folder, kinds=kinds, per_class=per_class, light=light, size=side, seed=seed)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error
    if small:
        say(f"wrote {count} photos of small parts to {folder}")
        say_next("edgetl-device", "view", "--empty", folder / EMPTY, "--find")
    elif len(kinds) == 1:  # too few for a training, right for a device that knows the others
        say(f"wrote {count} photos of 1 kind to {folder}")
        say_next("edgetl-device", "learn", kinds[0], folder / kinds[0])
    else:
        say(f"wrote {count} photos of {len(kinds)} kinds to {folder}")
        say_next("edgetl", "train", folder, "-o", "run")
    return {"photos": count, "classes": list(kinds)}
