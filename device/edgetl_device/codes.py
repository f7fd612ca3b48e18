"""The fixed integer transform between a backbone's int8 output and everything that learns from it.

Square root and L2 normalisation make embeddings of convolutional backbones more Gaussian and comparable between bright
and dim pictures (Tukey's ladder of powers, as used for few-shot learning in Yang, Liu and Xu, "Free Lunch for Few-shot
Learning", ICLR 2021, https://arxiv.org/abs/2101.06395). Everything is integer arithmetic, so every architecture gives
the same bytes, and counts, sums and products of the result are integers that add and subtract exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import InputError, MismatchError

TRANSFORM_VERSION = 1
MAX_DIMENSION = 4096  # features: the widest of common backbones; statistics and heads grow with its square

Int8 = npt.NDArray[np.int8]
Codes = npt.NDArray[np.uint8]

_ROOT = np.array([isqrt(value << 16) for value in range(256)], np.int64)  # 256 · √value, rounded down
_BLOCK_ROWS = 32  # rows transformed at once: keeps the int64 intermediates at a few MB
LEVELS_PER_RMS = 48  # a feature of root-mean-square size gets code 48; beyond 5 × that it saturates


@dataclass(frozen=True)
class CodeTransform:
    """Raw backbone output (n, d) int8 → codes (n, d) uint8.

    ``code = round(L · √d · r / ‖r‖)`` with ``r = sign(q − z) · √|q − z|`` and L = 48 levels per root mean square.
    A backbone that ends in ReLU has zero point −128: no feature is negative, and codes start at ``origin`` 0.
    Any other zero point means signed features: half the levels, around ``origin`` 128.

    Args:
        zero_point: of the backbone's output tensor, −128 … 127.
        dimension: d, the length of an embedding.
    """

    zero_point: int
    dimension: int

    def __post_init__(self) -> None:
        if not -128 <= self.zero_point <= 127 or not 1 <= self.dimension <= MAX_DIMENSION:
            raise InputError(
                f"expected a zero point of -128 to 127 and 1 to {MAX_DIMENSION} features, "
                f"got {self.zero_point} and {self.dimension}"
            )

    @property
    def signed(self) -> bool:
        """Whether features can be negative."""
        return self.zero_point != -128

    @property
    def origin(self) -> int:
        """The code of the value 0."""
        return 128 if self.signed else 0

    @property
    def length(self) -> float:
        """The norm of an embedding's codes less :attr:`origin`, but for rounding: the same for all embeddings."""
        return float(LEVELS_PER_RMS // (2 if self.signed else 1) * self.dimension**0.5)

    def __call__(self, raw: Int8) -> Codes:
        """(n, d) int8 → (n, d) uint8; an all-zero embedding gives all ``origin``."""
        if raw.ndim != 2 or raw.shape[1] != self.dimension or raw.dtype != np.int8:
            raise MismatchError(
                f"embeddings must be (n, {self.dimension}) int8, got {raw.shape} {raw.dtype}: "
                "they were made by another backbone"
            )
        codes = np.empty(raw.shape, np.uint8)
        for start in range(0, len(raw), _BLOCK_ROWS):
            codes[start : start + _BLOCK_ROWS] = self._block(raw[start : start + _BLOCK_ROWS])
        return codes

    def _block(self, raw: Int8) -> Codes:
        """In two tables: what each of the 256 values adds to the squared norm, and what its code is in each row."""
        value = np.arange(-128, 128) - self.zero_point
        root = _ROOT[np.abs(value)]
        rows = raw.astype(np.intp)
        rows += 128
        norm = np.maximum(_floor_sqrt((root * root).take(rows).sum(axis=1, keepdims=True)), 1)
        levels = isqrt((LEVELS_PER_RMS // (2 if self.signed else 1)) ** 2 * self.dimension)
        scaled = (root * levels + norm // 2) // norm
        codes = np.clip(np.where(value < 0, -scaled, scaled) + self.origin, 0, 255).astype(np.uint8)
        rows += np.arange(len(rows))[:, None] * len(value)
        return np.asarray(codes.ravel().take(rows))

    def to_json(self) -> dict[str, Any]:
        """What the manifest holds."""
        return {"transform": TRANSFORM_VERSION, "zero_point": self.zero_point, "dimension": self.dimension}

    @classmethod
    def from_json(cls, value: Any) -> CodeTransform:
        """The inverse of :meth:`to_json`; raises InputError on anything else."""
        if not isinstance(value, dict) or not all(type(item) is int for item in value.values()):
            raise InputError("the code transform must hold integers")
        if value.get("transform") != TRANSFORM_VERSION:
            raise InputError(
                f"code transform {value.get('transform')} is not {TRANSFORM_VERSION}: update edgetl-device"
            )
        if set(value) != {"transform", "zero_point", "dimension"}:
            raise InputError(f"unexpected members in the code transform: {sorted(value)}")
        return cls(value["zero_point"], value["dimension"])


def _floor_sqrt(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """⌊√value⌋ for 0 ≤ value < 2⁵²; the float guess is corrected, so rounding modes cannot matter."""
    root = np.sqrt(values.astype(np.float64)).astype(np.int64)
    root -= root * root > values
    root += (root + 1) * (root + 1) <= values
    return root
