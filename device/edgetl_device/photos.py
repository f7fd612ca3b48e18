"""Photo files and bytes → frames: (height, width, 3) uint8 in BGR order, as a camera delivers them.

OpenCV does most of the decoding, and with it greyscale, RGBA and CMYK become 8-bit BGR and EXIF rotation is applied.
What it does not do is refuse: of a JPEG with lost parts it returns the rest over grey, and prints a line that names no
file. So JPEGs are read strictly first, by libjpeg-turbo through simplejpeg, which gives the same pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from .errors import InputError, PhotoError
from .files import read_bounded
from .memory_budget import MemoryBudget
from .photo_headers import PhotoHeader, read_header
from .pillow_decoder import decode_apart, is_installed

try:
    import simplejpeg
except ImportError:  # no wheels for 32-bit ARM: there OpenCV has the only word
    simplejpeg = None

Image = npt.NDArray[np.uint8]
ColorOrder = Literal["bgr", "rgb"]

THUMBNAIL_SIDE = 160
MAX_DECODED = 650_000_000  # bytes that decoding may hold of one photo
MAX_PIXELS = MAX_DECODED // 6  # 108 MP in colours of 8 bits, as phones and medium format have at most
MAX_BYTES = 450_000_000  # of a file: 54 MP of red, green, blue and transparency in 16 bits, uncompressed

_DECODER_BYTES = 128 << 20  # that a process takes for HEIC and AVIF before it decodes anything
_MOST_PIXEL_BYTES = 20  # that it takes of a pixel, with more bits and colours at full resolution
_BLOCK = 1 << 20  # values that are converted at once
_FEW = 16  # bytes too many before a marker: some cameras fill up
_EXTRA = re.compile(r"(\d+) extraneous bytes before marker")
_MOST_BITS = (8, 10, 12, 14, 16)  # of sensors, whose values lie in files of 16 bits
_files, _memory = MemoryBudget(MAX_BYTES), MemoryBudget(MAX_DECODED)


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photo.

    Args:
        image: (height, width, 3) uint8 BGR.
        remark: what was done to it that a person should know, or nothing.
    """

    image: Image
    remark: str = ""


def read_photo(path: Path, max_pixels: int = MAX_PIXELS) -> Image:
    """One photo file → (height, width, 3) uint8 BGR.

    Raises:
        PhotoError: the file is missing, not a photo, truncated, damaged, or larger than ``max_pixels``, or than may be
            decoded: 108 MP; 54 MP in 16 bits; 72 MP of a progressive JPEG with colours at full resolution; 50 MP of
            HEIC and AVIF.
    """
    with photo_file(path) as data:
        try:
            return decode_photo(data, max_pixels)
        except PhotoError as error:
            raise PhotoError(f"{path}: {error}") from None


@contextmanager
def photo_file(path: Path) -> Iterator[bytes]:
    """The bytes of one photo file, in a block; all threads together hold no more than :data:`MAX_BYTES` of such files.

    Raises:
        PhotoError: it cannot be read, or is more than a photo can be.
    """
    size = 0  # where it is not there, reading it says so
    with suppress(OSError):
        size = min(path.stat().st_size, MAX_BYTES)
    with _files.taken(size):
        yield _bytes(path)


def _bytes(path: Path) -> bytes:
    try:
        return read_bounded(path, MAX_BYTES)
    except OSError as error:
        raise PhotoError(f"cannot read {path}: {error.strerror or error}") from error
    except InputError as error:
        raise PhotoError(str(error)) from None


