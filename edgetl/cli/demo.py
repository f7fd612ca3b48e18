"""``edgetl demo``."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from edgetl_device.console import note, refuse_existing, reports, say
from edgetl_device.errors import InputError, StorageError

from ..outputs import check_writable
from .options import OUTPUT, PHOTOS
from .waited import waited_s


@click.command(short_help="See the whole story, offline, on built-in photos")
@click.option("--output", type=OUTPUT, default=Path("edgetl-demo"), show_default=True,
              help="Folder for page, bundle and device home.")  # fmt: skip
@click.option("--photos", type=PHOTOS, help="Tell the story on these folders instead.")
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
@reports
def demo(output: Path, photos: Path | None, force: bool) -> dict[str, Any]:
    """The whole story, offline: train, convert, deploy, meet something new, learn, forget, roll back."""
    refuse_existing(output, force)
    check_writable(output)
    note("starting TensorFlow and rendering photos: a few seconds")

    from .. import demo as story_of
    from ..backbones.backbone import offline
    from ..reports.intervals import spread

    spec, words = offline(image_size=96)  # enough for the parts, and a third of the time that 224 takes
    note(f"nothing is downloaded, so the backbone is {words}")
    work, mark = output / "work", output / "work" / ".edgetl-demo"
    if output.is_file() or (work.exists() and not mark.exists()):
        raise InputError(f"{output} was not made by a demo: give another --output")

    def tell(step: story_of.Step) -> None:
        on = f"of {step.photos.samples} {step.photos.name}"
        say(f"{step.name}: {step.accuracy:.3f} ({spread(step.interval)}) {on}")
        say(textwrap.fill(f"{step.detail}; {step.seconds:.1f} s", 78, initial_indent="  ", subsequent_indent="  "))

    story = story_of.Story(tell=tell)
    with _new_work_folder(work, mark):
        world = story_of.parts_world(work) if photos is None else story_of.own_world(photos, work)
        say("accuracy (95 % interval) at each step; compare only those of the same photos")
        say()
        story_of.run(world, spec, work, story)
        seconds = waited_s()
        story_of.write_page(story, output / "index.html", seconds, words)
    say(f"\ndone in {seconds:.0f} s: open {output / 'index.html'} in a browser")
    steps = [asdict(step) | {"interval": list(step.interval)} for step in story.steps]
    return {"steps": steps, "seconds": seconds, "page": str(output / "index.html")}


@contextmanager
def _new_work_folder(work: Path, mark: Path) -> Iterator[None]:
    """An empty folder; that of an earlier demo steps aside, and comes back if the block does not end well."""
    aside, made = work.with_name(f".{work.name}.earlier"), not work.parent.exists()
    try:
        if aside.exists():  # a demo was killed: what it made is worth nothing
            shutil.rmtree(work, ignore_errors=True)
        elif work.exists():
            work.rename(aside)
        work.mkdir(parents=True)
        mark.touch()
    except OSError as error:
        raise StorageError(f"cannot write {work.parent}: {error.strerror or error}") from None
    try:
        yield
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        if aside.exists():
            aside.rename(work)
        elif made:
            with suppress(OSError):
                work.parent.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)
