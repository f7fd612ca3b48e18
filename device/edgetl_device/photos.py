"""Photo files and bytes → frames: (height, width, 3) uint8 in BGR order, as a camera delivers them.

OpenCV does the decoding, and with it greyscale, RGBA, 16-bit and CMYK become 8-bit BGR and EXIF rotation is applied.
What some of its versions do not do is refuse: of a truncated JPEG they return the upper half over grey. So whether a
file is whole is checked here.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from .errors import InputError, PhotoError

Image = npt.NDArray[np.uint8]
ColorOrder = Literal["bgr", "rgb"]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
THUMBNAIL_SIDE = 160
MAX_PIXELS = 1 << 28  # 268 MP: more than any camera takes, less than would exhaust a workstation


def is_photo_name(path: Path) -> bool:
    """Whether the file name says photo; hidden files (``._IMG.jpg`` of macOS) do not count."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_photo(path: Path, max_pixels: int = MAX_PIXELS) -> Image:
    """One photo file → (height, width, 3) uint8 BGR.

    Raises:
        PhotoError: the file is missing, not a photo, truncated, or larger than ``max_pixels``.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return decode_photo(data, max_pixels)
    except PhotoError as error:
        raise PhotoError(f"{path}: {error}") from None


def decode_photo(data: bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """The bytes of one photo file → (height, width, 3) uint8 BGR; raises PhotoError."""
    if not data:
        raise PhotoError("the file is empty")
    if _is_truncated(data):
        raise PhotoError("the file is truncated; copy it again")
    size = photo_size(data)
    if size is None:
        raise PhotoError("not a photo that can be read (expected JPEG, PNG, BMP or WebP)")
    if size[0] * size[1] > max_pixels:  # before decoding: a small file can claim to be gigabytes
        raise PhotoError(f"{size[1]}x{size[0]} pixels is over the limit of {max_pixels / 1e6:g} megapixels")
    try:
        frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # OpenCV's own limits on width, height and pixels
        raise PhotoError(f"OpenCV refuses it: {error.err or error}".replace("\n", " ")) from None
    if frame is None:
        raise PhotoError("it is damaged: OpenCV cannot decode it")
    return np.ascontiguousarray(frame, np.uint8)


def as_image(image: object, color: ColorOrder | None) -> Image:
    """An image that a program holds → (height, width, 3) uint8 BGR.

    Args:
        image: (height, width, 3) uint8.
        color: the order of its channels, which an array does not tell: OpenCV's is ``bgr``, Pillow's ``rgb``.

    Raises:
        InputError: it is no such array, or ``color`` is missing.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"an image must be a path or a NumPy array, got {type(image).__name__}")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"an image must be (height, width, 3) uint8, got {image.shape} {image.dtype}")
    if color not in ("bgr", "rgb"):
        got = "none" if color is None else repr(color)
        raise InputError(
            f'say the order of the image\'s channels: color="bgr" (OpenCV) or color="rgb" (Pillow), got {got}'
        )
    return np.ascontiguousarray(image if color == "bgr" else image[..., ::-1])


def photo_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) in pixels as the header of a JPEG, PNG, BMP or WebP file says, or None if it is none of them."""
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg_size(data)
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            width, height = struct.unpack_from(">II", data, 16)
        elif data[:2] == b"BM":  # a height below zero says that rows go from top to bottom
            width, height = struct.unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            width, height = _webp_size(data)
        else:
            return None
    except (struct.error, IndexError):
        return None
    return abs(height), abs(width)


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """From the frame header (ITU-T T.81, B.2.2): FFC0 … FFCF but for C4, C8 and CC, which are tables."""
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        position = found.end()
        if 0xC0 <= found.group()[-1] <= 0xCF and found.group()[-1] not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 3)
            return height, width
        position += int(struct.unpack_from(">H", data, position)[0])
    return None


def _webp_size(data: bytes) -> tuple[int, int]:
    """(width, height) of the canvas (RFC 9649): lossy, lossless or extended."""
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1


def thumbnail(frame: Image) -> bytes:
    """(height, width, 3) uint8 BGR → a JPEG of at most 160 pixels a side, a few kilobytes."""
    height, width = frame.shape[:2]
    scale = min(1.0, THUMBNAIL_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise PhotoError(f"cannot make a JPEG of {width}x{height} pixels")
    return data.tobytes()


def _is_truncated(data: bytes) -> bool:
    """Whether the container says that there should be more bytes than there are.

    PNG ends in an IEND chunk, BMP and RIFF give a size, a JPEG has an end of image behind its last scan.
    """
    if data[:2] == b"\xff\xd8":
        return not _jpeg_has_an_end(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" not in data
    if data[:2] == b"BM" and len(data) >= 6:
        return len(data) < int(struct.unpack_from("<I", data, 2)[0])
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) < 8 + int(struct.unpack_from("<I", data, 4)[0])
    return False


def _jpeg_has_an_end(data: bytes) -> bool:
    """Walk the segments to the end of image (FFD9), so that thumbnails inside and films behind do not count.

    Entropy-coded data cannot hold a marker: in it FF is followed by 00, or by D0 … D7 to restart.
    """
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        position = found.end()
        if found.group()[-1] == 0xD9:
            return True
        if position + 2 > len(data):
            return False
        position += int(struct.unpack_from(">H", data, position)[0])
    return False


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
