"""Exports that anybody may have made: a clear line or a counted reason, within bounds, and nothing is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import draw

from edgetl.cli import program
from edgetl.data.datasets import find_photos
from edgetl.imports import columns, cutting, parquet, writing
from edgetl.imports.writing import import_photos
from edgetl_device import console
from edgetl_device.errors import InputError, StorageError

BOTH = [{"image_id": 1, "category_id": 1}, {"image_id": 1, "category_id": 2}]


def photo(path: Path, kind: str = "ball", size: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), draw(kind, 0, size))
    return path


def jpeg() -> bytes:
    return cv2.imencode(".jpg", draw("ball", 0, 64))[1].tobytes()


def coco(folder: Path, names: list[str], annotations: list[dict[str, object]]) -> Path:
    """An export with one photo, ``a.png``, which the pictures 1, 2 … are said to be."""
    photo(folder / "a.png")
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(names, 1)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "box"}],
    }
    (folder / "x.json").write_text(json.dumps(content))
    return folder


def yolo(folder: Path, names: str) -> Path:
    photo(folder / "train" / "images" / "a.png")
    (folder / "train" / "labels").mkdir()
    (folder / "train" / "labels" / "a.txt").write_text("0 .5 .5 1 1\n1 .5 .5 1 1\n")
    (folder / "data.yaml").write_text(names)
    return folder


def table(path: Path, columns: dict[str, object], **options: object) -> Path:
    arrow, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(arrow.table(columns), path, **options)
    return path


def refused(format_: str, source: Path, output: Path) -> str:
    """The one line with which the command refuses an export; nothing but the export is left."""
    before = sorted(output.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        import_photos(format_, source, output)
    assert sorted(output.parent.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_number_that_no_float_holds_is_refused(tmp_path) -> None:
    source = coco(tmp_path / "in", ["a.png"], [BOTH[0] | {"bbox": [10**400, 0, 30, 30]}, BOTH[1]])
    assert "a box's number has 401 digits" in refused("coco", source, tmp_path / "o.csv")


@pytest.mark.parametrize("name", ["http://[x", "http://[x/a.png", "\0"])
def test_names_that_are_none_are_of_no_picture(tmp_path, name: str) -> None:
    source = coco(tmp_path / "in", [name], BOTH)
    assert "2 × its picture is not there" in refused("coco", source, tmp_path / "o.csv")


def test_an_annotation_of_what_is_not_listed_is_left_out_with_its_reason_and_the_others_come(tmp_path) -> None:
    strange = [{"image_id": 1, "category_id": 77}, {"image_id": "x" * 99, "category_id": 1}]
    done = import_photos("coco", coco(tmp_path / "in", ["a.png"], [*BOTH, *strange]), tmp_path / "o.csv")
    assert sorted(each.reason for each in done.unused) == [
        "an annotation is of category 77, which x.json does not list",
        f"an annotation is of image {'x' * 30}, which x.json does not list",
    ]


def test_names_that_no_file_can_have_are_called_too_long(tmp_path) -> None:
    assert "longer than 255 bytes" in refused("coco", coco(tmp_path / "in", ["a" * 300], BOTH), tmp_path / "o.csv")
    assert "longer than 4096 char" in refused("coco", coco(tmp_path / "in", ["a/" * 3000], BOTH), tmp_path / "o.csv")


@pytest.mark.parametrize("folder", ["\ud800", "\udce9", "a" * 300])
def test_odd_folders_of_a_name_leave_a_list_that_can_be_read(tmp_path, folder: str) -> None:
    source = coco(tmp_path / "in", [f"{folder}/a.png"], BOTH)
    done = import_photos("coco", source, tmp_path / "o.csv")
    assert len(find_photos(done.path).paths) == 2


def test_yaml_with_aliases_is_refused_before_it_grows(tmp_path) -> None:
    pytest.importorskip("yaml")
    lines = [f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 10)}]" for n in range(1, 8)]
    source = yolo(tmp_path / "in", "\n".join(["x0: &x0 [a,a]", *lines, "names: [*x7, b]"]))
    assert "by an alias" in refused("roboflow", source, tmp_path / "o.csv")
    (source / "data.yaml").write_text("names: [a, [b]]\n")
    assert "the name of class 1 is no text" in refused("roboflow", source, tmp_path / "o.csv")
    (source / "data.yaml").write_text(
        "names: " + "[" * 250 + "a," * 1000
    )  # minutes, for who looks at all of it before its depth
    assert "more than 10 levels deep" in refused("roboflow", source, tmp_path / "o.csv")
    (source / "data.yaml").write_text("names: [a, b]\n" + "#" * (1 << 18))
    assert "the limit is 262 kB" in refused("roboflow", source, tmp_path / "o.csv")


@pytest.mark.parametrize("name", ["2001-99-99", "1", "yes", "12:61", "=", "!!int x"])
def test_names_in_yaml_are_text_whatever_they_look_like(tmp_path, name: str) -> None:
    pytest.importorskip("yaml")
    done = import_photos("roboflow", yolo(tmp_path / "in", f"names: {{0: a, 1: {name}}}\n"), tmp_path / "o.csv")
    assert done.counts == {"a": 1, name.rpartition(" ")[2]: 1}


def test_numbers_of_thousands_of_digits_in_yaml_are_no_classes(tmp_path) -> None:
    pytest.importorskip("yaml")
    source = yolo(tmp_path / "in", f"names: [a, {'9' * 5000}]\n")
    assert "at most 64 characters" in refused("roboflow", source, tmp_path / "o.csv")
    (source / "data.yaml").write_text(f"names: {{0: a, {'9' * 900}: b}}\n")
    assert "expected a class and numbers" in refused("roboflow", source, tmp_path / "o.csv")


def test_a_picture_is_decoded_once_for_all_of_its_boxes(tmp_path, monkeypatch) -> None:
    decodings = []
    real = cutting.decoded
    monkeypatch.setattr(cutting, "decoded", lambda data: decodings.append(1) or real(data))
    boxes = [
        {"image_id": 1 + n % 3, "category_id": 1 + n % 2, "bbox": [0, 0, 20 + n, 20]} for n in range(12)
    ]  # the pictures take turns, and two of them are one file
    photo(tmp_path / "in" / "b.png", "box")
    done = import_photos("coco", coco(tmp_path / "in", ["a.png", "b.png", "./a.png"], boxes), tmp_path / "o.csv")
    assert sum(done.counts.values()) == 12 and len(decodings) == 2
    (tmp_path / "in" / "a.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:200])
    decodings.clear()
    done = import_photos("coco", tmp_path / "in", tmp_path / "p.csv")
    assert len(done.unused) == 8 and len(decodings) == 2


def test_the_boxes_of_a_picture_and_of_all_are_bounded(tmp_path, monkeypatch) -> None:
    whole = [{"image_id": 1, "category_id": 1 + n % 2, "bbox": [0, 0, 64, 64]} for n in range(20)]
    source = coco(tmp_path / "in", ["a.png"], whole)
    done = import_photos("coco", source, tmp_path / "o.csv")
    assert sum(done.counts.values()) == 16
    assert {item.reason for item in done.unused} == {"boxes that cover their picture more than 16 times"}
    monkeypatch.setattr(cutting, "MOST_BOXES", 3)
    done = import_photos("coco", source, tmp_path / "p.csv")
    assert sum(done.counts.values()) == 3 and done.unused[0].reason == "more than 3 boxes in one picture"
    monkeypatch.setattr(cutting, "MOST_PIXELS", 64 * 64 * 2)
    with pytest.raises(InputError, match="import the export in parts"):
        import_photos("coco", source, tmp_path / "q.csv")
    monkeypatch.setattr(writing, "_MOST_ROWS", 1)
    with pytest.raises(InputError, match="more than 1 photos"):
        import_photos("coco", source, tmp_path / "q.csv")


@pytest.mark.parametrize(
    ("format_", "name"),
    [("parquet", "x.parquet"), ("coco", "x.json"), ("label-studio", "x.json"), ("huggingface", "metadata.csv"),
     ("huggingface", "metadata.jsonl"), ("roboflow", "_classes.csv"), ("roboflow", "data.yaml"),
     ("roboflow", "_annotations.coco.json")],
)  # fmt: skip
def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path, format_: str, name: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / name)
    told = refused(format_, tmp_path / "in", tmp_path / "o.csv")
    assert "not a regular file" in told or (name == "data.yaml" and "no usable photo" in told)


@pytest.mark.parametrize("format_", ["roboflow", "huggingface"])
def test_links_out_of_class_folders_are_counted_and_not_followed(tmp_path, format_: str) -> None:
    secret = photo(tmp_path / "outside" / "secret.png")
    for kind in ("ball", "box"):
        photo(tmp_path / "in" / kind / "1.png", kind)
    (tmp_path / "in" / "box" / "2.png").symlink_to(secret)
    (tmp_path / "in" / "box" / "3.png").symlink_to(tmp_path / "in" / "ball" / "1.png")
    done = import_photos(format_, tmp_path / "in", tmp_path / "o.csv")
    assert done.counts == {"ball": 1, "box": 2} and secret.stat().st_nlink == 1
    assert [str(item) for item in done.unused] == ["box/2.png: a link that leaves the export"]
    (tmp_path / "in" / "more").symlink_to(tmp_path / "outside")
    assert "a link that leaves the export" in refused(format_, tmp_path / "in", tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("format_", "name"),
    [("coco", "x.json"), ("label-studio", "x.json"), ("huggingface", "metadata.jsonl"), ("roboflow", "_classes.csv"),
     ("roboflow", "data.yaml"), ("parquet", "x.parquet")],
)  # fmt: skip
def test_tables_and_annotations_outside_of_an_export_are_not_shown(tmp_path, format_: str, name: str) -> None:
    if format_ == "parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "secret").write_text("topsecret words\n")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).symlink_to(tmp_path / "secret")
    told = refused(format_, tmp_path / "in", tmp_path / "o.csv")
    assert "a link that leaves the export" in told and "topsecret" not in told


def test_a_link_to_itself_is_refused_or_counted(tmp_path) -> None:
    for kind in ("ball", "box"):
        photo(tmp_path / "in" / kind / "1.png", kind)
    (tmp_path / "in" / "box" / "2.png").symlink_to("2.png")
    assert len(import_photos("huggingface", tmp_path / "in", tmp_path / "o.csv").unused) == 1
    (tmp_path / "in" / "x.json").symlink_to("x.json")
    assert "a link that leaves the export" in refused("coco", tmp_path / "in", tmp_path / "p.csv")


def test_names_of_pictures_that_are_not_there_can_be_told(tmp_path, capsys) -> None:
    names = ["a.png", "\ud800", "\x1b[2J", "a/" * 1000]
    more = [{"image_id": number, "category_id": 1} for number in (2, 3, 4)]
    words = ["import", "coco", str(coco(tmp_path / "in", names, [*BOTH, *more])), "-o", str(tmp_path / "o.csv")]
    assert console.run(program, "edgetl", words) == 0
    told = capsys.readouterr()
    (told.out + told.err).encode()
    assert "\x1b[2J" not in told.out + told.err


def test_yolo_labels_and_pictures_outside_of_an_export_are_not_read(tmp_path) -> None:
    pytest.importorskip("yaml")
    source = yolo(tmp_path / "in", "names: [a, b]\n")
    (tmp_path / "secret").write_text("topsecret words\n")
    photo(source / "train" / "images" / "b.png")
    (source / "train" / "labels" / "b.txt").symlink_to(tmp_path / "secret")
    (source / "train" / "images" / "c.png").symlink_to(photo(tmp_path / "secret.png"))
    done = import_photos("roboflow", source, tmp_path / "o.csv")
    assert {item.path.name: item.reason for item in done.unused} == {
        "b.png": "its labels are a link that leaves the export",
        "c.png": "a link that leaves the export",
    }


def test_folders_of_an_export_that_are_links_out_of_it_hold_no_picture(tmp_path) -> None:
    photo(tmp_path / "outside" / "secret.png")
    source = coco(tmp_path / "in", ["secret.png"], BOTH)
    (source / "train").symlink_to(tmp_path / "outside")
    assert "its picture is not there" in refused("coco", source, tmp_path / "o.csv")
    tasks = [{"data": {"image": "secret.png"}, "annotations": []}]
    (source / "x.json").write_text(json.dumps(tasks))
    (source / "upload").symlink_to(tmp_path / "outside")
    assert "its picture is not there" in refused("label-studio", source, tmp_path / "o.csv")


def test_labels_in_parquet_that_are_none_are_refused_or_counted(tmp_path) -> None:
    arrow = pytest.importorskip("pyarrow")
    pictures = [jpeg(), jpeg()]
    days = arrow.array([1, 2**31 - 1], arrow.int32()).cast(arrow.date32())
    source = table(tmp_path / "d.parquet", {"image": pictures, "label": days})
    assert "the column label is date32[day]" in refused("parquet", source, tmp_path / "o.csv")
    bad = arrow.Array.from_buffers(arrow.string(), 2, arrow.array([b"\xff\xfe", b"a"]).buffers())
    source = table(tmp_path / "u.parquet", {"image": pictures, "label": bad})
    assert "1 × its label is no text in UTF-8" in refused("parquet", source, tmp_path / "o.csv")
    source = table(tmp_path / "l.parquet", {"image": pictures, "label": ["a", "b" * 2000]})
    assert "1 × its label is longer than 1000 bytes" in refused("parquet", source, tmp_path / "o.csv")
    source = table(tmp_path / "p.parquet", {"image": [1, 2], "label": ["a", "b"]})
    assert "the column image is int64" in refused("parquet", source, tmp_path / "o.csv")
    twice = arrow.Table.from_arrays([arrow.array(pictures)] * 2 + [arrow.array(["a", "b"])], ["image"] * 2 + ["label"])
    arrow.parquet.write_table(twice, tmp_path / "t.parquet")
    assert "names a column twice: image" in refused("parquet", tmp_path / "t.parquet", tmp_path / "o.csv")


def test_small_parquet_files_that_claim_or_become_much_are_refused(tmp_path, monkeypatch) -> None:
    columns = {"image": [b"\0" * (1 << 16)] * 200, "label": ["a", "b"] * 100}
    source = table(tmp_path / "d.parquet", columns, compression="zstd", dictionary_pagesize_limit=1 << 30)
    assert source.stat().st_size < 10_000
    monkeypatch.setattr(parquet, "_BUFFER", 1 << 12)
    assert "more than 64 times what it holds" in refused("parquet", source, tmp_path / "o.csv")
    source = table(tmp_path / "p.parquet", columns, compression="zstd", use_dictionary=False)
    monkeypatch.setattr(parquet, "_MOST_GROUP", 10_000_000)
    assert "unpacks to 13 MB, the limit is 10 MB" in refused("parquet", source, tmp_path / "o.csv")
    monkeypatch.setattr(parquet, "MAX_BYTES", 1 << 19)
    source = table(tmp_path / "s.parquet", {"image": [b"\0" * (1 << 20)] * 2, "label": ["a", "b"]})
    assert "2 × its picture has 1 MB, the limit is 1 MB" in refused("parquet", source, tmp_path / "o.csv")


def test_photos_that_are_packed_already_may_be_many_in_a_group(tmp_path, monkeypatch) -> None:
    pytest.importorskip("pyarrow")
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    pictures = [cv2.imencode(".png", np.roll(noise, shift, 0))[1].tobytes() for shift in range(10)]
    monkeypatch.setattr(parquet, "_MOST_GROUP", 1000)
    done = import_photos(
        "parquet", table(tmp_path / "d.parquet", {"img": pictures, "label": [0, 1] * 5}), tmp_path / "o.csv"
    )
    assert done.counts == {"0": 5, "1": 5}


def test_running_out_of_memory_is_one_line(tmp_path, monkeypatch) -> None:
    def reading(source: Path) -> object:
        raise MemoryError
        yield

    monkeypatch.setitem(writing.FORMATS, "coco", reading)
    assert "more memory than there is" in refused("coco", coco(tmp_path / "in", ["a.png"], BOTH), tmp_path / "o.csv")


def test_force_replaces_only_what_an_import_made(tmp_path, capsys) -> None:
    source = coco(tmp_path / "in", ["a.png"], BOTH)
    mine = photo(tmp_path / "o-photos" / "mine.png")
    words = ["import", "coco", str(source), "-o", str(tmp_path / "o.csv"), "--force"]
    assert console.run(program, "edgetl", words) == 2 and mine.exists()
    assert "was not made by an import" in capsys.readouterr().err and not (tmp_path / "o.csv").exists()
    (tmp_path / "o-photos").rename(tmp_path / "aside")
    (tmp_path / "o-photos").symlink_to(tmp_path / "aside")
    assert console.run(program, "edgetl", words) == 2 and mine.with_name("mine.png").exists()
    (tmp_path / "o-photos").unlink()
    assert console.run(program, "edgetl", words) == 0 and console.run(program, "edgetl", words) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aside", "in", "o-photos", "o.csv"]
    inside = [*words[:1], "huggingface", str(tmp_path / "o-photos"), *words[3:]]
    assert console.run(program, "edgetl", inside) == 2 and "would be replaced" in capsys.readouterr().err


def test_what_stood_there_stays_when_an_import_fails(tmp_path, monkeypatch) -> None:
    source = coco(tmp_path / "in", ["a.png"], BOTH)
    done = import_photos("coco", source, tmp_path / "o.csv")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (source / "x.json").write_text("[")
    with pytest.raises(InputError):
        import_photos("coco", source, tmp_path / "o.csv", force=True)
    coco(source, ["a.png"], BOTH[:1] * 2 + BOTH)
    monkeypatch.setattr(writing, "_table", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match="No space left"):
        import_photos("coco", source, tmp_path / "o.csv", force=True)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path: data for path, data in after.items() if source not in path.parents} == {
        path: data for path, data in before.items() if source not in path.parents
    }
    assert len(find_photos(done.path).paths) == 2


def test_columns_without_end_or_with_names_that_break_a_list_are_left_out(monkeypatch) -> None:
    kept = columns.Columns()
    many = [(f"c{number}", "x") for number in range(40)]
    kept.add((*many, ("a;b", "x"), (" c0", "x"), ("", "x"), ("n" * 10_000, "x")))
    for number in range(300):
        kept.add(((f"late{number}", "x"), ("c0", "y" * 200)))
    names, values = kept.table()
    assert names == tuple(f"c{number}" for number in range(32)) and len(list(values)) == 301
    assert len(kept.left_out) == 100 and max(map(len, kept.left_out)) < 70
    assert (
        kept.left_out["c39"] == "there are more than 32"
        and kept.left_out["a;b"] == kept.left_out[" c0"] == kept.left_out[""] == "its name"
    )
    kept.add((("c1", columns.NOT_PLAIN),))
    assert "c1" in kept.left_out and "c1" not in kept.table()[0], "it was kept when so many were left out"
    monkeypatch.setattr(columns, "MOST_TEXT", 1000)
    kept = columns.Columns()
    for _ in range(10):
        kept.add((("long", "y" * 200), ("short", "")))
    assert kept.table()[0] == () and "more than 1,000 characters" in kept.left_out["long"]
    monkeypatch.setattr(columns, "MOST_VALUES", 10)
    kept = columns.Columns()
    for _ in range(3):
        kept.add((("site", "north"),))
    assert kept.table()[0] == () and "more than 10 values" in kept.left_out["site"]


def test_a_column_of_parquet_that_unpacks_to_much_is_left_out_and_not_read(tmp_path, monkeypatch) -> None:
    pictures = [cv2.imencode(".png", draw(kind, 0))[1].tobytes() for kind in ("ball", "box")]
    values = {"image": pictures, "label": ["ball", "box"], "text": ["x" * 100_000, "y"], "site": ["north", "south"]}
    source = table(tmp_path / "d.parquet", values, compression="zstd")
    for most in (1 << 20, 10_000):
        monkeypatch.setattr(parquet, "_MOST_FURTHER", most)
        done = writing.import_photos("parquet", source, tmp_path / "o.csv", force=True)
        assert done.columns == ("site",) and list(done.left_out) == ["text"]
