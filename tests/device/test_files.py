"""Files and folders that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgetl_device import files
from edgetl_device.errors import InputError


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "a").write_text(content)
    return path


@contextmanager
def as_nobody(*owned: Path) -> Iterator[None]:
    """Without the rights of root, who may write everywhere; the paths belong to whom we are then."""
    if os.geteuid():
        yield
        return
    for path in owned:
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture(params=["exchanged", "aside"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How folders are replaced: in one step, or on a system that cannot."""
    if request.param == "aside":
        monkeypatch.setattr(files, "_exchanged", lambda new, target: False)
    return str(request.param)


def test_a_folder_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, way: str) -> None:
    files.replace_folder(folder(tmp_path / "new", "2"), folder(tmp_path / "run", "1"))
    assert [path.name for path in tmp_path.iterdir()] == ["run"] and (tmp_path / "run" / "a").read_text() == "2"


def test_a_private_file_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for private, mode in ((True, 0o600), (False, 0o666)):
            files.write_atomically(tmp_path / "file", b"content", private=private)
            assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    finally:
        os.umask(before)


def test_every_folder_that_is_made_is_made_durable_in_the_one_above(tmp_path: Path, monkeypatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync", synced.append)
    files.make_folder(tmp_path / "one" / "two")
    assert (tmp_path / "one" / "two").is_dir() and synced == [tmp_path, tmp_path / "one"]
    files.make_folder(tmp_path / "one" / "two")
    assert len(synced) == 2
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        files.make_folder(tmp_path / "file" / "below")
    with pytest.raises(NotADirectoryError):
        files.make_folder(tmp_path / "file")


def test_a_file_is_not_made_private_as_if_it_were_a_folder(tmp_path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a photo")
    path.chmod(0o644)
    files.make_private(path)
    assert path.stat().st_mode & 0o777 == 0o644


def test_where_nothing_is_a_folder_takes_the_name(tmp_path: Path) -> None:
    files.replace_folder(folder(tmp_path / "new", "2"), tmp_path / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_cannot_be_replaced_stays_and_so_does_the_new_one(tmp_path: Path, way: str) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    new, run = folder(outer / "new", "2"), folder(outer / "run", "1")
    outer.chmod(0o555)
    try:
        with as_nobody(outer, new, run), pytest.raises(PermissionError):
            files.replace_folder(new, run)
    finally:
        outer.chmod(0o755)
    assert (run / "a").read_text() == "1" and (new / "a").read_text() == "2" and len(list(outer.iterdir())) == 2


def test_an_old_folder_comes_back_if_the_new_one_cannot_take_its_place(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "_exchanged", lambda new, target: False)
    run, rename = folder(tmp_path / "run", "1"), Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output error"):
        files.replace_folder(folder(tmp_path / "new", "2"), run)
    assert (run / "a").read_text() == "1" and (tmp_path / "new" / "a").read_text() == "2"


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        files.read_bounded(tmp_path / "pipe", 100)


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "giant").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InputError, match="the limit is 1 MB"):
        files.read_bounded(tmp_path / "giant", 1_000_000)
