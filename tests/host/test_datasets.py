from pathlib import Path

import pytest
from conftest import write_photos

from edgetl.datasets import Dataset, balanced, find_photos, split
from edgetl_device.errors import InputError


def listed(counts: dict[str, int]) -> Dataset:
    rows = [(Path(label) / f"{n}.jpg", label) for label, count in counts.items() for n in range(count)]
    return Dataset(Path("x"), tuple(p for p, _ in rows), tuple(label for _, label in rows), ("train",) * len(rows))


def test_classes_are_sorted_and_photos_found_at_any_depth_and_case(tmp_path) -> None:
    write_photos(tmp_path, ("kite", "ball"), 2)
    (tmp_path / "ball" / "more").mkdir()
    (tmp_path / "ball" / "0000.png").rename(tmp_path / "ball" / "more" / "A.PNG")
    (tmp_path / "ball" / "readme.txt").write_text("ignored")
    (tmp_path / ".cache").mkdir()
    found = find_photos(tmp_path)
    assert found.classes == ("ball", "kite") and len(found) == 4
    assert Path("ball/more/A.PNG") in found.paths


def test_split_folders_are_kept_as_they_are(tmp_path) -> None:
    for part in ("train", "val", "test"):
        write_photos(tmp_path / part, ("ball", "box"), 2)
    found = split(find_photos(tmp_path), 0.2, 0)
    assert found.classes == ("ball", "box")
    assert [len(found.rows(part)) for part in ("train", "val", "test")] == [4, 4, 4]


def test_a_class_called_train_is_a_class_beside_others(tmp_path) -> None:
    write_photos(tmp_path, ("ball",), 2)
    (tmp_path / "ball").rename(tmp_path / "train")
    write_photos(tmp_path, ("box",), 2)
    assert find_photos(tmp_path).classes == ("box", "train")


def test_each_class_gives_its_share_and_keeps_at_least_one_on_both_sides() -> None:
    found = split(listed({"a": 100, "b": 10, "c": 2, "d": 1}), 0.2, 0)
    held_out = [found.labels[row] for row in found.rows("val")]
    assert [held_out.count(label) for label in "abcd"] == [20, 2, 1, 0]


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    photos = listed({"a": 50, "b": 50})
    assert split(photos, 0.2, 3) == split(photos, 0.2, 3) != split(photos, 0.2, 4)


def test_photos_stay_on_their_side_when_the_folder_grows() -> None:
    before, after = split(listed({"a": 100, "b": 100}), 0.2, 0), split(listed({"a": 110, "b": 100}), 0.2, 0)
    sides = dict(zip(after.paths, after.splits, strict=True))
    moved = [path for path, side in zip(before.paths, before.splits, strict=True) if sides[path] != side]
    assert len(moved) <= 4


def test_calibration_photos_are_balanced_whatever_the_imbalance() -> None:
    photos = listed({"many": 1000, "few": 30, "one": 1})
    labels = [photos.labels[row] for row in balanced(photos, 61, 0)]
    assert (labels.count("many"), labels.count("few"), labels.count("one")) == (30, 30, 1)


@pytest.mark.parametrize("share", [0, 1, -0.1, 0.95])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="held-out share"):
        split(listed({"a": 4}), share, 0)
