"""Copies of the store that can be trusted: made by SQLite's online backup, checked, and only then put in place."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import apsw

from ..errors import HomeError, InputError, StorageError
from ..files import check_regular_file, sync
from .backup_check import check_content
from .checksum import add, row_checksum
from .connection import DAMAGE, companions_of, connect
from .kept_files import remove_kept
from .lock import LearningLock, lock_path
from .replacement import building, put_back, put_in_place, seal
from .schema import MIGRATIONS, migrate
from .soundness import damage_of
from .soundness import what_is_wrong as what_is_wrong
from .state import CHECKED, OF_SAMPLES, read_state, write_state

log = logging.getLogger("edgetl.store")

MAX_BACKUP_BYTES = 1 << 30  # a store holds 256 MB, if nobody changed its budget
# What a file says of itself may forbid to read or write it: the numbers of its formats are in its header.
_UNUSABLE = (*DAMAGE, apsw.SQLError, apsw.ReadOnlyError, apsw.ConstraintError)
_PAGES = 256  # copied between two looks at whether the source changed


def copy_pages(source: Path | apsw.Connection, target: apsw.Connection) -> None:
    """All pages of a database, which others may use meanwhile, into another one. Raises apsw.Error."""
    database = connect(source, apsw.SQLITE_OPEN_READWRITE)[0] if isinstance(source, Path) else source
    try:
        if isinstance(source, Path):
            database.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        with target.backup("main", database, "main") as backup:
            while not backup.done:
                backup.step(_PAGES)
        target.pragma("journal_mode", "delete")  # one file, no -wal beside it
    finally:
        if isinstance(source, Path):
            database.close()


def copy_database(
    source: apsw.Connection,
    target: Path,
    without: Sequence[str] = (),
    when_damaged: Callable[[], None] = lambda: None,
) -> None:
    """A consistent copy of an open database as one file, verified and durable; ``target`` is replaced at the end.

    Args:
        without: tables that are left empty in the copy.
        when_damaged: called where the copy is not sound: the disk, or the source.

    Raises:
        StorageError: it cannot be written, or did not arrive whole.
    """
    with building(target) as (copy, staging):
        copy_pages(source, copy)
        for table in without:
            copy.execute(f"DELETE FROM {table}")
            if copy.changes():
                copy.execute("VACUUM")  # the pages too, not only the rows
        problem = damage_of(copy)
        if problem is not None:
            when_damaged()
            raise StorageError(f"the copy {target} did not arrive whole: {problem}")
    try:
        _drop_journal(target)
        staging.replace(target)
        sync(target.parent)
    except OSError as error:
        staging.unlink(missing_ok=True)
        raise StorageError(f"cannot write {target}: {error.strerror or error}") from None


def _drop_journal(target: Path) -> None:
    """Of a change of a copy that was cut off: beside another file it would be taken for that one's. Raises OSError."""
    *_, journal = companions_of(target)
    if not journal.exists():
        return
    try:
        connect(target, apsw.SQLITE_OPEN_READWRITE)[0].close()  # undoes the change
    except apsw.Error as error:
        log.info("%s is replaced as it is: %s", target, error)
    journal.unlink(missing_ok=True)
    sync(target.parent)


def forget_in_copy(path: Path, ids: Sequence[int], table: str) -> None:
    """Take rows of ``samples`` or ``inspected`` out of a copy in place, without a trace, however much stays.

    Raises:
        StorageError: it is not a copy that this edgetl would make, or cannot be written; it is as it was.
    """
    try:
        database, _ = connect(path, apsw.SQLITE_OPEN_READWRITE)
        try:
            database.pragma("secure_delete", True)
            database.pragma("synchronous", "extra")  # also that the journal is gone: coming back, it would undo this
            with database:
                _forget_in(database, json.dumps([int(number) for number in ids]), table)
        finally:
            database.close()
    except apsw.Error as error:
        raise StorageError(f"cannot forget in {path}: {error}") from None


