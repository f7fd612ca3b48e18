import numpy as np
import pytest

from edgetl import tf
from edgetl.training import augmentation

STILL = [1.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0, 0, 0]
"""The whole photo, not turned, not mirrored, colours as they are."""


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


def changed(photos, place: int, value: float, strong: bool = False) -> np.ndarray:
    draws = np.tile(np.array(STILL, np.float32), (len(photos), 1))
    draws[:, place] = value
    return augmentation.random_views(photos, draws, photos.shape[1], strong).numpy()


def test_drawn_still_a_view_is_the_photo(photos) -> None:
    np.testing.assert_allclose(changed(photos, 0, 1.0), augmentation.whole(photos), atol=1e-5)
    np.testing.assert_allclose(changed(photos, 0, 1.0, strong=True), augmentation.whole(photos), atol=1e-5)


def test_mirrored_is_mirrored_exactly(photos) -> None:
    np.testing.assert_allclose(changed(photos, 5, -1.0), augmentation.whole(photos)[:, :, ::-1], atol=1e-5)


def test_without_mirroring_all_else_is_drawn_as_it_was() -> None:
    draws = augmentation.draw([(7, number) for number in range(40)])
    turned = augmentation.mirrored(draws)
    found = augmentation.unmirrored(draws)
    assert 10 < turned.sum() < 30 and not augmentation.mirrored(found).any()
    assert (found[~turned] == draws[~turned]).all() and (np.delete(found, 5, 1) == np.delete(draws, 5, 1)).all()


def test_a_crop_shows_its_part_of_the_photo(photos) -> None:
    draws = np.array([STILL], np.float32)
    draws[0, :4] = -1.0, 0.0, -1.0, -1.0  # half of the area, at the upper left
    side = 32 * 0.5**0.5
    flat = np.repeat(np.repeat(np.arange(32, dtype=np.uint8)[None, None, :, None], 32, 1), 3, 3)
    found = (augmentation.random_views(flat, draws, 32).numpy()[0, 5, :, 0] + 1) * 127.5
    expected = (np.arange(32) + 0.5) * side / 32 - 0.5
    np.testing.assert_allclose(found, np.abs(expected), atol=0.35)  # the first pixel is mirrored at the edge


def test_colours_move_as_drawn(photos) -> None:
    brighter = changed(photos // 4 + 60, 7, 1.0)
    np.testing.assert_allclose(brighter, augmentation.whole(photos // 4 + 60) + 0.2, atol=1e-4)


@pytest.mark.parametrize("choice", range(8))
def test_each_strong_operation_stays_in_range_and_only_the_first_does_nothing(photos, choice: int) -> None:
    drawn = -1 + (choice + 0.5) / 4
    draws = np.tile(np.array(STILL, np.float32), (4, 1))
    draws[:, 10], draws[:, 11] = drawn, 0.7
    found = augmentation.random_views(photos, draws, 32, strong=True).numpy()
    assert found.min() >= -1 and found.max() <= 1 and np.isfinite(found).all()
    low_contrast = augmentation.random_views(photos // 2 + 50, draws, 32, strong=True).numpy()
    same = np.abs(low_contrast - augmentation.whole(photos // 2 + 50)).max() < 1e-4
    assert same == (choice == 0)


@pytest.mark.slow
def test_a_photos_view_does_not_depend_on_its_batch(photos) -> None:
    draws = augmentation.draw([(7, n) for n in range(4)])
    views = tf.load().function(lambda p, d: augmentation.random_views(p, d, 24))
    together = views(photos, draws).numpy()
    assert (together[2:3] == views(photos[2:3], draws[2:3]).numpy()).all()
    assert (augmentation.draw([(7, 2)]) == draws[2:3]).all() and len(np.unique(draws)) == draws.size