def decode_photo(data: bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """The bytes of one photo file → (height, width, 3) uint8 BGR; raises PhotoError."""
    with decoded(data, max_pixels) as photo:
        return photo.image


@contextmanager
def decoded(data: bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Photo]:
    """The bytes of one photo file → its pixels, and what to say of them; raises PhotoError.

    All threads together hold no more than :data:`MAX_DECODED` bytes of what they are decoding: who makes something
    smaller of a photo does it in the block.
    """
    header = read_header(data)
    most = min(max_pixels, MAX_DECODED // header.pixel_bytes)
    _check_size(header.height, header.width, most)  # before decoding: a small file can claim to be gigabytes
    with _memory.taken(header.height * header.width * header.pixel_bytes):
        yield _decode(header)


def _decode(header: PhotoHeader) -> Photo:
    remark = ""
    if header.format in ("HEIC", "AVIF"):
        return Photo(_decoded_apart(header))
    if header.format == "JPEG":
        image = _decoded_jpeg(header)
        image = _by_opencv(header.data, cv2.IMREAD_COLOR) if image is None else image
    elif header.bits == 16:
        image, remark = _to_8_bits(_by_opencv(header.data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH))
    else:
        image = _by_opencv(header.data, cv2.IMREAD_COLOR)
    if sorted(image.shape[:2]) != sorted((header.height, header.width)):
        raise PhotoError("it is damaged: its picture is not as large as its header says")
    return Photo(np.ascontiguousarray(image, np.uint8), remark)


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


def thumbnail(frame: Image) -> bytes:
    """(height, width, 3) uint8 BGR → a JPEG of at most 160 pixels a side, a few kilobytes."""
    return jpeg(frame, THUMBNAIL_SIDE)


def jpeg(frame: Image, side: int) -> bytes:
    """(height, width, 3) uint8 BGR → a JPEG, its longer side at most so many pixels."""
    height, width = frame.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        raise PhotoError(f"cannot make a JPEG of {width}x{height} pixels")
    return data.tobytes()


def _check_size(height: int, width: int, max_pixels: int) -> None:
    if height * width > max_pixels:
        raise PhotoError(f"{width}x{height} pixels is over the limit of {max_pixels / 1e6:.3g} megapixels")


def _by_opencv(data: bytes, flags: int) -> npt.NDArray[Any]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # OpenCV's own limits on width, height and pixels
        raise PhotoError(f"OpenCV refuses it: {error.err or error}".replace("\n", " ")) from None
    if image is None:
        raise PhotoError("it is damaged: OpenCV cannot decode it")
    return image


def _decoded_jpeg(header: PhotoHeader) -> Image | None:
    """A JPEG that is whole → its pixels, or None where OpenCV has to turn or mix them; raises PhotoError."""
    if simplejpeg is None:
        return None
    try:
        mixed = simplejpeg.decode_jpeg_header(header.data)[2] in ("CMYK", "YCCK")
        if not mixed and not header.exif:
            return _strictly(header.data, colorspace="BGR")
        _strictly(header.data, colorspace="CMYK" if mixed else "GRAY", fastdct=True, min_height=1, min_width=1)
    except ValueError as error:
        if str(error).startswith("Corrupt JPEG data"):
            raise PhotoError("it is damaged: a part of it was lost") from None
        raise PhotoError(f"it is damaged: {error}") from None
    return None


def _strictly(data: bytes, **options: Any) -> Image:
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, strict=True, **options), np.uint8)
    except ValueError as error:
        extra = _EXTRA.search(str(error))
        if extra is None or int(extra[1]) > _FEW:
            raise
        return np.asarray(simplejpeg.decode_jpeg(data, strict=False, **options), np.uint8)


def _to_8_bits(image: npt.NDArray[Any]) -> tuple[Image, str]:
    """(h, w, 3) uint16 → uint8; sensors of 10, 12 or 14 bits leave the upper bits of their files empty."""
    if image.dtype != np.uint16:
        return image, ""
    largest = int(image.max())
    bits = next(bits for bits in _MOST_BITS if largest < 1 << bits)
    remark = "" if bits == 16 else f"values of {bits} bits in a file of 16, scaled to their range"
    flat = np.ascontiguousarray(image).reshape(-1)
    narrow = flat.view(np.uint8)[: flat.size]  # in place: what is written has been read, half as far behind
    for start in range(0, flat.size, _BLOCK):
        narrow[start : start + _BLOCK] = flat[start : start + _BLOCK] >> (bits - 8)
    return narrow.reshape(image.shape), remark


def _decoded_apart(header: PhotoHeader) -> Image:
    """HEIC and AVIF, with the extra ``heif``; EXIF rotation is applied."""
    if not is_installed():
        raise PhotoError(f"reading {header.format} needs a decoder: pip install 'edgetl-device[heif]'")
    pixels = header.height * header.width
    return decode_apart(header.data, pixels, min(MAX_DECODED, _DECODER_BYTES + _MOST_PIXEL_BYTES * pixels))
