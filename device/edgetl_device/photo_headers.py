"""What the bytes of a photo file say before anything is decoded: its format, its size, and whether it is whole.

Decoders allocate what a header claims, so a kilobyte can cost gigabytes. The size is read here exactly as the decoders
read it, and whatever they could read in another way is refused: second headers, canvases that differ from their frames,
headers of unusual length. Animations are no photos.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from .errors import PhotoError

MOST_SCANS = 100  # of a progressive JPEG; each passes over all of it, and encoders write about ten
MOST_SEGMENTS = 10_000  # of a JPEG, its scans among them
_CLUSTER = 4096  # bytes that file systems lose at once, and leave zeros of
_BY_CHANCE = 8  # zeros on either side of them
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class PhotoHeader:
    """A photo file before decoding.

    Args:
        format: ``JPEG``, ``PNG``, ``BMP``, ``WebP``, ``TIFF``, ``HEIC`` or ``AVIF``.
        height, width: pixels as stored, before EXIF rotation; of HEIC and AVIF, the largest that the file names.
        bits: of a colour channel.
        data: the file for the decoder; of a PNG without what pictures do not need.
        exif: whether it has EXIF data, which may turn it.
        pixel_bytes: what decoding holds of a pixel, in bytes: three channels twice, as OpenCV's bindings copy what it
            decoded, or once and what a progressive JPEG gathers; of HEIC and AVIF what their decoders take.
    """

    format: str
    height: int
    width: int
    bits: int
    data: bytes
    exif: bool = False
    pixel_bytes: int = 6


def photo_format(start: bytes) -> str | None:
    """The format that the first 64 bytes of a file say, as in :class:`PhotoHeader`; None where it is no photo.

    >>> photo_format(b"\\xff\\xd8\\xff\\xe0" + bytes(60)), photo_format(b"GIF89a" + bytes(58))
    ('JPEG', None)
    """
    if start[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if start[:8] == _SIGNATURE:
        return "PNG"
    if start[:2] == b"BM" and len(start) >= 18 and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[:4] in (b"II*\0", b"MM\0*"):
        return None if start[8:10] == b"CR" else "TIFF"  # Canon's raw photos begin like a TIFF
    if start[4:8] == b"ftyp":
        brands = {start[8:12], *(start[at : at + 4] for at in range(16, len(start), 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}:
            return "HEIC"
    return None


def other_format(start: bytes) -> str:
    """What a file is that is no photo, in words for a person, from its first 64 bytes."""
    for magic, name in _OTHERS:
        if start.startswith(magic):
            return name
    if start[4:8] == b"ftyp" or (start[:4] == b"RIFF" and start[8:12] == b"AVI "):
        return "a film"
    return "not a photo" if start else "the file is empty"


def read_header(data: bytes) -> PhotoHeader:
    """The bytes of a photo file → what its header says.

    Raises:
        PhotoError: it is no photo, is truncated or damaged, or is of a kind that is not read; the message says which.
    """
    if not data:
        raise PhotoError("the file is empty")
    kind = photo_format(data[:64])
    if kind is None:
        raise PhotoError(f"{other_format(data[:64])}, expected JPEG, PNG, BMP, WebP, TIFF, HEIC or AVIF")
    try:
        header = _READERS[kind](data)
    except (struct.error, IndexError):
        raise PhotoError(_TRUNCATED) from None
    if not (header.height and header.width):
        raise PhotoError("it is damaged: it has no pixels")
    return header


def _jpeg(data: bytes) -> PhotoHeader:
    """Walk the markers (ITU-T T.81, B.1) as libjpeg does, to the end of the image.

    Entropy-coded data cannot hold a marker: in it FF is followed by 00, or by D0 … D7 to restart. TEM (01) has no
    length. What lies behind the end, such as another picture, does not count.
    """
    position, size, scans, exif, first_scan, pixel_bytes = 2, (0, 0), 0, False, 0, 6
    for _ in range(MOST_SEGMENTS):
        match = _MARKER.search(data, position)
        if match is None:
            raise PhotoError(_TRUNCATED)
        marker, position = match.group()[-1], match.end()
        if marker == 0xD9:
            if not scans:
                raise PhotoError("it is damaged: it has no picture")
            if _lost_cluster(data, first_scan, position):
                raise PhotoError(_LOST)
            return PhotoHeader("JPEG", *size, 8, data, exif, pixel_bytes)
        if marker == 0x01:
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2 or marker == 0xD8:
            raise PhotoError("it is damaged: its segments do not hold")
        if marker in _FRAMES:
            if any(size):
                raise PhotoError("it is damaged: it has two sizes")
            bits, *size_read = struct.unpack_from(">BHH", data, position + 2)
            size = (size_read[0], size_read[1])
            if bits != 8:
                raise PhotoError(f"a JPEG of {bits} bits a channel, expected 8")
            if marker in _PROGRESSIVE:
                pixel_bytes = max(6, 3 + _gathered(data, position + 7))
        exif |= marker == 0xE1 and data[position + 2 : position + 8] == b"Exif\0\0"
        if marker == 0xDA:
            scans, first_scan = scans + 1, first_scan or position
            if scans > MOST_SCANS or not any(size):
                raise PhotoError(f"a JPEG of more than {MOST_SCANS} scans, or one without a size")
        position += length
    raise PhotoError(f"it is damaged: a JPEG of more than {MOST_SEGMENTS} segments")


def _gathered(data: bytes, position: int) -> int:
    """Bytes of a pixel that a progressive JPEG gathers over its scans: two a coefficient, of each component."""
    sampling = [data[at] for at in range(position + 2, position + 1 + 3 * data[position], 3)]
    areas = [max(1, factors >> 4) * max(1, factors & 15) for factors in sampling]
    return -(-2 * sum(areas) // max(areas)) if areas else 0


def _lost_cluster(data: bytes, start: int, end: int) -> bool:
    """Whether a run of zeros begins and ends where clusters do; one colour all over gives runs too, but anywhere."""
    while (first := data.find(_ZEROS, start, end)) >= 0:
        start = _RUN.match(data, first, end).end()  # type: ignore[union-attr]  # it matches nothing, too
        before, after = -first % _CLUSTER, start % _CLUSTER
        if max(before, after) < _BY_CHANCE and start - first >= _CLUSTER + before + after:
            return True
    return False


def _png(data: bytes) -> PhotoHeader:
    """Walk the chunks (https://www.w3.org/TR/png-3/#5DataRep) and check them; keep those that make up the picture.

    Without the others the decoder has no texts to unpack and no colour profile to complain of.
    """
    width, height, bits = struct.unpack_from(">IIB", data, 16)
    if data[8:16] != b"\0\0\0\x0dIHDR":
        raise PhotoError("it is damaged: it does not begin with its size")
    position, kept, seen = 8, [_SIGNATURE], set[bytes]()
    most_kept = 10_000 + len(data) // 1024  # encoders write the picture in parts of 8 KB and more
    for _ in range(20 * most_kept):
        length, name = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise PhotoError(_TRUNCATED)
        if name == b"acTL":
            raise PhotoError("an animation is not a photo")
        if name in _PNG_CHUNKS:
            if len(kept) > most_kept:
                break
            if name != b"IDAT" and name in seen:
                raise PhotoError("it is damaged: a part is in it twice")
            (checksum,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(memoryview(data)[position + 4 : end - 4]) != checksum:
                raise PhotoError("it is damaged: a checksum does not hold")
            kept.append(data[position:end])
            seen.add(name)
        position = end
        if name == b"IEND":
            return PhotoHeader("PNG", height, width, bits, b"".join(kept), pixel_bytes=12 if bits == 16 else 6)
    raise PhotoError("it is damaged: it is in too many parts")


def _bmp(data: bytes) -> PhotoHeader:
    """BITMAPFILEHEADER and whichever of its successors follows (https://learn.microsoft.com/windows/win32/gdi/bitmaps).

    A height below zero says that rows go from top to bottom.
    """
    offset, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    height = abs(height)
    if depth not in (1, 4, 8, 16, 24, 32) or compression > 3 or width < 0:
        raise PhotoError(f"a BMP of {depth} bits a pixel in compression {compression} is not read")
    if compression in (0, 3) and offset + (width * depth + 31) // 32 * 4 * height > len(data):
        raise PhotoError(_TRUNCATED)
    if compression in (1, 2) and data[-2:] != b"\0\1" and b"\0\1" not in data[-4:]:
        raise PhotoError(_TRUNCATED)
    return PhotoHeader("BMP", height, width, 8, data)


def _webp(data: bytes) -> PhotoHeader:
    """RFC 9649: lossy, lossless, or extended by a canvas, which must be as large as the frame on it."""
    (size,) = struct.unpack_from("<I", data, 4)
    if len(data) < 8 + size:
        raise PhotoError(_TRUNCATED)
    position, canvas = 12, None
    while position < 8 + size:
        name, length = struct.unpack_from("<4sI", data, position)
        start, position = position + 8, position + 8 + length + length % 2
        if position > 8 + size + 1:
            raise PhotoError(_TRUNCATED)
        if name == b"VP8X":
            if data[start] & 2:
                raise PhotoError("an animation is not a photo")
            sides = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (start + 7, start + 4))
            canvas = (next(sides), next(sides))
        elif name in (b"VP8 ", b"VP8L"):
            frame = _webp_frame(name, data, start)
            if canvas not in (None, frame):
                raise PhotoError("it is damaged: its picture is not as large as its canvas")
            if any(data.find(run, start, start + length) >= 0 for run in (_ZEROS, _ONES)):  # no encoder gives such runs
                raise PhotoError(_LOST)
            return PhotoHeader("WebP", *frame, 8, data)
    raise PhotoError("it is damaged: it has no picture")


def _webp_frame(name: bytes, data: bytes, start: int) -> tuple[int, int]:
    """(height, width) of the bitstream."""
    if name == b"VP8 ":
        tag, code, width, height = struct.unpack_from("<B2x3sHH", data, start)
        if tag & 1 or code != b"\x9d\x01\x2a":
            raise PhotoError("it is damaged: its picture does not begin as it should")
        return height & 0x3FFF, width & 0x3FFF
    mark, bits = struct.unpack_from("<BI", data, start)
    if mark != 0x2F:
        raise PhotoError("it is damaged: its picture does not begin as it should")
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1


def _tiff(data: bytes) -> PhotoHeader:
    """The first directory (TIFF 6.0, section 2), which is the one that decoders show."""
    tags = _tiff_tags(data, "<" if data[:2] == b"II" else ">")

    def first(tag: int, default: int) -> int:
        return tags[tag][0] if tags.get(tag) else default

    width, height, bits, samples, compression = map(first, (256, 257, 258, 277, 259), (0, 0, 1, 1, 1))
    if first(254, 0) & 1 or 50706 in tags:
        raise PhotoError("a raw photo: develop it into JPEG, PNG or TIFF first")
    if tags.keys() & {322, 323}:
        tile = (first(322, 0), first(323, 0))
        large = max(tile) > 4096 or _larger_than_picture(width, height, *tile)
    else:
        rows = first(278, _ALL_ROWS)
        large = rows != _ALL_ROWS and _larger_than_picture(width, height, width, rows)
    if bits not in (1, 2, 4, 8, 16) or samples > 4 or compression not in _TIFF_COMPRESSIONS or large:
        raise PhotoError(f"a TIFF of {samples} channels of {bits} bits in compression {compression} is not read")
    for starts, sizes in ((273, 279), (324, 325)):  # of strips, of tiles
        if any(
            start + size > len(data) for start, size in zip(tags.get(starts, ()), tags.get(sizes, ()), strict=False)
        ):
            raise PhotoError(_TRUNCATED)
    if compression != 1 and _lost_cluster(data, 8, len(data)):
        raise PhotoError(_LOST)
    return PhotoHeader("TIFF", height, width, bits, data, pixel_bytes=12 if bits == 16 else 6)


def _larger_than_picture(width: int, height: int, tile_width: int, tile_height: int) -> bool:
    """Whether tiles, or strips, hold much more than the picture that they make up; decoders allocate them whole."""
    if not (width and height and tile_width and tile_height):
        return True
    covered = (-(-width // tile_width) * tile_width) * (-(-height // tile_height) * tile_height)
    return covered > max(4 * width * height, 1 << 22)


def _tiff_tags(data: bytes, order: str) -> dict[int, tuple[int, ...]]:
    """Tag → its whole numbers: all of those that say where the picture lies, of others the first."""
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, start)
    tags: dict[int, tuple[int, ...]] = {}
    for number in range(entries):
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, start + 2 + 12 * number)
        if tag in tags or (tag in _TIFF_PLACES and count > _MOST_STRIPS):
            raise PhotoError("it is damaged: a part is in it twice, or too often")
        number_expected = tag in _TIFF_NUMBERS  # of another type, libtiff reads them and this function does not
        if (number_expected and count != 1) or ((number_expected or tag in _TIFF_LISTS) and kind not in (3, 4)):
            raise PhotoError(f"it is damaged: its tag {tag} is not a whole number")
        tags[tag] = ()
        if kind in (3, 4) and count:  # numbers of 16 and of 32 bits; those that do not fit here lie elsewhere
            letter, at = ("H" if kind == 3 else "I"), start + 10 + 12 * number
            if count * struct.calcsize(f"<{letter}") > 4:
                (at,) = struct.unpack_from(f"{order}I", data, at)
            kept = count if tag in _TIFF_PLACES else 1
            tags[tag] = struct.unpack_from(f"{order}{kept}{letter}", data, at)
    return tags


def _boxes(data: bytes) -> PhotoHeader:
    """The largest size that a box ``ispe`` names (ISO/IEC 23008-12, 6.5.3): tiles and thumbnails have one too.

    The bitstream can have another: its decoder has limits of its own.
    """
    sizes = [struct.unpack(">II", match[1]) for match in _SIZE_BOX.finditer(data, 0, _BOXES_BYTES)]
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return PhotoHeader(str(photo_format(data[:64])), height, width, 8, data, pixel_bytes=13)


_SIZE_BOX = re.compile(rb"\0\0\0\x14ispe\0\0\0\0(.{8})", re.DOTALL)
_BOXES_BYTES = 1 << 20  # at the beginning, where boxes are that describe pictures
_ZEROS, _ONES = bytes(_CLUSTER), b"\xff" * _CLUSTER  # find() is linear in the data; a regex is not, and stops the app
_RUN = re.compile(rb"\0*")
_LOST = "it is damaged: a part of it was lost"
_TRUNCATED = "the file is truncated; copy it again"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # without tables and what is reserved
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_PNG_CHUNKS = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf"})
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # bytes
_TIFF_PLACES = frozenset({273, 279, 324, 325})  # where strips and tiles begin, and how long they are
_TIFF_LISTS = _TIFF_PLACES | {258}
_TIFF_NUMBERS = frozenset({254, 256, 257, 259, 262, 277, 278, 284, 317, 322, 323})  # sizes, and how pixels are packed
_MOST_STRIPS = 1_000_000
_ALL_ROWS = (1 << 32) - 1  # in one strip, says the standard
_TIFF_COMPRESSIONS = frozenset({1, 5, 7, 8, 32773, 32946})  # none, LZW, JPEG, deflate, PackBits, deflate
_READERS: dict[str, Callable[[bytes], PhotoHeader]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "BMP": _bmp,
    "WebP": _webp,
    "TIFF": _tiff,
    "HEIC": _boxes,
    "AVIF": _boxes,
}
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"II*\0", "a raw photo"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1aE\xdf\xa3", "a film"),
)
