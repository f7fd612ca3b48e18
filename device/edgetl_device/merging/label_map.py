"""Labels of many sites: those that may be one thing spelt differently, and a file that says which are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..files import read_bounded
from ..labels import MAX_LABELS, check_sample_label, similar_label

_COLUMNS = ["from", "to"]
_MAX_BYTES = 1 << 20
_MOST_COMPARED = 300  # labels, each with each


@dataclass(frozen=True)
class Spelling:
    """A label that may be a slip of another one, and which device uses it."""

    label: str
    meant: str
    device: str


def read_label_map(path: Path) -> dict[str, str]:
    """A CSV file with the columns ``from`` and ``to`` → label of devices → label to use.

    Raises:
        InputError: it cannot be read, has other columns, or says two things of one label.
    """
    try:
        text = read_bounded(path, _MAX_BYTES).decode("utf-8-sig")
        rows = [row for row in csv.reader(io.StringIO(text), strict=True) if any(cell.strip() for cell in row)]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not a CSV file in UTF-8: {error}") from None
    if not rows or [cell.strip() for cell in rows[0]] != _COLUMNS or any(len(row) != 2 for row in rows):
        raise InputError(f"{path}: expected a first line `from,to`, and two labels in every other line")
    names: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        try:
            old, new = (check_sample_label(cell) for cell in row)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        if names.setdefault(old, new) != new:
            raise InputError(f"{path}, line {number}: {old} cannot become both {names[old]} and {new}")
    twice = sorted(old for old, new in names.items() if names.get(new, new) != new)
    if twice:
        raise InputError(f"{path}: {names[twice[0]]} is to be renamed itself: say what {twice[0]} becomes in the end")
    return names


def spellings(known: Iterable[str], labels: Mapping[str, Iterable[str]]) -> list[Spelling]:
    """Labels of devices that may be slips of a label that another device or the bundle has.

    Args:
        known: labels of the bundle.
        labels: device → its labels.
    """
    devices_of: dict[str, set[str]] = {}
    for device, names in labels.items():
        for name in names:
            devices_of.setdefault(name, set()).add(device)
    bundled = set(known)
    everything = bundled | set(devices_of)
    if len(everything) > min(_MOST_COMPARED, MAX_LABELS):
        return []
    found, told = [], set()
    for label in sorted(set(devices_of) - bundled):
        # Who has both labels told them apart already.
        others = [name for name in everything - {label} if not devices_of[label] & devices_of.get(name, set())]
        meant = similar_label(label, others)
        if meant is not None and (meant, label) not in told:
            told.add((label, meant))
            found.append(Spelling(label, meant, min(devices_of[label])))
    return found
