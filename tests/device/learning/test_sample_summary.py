import numpy as np

from edgetl_device.codes import CodeTransform
from edgetl_device.heads.novelty import MOST_RECENT, RECENT_PER_CLASS
from edgetl_device.learning.sample_summary import SampleSummary
from edgetl_device.statistics import statistics_of

TRANSFORM = CodeTransform(-128, 8)


def blocks(sizes: list[int], labels: int = 2):
    generator = np.random.default_rng(0)
    first = 1
    for size in sizes:
        ids = list(range(first, first + size))
        names = [f"c{identity % labels}" for identity in ids]
        yield ids, names, ["r"] * size, generator.integers(-128, 0, (size, 8)).astype(np.int8)
        first += size


def test_block_by_block_it_has_the_statistics_of_all() -> None:
    summary = SampleSummary.empty("b", 8)
    summary.add(blocks([3, 1, 200]), TRANSFORM)
    codes = np.concatenate([TRANSFORM(block[3]) for block in blocks([3, 1, 200])])
    labels = [label for block in blocks([3, 1, 200]) for label in block[1]]
    assert summary.statistics.to_bytes() == statistics_of(codes, labels, "b", "r").to_bytes() and summary.last == 204


def test_it_keeps_the_newest_of_each_label_however_many_there_were() -> None:
    summary = SampleSummary.empty("b", 8)
    summary.add(blocks([500, 500]), TRANSFORM)
    ids, labels, codes = summary.newest()
    assert ids == list(range(1001 - 2 * RECENT_PER_CLASS, 1001)) and labels[-2:] == ("c1", "c0")
    assert (codes == np.concatenate([TRANSFORM(block[3]) for block in blocks([500, 500])])[-len(ids) :]).all()
    assert summary.newest(after=998)[0] == [999, 1000]


def test_of_many_labels_it_keeps_fewer_each_and_never_more_than_the_budget() -> None:
    summary = SampleSummary.empty("b", 8)
    summary.add(blocks([1000] * 20, labels=500), TRANSFORM)
    ids, labels, _ = summary.newest()
    counts = [labels.count(label) for label in set(labels)]
    assert len(counts) == 500 and set(counts) == {8} and len(ids) == 4000 <= MOST_RECENT
    assert max(ids) == 20_000 and min(ids) == 20_000 - 4000 + 1
