"""Files and folders that are there whole or not at all, and files that are read within bounds."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from .errors import InputError, StorageError

_WORKING_DIRECTORY, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Bytes → file, through a temporary file beside it; durable when it returns. Raises StorageError.

    Args:
        path: of the file.
        data: what it holds afterwards.
        private: for its owner alone, whatever the umask says, as every file of a home is.
    """
    temporary = None
    try:
        make_folder(path.parent)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if not private:  # else as mkstemp made it
            umask = os.umask(0)
            os.umask(umask)
            Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
        temporary = None
        sync(path.parent)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """A folder and those above it, as far as they are missing; durable when it returns. Raises OSError."""
    missing = [folder for folder in (folder, *folder.parents) if not folder.exists()]
    for made in reversed(missing):
        made.mkdir(exist_ok=True)
        with suppress(PermissionError):  # who may make a folder there may not read what else there is
            sync(made.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def make_private(folder: Path) -> None:
    """Let nobody but its owner into a folder and its files; what belongs to somebody else, or cannot be changed, stays.

    A folder that everybody may write to, as ``/tmp``, stays open, and so do links.
    """
    with suppress(OSError, AttributeError):  # Windows has no owners of this kind
        entry = folder.stat()
        if not stat.S_ISDIR(entry.st_mode) or entry.st_uid != os.getuid() or entry.st_mode & stat.S_ISVTX:
            return
        if entry.st_mode & 0o077:
            folder.chmod(entry.st_mode & 0o700)
        for path in folder.iterdir():
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077 and status.st_uid == os.getuid():
                path.chmod(status.st_mode & 0o700)


def replace_folder(new: Path, target: Path) -> None:
    """Put a folder where another is, or nothing; at every moment the old or the new one is there whole.

    Linux exchanges the two names in one step (``renameat2``, https://man7.org/linux/man-pages/man2/rename.2.html).
    Elsewhere the old folder steps aside, and comes back if the new one cannot take its place.

    Raises:
        OSError: it cannot be done; both folders are as they were.
    """
    for path in new.rglob("*"):
        sync(path)
    sync(new)
    if not target.exists():
        new.rename(target)
    elif not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(target))
    elif _exchanged(new, target):
        sync(target.parent)  # before the old content goes
        shutil.rmtree(new, ignore_errors=True)
    else:
        aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        target.rename(aside)
        try:
            new.rename(target)
        except BaseException:  # also Ctrl-C: what stood there comes back, then go on failing
            aside.rename(target)
            raise
        sync(target.parent)
        shutil.rmtree(aside, ignore_errors=True)
    sync(target.parent)


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """The bytes of a regular file.

    Raises:
        InputError: it is a pipe, a device or a folder, or larger than ``max_bytes``.
        OSError: it is not there, or cannot be read.
    """
    with open_bounded(path, max_bytes) as stream:
        return stream.read(os.fstat(stream.fileno()).st_size)  # for more, Python would set the memory aside at once


def sync(path: Path) -> None:
    """Make a file's content durable, or the names in a folder: a rename is safe only then. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def open_bounded(path: Path, max_bytes: int) -> BinaryIO:
    """As :func:`read_bounded`, for who does not read all of it at once."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # without it, opening a pipe waits for somebody to write
    stream = os.fdopen(handle, "rb")
    try:
        _check_status(path, os.fstat(handle), max_bytes)
    except BaseException:  # whatever it is, nobody else would close the file
        stream.close()
        raise
    return stream


def check_regular_file(path: Path, max_bytes: int) -> None:
    """As :func:`read_bounded`, for a file that somebody else opens.

    Raises:
        InputError: it is a pipe, a device or a folder, or larger than ``max_bytes``.
        OSError: it is not there.
    """
    _check_status(path, path.stat(), max_bytes)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where system or file system cannot."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    if not call(_WORKING_DIRECTORY, os.fsencode(one), _WORKING_DIRECTORY, os.fsencode(other), _EXCHANGE):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _check_status(path: Path, status: os.stat_result, max_bytes: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is not a regular file")
    if status.st_size > max_bytes:
        raise InputError(f"{path} has {_size(status.st_size)}, the limit is {_size(max_bytes)}")


def _size(count: int) -> str:
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
