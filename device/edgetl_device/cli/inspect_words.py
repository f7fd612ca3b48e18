"""What ``edgetl-device inspect`` says, draws and reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..console import note, say, say_wrapped
from ..errors import HomeError
from ..percent import percent

if TYPE_CHECKING:
    from ..home import Home
    from ..inspection.results import Finding, InspectionStatus, Taught
    from ..inspection.service import Inspection
    from ..open_home import OpenHome


def told(opened: OpenHome, taught: Taught, verdict: str) -> dict[str, Any]:
    """What teaching led to, said and as JSON."""
    for path, reason in taught.skipped:
        note(f"skipped: {reason}" if path is None or str(path) in reason else f"skipped {path}: {reason}")
    status = opened.inspection.status()
    what = f"stored {counted(len(taught.ids))}" if taught.aside else f"taught {counted(len(taught.ids))} as {verdict}"
    say(f"{what}; {known_good(taught.good)}")
    for warning in taught.warnings:
        say_wrapped(f"warning: {warning}", 0)
    if status.expected_false_alarms is not None:
        share, low, high = status.expected_false_alarms
        say(f"of good parts {percent(share, 1)} will be flagged, {percent(low, 1)} to {percent(high, 1)}")
    return {
        "stored": len(taught.ids),
        "changed": 0,
        "ids": list(taught.ids),
        "skipped": [str(path) for path, _ in taught.skipped],
        "good": taught.good,
        "threshold": status.threshold,
        "expected_false_alarms": status.expected_false_alarms,
        "warnings": list(taught.warnings),
        "aside": list(taught.aside),
        "version": taught.version,
        "exit_code": 1 if taught.aside else 0,
    }


def in_words(found: Finding) -> str:
    """Verdict, place, and score against threshold: 49 characters at most, so that a short path fits before them."""
    if found.where is None:
        return f"good  [{found.score:.2f} ≤ {found.threshold:.2f}]"
    x, y, width, height = found.where
    place = f"{percent(x + width / 2)} across, {percent(y + height / 2)} down"
    return f"not good, {place}  [{found.score:.2f} > {found.threshold:.2f}]"


def versions_in_words(known: InspectionStatus) -> list[str]:
    """Which version is in use, what it does not know, and what waits for a decision, a line each."""
    lines = [] if known.version is None else [f"version    {known.version}"]
    if known.unused:
        waits = "waits" if known.unused == 1 else "wait"
        lines[0] += f"; {counted(known.unused)} taught after it {waits} for the next lesson"
    if known.aside:
        choice = "`edgetl-device inspect status --list` names them; `inspect fine ID…` or `inspect bad ID…`"
        lines.append(f"set aside  {counted(known.aside)}: {choice}")
    return lines


def as_json(found: Finding) -> dict[str, Any]:
    where = None if found.where is None else dict(zip(("x", "y", "width", "height"), found.where, strict=True))
    verdict = "good" if found.good else "bad"
    return {"verdict": verdict, "score": found.score, "threshold": found.threshold, "where": where}


def drawn(inspection: Inspection, path: Path, found: Finding, folder: Path, number: int) -> str:
    """Write the heat map of a photo; → its file."""
    import cv2

    from ..files import write_atomically
    from ..inspection.heat_map import heat_map
    from ..photos import read_photo

    drawn = heat_map(inspection.picture(read_photo(path)), found.heat, found.where)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{number:04}-{path.stem}.jpg"
    write_atomically(target, cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return str(target)


def opened_to_inspect(home: Home, runtime: str = "auto") -> OpenHome:
    """The device's home.

    Raises:
        HomeError: it is empty.
    """
    from ..open_home import OpenHome

    if not home.has_bundle():
        raise HomeError(f"nothing was taught in {home.folder} yet: `edgetl-device inspect learn PHOTO…`")
    return OpenHome(home, runtime)


def known_good(count: int) -> str:
    return "1 good one is known" if count == 1 else f"{count} good ones are known"


def counted(count: int) -> str:
    return f"{count} photo{'s' if count != 1 else ''}"