def _forget_in(database: apsw.Connection, ids: str, of: str) -> None:
    state = read_state(database)
    if state is None or database.pragma("user_version") != len(MIGRATIONS):
        raise apsw.CorruptError("it is of another version, or damaged")
    total, samples = state.total, 0
    for table in (of, *(OF_SAMPLES if of == "samples" else ())):
        column = "id" if table == of else "sample"
        query = f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?)) RETURNING *"
        rows = list(database.execute(query, (ids,)))
        total = add(total, gone=[row[-1] if table in CHECKED else row_checksum(table, row) for row in rows])
        samples += len(rows) if table == of else 0
    write_state(database, replace(state, samples=state.samples - samples, total=total))


def check_backup(path: Path) -> None:
    """Raise HomeError unless a file is a store that this edgetl can restore; nothing is changed."""
    with _opened(path) as database:
        _refuse_strange(path, database)


def restore_database(backup: Path, target: Path, dimensions: Mapping[str, int] | None = None) -> Path | None:
    """Put a verified copy of ``backup`` in ``target``'s place, under the learning lock; → where the old store is now.

    The copy is made and verified beside the target before anything is moved. What another program learned until then is
    in the old store; what it learns from then on goes to the new one.

    Args:
        dimensions: backbone → length of its embeddings, of the installed one: a backup with others would never learn.

    Raises:
        HomeError: the backup is missing, not sound or not a store; nothing was changed.
        StorageError: it cannot be written, or another program is learning all the time; nothing was changed.
    """
    with _opened(backup) as source, LearningLock(lock_path(target))():
        put_back(target)
        with building(target) as (copy, staging):
            try:
                copy_pages(source, copy)
                _refuse_strange(backup, copy, dimensions)
                with copy:
                    migrate(copy)
                    copy.execute("DELETE FROM drift")  # what the camera saw then
                    copy.execute("DELETE FROM review")
                    seal(copy, target, [target] if target.exists() else [], "restored", {})
            except _UNUSABLE as error:
                raise HomeError(f"{backup} cannot be restored: {_in_one_line(str(error))}") from None
        _settle(target)
        remove_kept(target)
        return put_in_place(staging, target, "replaced")


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """A backup, for reading; not even SQLite's own files are made beside it."""
    try:
        check_regular_file(path, MAX_BACKUP_BYTES)
        has_log = any(part.exists() and part.stat().st_size for part in companions_of(path))
        if has_log:  # a copy of a store that was in use
            database, _ = connect(path, apsw.SQLITE_OPEN_READWRITE)
        else:
            address = f"{path.absolute().as_uri()}?immutable=1"
            database, _ = connect(address, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    except (InputError, OSError, apsw.Error) as error:
        reason = str(error.strerror) if isinstance(error, OSError) else str(error).removeprefix(f"{path} ")
        raise HomeError(f"{path} cannot be restored: {_in_one_line(reason)}") from None
    try:
        yield database
    finally:
        database.close()


def _in_one_line(text: str) -> str:
    """SQLite may use several, as where it quotes a statement."""
    return " ".join(text.split())


def _refuse_strange(path: Path, database: apsw.Connection, dimensions: Mapping[str, int] | None = None) -> None:
    try:
        problem = check_content(database, dimensions)
    except apsw.Error as error:
        problem = str(error)
    if problem is not None:
        raise HomeError(f"{path} cannot be restored: {_in_one_line(problem)}")


def _settle(target: Path) -> None:
    """Bring what is in the write-ahead log of the store that goes into its file, so that this alone is all of it."""
    if not target.exists():
        return
    try:
        database, _ = connect(target, apsw.SQLITE_OPEN_READWRITE)
        try:
            database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        finally:
            database.close()
    except apsw.Error as error:  # damaged, or somebody reads it: then its log is kept beside it
        log.info("%s: %s", target, error)
