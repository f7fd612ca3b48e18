"""What visual inspection was taught: photos as embeddings and inner maps, and how they are looked at.

They are samples as the others are: counted in the budget, acknowledged, checked, rescued and forgotten the same way.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..codes import Int8
from ..errors import HomeError
from .database import Database
from .grouped import listed
from .replacement import now

VERDICTS = ("good", "fine", "bad")
"""Taught as good; corrected after a false alarm; taught as not good."""

ASIDE = "aside"
"""The verdict of photos that the gate set aside: nothing uses them before a person gives them another one."""

_LEVEL = 1  # of zlib: maps shrink by a quarter, and it is as fast as the disk


@dataclass(frozen=True)
class InspectedRow:
    """One photo that inspection was taught, without its embedding and maps.

    Args:
        id: its number, never that of another one.
        verdict: one of :data:`VERDICTS`, or :data:`ASIDE`.
        burst: photos that were taught as frames of one part have the same, that of the first of them.
        width, height: of the frame, pixels.
        time: when it was stored, UTC.
    """

    id: int
    verdict: str
    burst: int
    width: int
    height: int
    time: str


@dataclass(frozen=True, eq=False)
class InspectedPhoto:
    """What a photo is taught with.

    Args:
        raw: (t, d) int8 raw embeddings of its t turns, itself first.
        maps: (t, m) int8, the inner maps of each turn, one behind the other.
        width, height: of the frame, pixels.
        verdict: one of :data:`VERDICTS`, or :data:`ASIDE`.
        group: photos of one call that have the same are one burst; None is alone.
    """

    raw: Int8
    maps: Int8
    width: int
    height: int
    verdict: str = "good"
    group: int | None = None

    @property
    def digest(self) -> str:
        """What a photo is known by, whichever device it was taught on."""
        return hashlib.blake2b(self.raw.tobytes() + self.maps.tobytes(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class InspectionSetting:
    """How a backbone's photos are looked at.

    Args:
        view: as JSON.
        target: share of good photos that may be flagged, in ten-thousandths.
    """

    view: str
    target: int


class InspectedPhotos:
    """The part of the store that keeps them; each method that changes something is one durable step.

    Args:
        database: of the store.
        may_write: raises StorageError where the disk is read-only.
        make_room: raises StorageError where so many more samples of so many bytes do not fit into the budget; called in
            the transaction.
    """

    def __init__(
        self, database: Database, may_write: Callable[[], None], make_room: Callable[[int, int], None]
    ) -> None:
        self._database = database
        self._may_write = may_write
        self._make_room = make_room

    def rows(self, backbone: str) -> list[InspectedRow]:
        """The photos of a backbone, oldest first."""
        query = "SELECT id, verdict, burst, width, height, time FROM inspected WHERE backbone = ? ORDER BY id"
        return [InspectedRow(*row) for row in self._database.rows(query, (backbone,))]

    def count_elsewhere(self, backbone: str) -> int:
        """How many photos belong to other backbones: of no use with this one, but counted in the budget."""
        ((count,),) = self._database.rows("SELECT count(*) FROM inspected WHERE backbone <> ?", (backbone,))
        return int(count)

    def revision(self, backbone: str) -> int:
        """Changes whenever the photos of a backbone change, their verdicts, or how they are looked at."""
        query = "SELECT id, verdict, burst FROM inspected WHERE backbone = ? ORDER BY id"
        known = [*self._database.rows(query, (backbone,)), self.setting(backbone)]
        return int.from_bytes(hashlib.blake2b(repr(known).encode(), digest_size=6).digest(), "big")

    def read(self, backbone: str, values: int) -> Iterator[tuple[InspectedRow, Int8]]:
        """Each photo of a backbone with the (t, m) int8 inner maps of its t turns, oldest first.

        Args:
            values: m, how many values all inner maps of one photo have.

        Raises:
            HomeError: a row does not hold such, or is damaged.
        """
        query = "SELECT * FROM inspected WHERE +backbone = ? ORDER BY id"  # the sign: nothing is sorted
        for stored in self._database.rows(query, (backbone,)):
            self._database.check_row("inspected", stored)
            number, _, _, _, verdict, burst, width, height, turns, _, maps, made, _ = stored
            row = InspectedRow(number, verdict, burst, width, height, made)
            unpacked = _unpacked(maps, turns * values)
            if unpacked is None:
                raise HomeError(
                    f"photo {row.id} of inspection does not hold what the backbone gives: "
                    f"`edgetl-device inspect forget --sample {row.id}`"
                )
            yield row, np.frombuffer(unpacked, np.int8).reshape(turns, values)

    def add(
        self,
        photos: Sequence[InspectedPhoto],
        backbone: str,
        runtime: str,
        view: str,
        setting: InspectionSetting | None = None,
    ) -> list[int]:
        """Photos → their ids; with them, in one step, a setting chosen with the first of them."""
        self._may_write()
        made, ids, bursts = now(), list[int](), dict[int, int]()
        blobs = [packed(photo.maps) for photo in photos]
        needed = sum(len(blob) + photo.raw.nbytes for blob, photo in zip(blobs, photos, strict=True))
        with self._database.transaction():
            self._make_room(len(photos), needed)
            if setting is not None:
                self._set(backbone, setting)
            for photo, blob in zip(photos, blobs, strict=True):
                number = self._database.next_id("inspected")
                burst = number if photo.group is None else bursts.setdefault(photo.group, number)
                self._database.insert_inspected(
                    id=number, backbone=backbone, runtime=runtime, view=view, verdict=photo.verdict, burst=burst,
                    width=photo.width, height=photo.height, turns=len(photo.raw), raw=photo.raw.tobytes(), maps=blob,
                    time=made,
                )  # fmt: skip
                ids.append(number)
            verdicts = {verdict: sum(photo.verdict == verdict for photo in photos) for verdict in (*VERDICTS, ASIDE)}
            self._database.log_event("inspect", {name: count for name, count in verdicts.items() if count})
        return ids

    def photos(self, backbone: str, dimension: int, values: int) -> Iterator[InspectedPhoto]:
        """All photos of a backbone as they were added, oldest first, bursts as groups; raises as :meth:`read`."""
        raws = dict(self._database.rows("SELECT id, raw FROM inspected WHERE backbone = ?", (backbone,)))
        for row, maps in self.read(backbone, values):
            raw = np.frombuffer(raws[row.id], np.int8)
            if raw.size != len(maps) * dimension:
                raise HomeError(f"photo {row.id} of inspection does not hold what the backbone gives")
            yield InspectedPhoto(raw.reshape(len(maps), dimension), maps, row.width, row.height, row.verdict, row.burst)

    def judge(self, backbone: str, ids: Sequence[int], verdict: str) -> int:
        """Give stored photos another verdict; → how many had another one before."""
        self._may_write()
        condition = "+backbone = ? AND verdict <> ? AND id IN (SELECT value FROM json_each(?))"
        with self._database.transaction():
            changed = self._database.update(
                "inspected", "verdict = ?", condition, (verdict, backbone, verdict, listed(ids))
            )
            if changed:
                self._database.taken_away(elsewhere=True)
                self._database.log_event("inspect", {"verdict": verdict, "moved": changed})
        return changed

    def admit(self, backbone: str, ids: Sequence[int], verdict: str) -> list[int]:
        """Give photos that were set aside a verdict, and new ids: no version made before may know them. → these ids."""
        self._may_write()
        columns = "id, runtime, view, burst, width, height, turns, raw, maps, time"
        query = (
            f"SELECT {columns} FROM inspected WHERE +backbone = ? AND verdict = ? "
            "AND id IN (SELECT value FROM json_each(?)) ORDER BY id"
        )
        new = []
        with self._database.transaction():
            for old, *values in list(self._database.rows(query, (backbone, ASIDE, listed(ids)))):
                number = self._database.next_id("inspected")
                fields = dict(zip(columns.split(", ")[1:], values, strict=True))
                self._database.insert_inspected(id=number, backbone=backbone, verdict=verdict, **fields)
                self._database.delete_inspected("id = ?", (old,))
                new.append(number)
            if new:
                self._database.taken_away(elsewhere=True)
                self._database.log_event("inspect", {"verdict": verdict, "moved": len(new)})
        if new:
            self._database.scrub()
        return new

    def remove(self, backbone: str, ids: Sequence[int]) -> int:
        """Delete photos; → how many there were. Nothing of them stays in the files."""
        return self._remove("+backbone = ? AND id IN (SELECT value FROM json_each(?))", (backbone, listed(ids)), ids)

    def remove_all(self) -> int:
        """As :meth:`remove`, the photos of all backbones, and how they were looked at."""
        return self._remove("1")

    def _remove(self, condition: str, values: Sequence[str] = (), ids: Sequence[int] | None = None) -> int:
        self._may_write()
        with self._database.transaction():
            if ids is None:
                self._database.delete("inspection", "1")
            gone = self._database.delete_inspected(condition, values)
            self._database.taken_away(elsewhere=True)
            self._database.log_event("inspect", {"forgotten": gone})
        self._database.scrub(ids, "inspected")
        return gone

    def setting(self, backbone: str) -> InspectionSetting | None:
        """How the photos of a backbone are looked at; None before that was chosen."""
        query = "SELECT view, target FROM inspection WHERE backbone = ?"
        return next((InspectionSetting(*row) for row in self._database.rows(query, (backbone,))), None)

    def choose(self, backbone: str, setting: InspectionSetting) -> None:
        """Choose how the photos of a backbone are looked at."""
        self._may_write()
        with self._database.transaction():
            self._set(backbone, setting)

    def _set(self, backbone: str, setting: InspectionSetting) -> None:
        self._database.delete("inspection", "backbone = ?", (backbone,))
        self._database.insert("inspection", backbone=backbone, view=setting.view, target=setting.target)


def packed(maps: npt.NDArray[np.int8]) -> bytes:
    """Maps as they are stored."""
    return zlib.compress(maps.tobytes(), _LEVEL)


def _unpacked(data: bytes, size: int) -> bytes | None:
    """The inverse, if it is exactly ``size`` bytes; no more are ever unpacked."""
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(data, size + 1)
    except zlib.error:
        return None
    return content if len(content) == size and reader.eof else None
