"""What a camera saw and when: a diary of labels, bounded in bytes and days, that stays on the device.

Its events are no samples: no head knows them, and no export, backup or statistic holds them. They keep the label that
was recorded, whatever becomes of it. They are ordered by their numbers, for clocks jump.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import apsw

from ..errors import EdgetlError, StorageError
from .checksum import row_checksum
from .history_event import ANY, CUT_OFF, OPEN, Counts, Event, Selection
from .history_file import HistoryFile, NoRoomError, check_all

DAYS = 30
MAX_BYTES = 64 << 20

_COLUMNS = "id, start, duration_s, label, name, probability, camera, region, state"
_TELLABLE = "typeof(label) = 'text' AND typeof(camera) = 'text' AND start BETWEEN '0001-01-02T' AND '9999-12-31T~'"
_TELLABLE += " AND start GLOB '????-??-??T*' AND julianday(start) IS NOT NULL"  # damage may leave anything there
_PICTURED = "EXISTS (SELECT 1 FROM snapshots WHERE event = id)"
_AT_ONCE = 64  # events that give way together


class History:
    """The history of one home; not shared between threads. Nothing is opened or made before it is needed.

    Args:
        path: of its file.
        days: events that are older are let go.
        max_bytes: what all may take; the oldest give way.

    Raises:
        StorageError: from every method that writes, where the disk is full, read-only or failing.
        HomeError: from every method, where the file is none of this edgetl's.
    """

    def __init__(self, path: Path, days: float = DAYS, max_bytes: int = MAX_BYTES) -> None:
        self._file = HistoryFile(path)
        self._days, self._max_bytes = days, max_bytes

    @property
    def path(self) -> Path:
        """Of its file."""
        return self._file.path

    def close(self) -> None:
        """Give the file back; whatever is called next opens it again."""
        self._file.close()

    # recording ---------------------------------------------------------------------------------------------------

    def write(self, new: Sequence[tuple[Event, bytes | None]], changed: Sequence[Event] = ()) -> list[int]:
        """Add events with their snapshots (JPEG) and change others, in one durable step; → the ids of the new ones.

        What is beyond the bounds is let go in the same step. Of a changed event that was deleted meanwhile nothing
        comes back.
        """

        def change(db: apsw.Connection) -> tuple[list[int], bool]:
            ids = [_insert(db, event, jpeg) for event, jpeg in new]
            for event in changed:
                _update(db, event)
            return ids, self._let_go(db)

        ids, gone = self._file.changing(change)
        if gone:
            self._file.settle()
        return ids

    def let_go(self) -> bool:
        """Let go of what is beyond the bounds, as time passes; whether there was anything."""
        gone = self.path.exists() and self._file.changing(self._let_go)
        if gone:
            self._file.settle()
        return gone

    def cut_off_open(self) -> int:
        """Events that an earlier run left open can last no longer; → how many there were."""
        left = [replace(event, state=CUT_OFF) for event in self._all("state = ?", (OPEN,))]
        if left:
            self.write((), left)
        return len(left)

    def last_clearing(self) -> tuple[int, str] | None:
        """How often all events were deleted, by this process or another, and when last; None where never."""
        rows = self._rows("SELECT times, time FROM cleared")
        return (rows[0][0], rows[0][1]) if rows else None

    # reading -----------------------------------------------------------------------------------------------------

    def events(self, selection: Selection = ANY, before: int | None = None, limit: int = 50) -> list[Event]:
        """Up to so many with an id below ``before``, newest first; damaged ones are left out."""
        condition, values = selection.condition
        if before is not None:
            condition, values = f"{condition} AND id < {int(before)}", values
        return self._all(f"{condition} ORDER BY id DESC", values, limit)

    def snapshot(self, event: int) -> bytes | None:
        """The picture of an event as JPEG, or None."""
        query = "SELECT event, jpeg, checksum FROM snapshots WHERE event = ?"
        rows = self._rows(query, (event,))
        return next((bytes(row[1]) for row in rows if row_checksum("snapshots", row[:-1]) == row[-1]), None)

    def count(self, selection: Selection = ANY) -> int:
        """How many events there are; of damaged ones, those whose time, label and camera can be told count too."""
        condition, values = selection.condition
        rows = self._rows(f"SELECT count(*) FROM history WHERE {condition} AND {_TELLABLE}", values)
        return int(rows[0][0]) if rows else 0

    def counts(self, selection: Selection = ANY) -> Counts:
        """How many began in each hour.

        Hours begin with ``selection.since``, so those of a day in a time zone of half hours are that day's.
        """
        return self._file.reading(lambda db: _counts(db, selection)) or Counts({}, {}, {})

    def size_bytes(self) -> int:
        """What all events take."""
        return self._file.reading(_content_bytes) or 0

    def since(self) -> str | None:
        """When the oldest event began; None where there is none."""
        return next((event.start for event in self._all("1 ORDER BY id", (), 1)), None)

    def check(self) -> int:
        """Read all of the file, and repair it where it is damaged; → how many events there are."""
        return self._file.reading(_checked) or 0

    # deleting ----------------------------------------------------------------------------------------------------

    def delete(self, what: Sequence[int] | Selection | Literal["all"], before: int | None = None) -> int:
        """Delete events with their snapshots, by id, by selection, or all; → how many. Nothing of them stays.

        Args:
            what: which of them.
            before: only those with a smaller number: what came after a person was asked stays.
        """
        everything = what == "all"
        if everything:
            self._file.remove_put_aside()
        if not self.path.exists():
            return 0
        if isinstance(what, Selection):
            condition, values = what.condition
        else:
            ids = () if everything else what
            condition = "1" if everything else f"id IN ({','.join(str(int(number)) for number in ids)})"
            values = []
        if before is not None:
            condition = f"{condition} AND id < {int(before)}"

        def change(db: apsw.Connection) -> int:
            db.execute(f"DELETE FROM history WHERE {condition}", values)
            gone = int(db.changes())
            if everything and before is None:
                _note_clearing(db, _one(db, "SELECT coalesce(max(times), 0) FROM cleared"))
            return gone

        try:
            gone = self._file.changing(change)
        except NoRoomError as error:
            if everything and not self._is_any_from(before):
                return self._start_over()
            raise StorageError(f"{error}; to delete all of the history needs no room") from None
        self._file.settle()
        return gone

    # inside ------------------------------------------------------------------------------------------------------

    def _is_any_from(self, number: int | None) -> bool:
        return number is not None and bool(self._rows(f"SELECT 1 FROM history WHERE id >= {int(number)} LIMIT 1"))

    def _start_over(self) -> int:
        """Delete all where the disk is full: deleting within the file would need room; → how many events."""
        gone = int(self._rows("SELECT count(*) FROM history")[0][0])
        last = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'history'")
        times, _ = self.last_clearing() or (0, "")
        self._file.start_over()

        def change(db: apsw.Connection) -> None:
            db.execute("INSERT INTO sqlite_sequence SELECT 'history', ?", last[0] if last else (0,))
            _note_clearing(db, times)

        with suppress(StorageError):  # the room that was freed may be taken already: the next write begins anew
            self._file.changing(change)
        return gone

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._file.reading(lambda db: list(db.execute(query, values))) or []

    def _all(self, condition: str, values: Sequence[Any], limit: int | None = None) -> list[Event]:
        return self._file.reading(lambda db: list(islice(_read(db, condition, values), limit))) or []

    def _let_go(self, db: apsw.Connection) -> bool:
        """Let the oldest events go that are beyond the bounds; whether there were any.

        Their order is that of their numbers, and of a time that a wrong clock gave them only so much is believed: the
        newest that is too old, of those recorded before all of the last days, goes with all before it.
        """
        now = datetime.now(timezone.utc)
        oldest, newest = _iso(now - timedelta(days=self._days)), _iso(now)
        first = _one(db, "SELECT min(id) FROM history WHERE start >= ? AND start <= ?", (oldest, newest))
        too_old = "SELECT max(id) FROM history WHERE start < ? AND (? IS NULL OR id < ?)"
        db.execute(f"DELETE FROM history WHERE id <= ({too_old})", (oldest, first, first))
        gone = db.changes() > 0
        while _content_bytes(db) > self._max_bytes:
            db.execute(f"DELETE FROM history WHERE id IN (SELECT id FROM history ORDER BY id LIMIT {_AT_ONCE})")
            if not db.changes():
                break
            gone = True
        return gone


def summary_of(history: History) -> dict[str, Any]:
    """``bytes`` that it takes, ``since`` when it goes back, and the ``problem`` that it has; for the status."""
    try:
        return {"bytes": history.size_bytes(), "since": history.since(), "problem": None}
    except EdgetlError as error:
        return {"bytes": 0, "since": None, "problem": str(error)}


def history_summary(path: Path) -> dict[str, Any]:
    """As :func:`summary_of`, of the history at a path."""
    history = History(path)
    try:
        return summary_of(history)
    finally:
        history.close()


def _note_clearing(db: apsw.Connection, times: int) -> None:
    db.execute("DELETE FROM cleared")
    db.execute("INSERT INTO cleared VALUES (?, ?)", (times + 1, _iso(datetime.now(timezone.utc))))


def _insert(db: apsw.Connection, event: Event, jpeg: bytes | None) -> int:
    rows = list(db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'history'"))
    number = int(rows[0][0]) + 1 if rows else 1
    db.execute("INSERT INTO history VALUES (?,?,?,?,?,?,?,?,?,?)", _row(event, number))
    if jpeg is not None:
        picture = (number, jpeg)
        db.execute("INSERT INTO snapshots VALUES (?,?,?)", (*picture, row_checksum("snapshots", picture)))
    return number


def _update(db: apsw.Connection, event: Event) -> None:
    """What is known of an event now; its start and its snapshot stay as they were written."""
    kept = list(_read(db, "id = ?", (event.id,)))
    for before in kept:
        told = replace(before, duration_s=event.duration_s, probability=event.probability, state=event.state)
        _, _, duration_s, _, _, probability, _, _, state, checksum = _row(told, event.id)
        db.execute(
            "UPDATE history SET duration_s = ?, probability = ?, state = ?, checksum = ? WHERE id = ?",
            (duration_s, probability, state, checksum, event.id),
        )


def _row(event: Event, number: int) -> tuple[Any, ...]:
    probability = None if event.probability is None else float(event.probability)
    of = (event.start, float(event.duration_s), event.label, event.group, probability)
    values = (number, *of, event.camera, event.region, event.state)
    return (*values, row_checksum("history", values))


def _read(db: apsw.Connection, condition: str, values: Sequence[Any] = ()) -> Iterator[Event]:
    """Those that match their checksums, one after the other."""
    for *row, checksum, picture in db.execute(
        f"SELECT {_COLUMNS}, checksum, {_PICTURED} FROM history WHERE {condition}", values
    ):
        if row_checksum("history", row) == checksum:
            number, start, duration_s, label, group, probability, camera, region, state = row
            told = (label, start, duration_s, probability, camera, region, group, state)
            yield Event(*told, bool(picture), number)


def _counts(db: apsw.Connection, selection: Selection) -> Counts:
    condition, values = selection.condition
    origin = selection.since or "1970-01-01T00:00:00.000+00:00"
    hour = "CAST((julianday(start) - julianday(?)) * 24 + 1e-7 AS INTEGER)"
    of_each = f"history WHERE {condition} AND {_TELLABLE} GROUP BY hour, label"
    query = f"SELECT {hour} AS hour, label, count(*) FROM {of_each} ORDER BY 1, 2"
    hours: dict[str, dict[str, int]] = {}
    begin = datetime.fromisoformat(origin)
    for number, label, count in db.execute(query, (origin, *values)):
        hours.setdefault(_iso(begin + timedelta(hours=number)), {})[label] = int(count)
    between, moments = Selection(since=selection.since, until=selection.until).condition
    of = {
        column: dict(
            db.execute(
                f"SELECT {column}, count(*) FROM history WHERE {between} AND {_TELLABLE} GROUP BY 1 ORDER BY 1", moments
            )
        )
        for column in ("label", "camera")
    }
    return Counts(hours, of["label"], of["camera"])


def _checked(db: apsw.Connection) -> int:
    check_all(db)
    return int(_one(db, "SELECT count(*) FROM history"))


def _content_bytes(db: apsw.Connection) -> int:
    """Without free pages."""
    pages = db.pragma("page_count") - db.pragma("freelist_count")
    return int(pages * db.pragma("page_size"))


def _one(db: apsw.Connection, query: str, values: Sequence[Any] = ()) -> Any:
    return next(iter(list(db.execute(query, values))))[0]


def _iso(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")
