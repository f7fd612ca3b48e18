"""``edgetl-device backup`` and ``restore``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import refuse_existing, reports, say
from ..errors import InputError
from .options import in_home
from .starting import start_if_empty

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Copy samples and versions into one file")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@in_home
@reports
def backup(file: Path, force: bool, home: Home) -> dict[str, Any]:
    """Copy samples and versions (not kept photos) into one verified file, also while the app runs."""
    refuse_existing(file, force)
    learner = home.learner()
    if file.resolve() in (home.store_path.resolve(), learner.store.backup_path.resolve()):
        raise InputError(f"{file} belongs to the store itself: give another name")
    learner.store.backup(file)
    counts = {"samples": len(learner.photo_ids()), "versions": len(learner.versions())}
    say(f"wrote {file}: {counts['samples']} samples, {counts['versions']} versions")
    return counts


@click.command(short_help="Replace the store by a backup")
@click.argument("file", type=click.Path(path_type=Path))
@in_home
@reports
def restore(file: Path, home: Home) -> dict[str, Any]:
    """Replace the store by a backup; the old store is kept beside it."""
    from ..store.backup import check_backup, restore_database

    if file.resolve() == home.store_path.resolve():
        raise InputError(f"{file} is the store itself: give the backup")
    if not home.has_bundle():
        check_backup(file)
        start_if_empty(home)
    bundle = home.bundle()
    aside = restore_database(file, home.store_path, {bundle.backbone_digest: bundle.codes.dimension})
    learner = home.learner()
    counts = {"samples": len(learner.photo_ids()), "versions": len(learner.versions())}
    say(f"restored {counts['samples']} samples and {counts['versions']} versions")
    if aside is not None:
        say(f"what was there before is now {aside}")
    return counts
