import tracemalloc
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.arrays import pack, unpack
from edgetl_device.errors import InputError, MismatchError
from edgetl_device.heads.evidence import gather
from edgetl_device.heads.head import fit_head
from edgetl_device.statistics import (
    BLOCK_ROWS,
    FEW_ROWS,
    MAX_SAMPLES,
    Statistics,
    exact_gram,
    no_statistics,
    statistics_of,
)

BACKBONE, RUNTIME = "b" * 64, "litert-1"
NONE = no_statistics(BACKBONE, 16)


def samples(count: int, seed: int, dimension: int = 16, classes: int = 3) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, classes, count)
    codes = np.clip(generator.normal(60 + 40 * rows[:, None], 30, (count, dimension)), 0, 255).astype(np.uint8)
    return codes, [f"class-{row}" for row in rows]


def of(codes: np.ndarray, labels: list[str]) -> Statistics:
    return statistics_of(codes, labels, BACKBONE, RUNTIME)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 60), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 60), max_size=4))
def test_any_order_and_any_split_give_identical_bytes(count: int, seed: int, cuts: list[int]) -> None:
    codes, labels = samples(count, seed)
    whole = of(codes, labels).to_bytes()
    order = np.random.default_rng(seed).permutation(count)
    bounds = [0, *sorted(min(cut, count) for cut in cuts), count]
    total = NONE
    for start, stop in pairwise(bounds):
        rows = order[start:stop]
        total = total + of(codes[rows], [labels[row] for row in rows])
    assert total.to_bytes() == whole


def test_statistics_of_files_add_and_subtract_without_unfolding_to_the_same_bytes() -> None:
    one, other = of(*samples(30, 1)), of(*samples(50, 2, classes=4))
    read = [Statistics.from_bytes(part.to_bytes()) for part in (one, other)]
    both = read[0] + read[1]
    assert both.products.ndim == 1 and both.to_bytes() == (one + other).to_bytes()
    assert (both.gram == (one + other).gram).all()
    assert (both - read[1]).to_bytes() == one.to_bytes() == (read[0] + other - other).to_bytes()
    with pytest.raises(InputError, match="never added"):
        read[0] - read[1]


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_adding_and_forgetting_restores_the_bytes(kept: int, passing: int, seed: int) -> None:
    before = of(*samples(kept, seed, classes=2))
    other = of(*samples(passing, seed + 1, classes=4))
    assert ((before + other) - other).to_bytes() == before.to_bytes()


def test_heads_from_any_order_agree_to_one_part_in_a_million_and_in_every_label() -> None:
    codes, labels = samples(300, 1, dimension=64)
    held, held_labels = samples(60, 2, dimension=64)
    heads = []
    for order in (np.arange(300), np.random.default_rng(3).permutation(300)):
        parts = [of(codes[rows], [labels[row] for row in rows]) for rows in np.array_split(order, 7)]
        total = sum(parts[1:], parts[0])
        heads.append(fit_head(gather(total, held, held_labels, held[:0], (), RUNTIME)))
    first, second = (head.predict(held) for head in heads)
    np.testing.assert_allclose(first[0], second[0], atol=1e-6)
    assert (first[0].argmax(1) == second[0].argmax(1)).all()


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1, BLOCK_ROWS, BLOCK_ROWS + 1, 2 * BLOCK_ROWS])
def test_the_gram_of_extreme_codes_is_exact(rows: int, value: int) -> None:
    codes = np.full((rows, 5), value, np.uint8)
    codes[::7, 2] = 255 - value
    expected = codes.astype(np.int64).T @ codes.astype(np.int64)
    assert (exact_gram(codes) == expected).all()


def test_one_row_more_than_a_block_would_not_be_exact() -> None:
    """Why the block has 1,024 rows: 1,025 extreme ones do not fit float32."""
    block = np.full((BLOCK_ROWS + 1, 1), -128, np.float32)
    block[-1] = -127
    assert float((block.T @ block)[0, 0]) != BLOCK_ROWS * 128**2 + 127**2


def test_the_gram_of_random_codes_is_exact() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (3000, 40), dtype=np.uint8)
    assert (exact_gram(codes) == codes.astype(np.int64).T @ codes.astype(np.int64)).all()


