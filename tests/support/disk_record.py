"""Record all that a process does to the files of one folder: what a disk needs to know to lose power at any moment.

Two layers are listened to, and neither is replaced: every call goes on to the real one.

* SQLite's files, by a VFS that inherits the system's (https://sqlite.org/vfs.html): each write, truncation and sync.
  The index of the write-ahead log in ``-shm`` stays with the inherited VFS; SQLite makes it anew after a power cut.
* What Python does itself, by the functions of ``os`` that make, rename, write and sync. What is written through a file
  object passes none of them: before each of the others, and at the end, files that changed are compared with what is
  known of them, and the difference is a write.

:meth:`Recorder.check` compares what the record leads to with what is on the disk, so nothing can pass unseen.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

SECTOR = 512
Event = tuple[Any, ...]
"""What happened, with names relative to the folder and files by number:

``create`` name file, ``symlink`` name target, ``link`` name file, ``unlink`` name, ``rename`` from to, ``mkdir`` name,
``rmdir`` name, ``write`` file offset bytes, ``truncate`` file size, ``sync`` file who, ``syncdir`` name who, ``mark``
anything. Who is ``sqlite`` or ``python``.
"""

_NAMES = ("rename", "replace", "link", "symlink", "unlink", "remove", "mkdir", "rmdir")
_FILES = ("open", "write", "pwrite", "truncate", "ftruncate", "fsync", "fdatasync")


def folder_of(name: str) -> str:
    """The folder of a name; "" is the one that is recorded."""
    return name.rpartition("/")[0]


class Recorder:
    """Listens while its ``recording`` block runs; :attr:`events` is the record.

    Args:
        root: the folder; what is in it at the beginning counts as durable, see :attr:`before`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self._numbers: dict[tuple[int, int], int] = {}  # of files, by device and inode
        self._names: dict[str, int | str | None] = {}  # files by number, links by target, None: a folder
        self._content: dict[int, bytes] = {}  # of files that SQLite does not write
        self._stamps: dict[int, tuple[int, int]] = {}
        self._sqlite: set[int] = set()
        self._count = 0
        self._busy = False
        self._real = {name: getattr(os, name) for name in (*_NAMES, *_FILES)}
        self._look()
        self.before = [event for event in self.events if event[0] != "sync"]
        self.events.clear()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Listen."""
        vfs = _VFS(self)
        for name in (*_NAMES, *_FILES):
            setattr(os, name, self._listening(name))
        try:
            yield
        finally:
            for name, function in self._real.items():
                setattr(os, name, function)
            vfs.unregister()
            self._look()

    def mark(self, *what: Any) -> None:
        """Put a note into the record."""
        self._look()
        self.events.append(("mark", *what))

    def check(self) -> list[str]:
        """In which files the record and the disk differ; none is right."""
        from power_cut_disk import Disk

        disk = Disk(self.before)
        for event in self.events:
            disk.apply(event)
        disk.settle()
        found = {self.name_of(path): path for path in self.root.rglob("*") if not path.name.endswith("-shm")}
        names = sorted({*found} ^ {name for name in disk.names if not name.endswith("-shm")})
        for name, path in found.items():
            if path.is_file() and not path.is_symlink() and name in disk.names:
                names += [name] if path.read_bytes() != disk.content(name) else []
        return names

    # listening ---------------------------------------------------------------------------------------------------

    def _listening(self, name: str) -> Callable[..., Any]:
        real, note = self._real[name], getattr(self, f"_on_{_MEANING.get(name, name)}")

        def call(*arguments: Any, **keywords: Any) -> Any:
            if self._busy:
                return real(*arguments, **keywords)
            self._look()
            existed = name == "open" and os.path.lexists(arguments[0])
            answer = real(*arguments, **keywords)
            if name != "open" or not existed:
                note(*arguments, answer=answer)
            return answer

        return call

    def _on_open(self, path: Any, *_: Any, answer: int) -> None:
        if (name := self.name_of(path)) is not None:
            self._create(name, os.fstat(answer))

    def _on_rename(self, source: Any, target: Any, **_: Any) -> None:
        if (name := self.name_of(target)) is not None and (old := self.name_of(source)) is not None:
            replaced = self._names.get(name)
            self._names[name] = self._names.pop(old)
            self.events.append(("rename", old, name))
            self._forget(replaced)

    def _on_link(self, source: Any, target: Any, **_: Any) -> None:
        if (name := self.name_of(target)) is not None and (old := self.name_of(source)) is not None:
            self._names[name] = self._names[old]
            self.events.append(("link", name, self._names[old]))

    def _on_symlink(self, source: Any, target: Any, *_: Any, **__: Any) -> None:
        if (name := self.name_of(target)) is not None:
            self._names[name] = os.fspath(source)
            self.events.append(("symlink", name, os.fspath(source)))

    def _on_unlink(self, path: Any, **_: Any) -> None:
        if (name := self.name_of(path)) is not None:
            gone = self._names.pop(name, None)
            self.events.append(("unlink", name))
            self._forget(gone)

    def _on_mkdir(self, path: Any, *_: Any, **__: Any) -> None:
        if (name := self.name_of(path)) is not None:
            self._names[name] = None
            self.events.append(("mkdir", name))

    def _on_rmdir(self, path: Any, **_: Any) -> None:
        if (name := self.name_of(path)) is not None:
            self._names.pop(name, None)
            self.events.append(("rmdir", name))

    def _on_write(self, handle: int, data: Any, *offset: int, answer: int) -> None:
        if (number := self._number_of(handle)) is not None:
            place = offset[0] if offset else os.lseek(handle, 0, os.SEEK_CUR) - answer
            self._write(number, place, bytes(data)[:answer])
            self._stamp(number, os.fstat(handle))

    def _on_truncate(self, where: Any, size: int, **_: Any) -> None:
        status = os.fstat(where) if isinstance(where, int) else Path(where).stat()
        number = self._numbers.get((status.st_dev, status.st_ino))
        if number is not None:
            self._truncate(number, size)
            self._stamp(number, status)

    def _on_fsync(self, handle: int, **_: Any) -> None:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            name = self.name_of(Path(f"/proc/self/fd/{handle}").readlink())
            if name is not None:
                self.events.append(("syncdir", name, "python"))
        elif (number := self._number_of(handle)) is not None:
            self.events.append(("sync", number, "python"))

    # SQLite's files ----------------------------------------------------------------------------------------------

    def opened(self, path: str, *, existed: bool) -> int | None:
        """SQLite has opened a file; → its number, None for one elsewhere."""
        if (name := self.name_of(path)) is None:
            return None
        status = Path(path).stat()
        number = self._numbers.get((status.st_dev, status.st_ino)) if existed else None
        number = self._create(name, status) if number is None else number
        self._sqlite.add(number)
        return number

    def deleted(self, path: str, *, synced: bool) -> None:
        """SQLite has deleted a file."""
        if (name := self.name_of(path)) is not None:
            self._on_unlink(path)
            if synced:
                self.events.append(("syncdir", folder_of(name), "sqlite"))

    # what is known -----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Compare."""
        self._look()

    def _look(self) -> None:
        """Note what was done by calls that nobody listens to: files made and written by file objects."""
        if self._busy:
            return
        self._busy = True
        try:
            for path in sorted(self.root.rglob("*")):
                name = self.name_of(path)
                if path.is_symlink():
                    if name not in self._names:
                        self._on_symlink(path.readlink(), path)
                elif path.is_dir():
                    if name not in self._names:
                        self._on_mkdir(path)
                elif name is not None:
                    self._found(name, path)
        finally:
            self._busy = False

    def _found(self, name: str, path: Path) -> None:
        status = path.stat()
        number = self._numbers.get((status.st_dev, status.st_ino))
        if number is None:
            number = self._create(name, status)
        elif self._names.get(name) != number:  # one more name
            self._names[name] = number
            self.events.append(("link", name, number))
        if number in self._sqlite or self._stamps.get(number) == (status.st_size, status.st_mtime_ns):
            return
        old, new = self._content.get(number, b""), path.read_bytes()
        if len(new) < len(old):
            self._truncate(number, len(new))
        for start in range(0, len(new), SECTOR):
            if new[start : start + SECTOR] != old[start : start + SECTOR]:
                self._write(number, start, new[start : start + SECTOR])
        self._stamp(number, status)

    def _create(self, name: str, status: os.stat_result) -> int:
        self._count += 1
        self._numbers[status.st_dev, status.st_ino] = self._names[name] = self._count
        self.events.append(("create", name, self._count))
        return self._count

    def _forget(self, number: int | str | None) -> None:
        """A file without a name: another one may get its inode."""
        if isinstance(number, int) and number not in self._names.values():
            self._numbers = {inode: other for inode, other in self._numbers.items() if other != number}

    def _write(self, number: int, place: int, data: bytes) -> None:
        self.events.append(("write", number, place, data))
        if number not in self._sqlite:
            old = self._content.get(number, b"").ljust(place, b"\0")
            self._content[number] = old[:place] + data + old[place + len(data) :]

    def _truncate(self, number: int, size: int) -> None:
        self.events.append(("truncate", number, size))
        if number not in self._sqlite:
            self._content[number] = self._content.get(number, b"")[:size].ljust(size, b"\0")

    def _stamp(self, number: int, status: os.stat_result) -> None:
        self._stamps[number] = (status.st_size, status.st_mtime_ns)

    def _number_of(self, handle: int) -> int | None:
        status = os.fstat(handle)
        return self._numbers.get((status.st_dev, status.st_ino)) if stat.S_ISREG(status.st_mode) else None

    def name_of(self, path: Any) -> str | None:
        """Relative to the folder; "" for the folder itself, None for what is elsewhere or an index of a log."""
        if isinstance(path, int):
            return None
        text, root = str(Path(os.fsdecode(path)).absolute()), str(self.root)
        if text.endswith("-shm"):
            return None
        if text == root:
            return ""
        return text[len(root) + 1 :] if text.startswith(root + os.sep) else None


