"""What happens to a store that is missing, damaged or behind what was acknowledged: all that can be saved is saved."""

from __future__ import annotations

import logging
from pathlib import Path

import apsw

from ..errors import HomeError
from .acknowledged import Acknowledged, AcknowledgedFile, acknowledged_path
from .backup import copy_pages
from .checksum import row_checksum
from .connection import connect, readable_rows
from .kept_files import remove_kept
from .repair import RECOVERED
from .replacement import building, put_in_place, seal
from .schema import MIGRATIONS, migrate
from .soundness import what_is_wrong
from .state import CHECKED, COUNTED, OF_SAMPLES, State, read_state

log = logging.getLogger("edgetl.store")


def backup_path(store: Path) -> Path:
    """The automatic backup beside a store."""
    return store.with_name(f"{store.stem}.backup{store.suffix}")


def recover(path: Path, problem: str) -> None:
    """Put a sound store at ``path``: of its backup and of every sample whose checksum is right, or a new one.

    Hold the learning lock. What was there is kept under another name; a warning says what is missing.

    Args:
        problem: what is wrong, for a person.

    Raises:
        HomeError: nothing can be saved; the file is left alone.
        StorageError: the disk is full or failing.
    """
    unfinished = path.with_name(f"{path.name}.restoring")  # how edgetl 0.1 called a verified copy
    sources = [source for source in (path, unfinished, backup_path(path)) if source.exists()]
    orders = {source: _order_of(source) for source in sources if what_is_wrong(source) is None}
    base = max(orders, key=lambda source: orders[source], default=None)
    acknowledged = next(iter(AcknowledgedFile(acknowledged_path(path)).read()), None)
    with building(path) as (database, staging):
        if base is not None:
            copy_pages(base, database)
        with database:
            migrate(database)
            rescued = [_rescue(database, source, path, base) for source in sources if source != base]
            if sources and base is None and not sum(rescued) and (acknowledged is None or acknowledged.samples):
                raise HomeError(
                    f"{path} is damaged or not a store ({problem}) and nothing can be saved from it: "
                    "`edgetl-device restore FILE`, or move it away to start empty"
                )
            _drop_orphans(database)
            if base is None and sources and acknowledged is not None:
                database.execute("UPDATE identity SET device = ?", (acknowledged.device,))
            is_repair = bool(sources) or (acknowledged is not None and acknowledged.samples > 0)
            known = acknowledged.samples if acknowledged is not None else None
            detail = {"problem": problem, "acknowledged": known}
            state = seal(database, path, sources, RECOVERED if is_repair else "", detail)
    remove_kept(path)
    aside = put_in_place(staging, path, "damaged")
    unfinished.unlink(missing_ok=True)
    if is_repair:
        log.warning("%s", _explain(path, problem, base, state, acknowledged, aside))


def _explain(
    path: Path, problem: str, base: Path | None, state: State, acknowledged: Acknowledged | None, aside: Path | None
) -> str:
    origin = f" from {base.name}" if base not in (None, path) and base else ""
    what = "was incomplete" if problem.startswith("it is") else "was damaged"
    text = f"{path} {what} ({problem}): {state.samples} samples were saved{origin}"
    if acknowledged is None:
        text += "; how many there were is not known"
    elif acknowledged.samples > state.samples:
        text += f", {acknowledged.samples - state.samples} of the {acknowledged.samples} acknowledged are missing"
    else:
        text += f", and {acknowledged.samples} had been acknowledged"
    if aside is not None:
        text += f"; what was there is now {aside.name}"
    return f"{text}. `edgetl-device samples` lists them, `edgetl-device retrain` makes a head of them"


def _order_of(sound: Path) -> tuple[int, int]:
    """Of two sound databases the greater one is newer."""
    database, _ = connect(sound, apsw.SQLITE_OPEN_READWRITE)
    try:
        database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        version = database.pragma("user_version")
        state = read_state(database) if version == len(MIGRATIONS) else None
        return (state.generation, state.sequence) if state else (0, version)
    finally:
        database.close()


