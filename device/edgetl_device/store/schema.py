"""The store's tables, as an append-only list of migrations, and what a row of them is."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw

from .checksum import row_checksum
from .state import State, sum_of_rows, write_state

APPLICATION_ID = 0x6564676C  # "edgl": tells a store from any other SQLite file
PREFIX_BYTES = 32  # of an embedding: what its index holds
PREFIX = f"substr(raw, 1, {PREFIX_BYTES})"


@dataclass(frozen=True)
class SampleRow:
    """One stored sample, without its embedding.

    Args:
        pending: whether it was set aside by the gate, so that no head learns it.
    """

    id: int
    label: str
    time: str
    pending: bool = False


@dataclass(frozen=True)
class VersionRow:
    """One head version.

    Args:
        state: ``factory``, ``promoted``, ``rejected`` by the gate, or ``failed`` when it was used.
        last_sample: it is the head of the samples up to this id, less those forgotten since.
    """

    id: int
    time: str
    state: str
    reason: str
    rule: str
    last_sample: int
    metrics: dict[str, Any]


def _first(db: apsw.Connection) -> None:
    db.pragma("application_id", APPLICATION_ID)
    db.execute(
        """
        CREATE TABLE samples (
            id INTEGER PRIMARY KEY AUTOINCREMENT, backbone TEXT NOT NULL, runtime TEXT NOT NULL,
            label TEXT NOT NULL, raw BLOB NOT NULL, time TEXT NOT NULL
        );
        CREATE INDEX samples_of ON samples (backbone, label);
        CREATE TABLE versions (
            id INTEGER PRIMARY KEY AUTOINCREMENT, bundle TEXT NOT NULL, time TEXT NOT NULL, state TEXT NOT NULL,
            reason TEXT NOT NULL, rule TEXT NOT NULL, last_sample INTEGER NOT NULL, metrics TEXT NOT NULL
        );
        CREATE TABLE active (bundle TEXT PRIMARY KEY, version INTEGER NOT NULL REFERENCES versions (id));
        CREATE TABLE hidden (backbone TEXT NOT NULL, label TEXT NOT NULL, PRIMARY KEY (backbone, label));
        CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, kind TEXT NOT NULL,
            detail TEXT NOT NULL);
        """
    )


def _identity(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE identity (device TEXT NOT NULL)")
    db.execute("INSERT INTO identity VALUES (?)", (str(uuid.uuid4()),))


def _thumbnails(db: apsw.Connection) -> None:
    # In a table of their own: reading embeddings does not touch them, and they go with their sample.
    db.execute(
        "CREATE TABLE thumbnails (sample INTEGER PRIMARY KEY REFERENCES samples (id) ON DELETE CASCADE, "
        "jpeg BLOB NOT NULL)"
    )


def _trials(db: apsw.Connection) -> None:
    db.execute(
        "CREATE TABLE trials (version INTEGER PRIMARY KEY REFERENCES versions (id), starts INTEGER NOT NULL, "
        "proven INTEGER NOT NULL)"
    )


def _drift(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE drift (bundle TEXT PRIMARY KEY, time TEXT NOT NULL, state TEXT NOT NULL)")


def _checksums(db: apsw.Connection) -> None:
    """A checksum in each row that is worth one, and one row that counts changes and adds up the checksums."""
    for table in ("samples", "versions", "thumbnails"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN checksum BLOB NOT NULL DEFAULT x''")
        for (number,) in list(db.execute(f"SELECT rowid FROM {table}")):
            (row,) = list(db.execute(f"SELECT * FROM {table} WHERE rowid = ?", (number,)))
            values = (row_checksum(table, row[:-1]), number)
            db.execute(f"UPDATE {table} SET checksum = ? WHERE rowid = ?", values)
    db.execute(
        "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), generation INTEGER NOT NULL, "
        "sequence INTEGER NOT NULL, revision INTEGER NOT NULL, samples INTEGER NOT NULL, unscrubbed INTEGER NOT NULL, "
        "total BLOB NOT NULL, checksum BLOB NOT NULL)"
    )
    ((samples,),) = list(db.execute("SELECT count(*) FROM samples"))
    ((changes,),) = list(db.execute("SELECT coalesce(max(id), 0) FROM events"))
    write_state(db, State(1, changes + 1, changes, samples, False, sum_of_rows(db)), insert=True)


def _pending(db: apsw.Connection) -> None:
    db.execute(
        "CREATE TABLE pending (sample INTEGER PRIMARY KEY, batch INTEGER NOT NULL, looks_like TEXT, "
        "reason TEXT NOT NULL)"
    )
    db.execute("CREATE TABLE confirmed (sample INTEGER PRIMARY KEY)")


def _inspection(db: apsw.Connection) -> None:
    db.execute(
        """
        CREATE TABLE inspected (
            id INTEGER PRIMARY KEY AUTOINCREMENT, backbone TEXT NOT NULL, runtime TEXT NOT NULL, view TEXT NOT NULL,
            verdict TEXT NOT NULL, burst INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
            turns INTEGER NOT NULL, raw BLOB NOT NULL, maps BLOB NOT NULL, time TEXT NOT NULL,
            checksum BLOB NOT NULL DEFAULT x''
        );
        CREATE TABLE inspection (backbone TEXT NOT NULL, view TEXT NOT NULL, target INTEGER NOT NULL);
        """
    )


def _views(db: apsw.Connection) -> None:
    db.execute("CREATE TABLE chosen_view (view TEXT NOT NULL)")
    db.execute("CREATE TABLE taught_view (sample INTEGER PRIMARY KEY, view TEXT NOT NULL)")


def _groups(db: apsw.Connection) -> None:
    # What a sample is labelled as in a named group; its own label is empty where it has none but such.
    db.execute(
        """
        CREATE TABLE grouped (
            id INTEGER PRIMARY KEY AUTOINCREMENT, sample INTEGER NOT NULL, backbone TEXT NOT NULL, name TEXT NOT NULL,
            label TEXT NOT NULL, time TEXT NOT NULL, confirmed INTEGER NOT NULL, batch INTEGER, looks_like TEXT,
            reason TEXT, checksum BLOB NOT NULL DEFAULT x''
        );
        CREATE UNIQUE INDEX grouped_once ON grouped (sample, name);
        CREATE INDEX grouped_of ON grouped (backbone, name, label);
        CREATE INDEX grouped_pending ON grouped (name) WHERE batch IS NOT NULL;
        """
    )


def _shifts(db: apsw.Connection) -> None:
    db.execute(
        "CREATE TABLE shifts (camera TEXT PRIMARY KEY, since TEXT NOT NULL, good INTEGER NOT NULL, "
        "bad INTEGER NOT NULL)"
    )


def _same_photos(db: apsw.Connection) -> None:
    # To know a photo again by its embedding, which is too long to be kept twice.
    db.execute(f"CREATE INDEX samples_raw ON samples ({PREFIX})")


def _review(db: apsw.Connection) -> None:
    # Like thumbnails they may be lost, so no sum adds them up.
    db.execute(
        """
        CREATE TABLE review (
            id INTEGER PRIMARY KEY AUTOINCREMENT, backbone TEXT NOT NULL, runtime TEXT NOT NULL, view TEXT NOT NULL,
            why TEXT NOT NULL, label TEXT, probability REAL NOT NULL, raw BLOB NOT NULL, jpeg BLOB NOT NULL,
            time TEXT NOT NULL, checksum BLOB NOT NULL
        )
        """
    )


def _regions(db: apsw.Connection) -> None:
    # In `regions` an empty name is what is looked at of a named camera; of one without a name `chosen_view` has it.
    db.execute(
        """
        CREATE TABLE regions (
            camera TEXT NOT NULL, name TEXT NOT NULL, view TEXT NOT NULL, asks TEXT NOT NULL, PRIMARY KEY (camera, name)
        );
        CREATE TABLE taught_in (sample INTEGER PRIMARY KEY, camera TEXT NOT NULL, region TEXT NOT NULL);
        """
    )


def _inspected_rows(db: apsw.Connection) -> None:
    # What stands behind a photo is reached by reading it.
    db.execute("CREATE INDEX IF NOT EXISTS inspected_of ON inspected (backbone, verdict, burst, width, height, time)")


def _elsewhere(db: apsw.Connection) -> None:
    # How many revisions took nothing from samples. Not how many did: an older edgetl may still run, and counts neither.
    db.execute("CREATE TABLE elsewhere (changes INTEGER NOT NULL)")


MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (
    _first,
    _identity,
    _thumbnails,
    _trials,
    _drift,
    _checksums,
    _pending,
    _inspection,
    _views,
    _groups,
    _shifts,
    _same_photos,
    _review,
    _regions,
    _inspected_rows,
    _elsewhere,
)
"""Append only: a store of any age is brought up to date by those migrations that it lacks."""


def migrate(db: apsw.Connection) -> None:
    """Bring a store up to date, in the running transaction."""
    for migration in MIGRATIONS[db.pragma("user_version") :]:
        migration(db)
    db.pragma("user_version", len(MIGRATIONS))
