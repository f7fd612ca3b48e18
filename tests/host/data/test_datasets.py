from dataclasses import replace
from pathlib import Path

import pytest
from conftest import write_photos

from edgetl.data.datasets import Dataset, balanced, find_all, find_photos, group_by, split
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


def test_groups_never_straddle_and_about_the_share_is_held_out() -> None:
    photos = listed({"a": 200, "b": 100})
    filmed = group_by(photos, r"(\w)/(\d)\d*\.jpg")  # class and first digit: 10 films of uneven length each
    found = split(filmed, 0.2, 0)
    sides = {(group, side) for group, side in zip(found.groups, found.splits, strict=True)}
    assert len(sides) == len(set(found.groups)) == 20
    held_out = [found.labels[row] for row in found.rows("val")]
    assert 0.1 * 200 <= held_out.count("a") <= 0.4 * 200 and 0.1 * 100 <= held_out.count("b") <= 0.4 * 100


def test_a_group_across_classes_goes_to_one_side_whole() -> None:
    rows = [(Path(f"{label}/{person}-{n}.jpg"), label) for label in "ab" for person in range(8) for n in range(5)]
    photos = Dataset(Path("x"), tuple(p for p, _ in rows), tuple(label for _, label in rows), ("train",) * len(rows))
    found = split(group_by(photos, r"/(\d)-"), 0.25, 0)
    people = {found.groups[row] for row in found.rows("val")}
    assert len(people) == 2 and not people & {found.groups[row] for row in found.rows("train")}


def test_a_class_of_one_group_is_not_held_out() -> None:
    photos = listed({"a": 20, "b": 20})
    found = split(replace(photos, groups=("film",) * 20 + tuple("vwxyz" * 4)), 0.2, 0)
    assert {found.labels[row] for row in found.rows("val")} == {"b"}


@pytest.mark.parametrize(("rule", "message"), [("[", "not a regular expression"), ("zebra", "matches no path")])
def test_a_rule_for_groups_that_cannot_be_meant_is_refused(rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        group_by(listed({"a": 2, "b": 2}), rule)


def test_a_list_gives_labels_splits_groups_and_slices(tmp_path) -> None:
    write_photos(tmp_path, ("ball", "box"), 2)
    lines = ["path,label,split,person,light"]
    lines += [f"{k}/000{n}.png,{k}s,{'val' if n else ''},p{n},dim" for k in ("ball", "box") for n in (0, 1)]
    (tmp_path / "list.csv").write_text("\ufeff" + "\n".join(lines) + "\n")
    found = find_photos(tmp_path / "list.csv")
    assert found.root == tmp_path and found.classes == ("balls", "boxs")
    assert found.splits == ("train", "val", "train", "val")
    assert group_by(found, "person").groups == ("p0", "p1", "p0", "p1")
    assert found.take([3]).columns["light"] == ("dim",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path,kind\nball/0000.png,a\n", "lacks the column 'label'"),
        ("path,label\nball/0000.png\n", "line 2: expected 2 values, got 1"),
        (
            "path,label\nball/9.png,a\n",
            "not there, 1 of 1, for example ball/9.png: paths are relative to the list's folder, /",
        ),
        ("path,label\n../x.png,a\n", "expected paths below"),
        ("path,label,split\nball/0000.png,a,holdout\n", "train, val or test, got 'holdout'"),
        ("path,label\nball/0000.png,a\n", "holds one class, 'a'"),
        ("path,path\nx,y\n", "names a column twice: path$"),
        ("path,label" + ",c" * 100_000, "names a column twice: c$"),
        ("path,label" + "\na,b" * 1_000_001, "holds more than 2,000,000 values"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_the_place(tmp_path, text: str, message: str) -> None:
    write_photos(tmp_path, ("ball",), 1)
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        find_photos(tmp_path / "list.csv")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("train valid test", "train val test"), ("train validation", "train val"), ("Train Test", "train test"),
        ("training testing", "train test"), ("TRAIN Val", "train val"), ("train dev", "train val"), ("test", "test"),
        ("train", "train"), ("Training Validation Evaluation", "train val"),
    ],
)  # fmt: skip
def test_splits_are_understood_under_the_names_people_give_them(tmp_path, names: str, splits: str) -> None:
    for name in names.split():
        write_photos(tmp_path / name, ("ball", "box"), 2, size=32)
    found = find_photos(tmp_path)
    assert found.classes == ("ball", "box") and set(found.splits) == set(splits.split())


def test_a_folder_beside_the_splits_is_left_out_if_it_holds_no_photos_and_refused_if_it_does(tmp_path) -> None:
    for name in ("train", "val"):
        write_photos(tmp_path / name, ("ball", "box"), 2, size=32)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "ball.txt").write_text("0 0.5 0.5 1 1")
    found = find_photos(tmp_path)
    assert found.classes == ("ball", "box") and [str(item) for item in found.unused] == [
        f"{tmp_path / 'labels'}: a folder beside the splits, without photos"
    ]
    write_photos(tmp_path / "labels", ("kite",), 1, size=32)
    with pytest.raises(InputError, match="holds train, val, which are splits, and 'labels', which is none"):
        find_photos(tmp_path)


def test_classes_that_are_called_like_splits_are_classes(tmp_path) -> None:
    for name in ("train", "test"):
        write_photos(tmp_path, ("ball",), 2, size=32)
        (tmp_path / "ball").rename(tmp_path / name)
    assert find_photos(tmp_path).classes == ("test", "train")


def test_hidden_folders_inside_a_class_are_no_photos_of_it(tmp_path) -> None:
    write_photos(tmp_path, ("ball", "box"), 3, size=32)
    write_photos(tmp_path / "ball" / ".ipynb_checkpoints", ("ball",), 3, size=32)
    assert len(find_photos(tmp_path)) == 6