_MEANING = {"replace": "rename", "remove": "unlink", "pwrite": "write", "ftruncate": "truncate", "fdatasync": "fsync"}


class _VFS(apsw.VFS):
    """The system's VFS, and a listener."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        super().__init__("recording", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        return _VFSFile(self.recorder, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self.recorder.deleted(filename, synced=bool(syncdir))


class _VFSFile(apsw.VFSFile):
    """A file of the system's VFS, and a listener."""

    def __init__(self, recorder: Recorder, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        recorder.look()
        existed = path is not None and Path(path).exists()
        super().__init__("unix", name, flags)
        self._recorder = recorder
        self._number = recorder.opened(path, existed=existed) if path is not None else None
        kinds = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
        made = bool(flags[0] & kinds) and bool(flags[0] & apsw.SQLITE_OPEN_CREATE)
        # The unix VFS syncs the folder with the first sync of a log or journal that it may have made (os_unix.c).
        self._folder = folder_of(recorder.name_of(path) or "") if made and self._number is not None else None

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        if self._number is not None:
            self._recorder.events.append(("write", self._number, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:
        super().xTruncate(size)
        if self._number is not None:
            self._recorder.events.append(("truncate", self._number, size))

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        if self._number is None:
            return
        self._recorder.events.append(("sync", self._number, "sqlite"))
        if self._folder is not None:
            self._recorder.events.append(("syncdir", self._folder, "sqlite"))
            self._folder = None
