"""A disk that loses power: what may be on it after a cut, by the record of :mod:`disk_record`.

What was synced is there. Of what was not, a cut leaves any part: writes are dropped, reordered, and torn between the
sectors of 512 bytes of a page; a sector that was being written may hold garbage; files are shorter or longer; names are
made, renamed and removed, or not yet, in any order. That is what POSIX promises, less than what a journalling file system
does (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014), and the way SQLite tests itself
(https://www.sqlite.org/testing.html, "Crash testing"). Only a rename is one step, as on every journalling file system.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from disk_record import SECTOR, Event, folder_of

Entry = int | str | None
"""A file by its number, a symbolic link by its target, or a folder."""


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: truncated to that size


_Change = tuple[tuple[str, bool, Entry], ...]
"""What one step does to names: each is there or not from then on, and as what."""


class Disk:
    """What is durable, and what is not yet.

    Args:
        before: a record whose end is durable.
        ignored: whether a sync is one that this disk pretends to have done: a disk, or a program, that does not.
    """

    def __init__(self, before: Iterable[Event] = (), ignored: Callable[[Event], bool] = lambda event: False) -> None:
        self._entries: dict[str, Entry] = {}
        self._now: dict[str, Entry] = {}  # as programs see it
        self._changes: list[_Change] = []
        self._files: dict[int, _File] = {}
        self._ignored = lambda event: False
        for event in before:
            self.apply(event)
        self.settle()
        self._ignored = ignored

    def apply(self, event: Event) -> None:
        """The next event of the record."""
        kind, *what = event
        if kind in ("sync", "syncdir") and self._ignored(event):
            return
        if kind == "create":
            self._files[what[1]] = _File()
            self._change((what[0], True, what[1]))
        elif kind in ("link", "symlink"):
            self._change((what[0], True, what[1]))
        elif kind == "mkdir":
            self._change((what[0], True, None))
        elif kind in ("unlink", "rmdir"):
            self._change((what[0], False, None))
        elif kind == "rename":
            self._change((what[0], False, None), (what[1], True, self._now[what[0]]))
        elif kind == "write":
            self._files[what[0]].pending.append((what[1], what[2]))
        elif kind == "truncate":
            self._files[what[0]].pending.append((what[1], None))
        elif kind == "sync":
            file = self._files[what[0]]
            for place, data in file.pending:
                _put(file.durable, place, data)
            file.pending.clear()
        elif kind == "syncdir":
            self._sync_names(what[0])

    def settle(self) -> None:
        """Everything becomes durable."""
        self._entries, self._changes = dict(self._now), []
        for number in self._files:
            self.apply(("sync", number, ""))

    @property
    def names(self) -> set[str]:
        """All that are there, as programs see it."""
        return set(self._now)

    def content(self, name: str) -> bytes:
        """What is durable of a file."""
        number = self._now[name]
        assert isinstance(number, int)
        return bytes(self._files[number].durable)

    def cut(self, root: Path, choose: random.Random) -> None:
        """Lose power now: ``root`` is made what may be left."""
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        entries = self._entries_left(choose)
        share, torn = choose.choice((0.0, 0.2, 0.5, 0.8, 1.0)), choose.random() < 0.5
        left: dict[int, bytes] = {}
        for name in sorted(entries):
            path, entry = root / name, entries[name]
            if not path.parent.is_dir():  # its folder is not there
                continue
            if entry is None:
                path.mkdir()
            elif isinstance(entry, str):
                path.symlink_to(entry)
            else:
                if entry not in left:
                    left[entry] = _left_of(self._files[entry], share, torn, choose)
                _write(path, left, entry, root, entries)
        if choose.random() < 0.3:  # the index of a log is in memory that nobody syncs: anything may be in it
            for name in [name for name in entries if name.endswith(".sqlite")]:
                if (root / name).is_file():
                    (root / f"{name}-shm").write_bytes(choose.randbytes(32768))

    # inside ------------------------------------------------------------------------------------------------------

    def _change(self, *change: tuple[str, bool, Entry]) -> None:
        self._changes.append(change)
        _enter(self._now, change)

    def _sync_names(self, folder: str) -> None:
        left = []
        for change in self._changes:
            if any(folder_of(name) == folder for name, _, _ in change):
                _enter(self._entries, change)
            else:
                left.append(change)
        self._changes = left

    def _entries_left(self, choose: random.Random) -> dict[str, Entry]:
        entries, count = dict(self._entries), len(self._changes)
        kind, share, one = choose.choice(("in order", "any", "but one", "one")), choose.choice((0.0, 0.5, 1.0)), 0
        if count:
            one = choose.randrange(count)
        for number, change in enumerate(self._changes):
            left = {
                "in order": number < one,  # as a journalling file system does it
                "any": choose.random() < share,
                "but one": number != one,
                "one": number == one,
            }
            if left[kind]:
                _enter(entries, change)
        return entries


def _enter(entries: dict[str, Entry], change: _Change) -> None:
    for name, there, entry in change:
        if there:
            entries[name] = entry
        else:
            entries.pop(name, None)


def _put(content: bytearray, place: int, data: bytes | None) -> None:
    if data is None:
        content[place:] = bytes(max(0, place - len(content)))
        return
    if place > len(content):
        content.extend(bytes(place - len(content)))
    content[place : place + len(data)] = data


def _left_of(file: _File, share: float, torn: bool, choose: random.Random) -> bytes:
    """What a cut leaves of a file, if ``share`` of the pending writes reached the disk; whole, or by sectors."""
    if not file.pending:
        return bytes(file.durable)
    content = bytearray(file.durable)
    for place, data in file.pending:
        if data is None or not torn:
            if choose.random() < share:
                _put(content, place, data)
            continue
        start = 0
        while start < len(data):
            end = min(len(data), start + SECTOR - (place + start) % SECTOR)
            if choose.random() < share:
                _put(content, place + start, data[start:end])
            elif choose.random() < 0.02:
                _put(content, place + start, choose.randbytes(end - start))
            start = end
    return bytes(content)


def _write(path: Path, left: dict[int, bytes], number: int, root: Path, entries: dict[str, Entry]) -> None:
    """A file, or another name of one that was written already."""
    for name in sorted(entries):
        other = root / name
        if entries[name] == number and other != path and other.is_file():
            os.link(other, path)
            return
    path.write_bytes(left[number])
    path.chmod(0o600)
