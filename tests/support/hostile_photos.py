"""Photos that a stranger could send: made to cost far more than they hold, damaged, or only looking costly."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np


def picture(height: int = 48, width: int = 64) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, *options: int, image: np.ndarray | None = None) -> bytes:
    return cv2.imencode(suffix, picture() if image is None else image, list(options))[1].tobytes()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 2) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def zeros(size: int) -> bytes:
    """A stream that unpacks to so many zeros."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    return b"".join(packer.compress(block) for _ in range(size >> 20)) + packer.flush()


def bmp(info: bytes, body: bytes = b"", offset: int = 54) -> bytes:
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(body), 0, 0, offset) + info + body


def info40(width: int, height: int, depth: int = 24, compression: int = 0) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, width, height, 1, depth, compression, 0, 0, 0, 0, 0)


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def frame(height: int, width: int, marker: int = 0xC0, bits: int = 8) -> bytes:
    return segment(marker, struct.pack(">BHHB", bits, height, width, 3) + b"\1\x22\0\2\x11\1\3\x11\1")


def jpeg_with(inserted: bytes, at: int = 2) -> bytes:
    data = encoded(".jpg")
    return data[:at] + inserted + data[at:]


def resized_jpeg(height: int, width: int, *options: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    data = encoded(".jpg", *options)
    at = next(data.find(bytes([0xFF, marker])) for marker in (0xC0, 0xC2) if data.find(bytes([0xFF, marker])) > 0)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def progressive_bomb() -> bytes:
    """A progressive JPEG of 24 megapixels whose last scan is sent four thousand times."""
    data = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, image=np.zeros((4000, 6000, 3), np.uint8))
    last = data.rfind(b"\xff\xda")
    return data[:-2] + data[last:-2] * 4000 + data[-2:]


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def still() -> tuple[bytes, bytes]:
    """The picture chunk of a small WebP."""
    data = encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 80)
    return data[12:16], data[20 : 20 + int.from_bytes(data[16:20], "little")]


def claimed_vp8(width: int, height: int) -> tuple[bytes, bytes]:
    name, data = still()
    return name, data[:6] + struct.pack("<HH", width, height) + data[10:]


def tiff(*entries: tuple[int, int, int], order: str = "<", body: bytes = b"") -> bytes:
    """A directory of (tag, type, value) and what follows it."""
    directory = b"".join(struct.pack(f"{order}HHII", tag, kind, 1, value) for tag, kind, value in entries)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", 8) + struct.pack(f"{order}H", len(entries)) + directory + bytes(4) + body


def plain_tiff(width: int, height: int, **more: int) -> bytes:
    tags = {"width": 256, "height": 257, "bits": 258, "compression": 259, "colour": 262, "offset": 273, "samples": 277,
            "rows": 278, "bytes": 279, "tile_width": 322, "tile_height": 323, "tile_offset": 324, "tile_bytes": 325}  # fmt: skip
    values = {"bits": 8, "compression": 1, "colour": 2, "offset": 200, "samples": 3, "rows": height, "bytes": 9000}
    values |= {"width": width, "height": height, **more}
    return tiff(*sorted((tags[name], 4, value) for name, value in values.items()), body=bytes(9200))


def slong_tiff() -> bytes:
    """163 bytes: a picture of 16x16 pixels in one tile of a gigabyte, whose sides are signed."""
    body = zlib.compress(bytes(16 * 16 * 4))
    places = ((256, 4, 16), (257, 4, 16), (258, 3, 8), (259, 3, 8), (262, 3, 2), (277, 3, 4), (284, 3, 1))
    tiles = ((322, 9, 16_368), (323, 9, 16_368), (324, 4, 146), (325, 4, len(body)))
    return tiff(*places, *tiles, body=body)


