"""Backups that somebody made by hand, from a good one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import apsw
import numpy as np

from edgetl_device.store.checksum import row_checksum
from edgetl_device.store.group_store import GroupStore
from edgetl_device.store.inspected import VERDICTS, InspectedPhoto, InspectionSetting
from edgetl_device.store.state import CHECKED, COUNTED, State, read_state, sum_of_rows, write_state
from edgetl_device.store.store import Store
from edgetl_device.view import View

RAW = np.arange(12, dtype=np.int8).reshape(3, 4)
PENDING = "INSERT INTO pending VALUES "
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
    "a batch of two labels": "UPDATE samples SET label = 'dog' WHERE id = 2; "
    + PENDING
    + "(1, 1, 'hat', 'r'), (2, 1, 'hat', 'r')",
    "a batch of two reasons": PENDING + "(1, 1, 'hat', 'r'), (2, 1, 'hat', 's')",
    "a batch that looks like two": PENDING + "(1, 1, 'hat', 'r'), (2, 1, NULL, 'r')",
    "a batch that looks like no label": PENDING + "(1, 1, 'unknown', 'r')",
    "a batch of an older sample": PENDING + "(1, 2, 'hat', 'r')",
    "metrics with an infinity": "UPDATE versions SET metrics = '{\"accuracy\": 1e999}'",
    "metrics that are not JSON": "UPDATE versions SET metrics = '{'",
    "metrics that are a list": "UPDATE versions SET metrics = '[]'",
    "metrics that are deep": f"UPDATE versions SET metrics = '{'[' * 60000}'",
    "a last sample that is a text": "UPDATE versions SET last_sample = 'x'",
    "an active version that is not there": "UPDATE active SET version = 77",
    "a trial that is a text": "UPDATE trials SET starts = 'x'",
    "a verdict that is none": "UPDATE inspected SET verdict = 'excellent' WHERE id = 1",
    "a photo with three turns": "UPDATE inspected SET turns = 3",
    "a photo with more turns than embeddings": "UPDATE inspected SET turns = 8 WHERE id = 2",
    "a photo with other features": "UPDATE inspected SET raw = zeroblob(5) WHERE id = 2",
    "a photo without maps": "UPDATE inspected SET maps = x''",
    "a photo with large maps": "UPDATE inspected SET maps = zeroblob(40000000) WHERE id = 1",
    "a photo with a long view": "UPDATE inspected SET view = printf('%.1000c', 'x')",
    "a view that is not JSON": "UPDATE inspection SET view = '{'",
    "a view that is deep": f"UPDATE inspection SET view = '{'[' * 60000}'",
    "a view of a region outside the frame": "UPDATE inspection SET view = "
    + '\'{"version": 1, "region": [0, 0, 10001, 1], "find_part": false, "turned": false}\'',
    "a share of false alarms that is all": "UPDATE inspection SET target = 10000",
    "two views of one backbone": "INSERT INTO inspection SELECT * FROM inspection",
    "a group that is a path": "UPDATE grouped SET name = '../x'",
    "a group with a long name": "UPDATE grouped SET name = printf('%.40c', 'x')",
    "a group's label that is reserved": "UPDATE grouped SET label = 'unknown'",
    "a group's label of control characters": "UPDATE grouped SET label = char(27) || '[2J'",
    "a group's label of no sample": "UPDATE grouped SET sample = 77",
    "a group's label of another backbone": "UPDATE grouped SET backbone = 'c'",
    "a group's batch without a reason": "UPDATE grouped SET batch = id",
    "a group's batch that looks like no label": "UPDATE grouped SET batch = id, looks_like = 'unknown', reason = 'r'",
    "more groups than any store": "INSERT INTO grouped SELECT 10 + value, 1, backbone, 'g' || value, label, time, 0, "
    "NULL, NULL, NULL, x'' FROM grouped, json_each('[1, 2, 3, 4, 5, 6, 7, 8]')",
    "a count of changes that is a text": "UPDATE elsewhere SET changes = 'x'",
    "more changes than revisions": "UPDATE elsewhere SET changes = 1 + (SELECT revision FROM state)",
    "two counts of changes": "INSERT INTO elsewhere SELECT * FROM elsewhere",
    "two identities": "INSERT INTO identity SELECT * FROM identity",
    "no identity": "DELETE FROM identity",
    "an identity that is a path": "UPDATE identity SET device = '../../../x'",
    "a thumbnail that is large": "INSERT INTO thumbnails VALUES (1, zeroblob(3000000), x'')",
    "a newer version": "PRAGMA user_version = 99",
    "no version": "PRAGMA user_version = 0",
    "a version below zero": "PRAGMA user_version = -3",
    "another program's file": "PRAGMA application_id = 1",
}


def sealed(path: Path) -> None:
    """Make all checksums right again: whoever changes a backup can do that too."""
    database = apsw.Connection(str(path))
    for table in CHECKED:
        for number, *row in list(database.execute(f"SELECT rowid, * FROM {table}")):
            database.execute(
                f"UPDATE {table} SET checksum = ? WHERE rowid = ?", (row_checksum(table, row[:-1]), number)
            )
    state = read_state(database)
    samples = sum(next(database.execute(f"SELECT count(*) FROM {table}"))[0] for table in COUNTED)
    numbers = (state.generation, state.sequence, state.revision) if state else (1, 1, 1)
    write_state(database, State(*numbers, samples, False, sum_of_rows(database)))
    database.close()


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


def good_backup(folder: Path) -> Path:
    """A backup with something in every table."""
    store = Store(folder / "device.sqlite")
    store.add_samples("cat", RAW, "b", "r", [b"picture"] * 3)
    GroupStore(store, "condition").add_samples("worn", RAW[:1], "b", "r")
    number = store.versions.add("bundle", "factory", "installed", "lda", 0, {}, activate=True)
    store.hide("b", "dog")
    store.versions.prove(number)
    store.keep_drift("bundle", {"version": 1})
    photos = [InspectedPhoto(RAW[:1], RAW[row : row + 1], 64, 48, verdict) for row, verdict in enumerate(VERDICTS)]
    store.inspected.add(photos, "b", "r", View().digest)
    store.inspected.choose("b", InspectionSetting(json.dumps(View().to_json()), 500))
    store.backup(folder / "good.sqlite")
    store.close()
    return folder / "good.sqlite"
