"""Frames that are kept for a person to glance at: a ring, bounded in number, bytes and days.

They are no samples: no head knows them, no export or backup holds them, and they give way to samples.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np

from ..codes import Int8
from ..environment import BUILT_S
from ..errors import StorageError
from .checksum import row_checksum
from .database import Database
from .grouped import listed
from .lock import LearningLock
from .replacement import now

log = logging.getLogger("edgetl.store")

MOST_FRAMES = 200
MOST_BYTES = 4 << 20
MOST_DAYS = 14

_COLUMNS = "id, backbone, runtime, view, why, label, probability, raw, jpeg, time"


@dataclass(frozen=True, eq=False)
class ReviewFrame:
    """One kept frame.

    Args:
        backbone, runtime: of the embedding, as of a sample.
        view: how the frame was looked at, as JSON; empty as the bundle does.
        why: ``unknown``, ``uncertain`` or ``differs`` (from the frames before and after it).
        label: the most probable label when it was seen; None where no class was known.
        probability: of that label, 0 … 1.
        raw: (d,) int8 raw embedding.
        jpeg: a small picture.
        time: UTC, ISO 8601; "" for now.
        id: 0 before it is kept.
    """

    backbone: str
    runtime: str
    view: str
    why: str
    label: str | None
    probability: float
    raw: Int8
    jpeg: bytes
    time: str = ""
    id: int = 0

    def to_json(self) -> dict[str, Any]:
        """With the keys of ``edgetl-device review --json``."""
        return {key: getattr(self, key) for key in ("id", "time", "why", "label", "probability")}


class ReviewFrames:
    """The part of the store that keeps them.

    Their rows are not in the sum of checksums, like those of thumbnails: what may be lost is not missed.

    Args:
        database: of the store.
        may_write: raises StorageError where the disk is read-only.
        has_room: whether the store's budget has room for so many bytes.
    """

    def __init__(self, database: Database, may_write: Callable[[], None], has_room: Callable[[int], bool]) -> None:
        self._database, self._may_write, self._has_room = database, may_write, has_room

    def keep(self, frame: ReviewFrame, runtime: str) -> bool:
        """Add a frame and let go of those beyond the bounds; whether it was added.

        Args:
            frame: its runtime does not matter.
            runtime: name of the TFLite runtime that made its embedding.

        It is not where the store is full, or while another process learns: nobody waits for a frame to be kept.
        """
        self._may_write()
        if not self._has_room(len(frame.raw) + len(frame.jpeg)):
            return False
        return self._at_once(lambda: self._insert(replace(frame, runtime=runtime)))

    def put_back(self, frames: Sequence[ReviewFrame]) -> None:
        """Keep frames again that became samples, whatever room there is: those samples go. Raises StorageError.

        One that would be let go at once, being too old or of a clock that was wrong, counts as of now.
        """
        self._may_write()
        first, last = _times()
        with self._database.transaction():
            for frame in frames:
                self._insert(frame if first <= frame.time <= last else replace(frame, time=""))
            self._let_go()

    def let_go(self) -> bool:
        """Let go of what is beyond the bounds, as time passes; whether that could be done at once."""
        self._may_write()
        beyond = list(self._database.rows("SELECT 1 FROM review WHERE time NOT BETWEEN ? AND ? LIMIT 1", _times()))
        return self._at_once(lambda: 0) if beyond else True

    def frames(self, backbone: str, ids: Sequence[int] | None = None) -> list[ReviewFrame]:
        """Those of a backbone, or of these ids those that exist, oldest first; damaged ones are left out."""
        query, values = f"SELECT {_COLUMNS}, checksum FROM review WHERE backbone = ?", [backbone]
        if ids is not None:
            query, values = f"{query} AND id IN (SELECT value FROM json_each(?))", [backbone, listed(ids)]
        found = list(self._database.rows(f"{query} ORDER BY id", values))
        sound = [row for row in found if row_checksum("review", row[:-1]) == row[-1]]
        if len(sound) < len(found):
            log.warning("%d frames for review are damaged", len(found) - len(sound))
        return [_frame(row) for row in sound]

    def thumbnail(self, identity: int) -> bytes | None:
        """The picture of a frame, or None."""
        query = f"SELECT {_COLUMNS}, checksum FROM review WHERE id = ?"
        rows = self._database.rows(query, (identity,))
        return next((bytes(row[8]) for row in rows if row_checksum("review", row[:-1]) == row[-1]), None)

    def drop(self, ids: Sequence[int] | None = None) -> int:
        """Forget frames, or all of any backbone; → how many. Nothing of them stays in the files."""
        self._may_write()
        with self._database.transaction():
            dropped = self.drop_rows(ids)
        if dropped:
            self._database.scrub(())
        return dropped

    def drop_rows(self, ids: Sequence[int] | None = None) -> int:
        """What :meth:`drop` does, in the caller's transaction; the caller scrubs."""
        where, rows = ("", None) if ids is None else (" WHERE id IN (SELECT value FROM json_each(?))", [(listed(ids),)])
        dropped = self._database.run(f"DELETE FROM review{where}", rows)
        if dropped:
            self._database.to_be_scrubbed()
        return dropped

    def _insert(self, frame: ReviewFrame) -> None:
        values = (
            *(self._database.next_id("review"), frame.backbone, frame.runtime, frame.view, frame.why, frame.label),
            *(frame.probability, frame.raw.tobytes(), frame.jpeg, frame.time or now()),
        )
        row = (*values, row_checksum("review", values))
        self._database.run(f"INSERT INTO review VALUES ({','.join('?' * len(row))})", [row])

    def _at_once(self, write: Callable[[], object]) -> bool:
        """Write and let go of what is beyond the bounds, unless another process learns just now."""
        lock = LearningLock(self._database.lock.path, wait_s=0.0)
        try:
            with lock(), self._database.transaction():
                write()
                self._let_go()
        except StorageError as error:
            log.info("no frame was kept for review: %s", error)
            return False
        return True

    def _let_go(self) -> None:
        first, last = _times()
        beyond = (
            "SELECT id FROM (SELECT id, time, row_number() OVER newest AS place, "
            "sum(length(raw) + length(jpeg)) OVER newest AS size FROM review WINDOW newest AS (ORDER BY id DESC)) "
            f"WHERE place > {MOST_FRAMES} OR size > {MOST_BYTES} OR time NOT BETWEEN '{first}' AND '{last}'"
        )
        self._database.run(f"DELETE FROM review WHERE id IN ({beyond})")


def _times() -> tuple[str, str]:
    """From when to when a frame may have been kept. A clock that was set back must not keep it for years to come.

    One that was never set, as of a device without a network, tells nothing: the number of frames is bound too.
    """
    now = datetime.now(timezone.utc)
    if now.timestamp() < BUILT_S:
        return "", "9999"
    span = timedelta(days=MOST_DAYS)
    return (now - span).isoformat(timespec="milliseconds"), (now + span).isoformat(timespec="milliseconds")


def _frame(row: tuple[Any, ...]) -> ReviewFrame:
    number, backbone, runtime, view, why, label, probability, raw, jpeg, time, _ = row
    told = (backbone, runtime, view, why, label, float(probability))
    return ReviewFrame(*told, np.frombuffer(raw, np.int8), bytes(jpeg), time, number)
