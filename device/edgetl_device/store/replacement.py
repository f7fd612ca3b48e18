"""One database takes another one's place: in one step, so that there is a whole store at the path at any moment."""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import apsw

from ..errors import StorageError
from ..files import make_folder, sync
from .acknowledged import AcknowledgedFile, acknowledged_path
from .connection import companions_of, connect
from .schema import MIGRATIONS, migrate
from .state import COUNTED, State, read_state, sum_of_rows, write_state

_LEFT_OVER_S = 3600.0  # nothing takes that long


@contextmanager
def building(path: Path) -> Iterator[tuple[apsw.Connection, Path]]:
    """A database in the making beside ``path``, and its file; after the block it is whole and durable.

    The file is to be renamed within an hour; if the block fails, it is gone.

    Raises:
        StorageError: it cannot be written.
    """
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        make_folder(path.parent)
        sweep(path)
        _remove(staging)
        staging.touch(mode=0o600)
        database = apsw.Connection(str(staging))
        try:
            database.pragma("synchronous", "off")  # it is synced once, as a whole
            database.pragma("secure_delete", True)  # or pages keep a second copy of rows that moved
            yield database, staging
            database.pragma("journal_mode", "delete")  # one file
        finally:
            database.close()
        with staging.open("rb") as stream:
            os.fsync(stream.fileno())
    except (apsw.Error, OSError) as error:
        # SQLite's backup says "not an error" where the disk is full.
        why = error.strerror if isinstance(error, OSError) else type(error).__name__.removesuffix("Error")
        _remove(staging)
        raise StorageError(f"cannot write {path} ({why}): free some disk space or check the disk") from None
    except BaseException:
        _remove(staging)
        raise


def seal(database: apsw.Connection, path: Path, sources: Sequence[Path], kind: str, detail: dict[str, Any]) -> State:
    """Make a database that is being built the successor of what was at ``path``: nothing in it can be taken for older.

    Exports are ordered by generation and sequence, and numbers of samples are never used twice.

    Args:
        sources: databases whose counts it must exceed, as far as they can be read.
        kind, detail: what the event log says of it; "" for a store that begins.
    """
    migrate(database)
    counts, last_ids = [_counts_of(database)], [_last_id(database)]
    for source in sources:
        with suppress(apsw.Error):
            other, _ = connect(source, apsw.SQLITE_OPEN_READWRITE)
            try:
                other.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                counts.append(_counts_of(other))
                last_ids.append(_last_id(other))
            finally:
                other.close()
    for record in AcknowledgedFile(acknowledged_path(path)).read():
        counts.append((record.generation, record.sequence, record.revision))
        last_ids.append(record.last_id)
    generation, sequence, revision = (max(column) + 1 for column in zip(*counts, strict=True))
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'samples'")
    database.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('samples', ?)", (max(last_ids),))
    samples = sum(next(database.execute(f"SELECT count(*) FROM {table}"))[0] for table in COUNTED)
    if kind:
        row = (now(), kind, json.dumps({**detail, "samples": samples}, sort_keys=True))
        database.execute("INSERT INTO events (time, kind, detail) VALUES (?,?,?)", row)
    state = State(generation, sequence, revision, samples, bool(kind), sum_of_rows(database))
    write_state(database, state)
    return state


def put_in_place(staging: Path, target: Path, mark: str) -> Path | None:
    """``staging`` → ``target``; what stood there is kept under a name with ``mark`` and the time. → that name.

    Hold the learning lock: whoever writes to the old file goes on with the new one when it is given the lock. A program
    that has the old file open closes it before it opens the name it is kept under: SQLite knows files by their numbers,
    and when the last of the two is closed, the index that it removes is the new file's.

    A database and its log cannot be replaced in one step, and either is harmful beside the other one's. So the log goes
    first, for good, and only then the new database comes. Cut in between, the old database has a second name, and
    :func:`put_back` gives it its log again.

    Raises:
        StorageError: it cannot be done; ``target`` is as it was.
    """
    try:
        # It says that it has a log (https://sqlite.org/fileformat2.html), or all who open it would change that at once.
        with staging.open("r+b") as stream:
            os.pwrite(stream.fileno(), b"\2\2", 18)
            os.fsync(stream.fileno())
        aside = None
        if target.exists() or any(part.exists() and part.stat().st_size for part in companions_of(target)):
            aside = _free_name(target, mark)
            for part, kept in zip((*companions_of(target), target), (*companions_of(aside), aside), strict=True):
                if part.exists():  # an empty log too: who has it open goes on in it, should this be cut off
                    _keep(part, kept)
            sync(target.parent)
        for companion in companions_of(target):  # they belong to the old file, by name alone
            companion.unlink(missing_ok=True)
        sync(target.parent)
        staging.replace(target)
        sync(target.parent)
        for part in companions_of(aside) if aside is not None else ():
            if part.exists() and (part.name.endswith("-shm") or not part.stat().st_size):
                part.unlink()
    except OSError as error:
        raise StorageError(f"cannot replace {target}: {error.strerror or error}") from error
    return aside


def second_names(target: Path) -> list[Path]:
    """What :func:`put_in_place` left behind when it was cut off: other names of the file that stayed."""
    try:
        status = target.stat()
        if status.st_nlink < 2:
            return []
        others = target.parent.glob(f"{glob.escape(target.name)}.*")
        return [other for other in others if os.path.samestat(other.lstat(), status)]
    except FileNotFoundError:  # or another process puts it back just now
        return []


def put_back(target: Path) -> None:
    """Undo a replacement that was cut off: the file that stayed has its log again, and one name. Hold the lock.

    Raises:
        StorageError: it cannot be done.
    """
    try:
        for other in second_names(target):
            for part, kept in zip(companions_of(target), companions_of(other), strict=True):
                if kept.exists():  # what is there now was made by who only read
                    kept.replace(part)
            sync(target.parent)
            for name in (*companions_of(other), other):
                name.unlink(missing_ok=True)
            sync(target.parent)
    except OSError as error:
        raise StorageError(f"cannot put {target} back as it was: {error.strerror or error}") from error


def now() -> str:
    """UTC, ISO 8601, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


def _keep(part: Path, name: Path) -> None:
    try:
        os.link(part, name)
    except OSError:  # a file system without links: FAT on a stick
        if part.name.endswith("-shm"):
            return
        shutil.copyfile(part, name)
        with name.open("rb") as stream:
            os.fsync(stream.fileno())


def _free_name(path: Path, mark: str) -> Path:
    stem = f"{path.name}.{mark}-{time.strftime('%Y%m%d-%H%M%S')}"
    name, number = path.with_name(stem), 0
    while any(part.exists() for part in (name, *companions_of(name))):
        number += 1
        name = path.with_name(f"{stem}-{number}")
    return name


def sweep(path: Path) -> None:
    """Remove what was left behind where a process was killed that made a database for ``path``."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        maker = leftover.name.removeprefix(f".{path.name}.").partition("-")[0]
        with suppress(OSError):
            if maker.isdecimal() and (not _runs(int(maker)) or time.time() - leftover.stat().st_mtime > _LEFT_OVER_S):
                leftover.unlink()


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _remove(path: Path) -> None:
    for part in (path, *companions_of(path)):
        part.unlink(missing_ok=True)


def _counts_of(database: apsw.Connection) -> tuple[int, int, int]:
    state = read_state(database) if database.pragma("user_version") == len(MIGRATIONS) else None
    return (state.generation, state.sequence, state.revision) if state else (0, 0, 0)


def _last_id(database: apsw.Connection) -> int:
    rows = list(database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'samples'"))
    return int(rows[0][0]) if rows else 0