def test_bytes_round_trip() -> None:
    found = of(*samples(50, 4))
    again = Statistics.from_bytes(found.to_bytes())
    assert again.to_bytes() == found.to_bytes()
    assert again.labels == found.labels and (again.gram == found.gram).all() and again.runtimes == (RUNTIME,)


def test_another_backbone_is_refused() -> None:
    with pytest.raises(MismatchError, match="cannot be combined"):
        of(*samples(5, 0)) + no_statistics("c" * 64, 16)


def test_another_runtime_is_allowed_and_reported_as_not_bit_exact() -> None:
    codes, labels = samples(5, 0)
    mixed = of(codes, labels) + statistics_of(codes, labels, BACKBONE, "tflite-2")
    assert mixed.runtimes == (RUNTIME, "tflite-2") and not mixed.bit_exact


def test_subtracting_what_was_never_added_is_refused() -> None:
    with pytest.raises(InputError, match="never added"):
        of(*samples(3, 0)) - of(*samples(9, 1))


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: b"", lambda data: b"PK" + data[5:]])
def test_damaged_bytes_are_refused(damage) -> None:
    with pytest.raises(InputError):
        Statistics.from_bytes(damage(of(*samples(5, 0)).to_bytes()))


@pytest.mark.parametrize("dimension", [float("inf"), float("nan"), 4.0, [4, 4], -4])
def test_a_dimension_that_is_no_number_of_features_is_refused(dimension) -> None:
    arrays = unpack(no_statistics("b", 4).to_bytes()) | {"dimension": np.asarray(dimension)}
    with pytest.raises(InputError):
        Statistics.from_bytes(pack(arrays))


def test_sums_that_no_samples_can_have_are_refused() -> None:
    found = of(*samples(5, 0))
    for poison in (
        replace(found, sums=found.sums + 10**6),
        replace(found, products=found.gram.astype(np.int64) + 10**9),
    ):
        with pytest.raises(InputError, match="no samples can have"):
            Statistics.from_bytes(poison.to_bytes())


def test_the_gram_widens_where_32_bits_may_not_hold_it_and_narrows_again() -> None:
    codes = np.full((17_000, 3), 255, np.uint8)
    half = of(codes, ["a"] * len(codes))
    whole = half + half
    assert half.gram.dtype == np.int32 and whole.gram.dtype == np.int64
    assert (whole.gram == 2 * 17_000 * 255**2).all() and Statistics.from_bytes(whole.to_bytes()).gram.dtype == np.int64
    back = whole - half
    assert back.gram.dtype == np.int32 and back.to_bytes() == half.to_bytes()


def test_two_hundred_thousand_samples_of_the_largest_codes_do_not_overflow() -> None:
    codes = np.full((200_000, 3), 255, np.uint8)
    found = of(codes, ["a"] * len(codes))
    assert (found.gram == 200_000 * 255**2).all() and (found.sums == 200_000 * 255).all() and found.samples == 200_000
    assert Statistics.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()
    assert ((found + found) - found).to_bytes() == found.to_bytes()


@settings(deadline=None, max_examples=15)
@given(st.lists(st.sampled_from([1, 255, FEW_ROWS, FEW_ROWS + 1, BLOCK_ROWS, BLOCK_ROWS + 1]), max_size=4))
def test_batches_on_either_side_of_every_internal_bound_give_identical_bytes(batches: list[int]) -> None:
    codes, labels = samples(sum(batches), 7, dimension=6)
    total = no_statistics(BACKBONE, 6)
    for start, stop in pairwise(np.cumsum([0, *batches]).tolist()):
        total = total + of(codes[start:stop], labels[start:stop])
    assert total.to_bytes() == (of(codes, labels) if batches else total).to_bytes()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_merging_in_any_tree_gives_identical_bytes(sizes: list[int], choose) -> None:
    parts = [statistics_of(*samples(size, seed), BACKBONE, f"runtime-{seed % 2}") for seed, size in enumerate(sizes)]
    expected = sum(parts[1:], parts[0]).to_bytes()
    while len(parts) > 1:
        one, other = (parts.pop(choose.randrange(len(parts))) for _ in range(2))
        parts.append(one + other)
    assert parts[0].to_bytes() == expected


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


