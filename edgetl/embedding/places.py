"""Where photos lie: a folder of this machine, or an object store behind ``pyarrow.fs`` or fsspec.

Addresses may hold keys (``s3://KEY:SECRET@…``, ``?endpoint_override=…``): they are used to open a store, and neither
written anywhere nor shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, unquote, urlsplit

from edgetl_device.errors import InputError
from edgetl_device.photo_folders import is_leftover
from edgetl_device.printable import printable

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_LONGEST_REASON = 200  # characters of what a store says


@dataclass(frozen=True)
class Place:
    """A file or folder, on this machine or in an object store.

    Args:
        path: within its file system.
        store: address of the object store as it was given, keys included; nothing for this machine.
    """

    path: str
    store: str = field(default="", repr=False)

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.path.rstrip('/')}/{name}", self.store)

    def __str__(self) -> str:
        if not self.store:
            return self.path
        return f"{urlsplit(self.store).scheme}://{self.path.lstrip('/')}"

    @property
    def is_local(self) -> bool:
        """Whether it lies on this machine."""
        return not self.store

    @property
    def parent(self) -> Place:
        """The folder that it lies in."""
        return Place(self.path.rpartition("/")[0] or ("." if self.is_local else ""), self.store)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rstrip("/").rpartition("/")[2]

    def is_folder(self) -> bool:
        """Whether it is one; raises InputError where there is nothing, or no answer."""
        if self.is_local:
            if not Path(self.path).exists():
                raise InputError(f"no such folder or list: {self.path}")
            return Path(self.path).is_dir()
        from pyarrow import fs

        with _answered(self):
            kind = store_of(self.store).get_file_info(self.path).type
        if kind == fs.FileType.NotFound:
            raise InputError(f"nothing is at {self}: is the bucket right, and may you read it?")
        return bool(kind == fs.FileType.Directory)

    def entries(self) -> tuple[list[str], list[str]]:
        """Names of the folders and of the files in a folder, sorted; what programs left there is passed over.

        Raises:
            InputError: it cannot be listed.
        """
        folders, files = list[str](), list[str]()
        for name, is_folder in self._listed():
            if not is_leftover(name):
                (folders if is_folder else files).append(name)
        return sorted(folders), sorted(files)

    def _listed(self) -> Iterator[tuple[str, bool]]:
        if self.is_local:
            try:
                with os.scandir(self.path) as found:
                    yield from ((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
            except OSError as error:
                raise InputError(f"cannot read {self.path}: {error.strerror or error}") from None
            return
        from pyarrow import fs

        with _answered(self):
            found = store_of(self.store).get_file_info(fs.FileSelector(self.path))
        yield from ((info.base_name, info.type == fs.FileType.Directory) for info in found)

    def open(self) -> BinaryIO:
        """Its bytes, as a stream; raises OSError or InputError where it cannot be read."""
        if self.is_local:
            if Path(self.path).exists() and not Path(self.path).is_file():  # opening a named pipe never ends
                raise InputError(f"{self.path} is not a regular file")
            return Path(self.path).open("rb")
        with _answered(self):
            stream: BinaryIO = store_of(self.store).open_input_file(self.path)
        return stream


def place_of(text: str) -> Place:
    """What a user typed, a path or an address such as ``s3://BUCKET/FOLDER`` → the place.

    >>> place_of("photos"), str(place_of("s3://KEY:SECRET@photos/gears?region=eu-west-1"))
    (Place(path='photos'), 's3://photos/gears')
    """
    if not is_address(text):
        return Place(os.fspath(Path(text)))
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise InputError(f"not an address: {error}; expected one such as s3://BUCKET/FOLDER") from None
    host = parts.netloc.rpartition("@")[2]
    return Place(unquote(f"{host}{parts.path}").rstrip("/"), text)


def is_address(text: str) -> bool:
    """Whether this is the address of an object store, and no path."""
    return _ADDRESS.match(text) is not None


_stores: dict[str, Any] = {}


def store_of(address: str) -> Any:
    """The ``pyarrow.fs`` file system of an address: Arrow's own (S3, GCS, Azure, HDFS), else fsspec's.

    Raises:
        InputError: neither knows such addresses, or the store cannot be opened.
    """
    parts = urlsplit(address)
    key = f"{parts.scheme}://{parts.netloc}?{parts.query}"
    if key not in _stores:
        _stores[key] = _opened(address)
    return _stores[key]


def _opened(address: str) -> Any:
    import pyarrow
    from pyarrow import fs

    parts, name = urlsplit(address), urlsplit(address).scheme
    try:
        if name == "s3":
            return _s3(parts)
        return fs.FileSystem.from_uri(address)[0]
    except (ValueError, OSError, pyarrow.ArrowException) as error:  # of a scheme that Arrow does not have
        reason = str(error)
    try:
        import fsspec

        return fs.PyFileSystem(fs.FSSpecHandler(fsspec.filesystem(name, **dict(parse_qsl(parts.query)))))
    except ImportError as error:
        missing = error.name or "fsspec"
        raise InputError(f"addresses of {name}:// need a package: pip install {missing}") from None
    except Exception as error:  # whatever the package of a store raises
        raise InputError(f"cannot open a store of {name}://: {_short(error) or _short(reason)}") from None


def _s3(parts: Any) -> Any:
    """S3 and what speaks like it; Arrow ignores AWS_ENDPOINT_URL (apache/arrow#49643), so it is read here."""
    from pyarrow import fs

    asked = dict(parse_qsl(parts.query))
    endpoint = asked.pop("endpoint_override", "")
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    options: dict[str, Any] = {"endpoint_override": endpoint} if endpoint else {}
    for name in ("region", "scheme"):
        if name in asked:
            options[name] = asked.pop(name)
    if asked.pop("anonymous", "").lower() in ("1", "true", "yes"):
        options["anonymous"] = True
    if asked:
        raise InputError(f"s3:// knows endpoint_override, region, scheme and anonymous, not {printable(min(asked))!r}")
    user, has_secret, secret = parts.netloc.rpartition("@")[0].partition(":")
    if has_secret:
        options |= {"access_key": unquote(user), "secret_key": unquote(secret)}
    return fs.S3FileSystem(**options)


class _answered:
    """Errors of a store become one line with its address, without keys."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import pyarrow

        if isinstance(error, FileNotFoundError):
            raise InputError(f"nothing is at {self._place}") from None
        if isinstance(error, (OSError, pyarrow.ArrowException)):
            raise InputError(f"cannot read {self._place}: {_short(error)}") from None


def _short(error: object) -> str:
    return printable(" ".join(str(error).split()), _LONGEST_REASON)
