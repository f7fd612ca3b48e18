"""Which stored samples are the same photo: found by an index, whatever is stored.

The index is on the first bytes of embeddings (see :mod:`.schema`), not on a hash of them: SQLite keeps it by itself,
and no row holds anything more. Embeddings that agree in these bytes are compared whole.
"""

from __future__ import annotations

from collections.abc import Iterable

from .database import Database
from .schema import PREFIX, PREFIX_BYTES

# The signs keep SQLite from the index by backbone and label, under which all samples may be.
_QUERY = f"SELECT id FROM samples WHERE {PREFIX} = ? AND raw = ? AND +backbone = ? AND runtime = ?"


def same_photos(
    database: Database, backbone: str, runtime: str, raw: Iterable[bytes], more: str = "", *values: str
) -> dict[bytes, list[int]]:
    """Those of these embeddings that are stored → ids of their samples, ascending.

    Args:
        more, values: a further condition on samples.
    """
    query, found = f"{_QUERY} {more}", {}
    for each in set(raw):
        rows = database.rows(query, (each[:PREFIX_BYTES], each, backbone, runtime, *values))
        ids = sorted(int(number) for (number,) in rows)
        if ids:
            found[each] = ids
    return found
