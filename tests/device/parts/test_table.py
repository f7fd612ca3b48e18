"""Small parts on a table: they lie anywhere, the table stays, and finding them is worth it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgetl_device.empty_scene import EmptyScene
from edgetl_device.errors import InputError
from edgetl_device.parts import EMPTY, write_small
from edgetl_device.photos import read_photo


def test_what_differs_from_the_empty_table_is_the_part_wherever_it_lies(tmp_path: Path) -> None:
    assert write_small(tmp_path, kinds=("gear", "hinge"), per_class=4, size=240, seed=5) == 8
    empty = read_photo(tmp_path / EMPTY)
    assert empty.shape == (240, 320, 3)
    scene, middles = EmptyScene.of(empty), []
    for path in sorted(tmp_path.glob("*/*.jpg")):
        frame = read_photo(path)
        changed = np.abs(frame.astype(np.int16) - empty).max(axis=2) > 60
        found = scene.find(frame, (0, 0, 320, 240))
        assert found is not None, path
        left, top, right, bottom = found
        inside = changed[top:bottom, left:right].sum()
        assert inside > 0.9 * changed.sum() and (right - left) < 0.75 * 240, path
        middles.append(((left + right) / 2, (top + bottom) / 2))
    assert np.ptp(np.array(middles), axis=0).min() > 40  # pixels


def test_the_same_seed_gives_the_same_table_and_photos(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("other", 2)):
        write_small(tmp_path / name, kinds=("nut",), per_class=1, size=96, seed=seed)
    one, two, other = ((tmp_path / name / "nut" / "nut-0000.jpg").read_bytes() for name in ("one", "two", "other"))
    assert one == two != other
    assert cv2.imread(str(tmp_path / "one" / EMPTY)).shape == (96, 128, 3)
    with pytest.raises(InputError, match="unknown part"):
        write_small(tmp_path / "none", kinds=("cog",))
