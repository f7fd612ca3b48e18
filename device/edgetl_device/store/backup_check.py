"""A backup that a stranger may have made: is it a store, with nothing in it that a store never has?

Checksums tell damage, not intent. So the schema must be, letter by letter, the one that the migrations make (no
trigger, no view, no generated column), and every value must be one that this program could have written.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping

import apsw

from ..errors import InputError
from ..labels import MAX_GROUPS, check_group, check_sample_label
from ..strict_json import parsed
from ..view import View
from ..view_names import MAX_REGIONS, check_name
from .schema import APPLICATION_ID, MIGRATIONS
from .soundness import damage_of

_LONGEST_S = 60.0  # of one look at a backup; a store of 256 MB takes seconds
_MAX_LABELS = 10_000
_MAX_SAMPLES = 2_000_000

_SHORT_TEXT = "typeof({0}) = 'text' AND length({0}) BETWEEN 1 AND 128"
_MAYBE_EMPTY = "typeof({0}) = 'text' AND length({0}) <= 128"
_LONG_TEXT = "typeof({0}) = 'text' AND length({0}) <= 65536"
_NUMBER = "typeof({0}) = 'integer' AND {0} BETWEEN 0 AND 1000000000000"
_EMBEDDING = "typeof({0}) = 'blob' AND length({0}) BETWEEN 1 AND 65536"
_PICTURE = "typeof({0}) = 'blob' AND length({0}) <= 1048576"
_INNER_MAPS = "typeof({0}) = 'blob' AND length({0}) BETWEEN 1 AND 33554432"
_VERDICT = "{0} IN ('good', 'fine', 'bad', 'aside')"
_TURNS = "{0} IN (1, 4, 8)"
_SHARE = "typeof({0}) = 'integer' AND {0} BETWEEN 1 AND 9999"
_STATE = "{0} IN ('factory', 'promoted', 'rejected', 'failed')"

_RULES = {
    "samples": {
        **dict.fromkeys(("backbone", "runtime", "time"), _SHORT_TEXT),
        "id": _NUMBER,
        "label": _MAYBE_EMPTY,
        "raw": _EMBEDDING,
    },
    "versions": {
        **dict.fromkeys(("bundle", "time", "rule"), _SHORT_TEXT),
        **dict.fromkeys(("reason", "metrics"), _LONG_TEXT),
        "id": _NUMBER,
        "last_sample": _NUMBER,
        "state": _STATE,
    },
    "active": {"bundle": _SHORT_TEXT, "version": _NUMBER + " AND {0} IN (SELECT id FROM versions)"},
    "hidden": {"backbone": _SHORT_TEXT, "label": _SHORT_TEXT},
    "events": {"id": _NUMBER, "time": _SHORT_TEXT, "kind": _SHORT_TEXT, "detail": _LONG_TEXT},
    "identity": {"device": _SHORT_TEXT},
    "thumbnails": {"sample": _NUMBER, "jpeg": _PICTURE},
    "pending": {
        **dict.fromkeys(("sample", "batch"), _NUMBER),
        "looks_like": "({0} IS NULL OR " + _SHORT_TEXT + ")",
        "reason": _LONG_TEXT,
    },
    "confirmed": {"sample": _NUMBER},
    "inspected": {
        **dict.fromkeys(("backbone", "runtime", "view", "time"), _SHORT_TEXT),
        **dict.fromkeys(("id", "burst", "width", "height"), _NUMBER),
        "verdict": _VERDICT,
        "turns": _TURNS,
        "raw": _EMBEDDING,
        "maps": _INNER_MAPS,
    },
    "grouped": {
        **dict.fromkeys(("backbone", "name", "label", "time"), _SHORT_TEXT),
        "id": _NUMBER,
        "sample": _NUMBER + " AND {0} IN (SELECT id FROM samples)",
        "confirmed": "{0} IN (0, 1)",
        "batch": "({0} IS NULL OR " + _NUMBER + ")",
        "looks_like": "({0} IS NULL OR " + _SHORT_TEXT + ")",
        "reason": "({0} IS NULL OR " + _LONG_TEXT + ")",
    },
    "review": {
        **dict.fromkeys(("backbone", "runtime", "why", "time"), _SHORT_TEXT),
        "id": _NUMBER,
        "view": _LONG_TEXT,
        "label": "({0} IS NULL OR " + _SHORT_TEXT + ")",
        "probability": "typeof({0}) = 'real'",
        "raw": _EMBEDDING,
        "jpeg": _PICTURE,
    },
    "inspection": {"backbone": _SHORT_TEXT, "view": _LONG_TEXT, "target": _SHARE},
    "chosen_view": {"view": _LONG_TEXT},
    "taught_view": {"sample": _NUMBER, "view": _LONG_TEXT},
    "regions": {**dict.fromkeys(("camera", "name", "asks"), _MAYBE_EMPTY), "view": _LONG_TEXT},
    "taught_in": {
        "sample": _NUMBER + " AND {0} IN (SELECT id FROM samples)",
        **dict.fromkeys(("camera", "region"), _MAYBE_EMPTY),
    },
    "shifts": {
        "camera": _LONG_TEXT,
        "since": _SHORT_TEXT,
        **dict.fromkeys(("good", "bad"), _NUMBER),
    },
    "elsewhere": {
        "changes": _NUMBER + " AND {0} <= (SELECT revision FROM state) AND rowid = (SELECT min(rowid) FROM elsewhere)"
    },
    "trials": dict.fromkeys(("version", "starts", "proven"), _NUMBER),
    "drift": {"bundle": _SHORT_TEXT, "time": _SHORT_TEXT, "state": _LONG_TEXT},
}
"""Table → column → what holds of each value."""


def check_content(database: apsw.Connection, dimensions: Mapping[str, int] | None = None) -> str | None:
    """What keeps an open database from being restored, in one line; None if nothing does. Raises apsw.Error.

    Args:
        dimensions: backbone → length of its embeddings, of those that are known here.
    """
    deadline = time.monotonic() + _LONGEST_S
    database.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        return next(_problems(database, dimensions or {}), None)
    except UnicodeDecodeError:
        return "it holds a text that is not UTF-8"
    except apsw.InterruptError:
        return f"it cannot be checked within {_LONGEST_S:.0f} s"
    finally:
        database.set_progress_handler(None)


def _problems(database: apsw.Connection, dimensions: Mapping[str, int]) -> Iterator[str]:
    version = database.pragma("user_version")
    if database.pragma("application_id") != APPLICATION_ID:
        yield "it is not a backup of an edgetl store"
    elif version > len(MIGRATIONS):
        yield "it was written by a newer edgetl: update with `pip install -U edgetl-device`"
    elif version < 1 or _schema(database) != _schema_of_version(version):
        yield "its tables are not those of a store: somebody changed them"
    elif (damage := damage_of(database)) is not None:
        yield damage
    else:
        yield from _strange_values(database)
        yield from _strange_embeddings(database, dimensions)


def _schema(database: apsw.Connection) -> list[tuple[object, ...]]:
    return list(database.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"))


def _schema_of_version(version: int) -> list[tuple[object, ...]]:
    database = apsw.Connection(":memory:")
    try:
        for migration in MIGRATIONS[:version]:
            migration(database)
        return _schema(database)
    finally:
        database.close()


def _strange_values(database: apsw.Connection) -> Iterator[str]:
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for table in [name for name in _RULES if name in tables]:
        for column, rule in _RULES[table].items():
            query = f"SELECT rowid FROM {table} WHERE NOT coalesce({rule.format(column)}, 0) LIMIT 1"
            for (number,) in database.execute(query):
                yield f"row {number} of its table {table} has a strange {column}"
    ((samples,),) = list(database.execute("SELECT count(*) FROM samples"))
    if samples > _MAX_SAMPLES:
        yield f"it holds {samples} samples, more than any store"
    labels = [label for (label,) in database.execute("SELECT label FROM samples UNION SELECT label FROM hidden")]
    if "grouped" in tables:
        yield from _strange_groups(database)
        labels = [label for label in labels if label]
    if len(labels) > _MAX_LABELS:
        yield f"it holds {len(labels)} labels, more than any store"
    yield from (f"it holds the label {label[:40]!r}, which no store has" for label in labels if not _is_label(label))
    for (metrics,) in database.execute("SELECT metrics FROM versions"):
        if not _is_object(metrics):
            yield "a version of it has strange metrics"
    if "pending" in tables:
        yield from _strange_batches(database)
    if "inspection" in tables:
        yield from _strange_views(database)
    if "chosen_view" in tables:
        yield from _strange_choices(database)
    if "regions" in tables:
        yield from _strange_regions(database)
    devices = list(database.execute("SELECT device FROM identity")) if "identity" in tables else [("0",)]
    if len(devices) != 1 or not re.fullmatch(r"[0-9a-fA-F-]{1,64}", devices[0][0]):
        yield "it does not say which device it belongs to"


def _strange_batches(database: apsw.Connection) -> Iterator[str]:
    """A batch is decided about as a whole, so it is what it is shown as: of one label, and one reason."""
    query = (
        "SELECT batch FROM pending JOIN samples ON sample = id GROUP BY batch HAVING min(sample) < batch OR "
        "max(count(DISTINCT label), count(DISTINCT backbone), count(DISTINCT reason), "
        "count(DISTINCT coalesce(looks_like, ''))) > 1 LIMIT 1"
    )
    yield from (f"samples of different kinds are pending as its batch {batch}" for (batch,) in database.execute(query))
    names = database.execute("SELECT DISTINCT looks_like FROM pending WHERE looks_like IS NOT NULL")
    yield from (f"it holds the label {name[:40]!r}, which no store has" for (name,) in names if not _is_label(name))


def _strange_groups(database: apsw.Connection) -> Iterator[str]:
    """Labels in groups belong to samples of their backbone, and each sample has a label somewhere."""
    for (number,) in database.execute(
        "SELECT id FROM samples WHERE label = '' AND id NOT IN (SELECT sample FROM grouped) LIMIT 1"
    ):
        yield f"its sample {number} has no label"
    for (number,) in database.execute(
        "SELECT grouped.id FROM grouped JOIN samples ON sample = samples.id "
        "WHERE grouped.backbone <> samples.backbone LIMIT 1"
    ):
        yield f"row {number} of its table grouped is of another backbone than its sample"
    names: dict[str, set[str]] = {}
    for backbone, name in database.execute("SELECT DISTINCT backbone, name FROM grouped"):
        names.setdefault(backbone, set()).add(name)
        if not _is_group(name):
            yield f"it holds the group {name[:40]!r}, which no store has"
    if any(len(of_one) > MAX_GROUPS for of_one in names.values()):
        yield "it holds more groups than any store"
    labels = [
        label
        for (label,) in database.execute(
            "SELECT label FROM grouped UNION SELECT looks_like FROM grouped WHERE looks_like IS NOT NULL"
        )
    ]
    if len(labels) > _MAX_LABELS:
        yield f"it holds {len(labels)} labels, more than any store"
    yield from (f"it holds the label {label[:40]!r}, which no store has" for label in labels if not _is_label(label))
    query = (
        "SELECT batch FROM grouped WHERE batch IS NOT NULL GROUP BY batch HAVING min(id) < batch OR "
        "count(reason) < count(*) OR max(count(DISTINCT label), count(DISTINCT backbone), count(DISTINCT name), "
        "count(DISTINCT reason), count(DISTINCT coalesce(looks_like, ''))) > 1 LIMIT 1"
    )
    yield from (f"labels of different kinds are pending as its batch {batch}" for (batch,) in database.execute(query))


def _strange_views(database: apsw.Connection) -> Iterator[str]:
    """How photos of inspection are looked at: one view of a backbone, and one that there can be."""
    backbones = set()
    for backbone, view in database.execute("SELECT backbone, view FROM inspection"):
        if not _is_view(view):
            yield "it looks at photos of inspection in a way that there is none"
        if backbone in backbones:
            yield "it looks at photos of inspection in two ways"
        backbones.add(backbone)


def _strange_choices(database: apsw.Connection) -> Iterator[str]:
    """How frames are looked at: one view that was chosen, and views that samples can have been taught with."""
    chosen = [view for (view,) in database.execute("SELECT view FROM chosen_view")]
    taught = [view for (view,) in database.execute("SELECT DISTINCT view FROM taught_view LIMIT 10000")]
    if len(chosen) > 1:
        yield "it looks at frames in two ways"
    if not all(map(_is_view, (*chosen, *taught))):
        yield "it looks at frames in a way that there is none"
    for (number,) in database.execute(
        "SELECT sample FROM taught_view WHERE sample NOT IN (SELECT id FROM samples) LIMIT 1"
    ):
        yield f"it says how sample {number} was looked at, which it does not hold"


def _strange_regions(database: apsw.Connection) -> Iterator[str]:
    """Regions that there can be, with names that there can be."""
    rows = list(database.execute("SELECT camera, name, view, asks FROM regions LIMIT 1000"))
    if len(rows) > MAX_REGIONS:
        yield "it holds more regions than any store"
    for camera, name, view, asks in rows:
        if not (_is_name(camera) and _is_name(name) and _is_view(view) and (not asks or _is_group(asks))):
            yield "it holds a region that there cannot be"
    for camera, region in database.execute("SELECT DISTINCT camera, region FROM taught_in LIMIT 10000"):
        if not (_is_name(camera) and _is_name(region)):
            yield "it holds samples of a region that there cannot be"


def _is_name(text: str) -> bool:
    try:
        return not text or check_name(text, "region") == text
    except InputError:
        return False


def _is_view(text: str) -> bool:
    try:
        View.from_json(parsed(text.encode()))
    except (InputError, ValueError, RecursionError):
        return False
    return True


def _strange_embeddings(database: apsw.Connection, dimensions: Mapping[str, int]) -> Iterator[str]:
    """One that is longer or shorter than the others would keep all of them from being learned."""
    query = "SELECT backbone, min(length(raw)), max(length(raw)) FROM samples GROUP BY backbone"
    for backbone, shortest, longest in database.execute(query):
        expected = dimensions.get(backbone, shortest)
        if not shortest == longest == expected:
            wrong = shortest if shortest != expected else longest
            yield f"it holds a sample with {wrong} features where the backbone gives {expected}"
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "inspected" not in tables:
        return
    query = (
        "SELECT backbone, min(length(raw) / turns), max(length(raw) / turns), sum(length(raw) % turns) FROM inspected"
    )
    for backbone, shortest, longest, rest in database.execute(f"{query} GROUP BY backbone"):
        if rest or not shortest == longest == dimensions.get(backbone, shortest):
            yield "it holds a photo of inspection with other features than the backbone gives"


def _is_label(text: str) -> bool:
    try:
        return check_sample_label(text) == text
    except InputError:
        return False


def _is_group(text: str) -> bool:
    try:
        return check_group(text) == text
    except InputError:
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(parsed(text), dict)
    except (ValueError, RecursionError):
        return False
