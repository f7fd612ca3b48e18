import numpy as np
import pytest

from edgetl_device.codes import MAX_DIMENSION
from edgetl_device.errors import InputError
from edgetl_device.projection import MAX_DIRECTIONS, MAX_NORM, MAX_PROJECTION, SHIFT, Projection


def slowly(projection: Projection, codes: np.ndarray) -> np.ndarray:
    """The same in whole numbers alone."""
    sums = codes.astype(np.int64) @ projection.weights.astype(np.int64).T
    return np.clip((sums - projection.offset) >> SHIFT, -MAX_PROJECTION, MAX_PROJECTION)


@pytest.mark.parametrize("dimension", [5, 1280, MAX_DIMENSION])
def test_the_largest_directions_and_codes_are_projected_exactly(dimension: int) -> None:
    """Weights of the largest norm, all of one sign, on the largest codes: the sum that comes nearest to 2²⁴."""
    value = min(int(MAX_NORM / dimension**0.5), 127)
    generator = np.random.default_rng(0)
    weights = np.full((3, dimension), value, np.int8)
    weights[1] *= -1
    weights[2] = generator.integers(-min(value, 16), min(value, 16) + 1, dimension)
    codes = np.stack([np.full(dimension, 255), generator.integers(0, 256, dimension), np.zeros(dimension)])
    for direction, offset in zip(weights, (0, -5, 1 << 20), strict=True):
        projection = Projection(direction[None], np.array([offset], np.int64))
        assert (projection(codes.astype(np.uint8)) == slowly(projection, codes)).all()


def test_random_codes_are_projected_exactly_and_whatever_the_block() -> None:
    generator = np.random.default_rng(1)
    weights = generator.normal(0, 20, (96, 1280)).astype(np.int8)
    codes = generator.integers(0, 256, (1500, 1280)).astype(np.uint8)
    projection = Projection(weights, slowly(Projection(weights, np.zeros(96, np.int64)), codes[:1])[0] << SHIFT)
    found = projection(codes)
    assert (found == slowly(projection, codes)).all() and (found[700:710] == projection(codes[700:710])).all()


def test_what_is_far_off_is_cut_to_what_squares_have_room_for() -> None:
    projection = Projection(np.full((1, 64), 127, np.int8), np.array([-(1 << 24)], np.int64))
    assert projection(np.full((1, 64), 255, np.uint8))[0, 0] == MAX_PROJECTION
    assert 10**11 * MAX_PROJECTION**2 < 2**63


SOUND = np.array([[100, 0, 0, 0], [90, 20, 0, 0]], np.int8)


def test_few_directions_that_are_not_orthogonal_are_directions() -> None:
    assert Projection(SOUND, np.full(2, -(1 << 24))).size == 2


@pytest.mark.parametrize(
    ("weights", "offset"),
    [
        (np.zeros((0, 4), np.int8), np.zeros(0, np.int64)),
        (np.zeros((MAX_DIRECTIONS + 1, 4), np.int8), np.zeros(MAX_DIRECTIONS + 1, np.int64)),
        (np.zeros((2, MAX_DIMENSION + 1), np.int8), np.zeros(2, np.int64)),
        (np.zeros((2, 4), np.int16), np.zeros(2, np.int64)),
        (SOUND, np.zeros(3, np.int64)),
        (SOUND, np.full(2, 1 << 25)),
        (SOUND, np.full(2, np.iinfo(np.int64).min)),
        (np.zeros((2, 4), np.int8), np.zeros(2, np.int64)),
        (SOUND // 8, np.zeros(2, np.int64)),
        (SOUND[[0, 0]], np.zeros(2, np.int64)),
        (np.array([[100, 0, 1], [0, 100, 1], [100, 100, 2]], np.int8), np.zeros(3, np.int64)),
        (np.full((3, 2), 90, np.int8) - np.eye(3, 2, dtype=np.int8) * 100, np.zeros(3, np.int64)),
        (np.full((1, 1280), 127, np.int8), np.zeros(1, np.int64)),
        (np.zeros(4, np.int8), np.zeros(4, np.int64)),
    ],
)
def test_directions_that_could_overflow_or_tell_nothing_are_refused(weights: np.ndarray, offset: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        Projection(weights, offset)
