"""What cannot be written is told before the work, by every command that takes long."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import write_photos

from edgetl.cli import program
from edgetl.outputs import check_output, check_writable
from edgetl_device import console
from edgetl_device.errors import InputError, StorageError


def test_a_place_is_tried_and_nothing_stays(tmp_path: Path) -> None:
    check_output(tmp_path / "new" / "deep" / "page.html", False)
    check_writable(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InputError, match="file exists: choose another name"):
        check_output(tmp_path / "file", False)
    check_output(tmp_path / "file", True)
    with pytest.raises(StorageError, match=r"folder\.html: it is a folder"):
        check_output(tmp_path / "folder.html", True)
    with pytest.raises(StorageError, match=r"cannot write .*page\.html: .*file: Not a directory"):
        check_output(tmp_path / "file" / "page.html", False)


@pytest.mark.parametrize(
    "words",
    [
        ("train", "photos", "-o", "file/run"),
        ("train", "photos", "-o", "run", "--report", "file/page.html"),
        ("convert", "nothing", "-o", "file/new.edgetl"),
        ("convert", "nothing", "-o", "new.edgetl", "--export", "keras", "--force"),
        ("sweep", "nothing", "--report", "file/page.html"),
        ("evaluate", "nothing", "photos", "--report", "file/page.html"),
        ("predict", "nothing", "photos", "--csv", "file/labels.csv"),
        ("explain", "nothing", "photos", "-o", "file/pictures"),
        ("inspection-report", "nothing", "photos", "--report", "file/page.html"),
        ("merge", "nothing", "photos", "-o", "file/new.edgetl"),
        ("demo", "--output", "file/page"),
    ],
    ids=" ".join,
)
def test_a_command_tries_its_place_before_anything_else(tmp_path: Path, monkeypatch, capfd, words) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "photos", ("ball", "box"), 1)
    (tmp_path / "file").touch()
    (tmp_path / "new.keras").mkdir()
    (tmp_path / "nothing").touch()  # read first, it would be told as what it is not
    assert console.run(program, "edgetl", list(words)) == 2
    told = capfd.readouterr().err
    assert told.startswith("error: cannot write ") and ("file: Not a directory" in told or "it is a folder" in told)
