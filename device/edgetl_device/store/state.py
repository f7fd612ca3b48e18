"""What the store knows of itself: how often it changed, how much it holds, and the sum of the checksums of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from .checksum import SIZE, add, row_checksum

CHECKED = ("samples", "versions", "inspected", "grouped")
"""The tables whose rows hold their own checksum, in the last column: what can be saved of them is saved row by row."""

COUNTED = ("samples", "inspected")
"""The tables whose rows :attr:`State.samples` counts."""

OF_SAMPLES = ("pending", "confirmed", "taught_view", "taught_in", "grouped")
"""The tables whose rows go with the sample that they are about."""

SUMMED = (
    *CHECKED,
    *("active", "hidden", "identity", "trials", "drift", "events", "pending", "confirmed", "inspection"),
    *("chosen_view", "taught_view", "shifts", "regions", "taught_in", "elsewhere"),
)
"""The tables whose rows :attr:`State.total` adds up. Thumbnails and frames for review are not among them: they
may be lost."""


@dataclass(frozen=True)
class State:
    """What the store knows of itself.

    Args:
        generation: grows when a store takes another one's place, as after ``restore``.
        sequence: number of committed changes.
        revision: number of changes that took something away: samples forgotten or relabelled, labels hidden or shown.
        samples: how many are stored, of all backbones, photos of inspection included.
        unscrubbed: something was forgotten and may still have traces in other files.
        total: the sum of the checksums of all rows of :data:`SUMMED`.
    """

    generation: int
    sequence: int
    revision: int
    samples: int
    unscrubbed: bool
    total: bytes

    @property
    def checksum(self) -> bytes:
        """Of this row itself."""
        numbers = (self.generation, self.sequence, self.revision, self.samples, int(self.unscrubbed))
        return row_checksum("state", (*numbers, self.total))


def read_state(db: apsw.Connection) -> State | None:
    """The state, or None where its row is missing or damaged."""
    columns = "generation, sequence, revision, samples, unscrubbed, total, checksum"
    rows = list(db.execute(f"SELECT {columns} FROM state"))
    if len(rows) != 1 or not all(isinstance(value, int) for value in rows[0][:5]):
        return None
    generation, sequence, revision, samples, unscrubbed, total, checksum = rows[0]
    state = State(generation, sequence, revision, samples, bool(unscrubbed), total)
    return state if isinstance(total, bytes) and len(total) == SIZE and state.checksum == checksum else None


def write_state(db: apsw.Connection, state: State, *, insert: bool = False) -> None:
    """Replace the state in the running transaction."""
    columns = ("generation", "sequence", "revision", "samples", "unscrubbed", "total", "checksum")
    values = (
        state.generation,
        state.sequence,
        state.revision,
        state.samples,
        int(state.unscrubbed),
        state.total,
        state.checksum,
    )
    if insert:
        db.execute(f"INSERT INTO state (id, {', '.join(columns)}) VALUES (1,?,?,?,?,?,?,?)", values)
    else:
        db.execute(f"UPDATE state SET {', '.join(f'{name} = ?' for name in columns)}", values)


def sum_of_rows(db: apsw.Connection) -> bytes:
    """What :attr:`State.total` should be; a store that is being brought up to date may lack the newest tables."""
    total = bytes(SIZE)
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for table in (name for name in SUMMED if name in there):
        if table in CHECKED:
            total = add(total, new=(checksum for (checksum,) in db.execute(f"SELECT checksum FROM {table}")))
        else:
            total = add(total, new=(row_checksum(table, row) for row in db.execute(f"SELECT * FROM {table}")))
    return total