def changed(**arrays: object) -> bytes:
    """Good statistics of one class and four features, with some arrays replaced."""
    good = of(*samples(3, 0, dimension=4)).to_bytes()
    return pack(unpack(good) | {name: np.asarray(array) for name, array in arrays.items()})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(dimension=4097), "up to 4096 features"),
        (changed(dimension=[4]), r"integers of shape \(\)"),
        (changed(labels=np.full(2001, 10, np.uint8)), "at most 2000 strings"),
        (changed(labels=np.zeros(2000 * 512 + 1, np.uint8)), "at most 2000 strings"),
        (changed(backbone=np.full(2, 10, np.uint8)), "at most 1 strings"),
        (changed(runtimes=np.full(65, 10, np.uint8)), "at most 64 strings"),
        (changed(counts=np.zeros(10**6, np.uint8)), "integers of shape"),
        (changed(sums=np.zeros((3, 10**6), np.uint8)), "integers of shape"),
        (changed(gram=np.zeros(10**6, np.uint8)), "expected integers for 4 features"),
        (changed(counts=np.array([2**63, 1], np.uint64)), "1 to 100000000000 samples"),
        (changed(counts=np.array([10**11 + 1, 1])), "1 to 100000000000 samples"),
        (changed(counts=np.array([2**62, 2**62])), "1 to 100000000000 samples"),
    ],
)
def test_statistics_larger_than_any_device_has_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Statistics.from_bytes(data)


def test_a_million_empty_labels_are_refused_before_they_are_made() -> None:
    data = changed(labels=np.full(10**6, 10, np.uint8))
    tracemalloc.start()
    with pytest.raises(InputError, match="at most 2000 strings"):
        Statistics.from_bytes(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * len(data)


def with_products(statistics: Statistics, change) -> bytes:
    gram = statistics.gram.astype(np.int64)
    change(gram)
    return replace(statistics, products=gram).to_bytes()


def spoilt(row: int, column: int, value) -> object:
    def change(gram: np.ndarray) -> None:
        gram[row, column] = gram[column, row] = value(gram)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda gram: gram.fill(0),
        spoilt(2, 2, lambda _: 0),
        spoilt(2, 2, lambda gram: 4 * gram[2, 2]),
        spoilt(0, 3, lambda gram: int((gram[0, 0] * gram[3, 3]) ** 0.5) + 1),
        spoilt(1, 2, lambda gram: 2 * gram.max()),
    ],
    ids=["none at all", "no square", "a large square", "a product over its squares", "a large product"],
)
def test_products_that_no_samples_can_have_are_refused(change) -> None:
    with pytest.raises(InputError, match="products that no samples can have"):
        Statistics.from_bytes(with_products(of(*samples(50, 0, dimension=4)), change))


def test_the_least_and_the_largest_square_that_a_sum_allows_are_taken_and_no_other() -> None:
    """Three codes that add up to 256: 85, 85 and 86 have the least squares, 255, 1 and 0 the largest."""
    for codes, step in (((85, 85, 86), -1), ((255, 1, 0), 1)):
        sound = of(np.array(codes, np.uint8)[:, None], ["a"] * 3)
        assert Statistics.from_bytes(sound.to_bytes()).to_bytes() == sound.to_bytes()
        with pytest.raises(InputError, match="no samples can have"):
            Statistics.from_bytes(with_products(sound, spoilt(0, 0, lambda gram, step=step: gram[0, 0] + step)))


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 300),
    st.integers(1, 8),
    st.sampled_from([(0, 1), (0, 256), (254, 256), (0, 2)]),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_statistics_of_any_codes_are_never_refused(count, dimension, bounds, seed, alike) -> None:
    generator = np.random.default_rng(seed)
    codes = generator.integers(*bounds, (count, dimension), dtype=np.uint8)
    if alike:  # where no product may be larger than it is
        codes[:] = codes[:, :1]
    found = of(codes, [f"class-{row}" for row in generator.integers(0, 4, count)])
    assert Statistics.from_bytes(found.to_bytes()).to_bytes() == found.to_bytes()


def test_statistics_of_as_many_samples_as_there_may_be_are_never_refused() -> None:
    for value in (1, 254, 255):
        count = MAX_SAMPLES
        many = Statistics(BACKBONE, (RUNTIME,), ("a",), np.array([count]), np.full((1, 3), value * count),
                          np.full((3, 3), value**2 * count))  # fmt: skip
        assert Statistics.from_bytes(many.to_bytes()).samples == count
