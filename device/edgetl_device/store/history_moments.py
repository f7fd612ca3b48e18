"""Moments as people and programs write them: ``2026-11-27``, ``2026-11-27T18:00``, or ``2h`` ago."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone

from ..errors import InputError

_UNITS = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6}) ?(s|min|h|d|w)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_END_OF_TIME = "9999-12-31T23:59:59.999+00:00"  # no later moment can be written


def parse_moment(text: str, name: str, *, end: bool = False) -> str:
    """A moment → UTC, ISO 8601, milliseconds, as the history writes it. Without a zone it is the device's local time.

    Args:
        name: of the option or parameter, for the message.
        end: a day alone means its end.

    Raises:
        InputError: it is none.

    >>> parse_moment("2026-11-27T18:00:00Z", "since")
    '2026-11-27T18:00:00.000+00:00'
    """
    clean = text.strip()
    try:
        ago = _AGO.fullmatch(clean)
        if ago is not None:
            found = datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            # A plus sign in an address that nobody escaped is a blank; Python 3.10 knows no Z.
            found = datetime.fromisoformat(re.sub(r" (\d\d:\d\d)$", r"+\1", clean).replace("Z", "+00:00"))
            if end and _DAY.fullmatch(clean):
                if found.date() == date.max:
                    return _END_OF_TIME
                found += timedelta(days=1)
        return found.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        raise InputError(
            f"{name} must be a day (2026-11-27), a moment (2026-11-27T18:00) or a time ago (2h, 30min, 7d), "
            f"got {text[:40]!r}"
        ) from None
