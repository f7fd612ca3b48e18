"""A backbone that nobody ran here yet runs in a process of its own first: it may crash, never end, or fill the memory.

    python -m edgetl_device.inference.backbone_trial RUNTIME PHOTO_S PARENT < request

A ``.tflite`` is read by native code. What goes wrong there takes the whole process with it, so it must not be the one
that serves the camera. The child embeds the bundle's check photos and measures threads; only then is the file loaded
elsewhere.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import pack, unpack
from ..child_process import data_bytes, end_with, limit
from ..environment import choose_runtime, runtime_name
from ..errors import BundleError, CheckFailedError, InputError, RuntimeMissingError
from .thread_count import Choice, choose

TIMEOUT_S = 60.0
PHOTO_S = 8.0  # of a core; the largest backbone here, in float on a Raspberry Pi 3, takes a few seconds a photo
_GROWTH_BYTES = 256 << 20  # that a small backbone may need
_PIXEL_GROWTH = 150  # bytes more for each pixel of its photos
_GROWTH = 6  # times its size: a runtime repacks weights, and two interpreters are open at once
_STAYS = "nothing was changed"


@dataclass(frozen=True)
class Trial:
    """What a trial led to.

    Args:
        values: (k, d) int8 or float32, what the backbone gave for the k photos.
        threads: how many threads paid.
    """

    values: npt.NDArray[Any]
    threads: Choice


def try_backbone(
    model: bytes, photos: npt.NDArray[np.uint8], runtime: str = "auto", *, timeout_s: float | None = None
) -> Trial:
    """Run a backbone on (k, height, width, 3) uint8 RGB photos in a child process.

    What went well is remembered for as long as this process lives, so that it is not done twice.

    Args:
        timeout_s: of the whole trial, seconds; default is :data:`TIMEOUT_S`.

    Raises:
        RuntimeMissingError: no runtime, or it refuses the model.
        CheckFailedError: it crashed, did not end in time, needed too much memory, or gave something else than one
            embedding a photo.
    """
    return _tried(model, photos.tobytes(), photos.shape, choose_runtime(runtime), timeout_s or TIMEOUT_S)


def refuse_unsound(model: bytes, photos: npt.NDArray[np.uint8], runtime: str = "auto") -> None:
    """As :func:`try_backbone`, for a command that only reads: there, a backbone that fails is bad input.

    Raises:
        BundleError: it crashed, did not end in time, needed too much memory, or gave no embeddings.
        RuntimeMissingError: no runtime, or it refuses the model.
    """
    try:
        try_backbone(model, photos, runtime)
    except CheckFailedError as error:
        raise BundleError(f"the bundle cannot be used: {str(error).removesuffix(f': {_STAYS}')}") from None


@lru_cache(maxsize=2)
def _tried(model: bytes, photos: bytes, shape: tuple[int, ...], runtime: str, timeout_s: float) -> Trial:
    shots = np.frombuffer(photos, np.uint8).reshape(shape)
    request = pack({"model": np.frombuffer(model, np.uint8), "photos": shots})
    command = [sys.executable, "-m", "edgetl_device.inference.backbone_trial", runtime]
    command += [str(min(PHOTO_S, timeout_s)), str(os.getpid())]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "EDGETL_RUNTIME": runtime}
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, timeout=timeout_s, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise CheckFailedError(
            f"its backbone did not finish {shape[0]} photos within {timeout_s:.0f} s on this device: {_STAYS}"
        ) from None
    return _read(done, shape[0], runtime)


def _read(done: subprocess.CompletedProcess[bytes], photos: int, runtime: str) -> Trial:
    if done.returncode == -signal.SIGPROF:
        raise CheckFailedError(f"its backbone did not finish a photo in {PHOTO_S:.0f} s of a core's time: {_STAYS}")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name if -done.returncode in set(signal.Signals) else "a signal"
        raise CheckFailedError(f"its backbone crashes {runtime_name(runtime)} ({name}): {_STAYS}")
    try:
        answer = unpack(done.stdout, {"values", "facts"})
        facts = json.loads(answer["facts"].tobytes())
    except (InputError, ValueError):
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        raise CheckFailedError(f"its backbone cannot be tried out on this device ({last[:200]}): {_STAYS}") from None
    if facts["error"]:
        kind = RuntimeMissingError if facts["kind"] == "runtime" else CheckFailedError
        raise kind(str(facts["error"])[:500])
    values = answer["values"]
    if values.ndim != 2 or len(values) != photos or values.dtype not in (np.int8, np.float32):
        raise CheckFailedError(f"its backbone gave {values.shape} {values.dtype} for {photos} photos: {_STAYS}")
    p95_ms = {int(threads): float(value) for threads, value in facts["p95_ms"].items()}
    return Trial(values.copy(), Choice(int(facts["threads"]), p95_ms))


def main(runtime: str, photo_s: float, parent: int) -> int:
    """The child: embed, measure, answer."""
    end_with(parent)
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native code writes to standard output too
    request = unpack(sys.stdin.buffer.read(), {"model", "photos"})
    model, photos = request["model"].tobytes(), request["photos"]
    from .interpreter import TFLiteInterpreter, load_runtime

    def give(threads: int) -> None:  # time of cores, so that a busy machine makes no backbone slow
        signal.setitimer(signal.ITIMER_PROF, photo_s * threads)  # a signal that nobody handles ends native code too

    def timed(interpreter: TFLiteInterpreter, photo: npt.NDArray[np.uint8], threads: int = 1) -> npt.NDArray[Any]:
        give(threads)
        return interpreter(photo)

    values: npt.NDArray[Any] = np.zeros((0, 0), np.int8)
    facts: dict[str, Any] = {"error": "", "kind": "", "threads": 1, "p95_ms": {}}
    try:
        load_runtime(runtime)
        pixels = photos.shape[1] * photos.shape[2]
        most = (data_bytes() or 512 << 20) + _GROWTH_BYTES + _PIXEL_GROWTH * pixels + _GROWTH * len(model)
        limit(data_bytes=most, cpu_s=int(2 * TIMEOUT_S), file_bytes=16 << 20)
        give(1)
        interpreter = TFLiteInterpreter(model, runtime)
        if interpreter.input.shape[1:] != photos.shape[1:]:
            raise RuntimeMissingError(
                f"the manifest describes photos {photos.shape[1:]}, the backbone takes {interpreter.input.shape[1:]}"
            )
        values = np.stack([timed(interpreter, photo) for photo in photos])

        def prepare(count: int) -> Callable[[], object]:
            threaded = TFLiteInterpreter(model, runtime, count)
            return lambda: timed(threaded, photos[0], count)

        choice = choose(prepare)
        facts |= {"threads": choice.threads, "p95_ms": choice.p95_ms}
    except RuntimeMissingError as error:
        facts |= {"error": str(error), "kind": "runtime"}
    except MemoryError:
        facts |= {"error": "its backbone needs more memory than one of its size should", "kind": "memory"}
    except Exception as error:
        facts |= {"error": f"its backbone cannot be run: {' '.join(str(error).split())}", "kind": type(error).__name__}
    text = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    answer.write(pack({"values": values, "facts": text}))
    answer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3])))
