"""Folders of photos: content decides what is one, and everything that is not used has its reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from conftest import draw

from edgetl_device.photo_folders import photos_in, reasons


def photo(path: Path, suffix: str = ".jpg") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(suffix, draw("ball", 0))[1].tobytes())
    return path


@pytest.mark.parametrize("name", ["a.jfif", "a.JPG", "a", "a.png", "a.HEIC", "photo.txt", "a.jpeg.download", "a.mpo"])
def test_a_jpeg_is_a_photo_whatever_its_name(name: str, tmp_path: Path) -> None:
    photo(tmp_path / name)
    assert [path.name for path in photos_in(tmp_path).photos] == [name]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tiff"])
def test_photos_of_the_other_formats_are_found_at_any_depth(suffix: str, tmp_path: Path) -> None:
    photo(tmp_path / "deep" / "er" / "a", suffix)
    assert len(photos_in(tmp_path).photos) == 1


@pytest.mark.parametrize(
    "name",
    [".ipynb_checkpoints/a-checkpoint.jpg", ".Trash-1000/files/a.jpg", "@eaDir/a.jpg/SYNOPHOTO_THUMB_XL.jpg", "._a.jpg",
     "#recycle/a.jpg", "__MACOSX/a.jpg", "deep/.git/a.jpg", "$RECYCLE.BIN/a.jpg", "Thumbs.db", ".DS_Store"],
)  # fmt: skip
def test_what_programs_leave_is_passed_over(name: str, tmp_path: Path) -> None:
    photo(tmp_path / name)
    photo(tmp_path / "mine.jpg")
    content = photos_in(tmp_path)
    assert [path.name for path in content.photos] == ["mine.jpg"] and not content.unused


CONTENTS = {
    "a GIF": b"GIF89a" + bytes(20),
    "a JPEG XL": b"\xff\x0a" + bytes(20),
    "a film": b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41",
    "a PDF": b"%PDF-1.7",
    "a zip archive": b"PK\x03\x04" + bytes(20),
    "the file is empty": b"",
    "not a photo": b"just text",
}


@pytest.mark.parametrize("reason", CONTENTS)
def test_other_content_is_named_even_where_the_name_says_photo(reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(CONTENTS[reason])
    content = photos_in(tmp_path)
    assert not content.photos and reasons(content.unused) == {reason: 1}


def test_broken_links_pipes_and_linked_folders_are_counted(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for number in range(3):
        (tmp_path / f"{number}.jpg").symlink_to("/mnt/gone/photo.jpg")
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    found = reasons(photos_in(tmp_path).unused)
    assert found.pop("a link to nothing") == 3 and found.pop("a link to a folder") == 1
    assert found.pop("not a regular file") == 1
    (loop,) = found
    assert "cannot be read" in loop


@pytest.mark.skipif(os.geteuid() != 0, reason="drops the rights of root, which may read everything")
def test_folders_and_files_that_may_not_be_read_are_counted(tmp_path: Path) -> None:
    photo(tmp_path / "locked" / "a.jpg")
    (tmp_path / "locked").chmod(0)
    photo(tmp_path / "secret.jpg").chmod(0)
    tmp_path.chmod(0o755)
    code = (
        "import os, sys; from pathlib import Path; from edgetl_device.photo_folders import photos_in, reasons\n"
        "os.seteuid(65534); print(sorted(reasons(photos_in(Path(sys.argv[1])).unused)))"
    )
    done = subprocess.run([sys.executable, "-c", code, "."], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "a file that cannot be read (Permission denied)" in done.stdout
    assert "a folder that cannot be read (Permission denied)" in done.stdout


def test_raw_photos_are_no_tiffs(tmp_path: Path) -> None:
    (tmp_path / "a.cr2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(20))
    assert reasons(photos_in(tmp_path).unused) == {"a raw photo": 1}


def test_without_its_decoder_heic_is_counted_and_the_reason_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert reasons(photos_in(tmp_path).unused) == {"HEIC needs a decoder: pip install 'edgetl-device[heif]'": 1}
