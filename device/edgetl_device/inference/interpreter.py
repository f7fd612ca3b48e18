"""The only file that imports a TFLite runtime.

``ai-edge-litert`` first: its XNNPACK kernels run int8 up to 18 times faster on x86-64 than ``tflite-runtime``'s, which
is the one that matches Coral's libedgetpu. They differ in the last bits of an embedding, so each result names its
runtime.
"""

from __future__ import annotations

import importlib
import logging
import threading
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..environment import RUNTIMES, choose_runtime, runtime_name
from ..errors import RuntimeMissingError
from . import edgetpu
from .edgetpu import EdgeTpu
from .native_log import captured_stderr

log = logging.getLogger("edgetl.interpreter")

MAP_PREFIX = "inspection_map/"
"""How the names of outputs begin that visual inspection looks at: ``inspection_map/0/…`` is the finest."""

FEATURE_MAP = "feature_map+"
"""What stands before the name of such an output where it is also the map that is pooled into the embedding."""

DEFAULT_THREADS = 1  # more is slower as soon as a core is busy: measured 20 × with 4 threads on 1 free core


class Interpreter(Protocol):
    """The seam: whatever maps one preprocessed photo to one embedding. Tests bring their own."""

    runtime: str

    def __call__(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """(height, width, 3) uint8 RGB → (d,) int8, or float32 of a backbone with float output."""


@dataclass(frozen=True)
class Tensor:
    """What an interpreter says of an input or an output."""

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float
    zero_point: int


class TFLiteInterpreter:
    """A backbone: (1, height, width, 3) uint8 in, (1, d) int8 out; or both float32, with pixel values 0 … 255 in.

    Its feature map (1, h, w, d) may be a second output, and inner maps for inspection may be more (``MAP_PREFIX``).

    Args:
        model: the bytes of a ``.tflite`` file.
        runtime: ``auto``, ``litert`` or ``tflite``.
        threads: of the runtime.
        accelerator: the Edge TPU that ``model`` was compiled for, after a successful trial; None computes on the CPU.

    Attributes:
        xnnpack: whether XNNPACK computes the model; without it, it is many times slower.
        maps: its inner feature maps (1, h, w, c), finest first; none where it exports none.

    Raises:
        RuntimeMissingError: no such runtime is installed, or it cannot run the model.
    """

    def __init__(
        self,
        model: bytes,
        runtime: str = "auto",
        threads: int = DEFAULT_THREADS,
        accelerator: EdgeTpu | None = None,
    ) -> None:
        name, module = load_runtime(runtime)
        self.runtime = runtime_name(name)
        self._one_at_a_time = threading.Lock()  # photos are taught while the camera runs
        if accelerator is not None:  # its embeddings differ in last bits, as those of another runtime do
            self.runtime += f"+edgetpu-{accelerator.runtime_version or 'unknown'}"
        try:
            with captured_stderr():
                delegates = _delegates(module, accelerator)
                self._interpreter = module.Interpreter(
                    model_content=model, num_threads=threads, experimental_delegates=delegates
                )
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise RuntimeMissingError(f"{self.runtime} cannot run this backbone: {reason}") from None
        self.accelerator = accelerator
        self._made_of = model, name
        # The only delegate of a CPU runtime is XNNPACK; the runtime tells its name only once a process, on stderr.
        self.xnnpack = any(op["op_name"] == "DELEGATE" for op in self._interpreter._get_ops_details())
        self.input = _only(self._interpreter.get_input_details(), "input")
        outputs = self._interpreter.get_output_details()
        maps = [detail for detail in outputs if len(detail["shape"]) == 4]
        pooled = [detail for detail in maps if not detail["name"].startswith(MAP_PREFIX)]
        self._map = _only(pooled, "feature map") if pooled else None
        inner = (_only([detail], "inner map") for detail in maps if MAP_PREFIX in detail["name"])
        self.maps = tuple(sorted(inner, key=lambda tensor: tensor.name.removeprefix(FEATURE_MAP)))
        self.output = _only([detail for detail in outputs if len(detail["shape"]) != 4], "output")
        if self.input.dtype not in (np.uint8, np.float32) or len(self.input.shape) != 4 or self.input.shape[3] != 3:
            raise RuntimeMissingError(f"expected an input (1, height, width, 3) uint8 or float32, got {self.input}")
        if self.output.dtype not in (np.int8, np.float32) or len(self.output.shape) != 2:
            raise RuntimeMissingError(f"expected an output (1, d) int8 or float32, got {self.output}")

    def __call__(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """(height, width, 3) uint8 RGB → (d,) int8 or float32, as the model's output is."""
        return self._run(photo, self.output)[0]

    def with_maps(self, photo: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[Any], tuple[npt.NDArray[Any], ...]]:
        """As :meth:`__call__`, and of the same run each of :attr:`maps` as (h, w, c), of the type that it has."""
        embedding, *maps = self._run(photo, self.output, *self.maps)
        return embedding, tuple(maps)

    @property
    def made_of(self) -> tuple[bytes, str] | None:
        """Its model and its runtime's name; None where there can be no other one beside it: on an Edge TPU."""
        return self._made_of if self.accelerator is None else None

    def another(self) -> TFLiteInterpreter:
        """The same once more, with one thread, to compute beside this one on a CPU."""
        return TFLiteInterpreter(*self._made_of)

    @property
    def explains(self) -> bool:
        """Whether the backbone exports its feature map."""
        return self._map is not None

    def feature_map(self, photo: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Of a photo as :meth:`__call__` takes it: (h, w, d) float32 real values, whose mean over places is embedded.

        Raises:
            RuntimeMissingError: the backbone does not export it.
        """
        if self._map is None:
            raise RuntimeMissingError("this backbone exports no feature map: convert with --explainable")
        (values,) = self._run(photo, self._map)
        if self._map.dtype == np.float32:
            return values
        return (values.astype(np.float32) - self._map.zero_point) * np.float32(self._map.scale)

    def _run(self, photo: npt.NDArray[np.uint8], *outputs: Tensor) -> list[npt.NDArray[Any]]:
        try:
            with self._one_at_a_time:
                self._interpreter.set_tensor(self.input.index, photo[None].astype(self.input.dtype, copy=False))
                self._interpreter.invoke()
                results = [self._interpreter.get_tensor(output.index)[0] for output in outputs]
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise RuntimeMissingError(f"{self.runtime} cannot run this backbone: {reason}") from None
        return results


def open_interpreter(
    model: bytes, compiled: bytes | None, runtime: str = "auto", threads: int = DEFAULT_THREADS
) -> TFLiteInterpreter:
    """A backbone on the Edge TPU where its compiled twin is there and works, else on the CPU.

    Why the Edge TPU is not used is logged as a warning, with what to do about it; ``EDGETL_EDGETPU`` chooses the device
    or ``off``. Raises RuntimeMissingError as :class:`TFLiteInterpreter`.
    """
    wanted = edgetpu.choice() if compiled is not None else None
    if compiled is None or wanted is None:
        return TFLiteInterpreter(model, runtime, threads)
    trial = edgetpu.try_out(*wanted, RUNTIMES[choose_runtime(runtime)][0], compiled)
    if trial.ok:
        try:
            return TFLiteInterpreter(compiled, runtime, threads, trial)
        except RuntimeMissingError as error:  # it was there a moment ago
            trial = EdgeTpu(False, str(error), "plug it in again")
    log.warning("computing on the CPU, not on an Edge TPU: %s. To use it: %s", trial.detail, trial.fix)
    return TFLiteInterpreter(model, runtime, threads)


def run_once(module: str, model: bytes, accelerator: EdgeTpu) -> None:
    """Prepare and run any model on zeros, in the trial's child process; raises what the runtime raises."""
    runtime = importlib.import_module(module)
    delegates = _delegates(runtime, accelerator)
    interpreter = runtime.Interpreter(model_content=model, experimental_delegates=delegates)
    interpreter.allocate_tensors()
    interpreter.invoke()


def try_delegate(module: str, accelerator: EdgeTpu) -> None:
    """Open and close the device, in the trial's child process; raises what the runtime raises."""
    _delegates(importlib.import_module(module), accelerator)


def load_runtime(runtime: str) -> tuple[str, Any]:
    """The name of the runtime that is meant, and its module; raises RuntimeMissingError where it does not load."""
    name = choose_runtime(runtime)
    try:
        return name, importlib.import_module(RUNTIMES[name][0])
    except ImportError as error:  # tflite-runtime beside NumPy 2, a wheel of another architecture
        raise RuntimeMissingError(f"{RUNTIMES[name][1]} is installed but does not load: {error}") from None


def _delegates(module: Any, accelerator: EdgeTpu | None) -> list[Any] | None:
    if accelerator is None:
        return None
    options = {"device": accelerator.device} if accelerator.device else {}
    try:
        return [module.load_delegate(accelerator.library, options)]
    except OSError as error:  # worked in the trial
        raise RuntimeError(str(error)) from None


def _only(details: list[dict[str, Any]], what: str) -> Tensor:
    if len(details) != 1:
        raise RuntimeMissingError(f"expected one {what}, the backbone has {len(details)}")
    (detail,) = details
    scale, zero_point = detail["quantization"]
    shape = tuple(int(size) for size in detail["shape"])
    return Tensor(str(detail["name"]), detail["index"], shape, np.dtype(detail["dtype"]), float(scale), int(zero_point))
