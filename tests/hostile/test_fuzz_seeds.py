"""What is fuzzed at length (``benchmarks/fuzz.py``), at its seeds and a few steps from them."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("edgetl")

sys.path.append(str(Path(__file__).parents[2]))

from benchmarks.fuzz_targets import TARGETS

STEPS = 40


def changed(seed: bytes, generator: random.Random) -> bytes:
    """Some bytes of a seed turned over, taken out or repeated."""
    data = bytearray(seed)
    for _ in range(generator.randint(1, 4)):
        place, size = generator.randrange(len(data) + 1), generator.choice((1, 1, 2, 4, 16))
        how = generator.randrange(3)
        if how == 0:
            data[place : place + size] = generator.randbytes(size)
        elif how == 1:
            del data[place : place + size]
        else:
            data[place:place] = data[place : place + size] * generator.randint(1, 9)
    return bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TARGETS))
def test_nothing_near_the_seeds_gets_anything_but_a_clear_answer(name: str) -> None:
    if name.startswith("Keras"):
        pytest.importorskip("h5py")
    generator, target = random.Random(0), TARGETS[name]()
    with target.close:
        seeds = generator.sample(target.seeds, min(STEPS, len(target.seeds)))
        for seed in seeds:
            target.check(seed)
        for _ in range(STEPS):
            target.check(changed(generator.choice(seeds), generator))
