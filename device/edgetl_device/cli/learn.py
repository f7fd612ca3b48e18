"""``edgetl-device learn`` and ``retrain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say
from .home_option import in_home, runtime_option
from .outcome import idle, judged
from .reading import embed, photo_paths

if TYPE_CHECKING:
    from ..home import Home


@click.command()
@click.argument("label")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--no-retrain", is_flag=True, help="Only store the samples.")
@runtime_option
@in_home
@reports
def learn(label: str, images: tuple[Path, ...], no_retrain: bool, runtime: str, home: Home) -> dict[str, Any]:
    """Store photos as samples of LABEL (a new label is a new class), then retrain."""
    from ..backbone import open_backbone
    from ..labels import check_label

    label = check_label(label)
    learner = home.learner(runtime)
    backbone = open_backbone(learner.bundle, runtime, home.best_threads(learner.bundle, runtime))
    learner.runtime = backbone.runtime  # it may be the Edge TPU's
    raw, skipped = embed(backbone.embed_files, photo_paths(images))
    stored = len(learner.add(label, raw))
    say(f"stored {stored} sample{'s' if stored != 1 else ''} of {label}")
    result = {"stored": stored, "skipped": skipped}
    return result | (idle(learner) if no_retrain else judged(learner.retrain()))


@click.command()
@click.option("--head", type=str, help="Learning rule: predictive, familiar, lda or prototype (default: as before).")
@click.option("--accept-scene-change", is_flag=True, help="Promote although known classes lose on the holdout.")
@runtime_option
@in_home
@reports
def retrain(head: str | None, accept_scene_change: bool, runtime: str, home: Home) -> dict[str, Any]:
    """Fit a new head from factory statistics and stored samples."""
    outcome = home.learner(runtime).retrain(head, accept_scene_change=accept_scene_change)
    return judged(outcome)
