"""Moments of single classes are as exact as all other statistics, in any order, split or tree."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from conftest import some_projection
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.arrays import pack, unpack
from edgetl_device.errors import InputError, MismatchError
from edgetl_device.projected import ProjectedMoments
from edgetl_device.statistics import Statistics, no_statistics, statistics_of, with_projection

DIMENSION = 16
PROJECTION = some_projection(DIMENSION, 5)
NONE = no_statistics("b", DIMENSION, PROJECTION)


def samples(count: int, seed: int, classes: int = 3) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, classes, count)
    codes = np.clip(generator.normal(60 + 40 * rows[:, None], 30, (count, DIMENSION)), 0, 255).astype(np.uint8)
    return codes, [f"class-{row}" for row in rows]


def of(codes: np.ndarray, labels: list[str]) -> Statistics:
    return statistics_of(codes, labels, "b", "r", PROJECTION)


def moments(statistics: Statistics) -> ProjectedMoments:
    assert statistics.projected is not None
    return statistics.projected


def test_moments_are_sums_of_projections_and_of_their_products() -> None:
    codes, labels = samples(60, 0)
    found = of(codes, labels)
    for row, label in enumerate(found.labels):
        own = PROJECTION(codes[np.asarray(labels) == label])
        assert moments(found).counts[row] == len(own) and (moments(found).sums[row] == own.sum(axis=0)).all()
        assert (moments(found).square(row) == own.T @ own).all()
        assert (moments(found).squares[row] == (own**2).sum(axis=0)).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 60), max_size=4))
def test_any_order_and_any_split_give_identical_bytes(count: int, seed: int, cuts: list[int]) -> None:
    codes, labels = samples(count, seed)
    order = np.random.default_rng(seed).permutation(count)
    total = NONE
    for start, stop in pairwise([0, *sorted(min(cut, count) for cut in cuts), count]):
        rows = order[start:stop]
        total = total + of(codes[rows], [labels[row] for row in rows])
    assert total.to_bytes() == of(codes, labels).to_bytes()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_adding_and_forgetting_restores_the_bytes(kept: int, passing: int, seed: int) -> None:
    before = of(*samples(kept, seed, classes=2))
    other = of(*samples(passing, seed + 1, classes=4))
    assert ((before + other) - other).to_bytes() == before.to_bytes()


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 25), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_forgetting_one_by_one_in_any_order_leaves_what_never_knew_them(count: int, seed: int, choose) -> None:
    codes, labels = samples(count, seed)
    gone = [row for row in range(count) if choose.random() < 0.5]
    kept = [row for row in range(count) if row not in gone]
    choose.shuffle(gone)
    found = of(codes, labels)
    for row in gone:
        found = found - of(codes[row : row + 1], [labels[row]])
    assert found.to_bytes() == of(codes[kept], [labels[row] for row in kept]).to_bytes()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_merging_in_any_tree_gives_identical_bytes_old_exports_among_them(sizes, choose) -> None:
    """An export of format 1 has no moments; its samples are then in the counts alone, whatever the order."""
    parts = [NONE]
    for seed, (size, old) in enumerate(sizes):
        found = of(*samples(size, seed))
        parts.append(replace(found, projected=None) if old else found)
    expected = sum(parts[1:], parts[0]).to_bytes()
    while len(parts) > 1:
        one, other = (parts.pop(choose.randrange(len(parts))) for _ in range(2))
        parts.append(one + other)
    assert parts[0].to_bytes() == expected
    again = Statistics.from_bytes(expected)
    old = sum(size for size, is_old in sizes if is_old)
    assert again.to_bytes() == expected and int(moments(again).counts.sum()) == again.samples - old


def test_statistics_without_moments_are_what_they_were_before_there_were_any() -> None:
    codes, labels = samples(20, 3)
    plain = statistics_of(codes, labels, "b", "r")
    assert set(unpack(plain.to_bytes())) == {"backbone", "runtimes", "labels", "dimension", "counts", "sums", "gram"}
    assert Statistics.from_bytes(plain.to_bytes()).projected is None
    assert with_projection(plain, codes, labels, PROJECTION).to_bytes() == of(codes, labels).to_bytes()
    assert with_projection(plain, codes, labels, None) is plain


def test_another_projection_is_refused() -> None:
    codes, labels = samples(5, 0)
    other = statistics_of(codes, labels, "b", "r", some_projection(DIMENSION, 6))
    with pytest.raises(MismatchError, match="along other projections"):
        of(codes, labels) + other


def test_subtracting_what_was_never_added_is_refused() -> None:
    codes, labels = samples(9, 1)
    whole = of(codes, labels)
    for known, gone in (
        (of(*samples(3, 0)), whole),
        (replace(whole, projected=None), whole),
        (whole, replace(whole, projected=None)),  # its moments would stay
        (whole, replace(whole, projected=replace(moments(whole), products=2 * moments(whole).products))),
    ):
        with pytest.raises(InputError, match="never added"):
            known - gone


def test_as_many_samples_as_there_may_be_do_not_overflow() -> None:
    count = 10**11
    largest = np.full((1, 5), 4095 * count)
    many = Statistics(
        "b", ("r",), ("a",), np.array([count]), np.full((1, DIMENSION), 255 * count),
        np.full((DIMENSION, DIMENSION), 255**2 * count),
        ProjectedMoments(PROJECTION, np.array([count]), largest, np.full((1, 15), 4095**2 * count)),
    )  # fmt: skip
    assert Statistics.from_bytes(many.to_bytes()).to_bytes() == many.to_bytes()


def changed(**arrays: object) -> bytes:
    """Good statistics with some arrays replaced."""
    good = unpack(of(*samples(30, 0)).to_bytes())
    return pack({name: value for name, value in {**good, **arrays}.items() if value is not None})


GOOD = moments(of(*samples(30, 0)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(offset=None), "expected the arrays"),
        (changed(projection=np.zeros((5, 9), np.int8)), "expected int8 directions"),
        (changed(projection=np.zeros((5, DIMENSION), np.int16)), "expected int8 directions"),
        (changed(projection=np.full((200, DIMENSION), 1, np.int8), offset=np.zeros(200, np.int64)), "1 to 128"),
        (changed(offset=np.zeros(4, np.int64)), "integers of shape"),
        (changed(projected_counts=np.zeros(10**6, np.int64)), "integers of shape"),
        (changed(projected_counts=GOOD.counts + 1), "more samples in projections than there are"),
        (changed(projected_counts=-GOOD.counts), "more samples in projections than there are"),
        (changed(projected_sums=GOOD.sums.astype(np.float64)), "integers of shape"),
        (changed(projected_sums=GOOD.sums + 10**6), "projections that no samples can have"),
        (changed(projected_products=np.zeros((3, 10**6), np.int16)), "integers of shape"),
        (changed(projected_products=GOOD.products * 0), "projections that no samples can have"),
        (changed(projected_products=GOOD.products + 10**9), "projections that no samples can have"),
        (changed(projected_products=GOOD.products * 10**8), "projections that no samples can have"),
    ],
)
def test_moments_that_no_samples_can_have_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Statistics.from_bytes(data)
