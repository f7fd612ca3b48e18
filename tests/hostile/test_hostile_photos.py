"""Photos from strangers: each is refused or decoded within 512 MB and 10 s, whatever its header claims."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from bounded import outcomes
from hostile_photos import HARMLESS, REFUSED, black_png, encoded, picture, written

from edgetl_device.errors import PhotoError
from edgetl_device.photo_headers import read_header
from edgetl_device.photos import decode_photo, read_photo

LIMIT = 25_000_000  # pixels, as the web page has it
FLIPPED = 40  # files of each format with random bytes


def read(path: Path) -> None:
    """What the bounded process calls."""
    read_photo(path, LIMIT)


@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_photo_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(PhotoError) as caught:
        decode_photo(REFUSED[name](), LIMIT)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.slow
def test_every_hostile_photo_is_refused_within_512_mb_and_10_s(tmp_path: Path) -> None:
    paths = written(tmp_path, {name: make() for name, make in REFUSED.items()})
    assert not [each for each in outcomes("test_hostile_photos", "read", paths) if each.outcome != "refused"]


@pytest.mark.slow
def test_what_takes_more_than_650_mb_to_decode_is_refused_with_its_size_and_the_limit(tmp_path: Path) -> None:
    large = {"16 bits": black_png(8192, 8192, 16), "8 bits": black_png(12_800, 12_800, 8)}
    for path, limit in zip(written(tmp_path, large), ("54.2", "108"), strict=True):
        with pytest.raises(PhotoError, match=rf"\d+x\d+ pixels is over the limit of {limit} megapixels"):
            read_photo(path)


def test_a_progressive_jpeg_is_bounded_by_what_it_gathers_over_its_scans() -> None:
    for sampling, pixel_bytes in ((0x111111, 9), (0x211111, 7), (0x221111, 6)):
        data = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling)
        assert read_header(data).pixel_bytes == pixel_bytes
    assert read_header(encoded(".jpg")).pixel_bytes == 6


PEAK = """
import sys
from pathlib import Path
from edgetl_device.photo_headers import read_header
from edgetl_device.photos import decode_photo

def memory(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) << 10

for path in sys.argv[1:]:
    data = Path(path).read_bytes()
    decode_photo(Path(sys.argv[1]).read_bytes())
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = memory("VmRSS")
    pixels = decode_photo(data).size // 3
    print((memory("VmHWM") - before) / pixels, read_header(data).pixel_bytes)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is reset by Linux")
def test_decoding_holds_no_more_of_a_pixel_than_the_header_counts(tmp_path: Path) -> None:
    black, full = np.zeros((3008, 3008, 3), np.uint8), (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111)
    files = {
        "warm-up": encoded(".jpg"),
        "16 bits": black_png(3008, 3008, 16),
        "8 bits": black_png(3008, 3008, 8),
        "tiff": encoded(".tiff", image=black),
        "tiff of 16 bits": encoded(".tiff", image=black.astype(np.uint16)),
        "webp": encoded(".webp", image=black),
        "bmp": encoded(".bmp", image=black),
        "jpeg": encoded(".jpg", image=black),
        "progressive": encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, image=black),
        "progressive in full colour": encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, *full, image=black),
    }
    command = [sys.executable, "-c", PEAK, *map(str, written(tmp_path, files))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for name, line in list(zip(files, done.stdout.splitlines(), strict=True))[1:]:
        peak, counted = map(float, line.split())
        assert peak <= counted + 1, name  # and a megabyte a million pixels for tables and pages


@pytest.mark.slow
def test_photos_that_only_look_costly_are_read_within_512_mb_and_10_s(tmp_path: Path) -> None:
    paths = written(tmp_path, {name: make() for name, make in HARMLESS.items()})
    assert not [each for each in outcomes("test_hostile_photos", "read", paths) if each.outcome != "accepted"]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_random_damage_is_refused_or_decoded_within_512_mb_and_10_s(suffix: str, tmp_path: Path) -> None:
    generator, whole = np.random.default_rng(7), encoded(suffix)
    files = {}
    for number in range(FLIPPED):
        data = bytearray(whole)
        for _ in range(int(generator.integers(1, 6))):
            at = int(generator.integers(0, min(len(data), 200)))
            data[at : at + 4] = struct.pack(
                "<I", int(generator.choice([0, 1, 0xFFFF_FFFF, 0x7FFF_FFFF, 65_535, 30_000]))
            )
        files[f"{number}{suffix}"] = bytes(data)
    paths = written(tmp_path, files)
    bad = [
        each for each in outcomes("test_hostile_photos", "read", paths) if each.outcome not in ("refused", "accepted")
    ]
    assert not bad


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_the_size_that_is_checked_is_the_size_that_another_reader_reads(suffix: str) -> None:
    pillow = pytest.importorskip("PIL.Image")
    for shape in ((48, 64), (33, 7), (1, 300)):
        data = encoded(suffix, image=cv2.resize(picture(), shape[::-1]))
        header = read_header(data)
        assert (header.width, header.height) == pillow.open(io.BytesIO(data)).size == shape[::-1]


def test_pipes_devices_and_sparse_giants_are_refused_by_what_they_are(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    with (tmp_path / "giant.jpg").open("wb") as stream:
        stream.write(encoded(".jpg"))
        stream.truncate(1 << 40)
    paths = sorted(tmp_path.iterdir())
    assert [each.outcome for each in outcomes("test_hostile_photos", "read", paths)] == ["refused"] * 3
