"""Photos in tar shards and object stores: as in a folder, and what is damaged is named."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from conftest import write_photos

pytest.importorskip("edgetl")
pytest.importorskip("pyarrow")

from object_store import object_store

from edgetl.embedding.embeddings import open_embeddings
from edgetl.embedding.engines import LocalEngine
from edgetl.embedding.items import items_of
from edgetl.embedding.listing import Row, Task
from edgetl.embedding.parts import Rows
from edgetl.embedding.places import place_of, store_of
from edgetl.embedding.scale import embed_photos
from edgetl_device.errors import InputError


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty photos of two classes."""
    return write_photos(tmp_path_factory.mktemp("sources") / "photos", ("ball", "box"), 10)


def write_shard(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as shard:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
    return path


def embedded(source: object, output: Path, bundle: Path) -> tuple[Rows, tuple[str, ...]]:
    done = embed_photos(str(source), output, bundle, LocalEngine(1))
    found = list(open_embeddings(output).rows())
    columns = [
        [value for rows in found for value in getattr(rows, name)] for name in ("paths", "labels", "splits", "digests")
    ]
    raw = [row.tobytes() for rows in found for row in rows.raw]
    assert done.photos == len(raw)
    return Rows(*columns[:3], raw, columns[3]), done.skipped  # type: ignore[arg-type]


def by_content(rows: Rows) -> dict[bytes, tuple[str, bytes]]:
    return {digest: (label, bytes(raw)) for digest, label, raw in zip(rows.digests, rows.labels, rows.raw, strict=True)}


def samples(photos: Path) -> list[tuple[str, str, bytes]]:
    return [(f"{n:06}", path.parent.name, path.read_bytes()) for n, path in enumerate(sorted(photos.rglob("*.png")))]


def test_a_shard_holds_labels_in_every_way_that_people_write_them(photos, bundle_path, tmp_path) -> None:
    files: dict[str, bytes] = {"README.md": b"a shard", "__index__": b""}
    for number, (key, label, data) in enumerate(samples(photos)):
        how = number % 5
        if how == 0:
            files |= {f"{key}.cls": label.encode(), f"{key}.png": data}
        elif how == 1:
            files |= {f"{key}.png": data, f"{key}.txt": f"{label}\n".encode()}
        elif how == 2:
            files |= {f"{key}.json": json.dumps({"label": label, "width": 64}).encode(), f"{key}.png": data}
        elif how == 3:
            files |= {f"./{label}/{key}.left.png": data}
        else:
            files |= {f"{key}.PNG": data, f"{key}.label": label.encode()}
    expected, _ = embedded(photos, tmp_path / "folder", bundle_path)
    for name in ("shard-000.tar", "shard-000.tar.gz"):
        shard = write_shard(tmp_path / name / name, files)
        rows, skipped = embedded(shard, tmp_path / f"{name}-emb", bundle_path)
        assert by_content(rows) == by_content(expected) and not skipped
        assert rows.paths[0] == f"{name}/000000.png"
        assert embedded(shard.parent, tmp_path / f"{name}-folder", bundle_path)[0].paths == rows.paths


def test_shards_in_folders_of_classes_have_the_folder_s_name_as_label(photos, bundle_path, tmp_path) -> None:
    for label in ("ball", "box"):
        files = {path.name: path.read_bytes() for path in sorted((photos / label).iterdir())}
        write_shard(tmp_path / "shards" / label / "0.tar", files)
    rows, _ = embedded(tmp_path / "shards", tmp_path / "emb", bundle_path)
    assert by_content(rows) == by_content(embedded(photos, tmp_path / "folder", bundle_path)[0])
    assert len(open_embeddings(tmp_path / "emb").parts) == 2


def test_damaged_shards_and_what_is_wrong_in_them_are_named(photos, bundle_path, tmp_path) -> None:
    folder = tmp_path / "shards"
    keyed = {f"{key}.png": data for key, _, data in samples(photos)[:10]}
    whole = write_shard(folder / "a.tar", keyed).read_bytes()
    (folder / "b.tar").write_bytes(whole[: len(whole) // 2])
    (folder / "c.tar").write_bytes(b"no archive at all" * 100)
    (folder / "d.tar.gz").write_bytes(gzip.compress(whole)[: len(whole) // 3])
    write_shard(folder / "e.tar", {"notes.cls": b"nothing here"})
    (folder / "f.tar").write_bytes(b"")
    write_shard(folder / "g.tar", {"1.png": b"not a photo", "2.png": keyed["000000.png"], "2.cls": b"a/b"})
    rows, skipped = embedded(folder, tmp_path / "emb", bundle_path)
    names = [line.partition(": ")[0] for line in skipped]
    assert names == ["b.tar", "c.tar", "d.tar.gz", "e.tar", "f.tar", "g.tar/1.png", "g.tar/2.png"], skipped
    reasons = dict(line.split(": ", 1) for line in skipped)
    assert reasons["b.tar"].startswith("the shard is damaged after ") and "no photos" in reasons["e.tar"]
    assert "not a photo" in reasons["g.tar/1.png"] and "other than / and" in reasons["g.tar/2.png"]
    kept = [path for path in rows.paths if path.startswith("b.tar/")]
    assert 0 < len(kept) < 10 and sum(path.startswith("a.tar/") for path in rows.paths) == 10
    assert f"after {len(kept)} photos" in reasons["b.tar"]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE])
def test_a_shard_whose_names_would_fill_the_memory_is_refused(kind: bytes, tmp_path) -> None:
    bomb = tarfile.TarInfo("x")
    bomb.type, bomb.size = kind, 64 << 20
    shard = tmp_path / "bomb.tar"
    shard.write_bytes(bomb.tobuf(tarfile.USTAR_FORMAT) + bytes(bomb.size))
    tracemalloc.start()
    found = list(items_of(Task(0, (Row(place_of(str(shard)), shard.name),)), tmp_path))
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    assert [item.problem.partition(":")[0] for item in found] == ["the shard is damaged after 0 photos"]


def test_a_sample_whose_photos_never_end_is_refused_before_they_fill_the_disk(photos, tmp_path) -> None:
    """Photos of a sample wait for the label that may follow them."""
    (photo,) = (path.read_bytes() for path in sorted(photos.rglob("*.png"))[:1])
    shard = write_shard(tmp_path / "endless.tar", {f"same.{number}.png": photo for number in range(140)})
    spool = tmp_path / "spool"
    spool.mkdir()
    found = items_of(Task(0, (Row(place_of(str(shard)), shard.name),)), spool)
    first = next(found)
    assert first.file is not None and len(list(spool.iterdir())) == 100
    problems = [item.problem for item in found if item.problem]
    assert problems == ["the shard is damaged after 100 photos: a sample has more than 100 photos or 256 MiB"]


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "FILE:///etc/passwd", "local:///etc/passwd", "zip://a.png?fo=/srv/private.zip"]
)
def test_a_list_in_a_store_names_no_file_of_this_machine(address, bundle_path, tmp_path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    fsspec.filesystem("memory").pipe("/lists/strange.csv", f"path,label\n{address},secret\n".encode())
    with pytest.raises(InputError, match="a list in a store may name what lies in stores alone"):
        embedded("memory://lists/strange.csv", tmp_path / "emb", bundle_path)
    assert not (tmp_path / "emb").exists()


@pytest.mark.slow
def test_an_object_store_is_read_as_a_folder_is(photos, bundle_path, tmp_path, monkeypatch) -> None:
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "photos").symlink_to(photos)
    (tmp_path / "stored").mkdir()
    for path in sorted(photos.rglob("*.png")):
        target = tmp_path / "stored" / "set" / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "stored" / "set" / "ball" / "broken.png").write_bytes(b"nothing")
    write_shard(
        tmp_path / "stored" / "shards" / "0.tar", {f"{k}.png": d for k, _, d in samples(photos)} | {"x.cls": b"x"}
    )
    listed = "path,label\n" + "".join(
        f"set/{p.relative_to(photos).as_posix()},{p.parent.name}\n" for p in photos.rglob("*.png")
    )
    (tmp_path / "stored" / "list.csv").write_text(listed + "set/none.png,ball\n")
    expected = by_content(embedded(photos, tmp_path / "folder", bundle_path)[0])
    with object_store(tmp_path / "stored", tmp_path / "server.log") as query:
        keys = "s3://key:secret@photos"
        rows, skipped = embedded(f"{keys}/set?{query}", tmp_path / "set", bundle_path)
        assert by_content(rows) == expected and rows.paths[0] == "ball/0000.png"
        assert len(skipped) == 1 and skipped[0].startswith("ball/broken.png: not a photo")
        rows, skipped = embedded(f"{keys}/list.csv?{query}", tmp_path / "list", bundle_path)
        assert by_content(rows) == expected and skipped == ("set/none.png: nothing is at s3://photos/set/none.png",)
        rows, _ = embedded(f"{keys}/shards?{query}", tmp_path / "shards", bundle_path)
        assert [bytes(raw) for raw in rows.raw] == [expected[digest][1] for digest in rows.digests]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_ENDPOINT_URL", query.partition("=")[2].replace("%3A", ":").replace("%2F", "/"))
        (tmp_path / "mixed.csv").write_text("path,label\ns3://photos/set/ball/0000.png,ball\nphotos/box/0000.png,box\n")
        (tmp_path / "photos").symlink_to(photos)
        rows, _ = embedded(tmp_path / "mixed.csv", tmp_path / "mixed", bundle_path)
        assert rows.paths == ["s3://photos/set/ball/0000.png", "photos/box/0000.png"]
        assert by_content(rows).items() <= expected.items()
        with pytest.raises(InputError, match=r"nothing is at s3://photos/nowhere: is the bucket right"):
            embedded("s3://photos/nowhere", tmp_path / "none", bundle_path)
    written = b"".join(path.read_bytes() for path in (tmp_path / "set").iterdir())
    assert b"secret" not in written and b"s3://photos/set" in written
    with pytest.raises(InputError, match=r"cannot read s3://photos/set") as refused:
        embedded(f"{keys}/set?{query}", tmp_path / "gone", bundle_path)
    assert "secret" not in str(refused.value) and not (tmp_path / "gone").exists()


