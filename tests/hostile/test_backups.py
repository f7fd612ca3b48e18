"""Backups that somebody made by hand: each is refused in one line, and the home stays as it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import numpy as np
import pytest

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.errors import HomeError
from edgetl_device.store.backup import restore_database
from edgetl_device.store.checksum import row_checksum
from edgetl_device.store.state import CHECKED, State, read_state, sum_of_rows, write_state
from edgetl_device.store.store import Store

RAW = np.arange(12, dtype=np.int8).reshape(3, 4)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    """A backup with something in every table."""
    folder = tmp_path_factory.mktemp("good")
    store = Store(folder / "device.sqlite")
    store.add_samples("cat", RAW, "b", "r", [b"picture"] * 3)
    number = store.add_version("bundle", "factory", "installed", "lda", 0, {}, activate=True)
    store.hide("b", "dog")
    store.prove(number)
    store.keep_drift("bundle", {"version": 1})
    store.backup(folder / "good.sqlite")
    store.close()
    return folder / "good.sqlite"


@pytest.fixture
def target(tmp_path) -> Path:
    """A store that must stay as it is."""
    store = Store(tmp_path / "home" / "device.sqlite")
    store.add_samples("mine", RAW, "b", "r")
    store.close()
    return store.path


def sealed(path: Path) -> None:
    """Make all checksums right again: whoever changes a backup can do that too."""
    database = apsw.Connection(str(path))
    for table in CHECKED:
        for number, *row in list(database.execute(f"SELECT rowid, * FROM {table}")):
            database.execute(
                f"UPDATE {table} SET checksum = ? WHERE rowid = ?", (row_checksum(table, row[:-1]), number)
            )
    state = read_state(database)
    ((samples,),) = list(database.execute("SELECT count(*) FROM samples"))
    numbers = (state.generation, state.sequence, state.revision) if state else (1, 1, 1)
    write_state(database, State(*numbers, samples, False, sum_of_rows(database)))
    database.close()


def refused(backup: Path, target: Path) -> str:
    before = {part.name: part.read_bytes() for part in target.parent.iterdir()}
    with pytest.raises(HomeError, match="cannot be restored") as refusal:
        restore_database(backup, target)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 600
    after = {part.name: part.read_bytes() for part in target.parent.iterdir()}
    assert after == before
    return str(refusal.value)


STATEMENTS = {
    "a trigger": "CREATE TRIGGER t AFTER INSERT ON samples BEGIN DELETE FROM samples; END",
    "a trigger on events": "CREATE TRIGGER t BEFORE INSERT ON events BEGIN SELECT raise(ABORT, 'no'); END",
    "a view": "CREATE VIEW v AS SELECT * FROM samples",
    "a table": "CREATE TABLE notes (text)",
    "a full-text table": "CREATE VIRTUAL TABLE v USING fts5(text)",
    "a spatial table": "CREATE VIRTUAL TABLE v USING rtree(id, a, b)",
    "an index": "CREATE INDEX i ON samples (raw)",
    "an index on an expression": "CREATE INDEX i ON samples (upper(label))",
    "a generated column": "ALTER TABLE hidden ADD COLUMN g TEXT AS (hex(label))",
    "a column more": "ALTER TABLE samples ADD COLUMN more TEXT DEFAULT 'x'",
    "a table that is a view": "ALTER TABLE samples RENAME TO s; CREATE VIEW samples AS SELECT * FROM s",
    "a table that is missing": "DROP TABLE drift",
    "a label of control characters": "UPDATE samples SET label = char(27) || '[2J'",
    "a label with a line break": "UPDATE samples SET label = 'a' || char(10) || 'b'",
    "a label that is a path": "UPDATE samples SET label = '../../etc/passwd'",
    "a label that is empty": "UPDATE samples SET label = ''",
    "a label that is reserved": "UPDATE samples SET label = 'unknown'",
    "a label that is long": "UPDATE samples SET label = printf('%.100c', 'x')",
    "a label that is a number": "UPDATE samples SET label = CAST(x'00' AS TEXT)",
    "a label that is not normalised": "UPDATE samples SET label = 'e' || char(769)",
    "a label that is hidden": "UPDATE hidden SET label = char(8238) || 'x'",
    "a label that is bytes": "UPDATE samples SET label = x'636174'",
    "a text that is not UTF-8": "UPDATE samples SET label = CAST(x'ff636174' AS TEXT)",
    "an embedding that is a text": "UPDATE samples SET raw = 'text' WHERE id = 2",
    "an embedding that is empty": "UPDATE samples SET raw = x''",
    "an embedding that is large": "UPDATE samples SET raw = zeroblob(1000000)",
    "an embedding that is shorter than the others": "UPDATE samples SET raw = zeroblob(3) WHERE id = 2",
    "an embedding that is longer than the others": "UPDATE samples SET raw = zeroblob(5) WHERE id = 2",
    "an embedding that is nothing": "UPDATE samples SET raw = zeroblob(0) WHERE id = 1",
    "a number below zero": "UPDATE samples SET id = -5 WHERE id = 1",
    "a number that is huge": "UPDATE samples SET id = 9223372036854775806 WHERE id = 1",
    "a time that is long": "UPDATE samples SET time = printf('%.100000c', 'x')",
    "a version in no state": "UPDATE versions SET state = 'admin'",
    "a version with a long reason": "UPDATE versions SET reason = printf('%.100000c', 'x')",
    "metrics that are not JSON": "UPDATE versions SET metrics = '{'",
    "metrics that are a list": "UPDATE versions SET metrics = '[]'",
    "metrics that are deep": f"UPDATE versions SET metrics = '{'[' * 60000}'",
    "a last sample that is a text": "UPDATE versions SET last_sample = 'x'",
    "an active version that is not there": "UPDATE active SET version = 77",
    "a trial that is a text": "UPDATE trials SET starts = 'x'",
    "two identities": "INSERT INTO identity SELECT * FROM identity",
    "no identity": "DELETE FROM identity",
    "an identity that is a path": "UPDATE identity SET device = '../../../x'",
    "a thumbnail that is large": "INSERT INTO thumbnails VALUES (1, zeroblob(3000000), x'')",
    "a newer version": "PRAGMA user_version = 99",
    "no version": "PRAGMA user_version = 0",
    "a version below zero": "PRAGMA user_version = -3",
    "another program's file": "PRAGMA application_id = 1",
}


@pytest.mark.parametrize("what", list(STATEMENTS))
def test_a_backup_with_what_no_store_has_is_refused_although_its_checksums_are_right(
    good, target, tmp_path, what
) -> None:
    backup = tmp_path / "b.sqlite"
    shutil.copy(good, backup)
    database = apsw.Connection(str(backup))
    database.execute(STATEMENTS[what])
    database.close()
    if what not in ("a table that is a view", "a table that is missing", "a text that is not UTF-8"):
        sealed(backup)
    assert "checksum" not in refused(backup, target)


def test_embeddings_that_the_installed_backbone_does_not_give_are_refused(good, target) -> None:
    with pytest.raises(HomeError, match="a sample with 4 features where the backbone gives 64"):
        restore_database(good, target, {"b": 64})
    assert Store(target).counts("b") == {"mine": 3}
    restore_database(good, target, {"b": 4, "another": 64})
    assert Store(target).counts("b") == {"cat": 3}


def test_the_good_backup_is_restored(good, target) -> None:
    restore_database(good, target)
    store = Store(target)
    assert store.counts("b") == {"cat": 3} and store.drift("bundle") is None


def _sparse(path: Path) -> None:
    with path.open("wb") as stream:
        stream.write(b"SQLite format 3\0")
        stream.truncate(1 << 40)


FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "nothing": lambda path: path.symlink_to("nowhere"),
    "a sparse giant": _sparse,
    "an empty file": Path.touch,
    "a text": lambda path: path.write_text("these are my notes\n" * 1000),
    "a header alone": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(84)),
    "JSON": lambda path: path.write_text(json.dumps({"samples": []})),
}


@pytest.mark.parametrize("kind", list(FILES))
def test_a_file_that_is_no_backup_at_all_is_refused_at_once(target, tmp_path, kind) -> None:
    backup = tmp_path / "b.sqlite"
    FILES[kind](backup)
    refused(backup, target)


@pytest.mark.parametrize("seed", range(60))
def test_a_backup_with_random_bytes_changed_is_refused_or_holds_what_it_held(good, target, tmp_path, seed) -> None:
    generator = np.random.default_rng(seed)
    data = np.frombuffer(good.read_bytes(), np.uint8).copy()
    used = np.flatnonzero(data)
    places = generator.choice(used, int(generator.integers(1, 5)))
    data[places] ^= generator.integers(1, 256, len(places)).astype(np.uint8)
    backup = tmp_path / "b.sqlite"
    backup.write_bytes(data.tobytes())
    try:
        restore_database(backup, target)
    except HomeError as refusal:
        assert "\n" not in str(refusal)
        assert Store(target).counts("b") == {"mine": 3}
        return
    store = Store(target)
    ((ids, labels, runtimes, raw),) = store.embeddings("b", 4)
    assert (ids[-3:], labels, runtimes, raw.tolist()) == (ids[-3:], ["cat"] * 3, ["r"] * 3, RAW.tolist())
    assert store.hidden("b") == {"dog"} and store.active("bundle") == 1


def test_the_command_line_refuses_a_backup_that_would_keep_the_device_from_learning(home, tmp_path, capsys) -> None:
    bundle = home.bundle()
    other = Store(tmp_path / "other" / "device.sqlite")
    other.add_samples("cat", RAW, bundle.backbone_digest, "r")
    other.backup(tmp_path / "wrong.sqlite")
    other.close()
    arguments = ["--home", str(home.folder), "restore", str(tmp_path / "wrong.sqlite")]
    assert console.run(program, "edgetl-device", arguments) == 2
    message = capsys.readouterr().err
    assert "4 features where the backbone gives 64" in message and message.count("\n") == 1
    assert home.learner().samples() == []
