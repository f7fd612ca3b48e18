"""HEIC and AVIF → pixels, in a process of its own: their decoders are large, and allocate what a bitstream claims.

    python -m edgetl_device.pillow_decoder MAX_PIXELS DATA_BYTES PARENT < photo

answers a line ``HEIGHT WIDTH`` or ``error REASON``, and then the pixels, BGR.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from .child_process import end_with, limit
from .errors import PhotoError

_TIMEOUT_S = 60.0
_CPU_S = 20  # the largest photo that is read takes a second of a workstation, and ten of a Raspberry Pi
_BLOCK = 4 << 20


def is_installed() -> bool:
    """Whether the extra ``heif`` is there."""
    return find_spec("PIL") is not None and find_spec("pillow_heif") is not None


def decode_apart(data: bytes, max_pixels: int, data_bytes: int) -> npt.NDArray[np.uint8]:
    """A HEIC or AVIF file → (height, width, 3) uint8 BGR, turned as its EXIF data say.

    Args:
        max_pixels: that its header says.
        data_bytes: of memory that decoding may take.

    Raises:
        PhotoError: it is damaged, larger, or needs more memory or time.
    """
    arguments = [str(number) for number in (max_pixels, data_bytes, os.getpid())]
    command = [sys.executable, "-m", "edgetl_device.pillow_decoder", *arguments]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # whose buffers would count as the decoder's memory
    with subprocess.Popen(command, env=environment, **pipes) as process:
        assert process.stdin is not None and process.stdout is not None
        end = threading.Timer(_TIMEOUT_S, process.kill)
        end.start()
        try:
            with suppress(BrokenPipeError), process.stdin:  # it has ended: its answer is missing
                process.stdin.write(data)
            kind, _, rest = process.stdout.readline(1000).decode(errors="replace").strip().partition(" ")
            if kind == "error":
                raise PhotoError(rest)
            if not (kind.isdecimal() and rest.isdecimal() and 0 < int(kind) * int(rest) <= max_pixels):
                raise PhotoError("it is damaged, or its decoder would take more than a photo of its size should")
            pixels = np.empty((int(kind), int(rest), 3), np.uint8)
            flat = pixels.reshape(-1).data
            if process.stdout.readinto(flat) != len(flat):  # type: ignore[attr-defined]
                raise PhotoError("it is damaged: its decoder crashed")
            return pixels
        finally:
            end.cancel()
            process.kill()


def main(max_pixels: int, data_bytes: int, parent: int) -> int:
    """Decode standard input to standard output."""
    end_with(parent)
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native code writes to standard output too
    data = sys.stdin.buffer.read()
    import pillow_heif
    from PIL import Image, ImageOps

    limit(data_bytes=data_bytes, cpu_s=_CPU_S, file_bytes=0)
    pillow_heif.options.DECODE_THREADS = 1  # photos are decoded side by side
    pillow_heif.options.THUMBNAILS = False
    pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # the limit is the caller's
    try:
        with Image.open(BytesIO(data), formats=("HEIF", "AVIF")) as opened:
            width, height = opened.size
            if width * height > max_pixels:
                raise PhotoError("it is damaged: its picture is larger than its header says")
            ImageOps.exif_transpose(opened, in_place=True)
            image = opened if opened.mode == "RGB" else opened.convert("RGB")
            answer.write(f"{image.height} {image.width}\n".encode())
            rows = max(1, _BLOCK // image.width)
            for top in range(0, image.height, rows):
                part = image.crop((0, top, image.width, min(top + rows, image.height)))
                answer.write(part.tobytes("raw", "BGR"))
    except PhotoError as error:
        answer.write(f"error {error}\n".encode())
    except MemoryError:
        answer.write(b"error it is damaged: decoding it takes more memory than a photo of its size should\n")
    except Exception as error:  # whatever its plugins raise of a damaged file
        reason = " ".join(str(error).split())[:100]
        answer.write(f"error it is damaged: {reason}\n".encode(errors="replace"))
    answer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
