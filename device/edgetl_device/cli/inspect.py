"""``edgetl-device inspect``: teach good parts, flag what is not good, correct."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import moment, note, progress, refuse_existing, reports, say, say_wrapped, shared_options, table
from ..errors import InputError, PhotoError
from ..percent import percent
from ..photo_folders import named_photos
from .inspect_versions import rollback, versions
from .inspect_words import as_json, counted, drawn, in_words, known_good, opened_to_inspect, told, versions_in_words
from .options import in_home, runtime_option
from .sample_ids import SampleIds
from .starting import start_if_empty

if TYPE_CHECKING:
    from ..home import Home
    from ..inspection.service import Inspection
    from ..view import View


@click.group(short_help="Learn what good parts look like, and flag others")
@shared_options
def inspect() -> None:
    """Visual inspection: teach some twenty good parts, and what is not good is flagged, with the place.

    The camera, the light and the distance must stay as they were when the good parts were taught.
    """


@inspect.command(short_help="Teach photos of good parts")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--turned", is_flag=True, help="Parts may lie in any quarter turn or mirrored: for surfaces too.")
@click.option(
    "--region", metavar="X,Y,W,H", help="Look at this part of the frame: pixels, or shares such as 0.25,0,0.5,1."
)
@click.option("--find-part", is_flag=True, help="Find the part on its background, and turn it always the same way.")
@runtime_option
@in_home
@reports
def learn(
    images: tuple[Path, ...], turned: bool, region: str | None, find_part: bool, runtime: str, home: Home
) -> dict[str, Any]:
    """Teach photos, or folders of photos, of good parts. About twenty different ones are a good start.

    How they are looked at (--turned, --region, --find-part) is chosen with the first photos and then kept. A device
    without a bundle starts with the one that comes with the program.
    """
    from ..open_home import OpenHome

    folder = named_photos(images, "good", note)
    start_if_empty(home, runtime)
    with OpenHome(home, runtime) as opened:
        view = _view(folder.photos, turned, region, find_part)
        return told(opened, opened.inspection.learn(folder.photos, view), "good")


@inspect.command(short_help="Check photos; exit code 1 unless all are good")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--heat", type=click.Path(path_type=Path), metavar="DIR", help="Write a picture of each that shows where."
)
@click.option("--force", is_flag=True, help="Overwrite what is in DIR.")
@runtime_option
@in_home
@reports
def check(images: tuple[Path, ...], heat: Path | None, force: bool, runtime: str, home: Home) -> dict[str, Any]:
    """Check photos, or folders of photos. Exit code 1 if any is flagged, or cannot be judged."""
    folder = named_photos(images, tell=note)
    if heat is not None:
        refuse_existing(heat, force)
    findings, unjudged = list[dict[str, Any]](), list[str]()
    with opened_to_inspect(home, runtime) as opened:
        inspection = opened.inspection
        for number, path in enumerate(progress(folder.photos, len(folder.photos), "checking")):
            try:
                found = inspection.check(path)
            except PhotoError as error:
                note(f"skipped: {error}" if str(path) in str(error) else f"skipped {path}: {error}")
                unjudged.append(str(path))
                reason = str(error)
                continue
            say(f"{path}: {in_words(found)}")
            picture = None if heat is None else drawn(inspection, path, found, heat, number)
            findings.append({"path": str(path), **as_json(found), "picture": picture})
    if not findings:
        raise InputError(f"none of {len(folder.photos)} photos could be checked ({reason})")
    bad = sum(finding["verdict"] == "bad" for finding in findings)
    if len(findings) + len(unjudged) > 1:
        more = f", {len(unjudged)} not judged" if unjudged else ""
        say(f"{len(findings) + len(unjudged)} photos: {len(findings) - bad} good, {bad} not good{more}")
    if heat is not None:
        say(f"wrote what is unusual where to {heat}")
    result: dict[str, Any] = {"findings": findings, "good": len(findings) - bad, "bad": bad}
    result["skipped"] = [*(str(item.path) for item in folder.unused), *unjudged]
    if len(findings) == 1:
        result |= findings[0]
    return result | {"exit_code": 1 if bad or unjudged else 0}


@inspect.command(short_help="Correct a false alarm: these are good")
@click.argument("photos", metavar="PHOTOS|ID...", nargs=-1, required=True)
@runtime_option
@in_home
@reports
def fine(photos: tuple[str, ...], runtime: str, home: Home) -> dict[str, Any]:
    """Say that photos are good that were flagged: they are taught, and count at once.

    Instead of photos, ids or ranges of ids change the verdict of what was taught before.
    """
    return _corrected(photos, "fine", runtime, home)


@inspect.command(short_help="Say that photos are not good")
@click.argument("photos", metavar="PHOTOS|ID...", nargs=-1, required=True)
@runtime_option
@in_home
@reports
def bad(photos: tuple[str, ...], runtime: str, home: Home) -> dict[str, Any]:
    """Say that photos are not good: what they have in common is looked for from about three on.

    Instead of photos, ids or ranges of ids change the verdict of what was taught before.
    """
    return _corrected(photos, "bad", runtime, home)


@inspect.command(short_help="Forget photos, exactly")
@click.option("--sample", "ids", multiple=True, type=SampleIds(), help="Photos: --sample 3 --sample 20-35.")
@click.option("--all", "everything", is_flag=True, help="All photos, of all bundles, and how they were looked at.")
@in_home
@reports
def forget(ids: tuple[range, ...], everything: bool, home: Home) -> dict[str, Any]:
    """Remove photos exactly, as if they had never been taught."""
    if bool(ids) == everything:
        raise InputError("choose what to forget: --sample ID… or --all")
    with opened_to_inspect(home) as opened:
        inspection = opened.inspection
        removed = inspection.forget(None if everything else _chosen(inspection, ids))
        say(f"forgot {counted(removed)}")
        return {"removed": removed, "good": inspection.status().good + inspection.status().fine}


@inspect.command(short_help="Write what was taught to a file, without photos")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@in_home
@reports
def export(file: Path, force: bool, home: Home) -> dict[str, Any]:
    """Write what was taught, without photos, for other devices with the same bundle."""
    from ..files import write_atomically

    refuse_existing(file, force)
    with opened_to_inspect(home) as opened:
        made = opened.inspection.export()
    data = made.to_bytes()
    write_atomically(file, data)
    say(f"wrote {counted(len(made.photos))} to {file}: {len(data) / 1e6:.1f} MB")
    say("next, on another device with the same bundle: edgetl-device inspect merge FILE")
    return {"photos": len(made.photos), "path": str(file), "bytes": len(data)}


@inspect.command(short_help="Add what other devices were taught, exactly")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@in_home
@reports
def merge(files: tuple[Path, ...], home: Home) -> dict[str, Any]:
    """Add what other devices were taught, as if it had been taught here. What is here already is left out.

    All must have the same bundle: one without a bundle starts with the one that comes with the program.
    """
    from ..inspection.export import read_export
    from ..open_home import OpenHome

    exports = [read_export(file) for file in files]
    start_if_empty(home)
    with OpenHome(home) as opened:
        new = opened.inspection.merge(exports)
        known = opened.inspection.status()
        say(f"added {counted(new)}; {known_good(known.good + known.fine)}")
        return {"added": new, "good": known.good + known.fine}


@inspect.command(short_help="Show what was taught, and how well it will do")
@click.option("--list", "listed", is_flag=True, help="List the photos that were taught.")
@click.option(
    "--false-alarms",
    type=float,
    metavar="SHARE",
    help="Choose the share of good parts that may be flagged, such as 0.02.",
)
@in_home
@reports
def status(listed: bool, false_alarms: float | None, home: Home) -> dict[str, Any]:
    """Photos taught, the threshold, the false alarms to expect, and what each choice of them would find."""
    from ..inference.backbone import NO_MAPS

    with opened_to_inspect(home) as opened:
        inspection = opened.inspection
        if false_alarms is not None:
            inspection.sensitivity = false_alarms
        known, curve, rows = (
            inspection.status(),
            inspection.curve() if inspection.available else (),
            inspection.samples(),
        )
        if not inspection.available:
            say_wrapped(NO_MAPS, 0)
        say(f"photos     {known.good} good, {known.fine} corrected to good, {known.bad} not good")
        say_wrapped(f"view       {known.view.describe() if known.view else 'not chosen yet'}", 11)
        if known.expected_false_alarms is None:
            say("threshold  none yet: `edgetl-device inspect learn PHOTO…`")
        else:
            share, low, high = known.expected_false_alarms
            say(f"threshold  {known.threshold:.2f}, set for {percent(known.target, 1)} of good parts flagged")
            say(f"expected   {percent(share, 1)} of good parts flagged, {percent(low, 1)} to {percent(high, 1)}")
        for line in versions_in_words(known):
            say_wrapped(line, 11)
        for warning in known.warnings:
            say_wrapped(f"warning    {warning}", 11)
        if curve:
            say()
            table(
                ("asked for", "threshold", "good ones flagged", "bad ones found"),
                [
                    (
                        percent(row.target, 1),
                        row.threshold,
                        percent(row.false_alarms, 1),
                        "-" if row.found is None else percent(row.found),
                    )
                    for row in curve
                ],
            )
        if listed:
            say()
            table(
                ("id", "verdict", "burst", "time"), [(row.id, row.verdict, row.burst, moment(row.time)) for row in rows]
            )
        return {
            **asdict(known),
            "view": known.view.to_json() if known.view else None,
            "curve": [asdict(row) for row in curve],
            "photos": [asdict(row) for row in rows],
        }


def _view(photos: tuple[Path, ...], turned: bool, region: str | None, find_part: bool) -> View | None:
    """The view that options ask for; None where there are none."""
    from ..photos import read_photo
    from ..view import View, parse_region

    if not (turned or region is not None or find_part):
        return None
    area = None
    if region is not None:
        for path in photos:
            try:
                height, width = read_photo(path).shape[:2]
            except PhotoError:
                continue
            area = parse_region(region, width, height)
            break
    return View(area, find_part, turned)


def _corrected(words: tuple[str, ...], verdict: str, runtime: str, home: Home) -> dict[str, Any]:
    ids = [_range(word) for word in words if not Path(word).exists()]
    if all(ids) and len(ids) == len(words):
        with opened_to_inspect(home, runtime) as opened:
            inspection = opened.inspection
            changed = inspection.decide(_chosen(inspection, [each for each in ids if each is not None]), verdict)
            say(f"changed the verdict of {counted(len(changed))} to {verdict}")
            known = inspection.status()
            good = known.good + known.fine
            return {"stored": 0, "changed": len(changed), "ids": list(changed), "skipped": [], "good": good}
    folder = named_photos([Path(word) for word in words], verdict, note)
    with opened_to_inspect(home, runtime) as opened:
        inspection = opened.inspection
        taught = inspection.fine(folder.photos) if verdict == "fine" else inspection.bad(folder.photos)
        return told(opened, taught, "fine" if verdict == "fine" else "not good")


def _range(word: str) -> range | None:
    try:
        return SampleIds().convert(word, None, None)
    except click.UsageError:
        return None


def _chosen(inspection: Inspection, ids: tuple[range, ...] | list[range]) -> list[int]:
    """An id that stands alone as it is, of a range those that were taught."""
    known = {row.id for row in inspection.samples()}
    found = [number for each in ids for number in (each if len(each) == 1 else sorted(n for n in known if n in each))]
    if not found:
        raise InputError("no such photos: `edgetl-device inspect status --list` lists them")
    return list(dict.fromkeys(found))


for _command in (versions, rollback):
    inspect.add_command(_command)