def test_what_is_not_used_is_kept_with_its_reason(tmp_path) -> None:
    write_photos(tmp_path, ("ball", "box"), 3, size=32)
    (tmp_path / "ball" / "0000.png").rename(tmp_path / "ball" / "0000.jfif")
    (tmp_path / "ball" / "film.gif").write_bytes(b"GIF89a" + bytes(9))
    (tmp_path / "ball" / "gone.jpg").symlink_to("/mnt/gone.jpg")
    (tmp_path / "loose.png").write_bytes((tmp_path / "box" / "0000.png").read_bytes())
    found = find_photos(tmp_path)
    assert len(found) == 6
    assert {item.path.name: item.reason for item in found.unused} == {
        "film.gif": "a GIF",
        "gone.jpg": "a link to nothing",
        "loose.png": "beside the class folders, so of no class",
    }


def test_a_class_without_a_photo_says_what_lies_there_instead(tmp_path) -> None:
    write_photos(tmp_path, ("ball", "box"), 1, size=32)
    (tmp_path / "kite").mkdir()
    for number in range(3):
        (tmp_path / "kite" / f"{number}.gif").write_bytes(b"GIF89a" + bytes(9))
    with pytest.raises(InputError, match=r"class 'kite' has no photo in .* \(it holds 3 × a GIF\)"):
        find_photos(tmp_path)


@pytest.mark.parametrize(
    "header",
    ["path,label", "filename,class", "file_name,category", "Image,Class Name", "image_path,target", "File;Label",
     "img\tlabels", "\ufefffilename,class"],
)  # fmt: skip
def test_lists_are_read_with_the_headers_and_separators_people_use(tmp_path, header: str) -> None:
    write_photos(tmp_path, ("ball", "box"), 1, size=32)
    separator = next(c for c in ",;\t" if c in header)
    rows = [separator.join(row) for row in (("ball/0000.png", "a"), ("box\\0000.png", "b"), ("", ""))]
    (tmp_path / "list.csv").write_text("\n".join([header, *rows]))
    found = find_photos(tmp_path / "list.csv")
    assert found.labels == ("a", "b") and all(path.is_file() for path in found.files())


def test_a_list_that_excel_saved_as_unicode_text_is_read(tmp_path) -> None:
    write_photos(tmp_path, ("ball", "box"), 1, size=32)
    text = "filename\tclass\tsubset\nball/0000.png\tBälle\ttraining\nbox/0000.png\tKästen\tvalid\n"
    (tmp_path / "list.csv").write_bytes(text.encode("utf-16"))
    found = find_photos(tmp_path / "list.csv")
    assert found.labels == ("Bälle", "Kästen") and found.splits == ("train", "val")


def test_a_list_in_latin_1_is_refused_with_what_to_do(tmp_path) -> None:
    (tmp_path / "list.csv").write_bytes("path,label\na.jpg,Bälle\n".encode("latin-1"))
    with pytest.raises(InputError, match="save it as “CSV UTF-8”"):
        find_photos(tmp_path / "list.csv")


def test_a_list_without_a_header_is_refused_with_the_columns_it_needs(tmp_path) -> None:
    (tmp_path / "list.csv").write_text("ball/0000.png,a\nbox/0000.png,b\n")
    with pytest.raises(
        InputError, match=r"expected a first line such as path,label \(file, filename, .* got ball/0000"
    ):
        find_photos(tmp_path / "list.csv")


def test_several_folders_and_lists_are_one_dataset_each_with_its_own_split(tmp_path) -> None:
    write_photos(tmp_path / "a" / "train", ("ball", "box"), 3)
    write_photos(tmp_path / "a" / "val", ("ball", "box"), 1, seed=1)
    write_photos(tmp_path / "b", ("ball",), 10, seed=2)
    write_photos(tmp_path / "c", ("kite",), 2, seed=3)
    (tmp_path / "c" / "list.csv").write_text(
        "path,label,group,light\nkite/0000.png,kite,one,dim\nkite/0001.png,kite,two,\n"
    )
    joined = find_all([tmp_path / "a", tmp_path / "b", tmp_path / "c" / "list.csv"], 0.2)
    assert joined.root == tmp_path and joined.classes == ("ball", "box", "kite") and len(joined) == 20
    assert all(path.is_file() for path in joined.files())
    assert [joined.splits[row] for row in range(8)] == ["train"] * 6 + ["val"] * 2
    assert (
        sum(split == "val" for split in joined.splits[8:18]) == 2 and sum(s == "val" for s in joined.splits[18:]) == 1
    )
    assert joined.groups[-2:] == ("one", "two") and joined.columns["light"][-2:] == ("dim", "")
    with pytest.raises(InputError, match="holds one class"):
        find_all([tmp_path / "b"])
    assert find_all([tmp_path / "a"]) == find_photos(tmp_path / "a")


def test_photos_that_are_given_twice_count_once(tmp_path) -> None:
    write_photos(tmp_path / "a", ("ball", "box"), 3)
    (tmp_path / "list.csv").write_text("path,label\na/ball/0000.png,ball\na/box/0001.png,box\n")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    joined = find_all([tmp_path / "a", tmp_path / "list.csv", tmp_path / "link", tmp_path / "a"])
    assert len(joined) == 6 and len(set(joined.files())) == 6
    (tmp_path / "list.csv").write_text("path,label\na/ball/0000.png,box\na/box/0001.png,box\n")
    with pytest.raises(InputError, match=r"0000\.png is given twice, as 'ball' and as 'box'"):
        find_all([tmp_path / "a", tmp_path / "list.csv"])
