"""``edgetl-device learn`` and ``retrain``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import note, reports, say
from ..head_option import head_option
from ..photo_folders import named_photos
from .looking_options import asked_view, choose, looking_options
from .options import NEW_LABEL, group_option, in_group, in_home, new_label_option, runtime_option
from .retraining import idle, judged, judged_if_possible, unchanged
from .starting import start_if_empty

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Teach photos of a label, new or known")
@click.argument("label", metavar="LABEL", required=False)
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option("--nothing", is_flag=True, help="Photos of the background, without a LABEL: never predicted as anything.")
@click.option("--no-retrain", is_flag=True, help="Only store the samples.")
@click.option("--keep-photos", is_flag=True, help="Keep a small picture (160 px) of each sample, to look at later.")
@looking_options
@group_option
@new_label_option
@runtime_option
@in_home
@reports
def learn(
    label: str | None,
    images: tuple[Path, ...],
    group: str | None,
    nothing: bool,
    no_retrain: bool,
    keep_photos: bool,
    region: str | None,
    find: bool | None,
    new_label: bool,
    runtime: str,
    home: Home,
) -> dict[str, Any]:
    """Store photos as samples of LABEL (a new label is a new class), then retrain.

    With --nothing, all arguments are photos of what the camera sees when nothing is there: they are no class, and what
    looks like them is unknown. They are forgotten with `forget --label "(nothing)"`.

    --region and --find say which part of the photos counts; that is remembered, see `edgetl-device view`.

    With --group, LABEL answers another question about the same photos: `learn --group condition worn PHOTO…`. A photo
    that is stored already is not stored again.

    A device without a bundle starts with the one that comes with the program.
    """
    from ..labels import NOTHING, check_sample_label
    from ..learning.groups import Groups
    from ..open_home import OpenHome
    from ..photos import read_photo, thumbnail

    if nothing:
        label, images = NOTHING, (*([Path(label)] if label is not None else []), *images)
    if label is None:
        raise click.UsageError("Missing argument 'LABEL'.", click.get_current_context())
    if nothing and not images:
        raise click.UsageError("photos are missing: `learn --nothing PHOTO…`", click.get_current_context())
    if not images:
        raise click.UsageError("Missing argument 'IMAGES...'.", click.get_current_context())
    label = check_sample_label(label)
    folder = named_photos(images, label, note)
    start_if_empty(home, runtime)
    with OpenHome(home, runtime) as opened:
        learner = opened.learner
        if group is not None:
            learner = Groups(learner).known_or_new(group, "" if new_label else NEW_LABEL)
        if not new_label:
            learner.refuse_slip(label, NEW_LABEL)
        asked, view = asked_view(opened.view, region, find, folder.photos)
        looking = opened.view.looking_with(view)
        embedded = opened.backbone.seeing(looking).embed_readable(folder.photos)
        for _, reason in embedded.skipped:
            note(f"skipped: {reason}")
        pictures = [thumbnail(looking.shown(read_photo(path))) for path in embedded.used] if keep_photos else []
        with learner.lock():
            before = learner.store.count()
            ids = learner.add(label, embedded.raw, pictures, view=looking.key)
            if asked:  # else the one that was chosen meanwhile stays
                choose(opened.view, view)
            stored, new = len(ids), learner.store.count() - before
            say_stored(stored, new, label if group is None else f"{label.strip()} ({group.strip()})")
            unused = [item.path for item in folder.unused]
            result = {
                "stored": stored,
                "new": new,
                "skipped": [*map(str, unused), *(str(path) for path, _ in embedded.skipped)],
            }
            return result | (idle(learner, group) if no_retrain else judged_if_possible(learner, group))


def say_stored(samples: int, new: int, label: str) -> None:
    """Print how many samples got a label, and how many of them are new: a photo is stored once."""
    if new == samples:
        say(f"stored {_counted(samples)} of {label}")
    elif not new:
        say(f"labelled {_counted(samples)}, stored already, as {label}")
    else:
        were = f"{samples - new} that were" if samples - new != 1 else "1 that was"
        say(f"stored {_counted(new)} of {label}, and labelled {were} stored already")


def _counted(samples: int) -> str:
    return f"{samples} sample{'s' if samples != 1 else ''}"


@click.command(short_help="Fit the head again, perhaps with another rule")
@head_option(as_before=True)
@click.option(
    "--accept-scene-change", is_flag=True, help="Use all that is stored, whatever the gate says: the scene changed."
)
@group_option
@runtime_option
@in_home
@reports
def retrain(head: str | None, accept_scene_change: bool, group: str | None, runtime: str, home: Home) -> dict[str, Any]:
    """Fit a new head from factory statistics and stored samples."""
    learner = in_group(home.learner(runtime), group)
    with learner.lock():
        if learner.has_nothing_to_learn(head) and not (accept_scene_change and learner.pending()):
            reason = "nothing to learn: no samples were stored since this version"
            say(reason)
            say(f"version {learner.active_version} stays active")
            return unchanged(learner, reason)
        outcome = learner.retrain(head, accept_scene_change=accept_scene_change)
        learner.keep_head()
        return judged(outcome, group)
