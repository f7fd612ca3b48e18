"""Rendered parts for inspection: what stays stays, and a mask shows where the damage is."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgetl_device.errors import InputError
from edgetl_device.parts import DEFECTS, write_damaged
from edgetl_device.parts.damage import line_photo, open_line


@pytest.fixture(scope="module")
def line():
    return open_line("gear", "normal", 96, 5)


@pytest.mark.parametrize("defect", DEFECTS)
def test_damage_changes_the_photo_where_its_mask_is_and_nowhere_else(line, defect: str) -> None:
    for seed in range(4):
        photo, mask = line_photo(line, defect, (seed,))
        assert photo.shape == (96, 96, 3) and set(np.unique(mask)) == {0, 255} and (mask > 0).mean() < 0.25
        near = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
        good = np.stack([line_photo(line, None, (seed, number))[0] for number in range(5)]).astype(int)
        changed = np.abs(photo - good.mean(axis=0)).max(axis=2)
        assert changed[mask > 0].mean() > 2 * changed[~near].mean()


def test_good_parts_differ_and_the_same_seed_gives_the_same_photo(line) -> None:
    first, mask = line_photo(line, None, (0,))
    again, _ = line_photo(open_line("gear", "normal", 96, 5), None, (0,))
    other, _ = line_photo(line, None, (1,))
    assert (first == again).all() and not mask.any()
    assert 0 < np.abs(first.astype(int) - other).mean() < 12


def test_photos_lie_where_the_report_looks_for_them(tmp_path: Path) -> None:
    assert write_damaged(tmp_path, kind="nut", per_class=3, size=48, seed=1) == 7
    found = sorted(str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert found == [
        *sorted(f"masks/{d}" for d in DEFECTS),
        *sorted(f"test/{d}" for d in (*DEFECTS, "good")),
        *["train/good"] * 3,
    ]
    with pytest.raises(InputError, match="unknown part 'nail'"):
        write_damaged(tmp_path, kind="nail")
