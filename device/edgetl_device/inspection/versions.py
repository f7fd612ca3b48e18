"""Which lessons inspection uses: a version is the photos up to one of them, less those forgotten since.

So going back to an earlier version leaves out what was taught after it, keeps it stored, and the next lesson uses it
again; and what is forgotten is forgotten by all versions.
"""

from __future__ import annotations

from typing import Any

from ..errors import InputError
from ..store.schema import VersionRow
from ..store.store import Store
from .inspector import Inspector

_RULE = "inspection"
_GOOD = "promoted"


class InspectionVersions:
    """The versions of one backbone's inspection, in a store.

    Args:
        store: of the home.
        backbone: its digest.
    """

    def __init__(self, store: Store, backbone: str) -> None:
        self._store = store.versions
        self._key = f"{backbone}/{_RULE}"

    def rows(self) -> list[VersionRow]:
        """All versions, oldest first; those that the gate rejected are among them."""
        return self._store.of(self._key)

    @property
    def active(self) -> int | None:
        """The number of the one in use; None before the first, and then all photos are used."""
        return self._store.active(self._key)

    @property
    def last_photo(self) -> int | None:
        """The newest photo that the version in use knows; None for all that are stored."""
        number = self.active
        row = None if number is None else self._store.get(self._key, number)
        return None if row is None else row.last_sample

    def add(self, reason: str, last_photo: int, inspector: Inspector | None) -> int:
        """A version that is in use from now on; → its number.

        Args:
            reason: what was done, for a person.
            inspector: of its photos; None where they are too few.
        """
        metrics = {} if inspector is None else metrics_of(inspector)
        return self._store.add(self._key, _GOOD, reason, _RULE, last_photo, metrics, activate=True)

    def reject(self, reason: str, last_photo: int) -> int:
        """Note that a lesson was set aside; → the number of a version that cannot be used."""
        return self._store.add(self._key, "rejected", reason, _RULE, last_photo, {}, activate=False)

    def rollback(self, number: int | None = None) -> VersionRow:
        """Use an earlier version again; None for the last one before that in use. Raises InputError."""
        if number is None:
            target = self._store.before(self._key, self.active or 0, (_GOOD,))
            if target is None:
                raise InputError(
                    "there is no version of inspection before the one in use: `edgetl-device inspect versions` lists "
                    "those that there are"
                )
        else:
            target = self._store.get(self._key, number)
            if target is None or target.state != _GOOD:
                known = ", ".join(str(row.id) for row in self.rows() if row.state == _GOOD) or "none yet"
                raise InputError(f"no version {number} of inspection that can be used: expected one of {known}")
        self._store.activate(self._key, target.id)
        return target


def metrics_of(inspector: Inspector) -> dict[str, Any]:
    """What is noted of a version: photos, false alarms to expect, and the share of known bad photos that it finds."""
    found = float((inspector.bad > inspector.threshold).mean()) if len(inspector.bad) else None
    return {
        "good": len(inspector.left_out),
        "bad": len(inspector.bad),
        "false_alarms": inspector.expected.rate,
        "found": found,
        "threshold": inspector.threshold,
    }
