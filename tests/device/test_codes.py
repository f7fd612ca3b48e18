import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.codes import CodeTransform
from edgetl_device.errors import InputError, MismatchError


def reference(raw: list[int], zero_point: int) -> list[int]:
    """The formula of the docstring with Python's exact integers."""
    dimension = len(raw)
    signed = zero_point != -128
    roots = [math.isqrt(abs(q - zero_point) << 16) for q in raw]
    norm = max(math.isqrt(sum(root * root for root in roots)), 1)
    levels = math.isqrt((24 if signed else 48) ** 2 * dimension)
    codes = []
    for q, root in zip(raw, roots, strict=True):
        code = (root * levels + norm // 2) // norm
        code = (-code if q < zero_point else code) + (128 if signed else 0)
        codes.append(min(max(code, 0), 255))
    return codes


@settings(deadline=None)
@given(st.lists(st.integers(-128, 127), min_size=1, max_size=40), st.sampled_from([-128, -3, 0, 127]))
def test_codes_follow_the_integer_formula_exactly(raw: list[int], zero_point: int) -> None:
    transform = CodeTransform(zero_point, len(raw))
    assert transform(np.array([raw], np.int8))[0].tolist() == reference(raw, zero_point)


def test_a_brighter_copy_of_an_embedding_gives_nearly_the_same_codes() -> None:
    raw = np.random.default_rng(0).integers(-128, -40, (1, 256))
    brighter = (raw + 128) * 2 - 128
    transform = CodeTransform(-128, 256)
    difference = transform(raw.astype(np.int8)).astype(int) - transform(np.clip(brighter, -128, 127).astype(np.int8))
    assert np.abs(difference).mean() < 1.0


def test_an_all_zero_embedding_gives_the_origin() -> None:
    assert (CodeTransform(-128, 8)(np.full((1, 8), -128, np.int8)) == 0).all()
    assert (CodeTransform(5, 8)(np.full((1, 8), 5, np.int8)) == 128).all()


def test_embeddings_of_another_size_or_type_are_refused() -> None:
    transform = CodeTransform(-128, 8)
    with pytest.raises(MismatchError, match=r"\(n, 8\) int8, got \(1, 9\)"):
        transform(np.zeros((1, 9), np.int8))
    with pytest.raises(MismatchError, match="float32"):
        transform(np.zeros((1, 8), np.float32))  # type: ignore[arg-type]


def test_a_transform_of_a_later_version_asks_for_an_update() -> None:
    value = CodeTransform(-128, 8).to_json() | {"transform": 99}
    with pytest.raises(InputError, match="update edgetl-device"):
        CodeTransform.from_json(value)
