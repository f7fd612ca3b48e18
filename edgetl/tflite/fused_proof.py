"""What a fused model says, to the TFLite runtime alone, against what it must say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import CheckFailedError
from edgetl_device.inference.native_log import captured_stderr
from edgetl_device.percent import percent

AGREEMENT = 0.995  # share of held-out photos on which a fused model must say what the bundle says

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Fused:
    """A fused model and its proof.

    Args:
        data: the bytes of the ``.tflite`` file.
        agreement: share of held-out photos with the bundle's top label.
        samples: how many photos.
    """

    data: bytes
    agreement: float
    samples: int

    def to_json(self) -> dict[str, Any]:
        """What manifest and ``--json`` hold."""
        return {"agreement": self.agreement, "samples": self.samples, "size_bytes": len(self.data)}


class Runner:
    """A fused model in the TFLite runtime alone: (height, width, 3) uint8 RGB preprocessed photo → (C,) scores."""

    def __init__(self, model: bytes) -> None:
        from ai_edge_litert.interpreter import Interpreter

        with captured_stderr():
            self._interpreter = Interpreter(model_content=model, num_threads=1)
            self._interpreter.allocate_tensors()
        (self._input,), (self._output,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()

    def __call__(self, photo: npt.NDArray[np.uint8]) -> Floats:
        self._interpreter.set_tensor(self._input["index"], photo[None].astype(self._input["dtype"], copy=False))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output["index"])[0], np.float32)


def predict(model: bytes, photos: Iterable[npt.NDArray[np.uint8]]) -> Floats:
    """n preprocessed photos → (n, C) scores, by the TFLite runtime alone."""
    run = Runner(model)
    return np.stack([run(photo) for photo in photos])


def prove(model: bytes, photos: Iterable[npt.NDArray[np.uint8]], expected: Sequence[int]) -> Fused:
    """Hold a fused model against what the bundle says of n photos.

    Args:
        photos: n (height, width, 3) uint8 RGB preprocessed photos.
        expected: the bundle's n labels, as indices.

    Raises:
        CheckFailedError: they differ on more than 0.5 % of the photos; one photo, a near tie, is always forgiven.
    """
    same = int((predict(model, photos).argmax(axis=1) == np.asarray(expected)).sum())
    fused = Fused(model, same / len(expected), len(expected))
    if len(expected) - same > max(1, (1 - AGREEMENT) * len(expected)):
        raise CheckFailedError(
            f"the fused model agrees with the bundle on only {percent(fused.agreement, 1)} of {len(expected)} held-out "
            f"photos (at least {percent(AGREEMENT, 1)} expected); nothing was written. "
            "Try --head lda, or leave out --fused"
        )
    return fused