def test_a_store_that_arrow_does_not_know_is_opened_by_fsspec(photos, bundle_path, tmp_path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    memory = fsspec.filesystem("memory")
    for path in photos.rglob("*.png"):
        memory.pipe(f"/set/{path.relative_to(photos).as_posix()}", path.read_bytes())
    rows, _ = embedded("memory://set", tmp_path / "emb", bundle_path)
    assert by_content(rows) == by_content(embedded(photos, tmp_path / "folder", bundle_path)[0])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://bucket/x?colour=red", "s3:// knows endpoint_override, region, scheme and anonymous, not 'colour'"),
        ("nosuch://bucket/x", "nosuch"),
    ],
)
def test_addresses_that_nothing_can_open_are_one_line(address, message) -> None:
    with pytest.raises(InputError, match=message):
        store_of(address)


def test_what_is_no_address_is_one_line() -> None:
    with pytest.raises(InputError, match=r"not an address: .*; expected one such as s3://BUCKET/FOLDER"):
        place_of("s3://[photos")


def test_a_named_pipe_is_not_waited_for(photos, bundle_path, tmp_path) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    os.mkfifo(tmp_path / "photos" / "ball" / "x.tar")
    _, skipped = embedded(tmp_path / "photos", tmp_path / "emb", bundle_path)
    assert len(skipped) == 1 and skipped[0].endswith("x.tar is not a regular file")


def test_what_is_shown_of_an_address_holds_no_key() -> None:
    place = place_of("s3://KEY:SECRET@photos/gears/?region=eu-west-1&endpoint_override=http%3A%2F%2Fhost")
    assert str(place / "a b.jpg") == "s3://photos/gears/a b.jpg"
    assert "SECRET" not in repr(place) and place.name == "gears" and place.parent.path == "photos"
