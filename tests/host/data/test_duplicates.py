from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from edgetl.data.datasets import Dataset
from edgetl.data.duplicates import NEAR, find_duplicates, near_pairs
from edgetl.data.hashes import difference_hash


def test_a_copy_in_another_size_quality_and_light_is_near_and_other_photos_are_not() -> None:
    generator = np.random.default_rng(0)
    scenes = [generator.integers(0, 256, (6, 6, 3), dtype=np.uint8) for _ in range(30)]
    photos = [cv2.resize(scene, (224, 224), interpolation=cv2.INTER_CUBIC) for scene in scenes]
    done, data = cv2.imencode(".jpg", cv2.resize(photos[7], (160, 160)), [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert done
    copy = cv2.convertScaleAbs(cv2.imdecode(data, cv2.IMREAD_COLOR), alpha=0.8, beta=10)
    hashes = np.stack([difference_hash(photo) for photo in [*photos, copy]])
    assert near_pairs(hashes) == [(7, 30)]


def test_a_hash_compares_the_means_of_nine_by_nine_places_rounded_to_levels() -> None:
    generator = np.random.default_rng(0)
    for height, width in ((96, 96), (7, 20), (300, 257)):
        photo = generator.integers(0, 256, (height, width, 3), dtype=np.uint8) // 16 + np.uint8(100)
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(object)
        pixels = grey.repeat(9, axis=0).repeat(9, axis=1)  # whole ones in each place
        places = pixels.reshape(9, height, 9, width).sum(axis=(1, 3))
        means = np.array([[round(Fraction(int(place), height * width) + Fraction(1, 10**9)) for place in row]
                          for row in places])  # fmt: skip
        across, down = means[:8, 1:] > means[:8, :8], means[1:, :8] > means[:8, :8]
        assert np.unpackbits(difference_hash(photo)).tolist() == [*across.ravel(), *down.ravel()]


def test_near_pairs_are_those_that_counting_all_bits_finds() -> None:
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 256, (300, 16), dtype=np.uint8)
    bits = np.unpackbits(hashes, axis=1)
    for row in range(100):  # copies with 0 … 12 bits turned
        flipped = generator.permutation(128)[: row % 13]
        bits[200 + row] = bits[row]
        bits[200 + row, flipped] ^= 1
    hashes = np.packbits(bits, axis=1)
    apart = (bits[:, None] != bits[None]).sum(axis=2)
    assert near_pairs(hashes) == [(int(a), int(b)) for a, b in np.argwhere(np.triu(apart <= NEAR, 1))]


def test_a_thousand_copies_of_one_picture_are_named_as_a_chain() -> None:
    hashes = np.tile(np.random.default_rng(0).integers(0, 256, (1, 16), dtype=np.uint8), (1000, 1))
    assert near_pairs(hashes) == [(row, row + 1) for row in range(999)]


def test_copies_are_told_by_what_they_spoil() -> None:
    hashes = np.zeros((5, 16), np.uint8)
    hashes[:, 0] = np.arange(5)
    hashes[:, 8:] = np.random.default_rng(0).integers(0, 256, (5, 8))
    hashes[3], hashes[4] = hashes[0], hashes[1]
    names = tuple(Path(name) for name in "abcde")
    photos = Dataset(Path("x"), names, ("ball", "ball", "box", "box", "ball"), ("train", "val", "val", "val", "train"))
    found = find_duplicates(photos, hashes)
    assert found.labels == ((Path("a"), Path("d")),) and found.splits == ((Path("e"), Path("b")),)
