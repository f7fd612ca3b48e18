"""The store's tables, as an append-only list of migrations, and what a row of them is."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from ..errors import HomeError
from .backup import what_is_wrong

APPLICATION_ID = 0x6564676C  # "edgl": tells a store from any other SQLite file


@dataclass(frozen=True)
class SampleRow:
    """One stored sample, without its embedding."""

    id: int
    label: str
    time: str


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


MIGRATIONS: tuple[Callable[[apsw.Connection], None], ...] = (_first, _identity, _thumbnails, _trials, _drift)
"""Append only: a store of any age is brought up to date by the ones it has not seen."""


def check_backup(path: Path) -> None:
    """Raise HomeError unless a file is a store that this edgetl can read; nothing is changed."""
    problem = what_is_wrong(path) if path.exists() else "there is no such file"
    if problem is None:
        database = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            kind, version = database.pragma("application_id"), database.pragma("user_version")
        finally:
            database.close()
        if kind != APPLICATION_ID:
            problem = "it is not a backup of an edgetl store"
        elif not 1 <= version <= len(MIGRATIONS):
            problem = "it was written by a newer edgetl: update with `pip install -U edgetl-device`"
    if problem is not None:
        raise HomeError(f"{path} cannot be restored: {problem}")
