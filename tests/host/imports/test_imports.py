"""Exports of other tools: every picture is used or its reason is told, and nothing outside of them is read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import draw

from edgetl.cli import program
from edgetl.data.datasets import find_photos
from edgetl.imports.writing import FORMATS, import_photos
from edgetl_device import console
from edgetl_device.errors import InputError
from edgetl_device.photos import read_photo


def photo(path: Path, kind: str, seed: int = 0, size: int = 64) -> np.ndarray:
    image = draw(kind, seed, size)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return image


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def why(done: object) -> dict[str, str]:
    return {item.path.name: item.reason for item in done.unused}  # type: ignore[attr-defined]


def test_boxes_of_coco_are_cut_out_and_parts_of_a_picture_stay_together(tmp_path) -> None:
    image = photo(tmp_path / "in" / "train" / "a.png", "ball", 0, 96)
    photo(tmp_path / "in" / "valid" / "b.png", "box", 1, 96)
    photo(tmp_path / "in" / "train" / "free.png", "box", 2)
    for split, name in (("train", "a.png"), ("valid", "b.png")):
        content = {
            "images": [
                {"id": 7, "file_name": name},
                {"id": 8, "file_name": "free.png"},
                {"id": 9, "file_name": "gone.png"},
            ],
            "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "box"}],
            "annotations": [
                {"image_id": 7, "category_id": 1, "bbox": [10, 20.4, 30, 40]},
                {"image_id": 7, "category_id": 2, "bbox": [60, 60, 900, 36]},
                {"image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 90]},
                {"image_id": 7, "category_id": 2, "bbox": [0, 0, 50, 90], "iscrowd": 1},
                {"image_id": 9, "category_id": 2, "bbox": [0, 0, 50, 90]},
            ],
        }
        (tmp_path / "in" / split / "_annotations.coco.json").write_text(json.dumps(content))
    done = import_photos("coco", tmp_path / "in", tmp_path / "list.csv")
    assert done.counts == {"ball": 2, "box": 2}
    table = rows(done.path)
    assert [row["split"] for row in table] == ["train", "train", "val", "val"]
    assert {row["group"] for row in table} == {"a.png", "b.png"}
    np.testing.assert_array_equal(read_photo(tmp_path / table[0]["path"]), image[20:60, 10:40])
    np.testing.assert_array_equal(read_photo(tmp_path / table[1]["path"]), image[60:96, 60:96])
    reasons = [item.reason for item in done.unused]
    assert sorted(set(reasons)) == [
        "a box smaller than 16 pixels", "a crowd, not one object", "its picture is not there", "nobody labelled it",
    ]  # fmt: skip
    assert import_photos("roboflow", tmp_path / "in", tmp_path / "again.csv").counts == done.counts
    assert find_photos(done.path).groups == ("a.png", "a.png", "b.png", "b.png")


def test_choices_and_rectangles_of_label_studio(tmp_path) -> None:
    image = photo(tmp_path / "in" / "upload" / "1" / "x-a b.png", "ball", 0, 100)
    photo(tmp_path / "in" / "images" / "two.png", "box")

    def task(name: str, *results: dict) -> dict:
        return {"data": {"image": name}, "annotations": [{"result": list(results)}]}

    def choice(*labels: str) -> dict:
        return {"type": "choices", "value": {"choices": list(labels)}}

    box = {"x": 10, "y": 20, "width": 30, "height": 50, "rotation": 0, "rectanglelabels": ["box"]}
    tasks = [
        task("/data/upload/1/x-a%20b.png", choice("ball")),
        task("/data/upload/1/x-a%20b.png", {"type": "rectanglelabels", "value": box}),
        task("/data/upload/1/x-a%20b.png", {"type": "rectanglelabels", "value": box | {"rotation": 30}}),
        task("https://example.org/stored/two.png?token=1", choice("box")),
        task("two.png", choice("box", "ball")),
        task("three.png", choice("box")),
        task("two.png", {"type": "textarea", "value": {"text": ["hello"]}}),
        {"data": {"image": "two.png"}, "annotations": [{"was_cancelled": True, "result": [choice("box")]}]},
    ]
    (tmp_path / "in" / "export.json").write_text(json.dumps(tasks))
    done = import_photos("label-studio", tmp_path / "in", tmp_path / "list.csv")
    assert done.counts == {"ball": 1, "box": 2}
    table = rows(done.path)
    np.testing.assert_array_equal(read_photo(tmp_path / table[1]["path"]), image[20:70, 10:40])
    assert [item.reason for item in done.unused] == [
        "a turned rectangle",
        "several labels at once",
        "its picture is not there",
        "an answer of the kind textarea, which is no label and no rectangle",
        "nobody labelled it",
    ]


def test_photos_lie_beside_label_studios_export_under_their_own_names(tmp_path) -> None:
    for name, kind in (("one.png", "ball"), ("two.png", "box"), ("0a1b2c3d-three.png", "box")):
        photo(tmp_path / "in" / "images" / name, kind)
    names = {"0a1b2c3d-one.png": "ball", "4e5f6a7b-two.png": "box", "0a1b2c3d-three.png": "box"}
    tasks = [
        {
            "data": {"image": f"/data/upload/1/{name}"},
            "annotations": [{"result": [{"type": "choices", "value": {"choices": [label]}}]}],
        }
        for name, label in names.items()
    ]
    (tmp_path / "in" / "export.json").write_text(json.dumps(tasks))
    assert import_photos("label-studio", tmp_path / "in", tmp_path / "list.csv").counts == {"ball": 1, "box": 2}


def test_another_tools_export_is_told_by_its_name_and_missing_pictures_by_where_they_belong(tmp_path) -> None:
    coco, tasks, small = (tmp_path / f"{name}.json" for name in ("coco", "tasks", "small"))
    coco.write_text('{"images": [], "annotations": [], "categories": []}')
    one = {"data": {"image": "a.png"}, "annotations": [{"result": [{"type": "choices", "value": {"choices": ["a"]}}]}]}
    tasks.write_text(json.dumps([one]))
    small.write_text('[{"image": "a.png", "choice": "a", "annotator": 1}]')
    for format_, path, words in (
        ("coco", tasks, f"`edgetl import label-studio {tasks}`"),
        ("label-studio", coco, f"`edgetl import coco {coco}`"),
        ("label-studio", small, "JSON-MIN: export as JSON"),
        ("label-studio", tasks, "no usable photo: .* put the pictures beside the annotations"),
    ):
        with pytest.raises(InputError, match=words):
            import_photos(format_, path, tmp_path / "list.csv")


def test_one_hot_tables_and_yolo_of_roboflow(tmp_path) -> None:
    for name, kind in (("a.png", "ball"), ("b.png", "box"), ("c.png", "box")):
        photo(tmp_path / "one" / "train" / name, kind)
    (tmp_path / "one" / "train" / "_classes.csv").write_text("filename, ball, box\na.png,1,0\nb.png,0,1\nc.png,1,1\n")
    done = import_photos("roboflow", tmp_path / "one", tmp_path / "one.csv")
    assert done.counts == {"ball": 1, "box": 1} and why(done) == {"c.png": "several labels at once"}

    pytest.importorskip("yaml")
    image = photo(tmp_path / "yolo" / "valid" / "images" / "a.png", "ball", 0, 80)
    photo(tmp_path / "yolo" / "valid" / "images" / "b.png", "ball")
    (tmp_path / "yolo" / "valid" / "labels").mkdir()
    (tmp_path / "yolo" / "valid" / "labels" / "a.txt").write_text(
        "0 0.5 0.5 0.5 0.25\n1 0.25 0.5 0.5 1\n1 0 0 0 1 1 1\n"
    )
    (tmp_path / "yolo" / "data.yaml").write_text("names: [ball, box]\n")
    done = import_photos("roboflow", tmp_path / "yolo", tmp_path / "yolo.csv")
    table = rows(done.path)
    assert [row["split"] for row in table] == ["val", "val"]
    np.testing.assert_array_equal(read_photo(tmp_path / table[0]["path"]), image[30:50, 20:60])
    assert sorted(item.reason for item in done.unused) == ["an outline, not a box", "nobody labelled it"]


def test_image_folders_and_parquet_of_hugging_face(tmp_path) -> None:
    for kind in ("ball", "box"):
        photo(tmp_path / "hub" / "train" / f"{kind}.png", kind)
    lines = [
        {"file_name": "ball.png", "label": "ball"},
        {"file_name": "box.png", "label": "box"},
        {"file_name": "x", "label": "y"},
    ]
    (tmp_path / "hub" / "train" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    done = import_photos("huggingface", tmp_path / "hub", tmp_path / "hub.csv")
    assert done.counts == {"ball": 1, "box": 1} and why(done) == {"x": "its picture is not there"}
    copied = tmp_path / rows(done.path)[0]["path"]
    assert copied.read_bytes() == (tmp_path / "hub" / "train" / "ball.png").read_bytes()

    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    data = [(tmp_path / "hub" / "train" / f"{kind}.png").read_bytes() for kind in ("ball", "box")]
    feature = {"info": {"features": {"label": {"names": ["ball", "box"], "_type": "ClassLabel"}}}}
    table = arrow.table(
        {"image": [{"bytes": data[0]}, {"bytes": data[1]}, {"bytes": b"x"}, None], "label": [0, 1, 1, 0]}
    )
    table = table.replace_schema_metadata({b"huggingface": json.dumps(feature).encode()})
    parquet.write_table(table, tmp_path / "validation-00000-of-00001.parquet")
    done = import_photos("parquet", tmp_path / "validation-00000-of-00001.parquet", tmp_path / "parquet.csv")
    assert done.counts == {"ball": 1, "box": 1} and {row["split"] for row in rows(done.path)} == {"val"}
    assert len(done.unused) == 2 and "its picture is not in the file" in why(done).values()


def test_further_columns_of_an_export_become_slices_and_what_is_left_out_is_told(tmp_path, capfd) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    kinds = ("ball", "box")
    data = [photo(tmp_path / "hub" / f"{kind}.png", kind) is not None and (tmp_path / "hub" / f"{kind}.png").read_bytes()
            for kind in kinds]  # fmt: skip
    further = {"weather": ["rain", None], "lux": [3, 40], "text": ["short", "x" * 201], "split": ["a", "b"],
               "boxes": [[1], [2]], "view": [1, 0], "day": ["one", "two"]}  # fmt: skip
    table = arrow.table({"image": data, "label": list(kinds), **further})
    table = table.set_column(table.column_names.index("day"), "day", table["day"].dictionary_encode())
    names = {"info": {"features": {"view": {"names": ["front", "back"], "_type": "ClassLabel"}}}}
    parquet.write_table(
        table.replace_schema_metadata({b"huggingface": json.dumps(names).encode()}), tmp_path / "train.parquet"
    )
    lines = [
        {"file_name": f"{kind}.png", "label": kind, **{name: values[row] for name, values in further.items()}}
        for row, kind in enumerate(kinds)
    ]
    (tmp_path / "hub" / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    left_out = {
        "text": "a value is longer than 200 characters", "split": "the list has a column of that name",
        "boxes": "a value is no text and no number",
    }  # fmt: skip
    for format_, source, views in (("parquet", "train.parquet", ("back", "front")), ("huggingface", "hub", ("1", "0"))):
        words = ["import", format_, str(tmp_path / source), "-o", str(tmp_path / f"{format_}.csv")]
        assert console.run(program, "edgetl", words) == 0
        said = capfd.readouterr()
        assert "further columns: weather, lux, view, day\n" in said.out
        assert "column boxes is left out: a value is no text and no number\n" in said.err
        done = import_photos(format_, tmp_path / source, tmp_path / f"{format_}.csv", force=True)
        assert done.columns == ("weather", "lux", "view", "day") and done.left_out == left_out
        read = find_photos(done.path).columns
        assert {name: read[name] for name in done.columns} == {
            "weather": ("rain", ""), "lux": ("3", "40"), "view": views, "day": ("one", "two"),
        }  # fmt: skip


def test_columns_of_a_table_and_of_label_studio_are_kept_too(tmp_path) -> None:
    for kind in ("ball", "box"):
        photo(tmp_path / "hub" / f"{kind}.png", kind)
    (tmp_path / "hub" / "metadata.csv").write_text("file_name,site,label\nball.png,north,ball\nbox.png,south,box\n")
    assert [row["site"] for row in rows(import_photos("huggingface", tmp_path / "hub", tmp_path / "a.csv").path)] == [
        "north", "south",
    ]  # fmt: skip
    tasks = [
        {"data": {"image": f"{kind}.png", "camera": number}, "annotations": [
            {"result": [{"type": "choices", "value": {"choices": [kind]}}]}]}
        for number, kind in enumerate(("ball", "box"))
    ]  # fmt: skip
    (tmp_path / "hub" / "export.json").write_text(json.dumps(tasks))
    done = import_photos("label-studio", tmp_path / "hub", tmp_path / "b.csv")
    assert done.columns == ("camera",) and [row["camera"] for row in rows(done.path)] == ["0", "1"]


@pytest.mark.parametrize(
    "name", ["../secret.png", "/{outside}/secret.png", "link.png", "..\\secret.png", "images/../../secret.png"]
)
def test_no_picture_outside_of_an_export_is_read(tmp_path, name: str) -> None:
    photo(tmp_path / "secret.png", "ball")
    folder = tmp_path / "in"
    for number, kind in enumerate(("ball", "box")):
        photo(folder / f"{number}.png", kind)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in (0, 1)]
        + [{"id": 2, "file_name": name.format(outside=tmp_path)}],
        "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "box"}],
        "annotations": [{"image_id": n, "category_id": c} for n, c in ((0, 1), (1, 2), (2, 1))],
    }
    (folder / "a.json").write_text(json.dumps(content))
    done = import_photos("coco", folder, tmp_path / "list.csv")
    assert sum(done.counts.values()) == 2 and why(done)[Path(name).name] == "its picture is not there"


@pytest.mark.parametrize(
    "content",
    ["", "[", "{}", "[]", "[1]", '[{"data": 3}]', '{"images": 1}', "[" * 100_000,
     '{"images": [{"id": 1}], "annotations": [], "categories": []}',
     '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": [1]}], "categories": []}',
     '{"images": [{"id": 1, "file_name": "0.png"}], "categories": [{"id": 1, "name": "a"}],'
     ' "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, "3", 4]}]}'],
)  # fmt: skip
@pytest.mark.parametrize("format_", ["coco", "label-studio"])
def test_what_is_no_export_is_refused_in_one_line_and_leaves_nothing(tmp_path, format_: str, content: str) -> None:
    photo(tmp_path / "in" / "0.png", "ball")
    (tmp_path / "in" / "a.json").write_text(content)
    with pytest.raises(InputError):
        import_photos(format_, tmp_path / "in", tmp_path / "list.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_the_command_tells_what_it_used_and_what_not(tmp_path, capsys) -> None:
    from edgetl.cli.imports import FORMATS as OFFERED

    assert tuple(FORMATS) == OFFERED
    for kind in ("ball", "box"):
        photo(tmp_path / "in" / kind / "1.png", kind)
    (tmp_path / "in" / "ball" / "note.txt").write_text("x")
    words = ["import", "huggingface", str(tmp_path / "in"), "-o", str(tmp_path / "list.csv")]
    assert console.run(program, "edgetl", [*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["photos"] == 2 and result["classes"] == {"ball": 1, "box": 1} and len(result["unused"]) == 1
    assert console.run(program, "edgetl", words) == 2 and "exists" in capsys.readouterr().err
    assert console.run(program, "edgetl", [*words, "--force"]) == 0
    assert "next: edgetl train" in capsys.readouterr().out
