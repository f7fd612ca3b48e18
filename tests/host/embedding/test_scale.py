"""Photos of any number → EMB: the same rows and bytes however it is done, whatever breaks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_photos
from processes import wait_for

pytest.importorskip("edgetl")
pytest.importorskip("pyarrow")

import pyarrow
from pyarrow import parquet

from edgetl.cli import program
from edgetl.data.datasets import find_photos
from edgetl.embedding import crew
from edgetl.embedding.embed import embed_device
from edgetl.embedding.embeddings import open_embeddings
from edgetl.embedding.engines import LocalEngine
from edgetl.embedding.listing import rows_of, tasks_of
from edgetl.embedding.places import place_of
from edgetl.embedding.scale import EmbeddedPhotos, embed_photos
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.errors import InputError
from edgetl_device.inference.backbone import open_backbone


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty photos of two classes, two of them damaged."""
    folder = write_photos(tmp_path_factory.mktemp("scale") / "photos", ("ball", "box"), 20)
    data = (folder / "ball" / "0003.png").read_bytes()
    (folder / "ball" / "0003.png").write_bytes(data[: len(data) // 2])
    (folder / "box" / "notes.txt").write_text("no photo")
    return folder


def embedded(source: Path | str, output: Path, bundle: Path, **options: int) -> EmbeddedPhotos:
    return embed_photos(str(source), output, bundle, LocalEngine(1), **options)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_photo_has_the_embedding_that_the_device_s_code_gives_it(photos, bundle_path, tmp_path) -> None:
    done = embedded(photos, tmp_path / "emb", bundle_path)
    found = open_embeddings(tmp_path / "emb")
    (rows,) = found.rows()
    backbone = open_backbone(open_bundle(bundle_path))
    dataset = find_photos(photos)
    alone = embed_device(backbone, dataset.files(), 1)
    readable = dataset.take(alone.rows)
    assert rows.paths == [path.as_posix() for path in readable.paths] and rows.labels == list(readable.labels)
    assert rows.raw.tobytes() == alone.values.tobytes() and tuple(rows.digests) == alone.digests
    assert done.photos == found.photos == len(readable) == 39
    assert (found.maker.backbone, found.maker.runtime) == (backbone.digest, backbone.runtime)
    assert [each.partition(":")[0] for each in done.skipped] == ["ball/0003.png", "box/notes.txt"]
    assert done.skipped[0] == "ball/0003.png: the file is truncated; copy it again"


def test_any_partition_and_number_of_processes_gives_the_same_rows(photos, bundle_path, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(crew, "_START_S", 0.0)
    embedded(photos, tmp_path / "whole", bundle_path)
    whole = pyarrow.concat_tables(parquet.read_table(path) for path in open_embeddings(tmp_path / "whole").parts)
    made = {}
    for workers in (1, 3):
        output = tmp_path / f"in-{workers}"
        embed_photos(str(photos), output, bundle_path, LocalEngine(workers), part_photos=7)
        made[workers] = files_of(output)
    assert made[1] == made[3], "byte for byte, whoever embedded them"
    parts = open_embeddings(tmp_path / "in-1").parts
    assert len(parts) == 6
    assert pyarrow.concat_tables(map(parquet.read_table, parts)).equals(whole)


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(photos, bundle_path, tmp_path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from edgetl.embedding import scale, parts\n"
        "from edgetl.embedding.engines import LocalEngine\n"
        "class Slow(LocalEngine):\n"
        "    def embed(self, *given):\n"
        "        for part in LocalEngine.embed(self, *given):\n"
        "            yield part\n"
        "            time.sleep(0.2)\n"
        "scale.embed_photos(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Slow(1), part_photos=4)\n"
    )
    output = tmp_path / "killed"
    process = subprocess.Popen([sys.executable, "-c", code, photos, output, bundle_path])
    wait_for(lambda: len(list(output.glob("part-*.parquet"))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in output.glob("part-*.parquet")}
    assert 3 <= len(kept) < 11
    with pytest.raises(InputError, match="is not finished"):
        open_embeddings(output)
    done = embedded(photos, output, bundle_path, part_photos=4)
    assert done.photos == 39 and done.resumed >= 4 * (len(kept) - 1)
    assert {name: (output / name).stat().st_mtime_ns for name in kept} == kept, "what was there was not done again"
    embedded(photos, tmp_path / "whole", bundle_path, part_photos=4)
    assert files_of(output) == files_of(tmp_path / "whole")


def test_a_part_of_other_photos_is_embedded_again(photos, bundle_path, tmp_path) -> None:
    more = write_photos(tmp_path / "photos", ("ball", "box"), 6)
    embedded(more, tmp_path / "emb", bundle_path, part_photos=4)
    about = json.loads((tmp_path / "emb" / "embeddings.json").read_text())
    unfinished = {name: value for name, value in about.items() if name not in ("photos", "parts", "skipped")}
    (tmp_path / "emb" / "embeddings.json").write_text(json.dumps(unfinished))
    (tmp_path / "emb" / "part-000000.parquet").write_bytes(b"half of a part")
    (more / "ball" / "0005.png").unlink()
    done = embedded(more, tmp_path / "emb", bundle_path, part_photos=4)
    assert done.photos == 11 and done.resumed == 0
    embedded(more, tmp_path / "whole", bundle_path, part_photos=4)
    assert files_of(tmp_path / "emb") == files_of(tmp_path / "whole")


def test_lists_name_photos_labels_and_splits(photos, bundle_path, tmp_path) -> None:
    lines = ["image;class;set", "ball/0000.png;ball;train", "box\\0001.png;box;valid", "ball/none.png;ball;test"]
    (photos / "list.csv").write_text("\n".join(lines), encoding="utf-16")
    table = {"path": ["ball/0000.png", "box/0001.png", "ball/none.png"], "label": ["ball", "box", "ball"]}
    parquet.write_table(pyarrow.table(table | {"split": ["train", "val", "test"]}), photos / "list.parquet")
    found = []
    for name in ("list.csv", "list.parquet"):
        done = embedded(photos / name, tmp_path / name, bundle_path)
        assert done.photos == 2 and done.skipped == ("ball/none.png: No such file or directory",), done.skipped
        (rows,) = open_embeddings(tmp_path / name).rows()
        found.append((rows.paths, rows.labels, rows.splits, rows.raw.tobytes()))
    (photos / "list.csv").unlink()
    (photos / "list.parquet").unlink()
    assert found[0] == found[1]
    assert found[0][:3] == (["ball/0000.png", "box/0001.png"], ["ball", "box"], ["train", "val"])


def test_folders_of_splits_and_photos_without_a_class_are_told_apart(tmp_path) -> None:
    for name in ("train/cat/1.jpg", "train/cat/deep/2.jpg", "valid/cat/3.jpg", "loose.jpg", ".hidden/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = [(row.name, row.label, row.split) for row in rows_of(place_of(str(tmp_path)))]
    assert rows == [
        ("loose.jpg", "", ""),
        ("train/cat/1.jpg", "cat", "train"),
        ("train/cat/deep/2.jpg", "cat", "train"),
        ("valid/cat/3.jpg", "cat", "val"),
    ]
    (tmp_path / "dog").mkdir()
    with pytest.raises(InputError, match="'dog', which is none"):
        list(rows_of(place_of(str(tmp_path))))
    (tmp_path / "valid").rename(tmp_path / "other")
    assert {row.label for row in rows_of(place_of(str(tmp_path)))} == {"", "train", "other"}, "one class may be a train"


def test_names_that_are_not_unicode_are_kept_readable(bundle_path, tmp_path) -> None:
    folder = write_photos(tmp_path / "photos", ("ball",), 2)
    os.rename(os.fsencode(folder / "ball" / "0000.png"), os.fsencode(folder / "ball") + b"/caf\xe9.png")  # noqa: PTH104
    assert embedded(folder, tmp_path / "emb", bundle_path).photos == 2
    (rows,) = open_embeddings(tmp_path / "emb").rows()
    assert rows.paths == ["ball/0001.png", "ball/caf\\xe9.png"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\n", "holds no photos"),
        ("", "is empty: expected a header"),
        ("label\ncat\n", "lacks the column 'path', it has label"),
        ("path,label\na.jpg\n", "line 2: expected 2 values, got 1"),
        ("path,split\na.jpg,none\n", "a split must be train, val or test, got 'none'"),
        ("path\n../a.jpg\n", "expected paths below the list's folder"),
        ("path" + "," * (2 << 20), "holds a line of more than 1 MiB"),
        ("path\n" + "a" * (2 << 20), "holds a line of more than 1 MiB"),
        ("path\na.jpg\n", r"none of 1 photos of .* could be read, such as a.jpg"),
    ],
)
def test_what_is_wrong_with_a_list_is_one_line_and_nothing_is_written(content, message, bundle_path, tmp_path) -> None:
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        embedded(tmp_path / "list.csv", tmp_path / "emb", bundle_path)
    assert not (tmp_path / "emb").exists()


def test_what_is_there_is_not_overwritten(photos, bundle_path, empty_bundle_path, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for force in (False, True):
        with pytest.raises(InputError, match="holds no embeddings"):
            embed_photos(str(photos), tmp_path / "mine", bundle_path, LocalEngine(1), force)
    embedded(photos, tmp_path / "emb", bundle_path)
    with pytest.raises(InputError, match="exists: choose another name, or --force"):
        embedded(photos, tmp_path / "emb", bundle_path)
    about = json.loads((tmp_path / "emb" / "embeddings.json").read_text())
    (tmp_path / "emb" / "embeddings.json").write_text(
        json.dumps(about | {"photos": None}).replace('"photos": null, ', "")
    )
    with pytest.raises(InputError, match="begun with another source"):
        embedded(photos / "ball", tmp_path / "emb", bundle_path)
    assert embed_photos(str(photos / "ball"), tmp_path / "emb", bundle_path, LocalEngine(1), True).photos == 19


def test_the_command_line_tells_what_it_did(photos, bundle_path, tmp_path, capfd) -> None:
    words = ["embed", str(photos), "-o", str(tmp_path / "emb"), "--bundle", str(bundle_path)]
    assert console.run(program, "edgetl", [*words, "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert told["photos"] == 39 and len(told["skipped"]) == 2 and told["seconds"] > 0
    assert console.run(program, "edgetl", words) == 2
    assert console.run(program, "edgetl", [*words, "--force", "--engine", "abacus"]) == 2
    assert "there is no engine 'abacus'" in capfd.readouterr().err
    assert console.run(program, "edgetl", [*words, "--force"]) == 0
    said = capfd.readouterr()
    assert "39 photos embedded" in said.out and "skipped: ball/0003.png" in said.err


def test_tasks_are_cut_where_a_shard_stands() -> None:
    rows = list(rows_of_names("a.jpg", "b.jpg", "c.tar", "d.jpg"))
    assert [[row.name for row in task.rows] for task in tasks_of(rows, 5)] == [["a.jpg", "b.jpg"], ["c.tar"], ["d.jpg"]]
    assert [task.number for task in tasks_of(rows, 1)] == [0, 1, 2, 3]


def rows_of_names(*names: str):
    from edgetl.embedding.listing import Row

    return [Row(place_of(name), name) for name in names]


def test_embeddings_that_were_tampered_with_are_refused(photos, bundle_path, tmp_path) -> None:
    embedded(photos, tmp_path / "emb", bundle_path, part_photos=16)
    part = tmp_path / "emb" / "part-000001.parquet"
    table = parquet.read_table(part)
    about = json.loads(table.schema.metadata[b"edgetl"])
    changed = table.replace_schema_metadata({b"edgetl": json.dumps(about | {"backbone": "0" * 64})})
    parquet.write_table(changed, part)
    with pytest.raises(InputError, match="was made by another backbone"):
        list(open_embeddings(tmp_path / "emb").rows())
    for column in ("embedding", "label"):
        place = table.column_names.index(column)
        values = pyarrow.array([b"short"] * len(table), pyarrow.binary())
        parquet.write_table(table.set_column(place, column, values), part)
        with pytest.raises(InputError, match="holds no embeddings, or is damaged"):
            list(open_embeddings(tmp_path / "emb").rows())
    part.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="holds no embeddings, or is damaged"):
        list(open_embeddings(tmp_path / "emb").rows())
    part.unlink()
    with pytest.raises(InputError, match="lacks 1 of its parts, such as part-000001"):
        open_embeddings(tmp_path / "emb")
    about = json.loads((tmp_path / "emb" / "embeddings.json").read_text())
    (tmp_path / "emb" / "embeddings.json").write_text(json.dumps(about | {"parts": 10**12}))
    with pytest.raises(InputError, match="of its parts, such as part-000001"):
        open_embeddings(tmp_path / "emb")