REFUSED: dict[str, Callable[[], bytes]] = {
    "a BMP of 1,308 bytes and 5.2 GB": lambda: bmp(
        struct.pack("<I", 268) + struct.pack("<iiHHI", 41_000, 42_000, 1, 24, 0) + bytes(248), bytes(1026)
    ),
    "a BMP whose length of header only ends in 12": lambda: bmp(struct.pack("<IiiHH", 12 + 256, 60_000, 60_000, 1, 24)),
    "a BMP of OS/2 that is larger than its file": lambda: bmp(struct.pack("<IHHHH", 12, 5000, 5000, 1, 24), b"", 26),
    "a BMP of OS/2 over the limit": lambda: bmp(struct.pack("<IHHHH", 12, 65_535, 65_535, 1, 24), b"", 26),
    "a BMP from top to bottom, over the limit": lambda: bmp(info40(30_000, -30_000)),
    "a BMP of the least height": lambda: bmp(info40(1, -(1 << 31))),
    "a BMP of negative width": lambda: bmp(info40(-64, 48), bytes(64 * 48 * 3)),
    "a BMP that is larger than its file": lambda: bmp(info40(5000, 4999), bytes(999)),
    "a BMP without pixels": lambda: bmp(info40(0, 0)),
    "a BMP with run lengths without an end": lambda: bmp(info40(5000, 5000, 8, 1), b"\xff\1" * 500),
    "a BMP that holds a JPEG": lambda: bmp(info40(64, 48, 0, 4), encoded(".jpg")),
    "a BMP of 5 bits": lambda: bmp(info40(64, 48, 5), bytes(64 * 48)),
    "a JPEG with FF01 before its frame": lambda: b"\xff\xd8\xff\x01"
    + frame(60_000, 60_000)
    + encoded(".jpg")[2:],
    "a JPEG with FF01 that hides a size": lambda: b"\xff\xd8\xff\x01\x00\x15" + frame(1, 1) + resized_jpeg(50_000, 50_000)[2:],
    "a JPEG of 4 gigapixels": lambda: resized_jpeg(65_535, 65_500),
    "a progressive JPEG of 4 gigapixels": lambda: resized_jpeg(65_535, 65_500, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "a JPEG with two sizes": lambda: jpeg_with(frame(10, 10)),
    "a JPEG with two sizes, the large one second": lambda: encoded(".jpg")[:-2] + frame(60_000, 60_000) + b"\xff\xd9",
    "a JPEG without height": lambda: resized_jpeg(0, 64),
    "a JPEG with a second start": lambda: jpeg_with(b"\xff\xd8"),
    "a JPEG with a segment of no length": lambda: jpeg_with(b"\xff\xe0\0\0"),
    "a JPEG of 12 bits": lambda: b"\xff\xd8" + frame(48, 64, 0xC1, 12) + segment(0xDA, bytes(10)) + b"\xff\xd9",
    "a JPEG without loss": lambda: b"\xff\xd8" + frame(48, 64, 0xC3) + segment(0xDA, bytes(10)) + b"\xff\xd9",
    "a JPEG of a frame alone": lambda: b"\xff\xd8" + frame(4000, 6000) + b"\xff\xd9",
    "a progressive JPEG of four thousand scans": progressive_bomb,
    "a JPEG of markers alone": lambda: b"\xff\xd8" + b"\xff\x01" * 2_000_000,
    "a JPEG of five million FF01": lambda: jpeg_with(b"\xff\x01" * 5_000_000),
    "a JPEG of millions of empty segments": lambda: jpeg_with(b"\xff\xfe\0\2" * 2_500_000),
    "a PNG of 800,000 empty parts": lambda: png(
        64, 48, *[chunk(b"IDAT", b"")] * 800_000, chunk(b"IDAT", zlib.compress(bytes(48 * 193)))
    ),
    "a JPEG of FF alone": lambda: b"\xff\xd8" + b"\xff" * 4_000_000,
    "a PNG of 2 billion squared": lambda: png((1 << 31) - 1, (1 << 31) - 1, chunk(b"IDAT", zeros(1 << 20))),
    "a PNG over the limit": lambda: png(30_000, 30_000, chunk(b"IDAT", zeros(64 << 20))),
    "a PNG with two headers": lambda: png(8, 8, chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))),
    "a PNG whose header is not first": lambda: b"\x89PNG\r\n\x1a\n" + chunk(b"tEXt", b"a\0b") + encoded(".png")[8:],
    "a PNG with a header of 14 bytes": lambda: encoded(".png")[:8] + chunk(b"IHDR", bytes(14)) + encoded(".png")[33:],
    "a PNG whose chunk is longer than the file": lambda: encoded(".png")[:33] + b"\x7f\xff\xff\xffIDAT" + bytes(99),
    "an animated PNG": lambda: png(8, 8, chunk(b"acTL", struct.pack(">II", 1000, 0))),
    "a PNG without a picture": lambda: png(4000, 6000),
    "a WebP whose canvas is larger than its picture": lambda: webp(canvas(16_000, 16_000), still()),
    "a WebP whose canvas is smaller than its picture": lambda: webp(canvas(1, 1), claimed_vp8(16_000, 16_000)),
    "a WebP over the limit": lambda: webp(claimed_vp8(16_383, 16_383)),
    "a lossless WebP over the limit": lambda: webp((b"VP8L", b"\x2f" + struct.pack("<I", 0x0FFF_FFFF) + bytes(99))),
    "an animated WebP": lambda: webp(canvas(64, 48, 2), (b"ANIM", bytes(6)), (b"ANMF", bytes(40))),
    "a WebP of a canvas alone": lambda: webp(canvas(4000, 6000)),
    "a WebP whose chunk is longer than the file": lambda: encoded(".webp")[:16] + b"\xff\xff\xff\x7f" + encoded(".webp")[20:],
    "a WebP of empty chunks": lambda: webp(*[(b"JUNK", b"")] * 100_000),
    "a TIFF over the limit": lambda: plain_tiff(60_000, 60_000),
    "a TIFF of one huge tile": lambda: plain_tiff(64, 48, tile_width=1 << 20, tile_height=1 << 20, tile_offset=200, tile_bytes=9000),
    "a TIFF of one huge tile, whose sides are signed": slong_tiff,
    "a TIFF of one tile that is larger than its picture": lambda: plain_tiff(16, 16, tile_width=4096, tile_height=4096, tile_offset=200, tile_bytes=9000),
    "a TIFF of a strip that is higher than its picture": lambda: plain_tiff(64, 48, rows=4_000_000),
    "a TIFF of a tile without end": lambda: plain_tiff(64, 48, tile_width=64, tile_height=(1 << 32) - 1),
    "a TIFF with half a tile": lambda: plain_tiff(64, 48, tile_width=64),
    "a TIFF with 200 channels": lambda: plain_tiff(64, 48, samples=200),
    "a TIFF of 64 bits": lambda: plain_tiff(64, 48, bits=64),
    "a TIFF in an unknown compression": lambda: plain_tiff(64, 48, compression=34_712),
    "a TIFF whose directory lies behind its end": lambda: b"II*\0\xff\xff\xff\x7f" + bytes(99),
    "a TIFF with two widths": lambda: tiff((256, 4, 64), (256, 4, 60_000), (257, 4, 48)),
    "a BigTIFF": lambda: b"II+\0\x08\0\0\0" + bytes(99),
    "an OpenEXR": lambda: b"\x76\x2f\x31\x01" + bytes(99),
    "a Radiance picture": lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n",
    "a PPM of 4 gigapixels": lambda: b"P6\n65535 65535\n255\n" + bytes(99),
    "a PFM": lambda: b"PF\n60000 60000\n-1.0\n" + bytes(99),
    "a PAM": lambda: b"P7\nWIDTH 60000\nHEIGHT 60000\nDEPTH 3\nMAXVAL 255\nENDHDR\n",
    "a Sun raster": lambda: b"\x59\xa6\x6a\x95" + struct.pack(">IIIIII", 60_000, 60_000, 24, 0, 1, 0),
    "a JPEG 2000": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99),
    "a GIF": lambda: b"GIF89a\xff\xff\xff\xff" + bytes(99),
    "an icon": lambda: b"\0\0\1\0\1\0" + bytes(99),
    "an AVIF without boxes": lambda: b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(99),
    "a HEIC without boxes": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
    "a HEIC of one endless box": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\1meta" + b"\xff" * 8 + bytes(99),
    "nothing": lambda: b"",
    "two bytes": lambda: b"\xff\xd8",
    "text": lambda: b"hello",
}  # fmt: skip
HARMLESS: dict[str, Callable[[], bytes]] = {
    "a PNG with a text that unpacks to 256 MB": lambda: png(
        64, 48, chunk(b"zTXt", b"a\0\0" + zeros(256 << 20)), chunk(b"IDAT", zlib.compress(bytes(48 * 193)))
    ),
    "a PNG with a colour profile that unpacks to 256 MB": lambda: png(
        64, 48, chunk(b"iCCP", b"a\0\0" + zeros(256 << 20)), chunk(b"IDAT", zlib.compress(bytes(48 * 193)))
    ),
    "a PNG of the largest size, all black": lambda: png(
        5000, 5000, chunk(b"IDAT", zlib.compress(bytes(15_001 * 5000)))
    ),
    "a PNG of the largest size and 16 bits": lambda: png(
        5000, 5000, chunk(b"IDAT", zlib.compress(bytes(40_001 * 5000))), bits=16, colour=6
    ),
    "a PNG of a hundred thousand chunks": lambda: png(
        64, 48, *[chunk(b"tEXt", b"a\0b")] * 100_000, chunk(b"IDAT", zlib.compress(bytes(48 * 193)))
    ),
    "a JPEG of 10 MB of zeros in runs of 4095": lambda: jpeg_with(segment(0xFE, (bytes(4095) + b"\1") * 15) * 160, -2),
    "a BMP of the largest size in run lengths": lambda: bmp(info40(5000, 5000, 8, 1), bytes(1024) + b"\0\1", 1078),
    "a progressive JPEG of the largest size": lambda: encoded(
        ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, image=np.zeros((5000, 5000, 3), np.uint8)
    ),
    "a WebP of the largest size": lambda: encoded(".webp", image=np.zeros((5000, 5000, 3), np.uint8)),
    "a lossless WebP of the largest size": lambda: encoded(
        ".webp", cv2.IMWRITE_WEBP_QUALITY, 101, image=np.zeros((5000, 5000, 3), np.uint8)
    ),
    "a TIFF of the largest size": lambda: encoded(".tiff", image=np.zeros((5000, 5000, 3), np.uint8)),
}


def black_png(width: int, height: int, bits: int) -> bytes:
    packer = zlib.compressobj(1)
    rows = bytes((1 + width * 3 * bits // 8) * 64)
    body = b"".join(packer.compress(rows) for _ in range(height // 64)) + packer.flush()
    return png(width, height, chunk(b"IDAT", body), bits=bits)


def written(folder: Path, files: dict[str, bytes]) -> list[Path]:
    paths = []
    for number, (name, data) in enumerate(files.items()):
        paths.append(folder / f"{number:03} {name.replace('/', '-')}")
        paths[-1].write_bytes(data)
    return paths