def _rescue(database: apsw.Connection, source: Path, path: Path, base: Path | None) -> int:
    """Take over what can still be read from ``source`` and matches its checksum; → how many samples.

    What is at ``path`` is newer than what the others hold; they must be of the same generation as ``base``.
    """
    try:
        other, _ = connect(source, apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error:
        return 0
    try:
        other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if source != path and base is not None and not _are_of_one_generation(database, other):
            return 0
        verb = "INSERT OR REPLACE" if source == path else "INSERT OR IGNORE"
        samples = 0
        for table in CHECKED:
            for row in readable_rows(other, table):
                if len(row) < 3 or row_checksum(table, row[:-1]) != row[-1]:
                    continue
                try:
                    database.execute(f"{verb} INTO {table} VALUES ({','.join('?' * len(row))})", row)
                except (apsw.ConstraintError, apsw.SQLError):  # an older schema
                    continue
                samples += database.changes() if table in COUNTED else 0
        if source == path or base is None:
            _rescue_choices(database, other)
        return samples
    except (apsw.Error, UnicodeDecodeError):
        return 0
    finally:
        other.close()


def _are_of_one_generation(database: apsw.Connection, other: apsw.Connection) -> bool:
    ours, theirs = read_state(database), read_state(other)
    return ours is not None and theirs is not None and ours.generation == theirs.generation


def _rescue_choices(database: apsw.Connection, other: apsw.Connection) -> None:
    """Which versions are active or proven, which labels hidden, which samples pending, where that makes sense."""
    for bundle, version in readable_rows(other, "active"):
        rows = list(database.execute("SELECT state FROM versions WHERE id = ? AND bundle = ?", (version, bundle)))
        if rows and rows[0][0] in ("factory", "promoted"):
            database.execute("INSERT OR REPLACE INTO active VALUES (?, ?)", (bundle, version))
    for row in readable_rows(other, "hidden"):
        database.execute("INSERT OR IGNORE INTO hidden VALUES (?, ?)", row)
    stored = {number for (number,) in database.execute("SELECT id FROM samples")}
    for row in readable_rows(other, "pending"):
        if row[0] in stored and isinstance(row[1], int) and isinstance(row[3], str):
            database.execute("INSERT OR REPLACE INTO pending VALUES (?, ?, ?, ?)", row)
    for row in readable_rows(other, "confirmed"):
        if row[0] in stored:
            database.execute("INSERT OR IGNORE INTO confirmed VALUES (?)", row)
    for row in readable_rows(other, "inspection"):
        if [type(value) for value in row] == [str, str, int]:
            database.execute("DELETE FROM inspection WHERE backbone = ?", row[:1])
            database.execute("INSERT INTO inspection VALUES (?, ?, ?)", row)
    for row in readable_rows(other, "taught_view"):
        if row[0] in stored and isinstance(row[1], str):
            database.execute("INSERT OR IGNORE INTO taught_view VALUES (?, ?)", row)
    for row in readable_rows(other, "chosen_view"):
        if isinstance(row[0], str):
            database.execute("DELETE FROM chosen_view")
            database.execute("INSERT INTO chosen_view VALUES (?)", row)
    for row in readable_rows(other, "regions"):
        if [type(value) for value in row] == [str, str, str, str]:
            database.execute("INSERT OR REPLACE INTO regions VALUES (?, ?, ?, ?)", row)
    for row in readable_rows(other, "taught_in"):
        if row[0] in stored and [type(value) for value in row[1:]] == [str, str]:
            database.execute("INSERT OR IGNORE INTO taught_in VALUES (?, ?, ?)", row)
    for row in readable_rows(other, "shifts"):
        if [type(value) for value in row] == [str, str, int, int]:
            database.execute("INSERT OR REPLACE INTO shifts VALUES (?, ?, ?, ?)", row)
    known = {number for (number,) in database.execute("SELECT id FROM versions")}
    for row in readable_rows(other, "trials"):
        if row[0] in known and all(isinstance(value, int) for value in row):
            database.execute("INSERT OR REPLACE INTO trials VALUES (?, ?, ?)", row)


def _drop_orphans(database: apsw.Connection) -> None:
    """Let go of samples that no label was saved of, and of what is about samples that were not saved."""
    database.execute("DELETE FROM samples WHERE label = '' AND id NOT IN (SELECT sample FROM grouped)")
    for table in OF_SAMPLES:
        database.execute(f"DELETE FROM {table} WHERE sample NOT IN (SELECT id FROM samples)")
