"""Place statistics: exact whatever the order, and nothing that no photos can have is read."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.arrays import pack, unpack
from edgetl_device.errors import InputError, MismatchError
from edgetl_device.inspection.place_statistics import PlaceStatistics, no_place_statistics, place_statistics_of

TENSORS = ("fine", "coarse")
SHAPES = ((3, 4, 5), (2, 2, 7))


def codes(seed: int, photos: int, extreme: bool = False) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    draw = (
        (lambda shape: generator.choice([0, 255], shape))
        if extreme
        else (lambda shape: generator.integers(0, 256, shape))
    )
    return [draw((photos, *shape)).astype(np.uint8) for shape in SHAPES]


def of(grids: list[np.ndarray], view: str = "view") -> PlaceStatistics:
    return place_statistics_of(grids, "backbone", view, TENSORS)


def rows(grids: list[np.ndarray], part: slice) -> list[np.ndarray]:
    return [grid[part] for grid in grids]


def test_sums_and_products_are_those_of_each_place() -> None:
    grids = codes(0, 9)
    made = of(grids)
    for number, grid in enumerate(grids):
        values = grid.reshape(9, -1, grid.shape[-1]).astype(np.int64)
        assert (made.sums[number] == values.sum(axis=0)).all()
        assert (made.gram(number) == np.einsum("npi,npj->pij", values, values)).all()
    assert made.count == 9 and made.nbytes == 8 * (12 * 5 + 4 * 7) + 4 * (12 * 15 + 4 * 28)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 6), min_size=1, max_size=5), st.booleans())
@settings(max_examples=25, deadline=None)
def test_any_division_and_order_of_photos_gives_the_same_bytes(seed: int, sizes: list[int], extreme: bool) -> None:
    grids = codes(seed, sum(sizes), extreme)
    whole, total, start = of(grids), no_place_statistics("backbone", "view", TENSORS, SHAPES), 0
    parts = []
    for size in sizes:
        parts.append(of(rows(grids, slice(start, start + size))))
        start += size
    for part in reversed(parts):
        total = total + part
    assert total.to_bytes() == whole.to_bytes()
    assert PlaceStatistics.from_bytes(whole.to_bytes()).to_bytes() == whole.to_bytes()
    for part in parts:
        total = total - part
    assert total.to_bytes() == no_place_statistics("backbone", "view", TENSORS, SHAPES).to_bytes()


def test_the_worst_codes_are_exact_beyond_what_a_block_holds() -> None:
    bright = [np.full((600, 1, 1, 3), 255, np.uint8)]
    made = place_statistics_of(bright, "b", "v", ("one",))
    assert (made.products[0] == 600 * 255**2).all() and made.products[0].dtype == np.int32
    many = replace(
        made,
        count=40_000,
        sums=(made.sums[0] // 600 * 40_000,),
        products=(made.products[0].astype(np.int64) // 600 * 40_000,),
    )
    back = (many + made) - many
    assert back.to_bytes() == made.to_bytes() and back.products[0].dtype == np.int32


def test_what_was_never_added_cannot_be_subtracted() -> None:
    few, more = of(codes(1, 2)), of(codes(2, 3))
    with pytest.raises(InputError, match="never added"):
        _ = few - more
    with pytest.raises(InputError, match="never added"):
        _ = more - of([np.full((1, *shape), 255, np.uint8) for shape in SHAPES]) - few
    with pytest.raises(InputError, match="never added"):
        _ = few - of(codes(3, 2))


def test_other_backbones_views_and_grids_are_refused() -> None:
    made = of(codes(1, 2))
    for other in (replace(made, backbone="other"), replace(made, tensors=("fine", "other"))):
        with pytest.raises(MismatchError, match="one bundle on all devices"):
            _ = made + other
    with pytest.raises(MismatchError, match="same region"):
        _ = made + of(codes(1, 2), "another view")
    for grids in (
        [],
        codes(1, 2)[:1],
        [codes(1, 2)[0], codes(1, 3)[1]],
        [grid.astype(np.int8) for grid in codes(1, 2)],
    ):
        with pytest.raises(MismatchError, match="expected"):
            of(grids)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("count", lambda array: array * 0),
        ("count", lambda array: array * 0 - 1),
        ("count", lambda array: array * 10**12),
        ("shapes", lambda array: array * 0),
        ("shapes", lambda array: array * 10**6),
        ("sums0", lambda array: array[:, :4]),
        ("sums0", lambda array: array.astype(np.int64) * 255),
        ("sums1", lambda array: array.astype(np.float64)),
        ("products0", lambda array: array * 0),
        ("products0", lambda array: array.astype(np.int64) * 2),
        ("products1", lambda array: np.where(np.arange(28) == 3, 255**2 * 5, array)),
        ("products1", lambda array: np.full(array.shape, 2**64 - 1, np.uint64)),
        ("tensors", lambda array: np.frombuffer(b"fine\nfine\n", np.uint8)),
        ("view", lambda array: array[:-1]),
    ],
)
def test_statistics_that_no_photos_can_have_are_refused(name: str, change) -> None:
    arrays = dict(unpack(of(codes(4, 5)).to_bytes()))
    arrays[name] = change(arrays[name])
    with pytest.raises(InputError):
        PlaceStatistics.from_bytes(pack(arrays))


@pytest.mark.parametrize("data", [b"", b"PK\x05\x06" + bytes(18), pack({"count": np.zeros(1)})])
def test_what_is_no_set_of_statistics_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        PlaceStatistics.from_bytes(data)
