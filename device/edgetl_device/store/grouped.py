"""What samples are labelled as in named groups: further questions about the same photos, such as their condition.

A sample is stored once, however many groups it is labelled in. Its label in the group without a name is in its own
row, and empty where it has none. A label in a group has an id of its own: a version of a group's head is that of the
labels up to an id, as one of the group without a name is that of the samples up to an id.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from .checksum import Value, row_checksum
from .database import Database
from .replacement import now
from .same_photos import same_photos

# From one name to the next by the index: DISTINCT would read all rows, and this is asked twice a second.
_NAMES = """
WITH RECURSIVE found (name) AS (
    SELECT min(name) FROM grouped WHERE backbone = ?
    UNION ALL
    SELECT (SELECT min(name) FROM grouped WHERE backbone = ? AND name > found.name) FROM found WHERE name IS NOT NULL
)
SELECT name FROM found WHERE name IS NOT NULL
"""


class GroupedLabels:
    """The part of the store that keeps them; the methods that change something run in the caller's transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self, backbone: str) -> tuple[str, ...]:
        """The groups in which samples of a backbone are labelled, sorted."""
        return tuple(name for (name,) in self._database.rows(_NAMES, (backbone, backbone)))

    def labels_of(self, ids: Sequence[int]) -> dict[int, dict[str, str]]:
        """Those of these samples that have labels in groups → group → label."""
        query = "SELECT sample, name, label FROM grouped WHERE sample IN (SELECT value FROM json_each(?)) ORDER BY name"
        found: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for sample, name, label in self._database.rows(query, (listed(ids),)):
            found[sample][name] = label
        return dict(found)

    def label(self, name: str, label: str, backbone: str, ids: Sequence[int]) -> None:
        """Label samples in a group, in which they have no label."""
        made = now()
        for number in ids:
            self._database.insert(
                "grouped", sample=number, backbone=backbone, name=name, label=label, time=made, confirmed=0
            )

    def move(self, ids: Mapping[int, int]) -> None:
        """Samples that have another id from now on, old → new: their labels, and pictures where those have none."""
        for (old,) in list(
            self._database.rows(
                "SELECT DISTINCT sample FROM grouped WHERE sample IN (SELECT value FROM json_each(?))",
                (listed(list(ids)),),
            )
        ):
            self._database.update("grouped", "sample = ?", "sample = ?", (ids[old], old))
        query = "SELECT sample, jpeg FROM thumbnails WHERE sample IN (SELECT value FROM json_each(?))"
        moved = [(ids[old], jpeg) for old, jpeg in list(self._database.rows(query, (listed(list(ids)),)))]
        checked = [(*picture, row_checksum("thumbnails", picture)) for picture in moved]
        if checked:
            self._database.run("INSERT OR IGNORE INTO thumbnails VALUES (?, ?, ?)", checked)

    def take_over(
        self,
        backbone: str,
        runtime: str,
        ids: Sequence[int],
        rows: Sequence[tuple[Value, ...]],
        but: Iterable[str] = (),
    ) -> None:
        """Samples that were just stored with a label of their own take the place of the same ones without.

        Args:
            ids, rows: of the new samples; (backbone, runtime, label, raw, time).
            but: samples that are labelled in one of these groups stay.
        """
        elsewhere = (
            "AND +label = '' AND NOT EXISTS (SELECT 1 FROM grouped WHERE sample = samples.id "
            "AND name IN (SELECT value FROM json_each(?)))"
        )
        asked = [raw for _, _, _, raw, _ in rows if isinstance(raw, bytes)]
        waiting = same_photos(self._database, backbone, runtime, asked, elsewhere, json.dumps(list(but)))
        pairs = {
            waiting[raw].pop(): number
            for number, (_, _, _, raw, _) in zip(ids, rows, strict=True)
            if isinstance(raw, bytes) and waiting.get(raw)
        }
        if not pairs:
            return
        self.move(pairs)
        self._database.delete_samples("id IN (SELECT value FROM json_each(?))", (listed(list(pairs)),))


def listed(ids: Sequence[int]) -> str:
    """Ids as one value of a query."""
    return json.dumps([int(number) for number in ids])
