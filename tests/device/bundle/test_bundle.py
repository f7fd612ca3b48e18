import io
import json
import zipfile

import pytest

from edgetl_device.bundle.archive import MAX_SIZE
from edgetl_device.bundle.bundle import open_bundle, read_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.errors import BundleError, StorageError


@pytest.fixture
def data(bundle_path) -> bytes:
    return bundle_path.read_bytes()


def rebuilt(data: bytes, change) -> bytes:
    """The bundle after ``change(members)``, as an attacker with a hash function would write it."""
    import hashlib

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        archive.comment = b"edgetl sha256:" + b"0" * 64
    body = buffer.getvalue()[:-78]
    return body + b"edgetl sha256:" + hashlib.sha256(body).hexdigest().encode()


def manifest(**changes):
    def change(members: dict[str, bytes]) -> None:
        members["manifest.json"] = json.dumps(json.loads(members["manifest.json"]) | changes).encode()

    return change


def test_a_bundle_is_read_back(bundle_path) -> None:
    bundle = open_bundle(bundle_path)
    factory = BundleContent(bundle)
    assert bundle.name == "toys" and bundle.labels == ("ball", "box")
    assert factory.statistics.samples == 40 and len(factory.holdout) == 40
    assert factory.head().labels == bundle.labels
    assert bundle.members["labels.txt"] == b"ball\nbox\n"


def test_the_same_content_gives_the_same_bytes(bundle_path, tmp_path, data) -> None:
    bundle = open_bundle(bundle_path)
    write_bundle(tmp_path / "again.edgetl", bundle.manifest, bundle.members)
    assert (tmp_path / "again.edgetl").read_bytes() == data


def test_a_zip_that_is_no_bundle_and_a_file_that_is_no_zip_are_told_apart(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(BundleError, match="a zip file, but not a bundle"):
        open_bundle(tmp_path / "a.zip")
    (tmp_path / "b.txt").write_text("hello")
    with pytest.raises(BundleError, match=r"b\.txt: not a bundle"):
        open_bundle(tmp_path / "b.txt")
    with pytest.raises(BundleError, match=r"no such bundle: .*missing\.edgetl; make one with"):
        open_bundle(tmp_path / "missing.edgetl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (manifest(format=2), "format 2 is not 1, the one this edgetl reads; update"),
        (manifest(labels=["box", "ball"]), "sorted and distinct"),
        (manifest(labels=["../x", "y"]), "not valid"),
        (manifest(labels=[1, 2]), "sorted and distinct"),
        (manifest(codes={"transform": 1, "zero_point": -128, "dimension": 10**9}), "not valid"),
        (manifest(preprocessing={"height": 10**9, "width": 1}), "not valid"),
        (manifest(quantization=None), "lacks quantization"),
        (lambda members: members.pop("manifest.json"), "no readable manifest"),
        (lambda members: members.update({"manifest.json": b"[" * 100_000}), "no readable manifest"),
        (lambda members: members.update({"../evil": b"x"}), "unexpected member"),
        (lambda members: members.update({"holdout.npz": b"x"}), "holdout.npz is not the one"),
        (lambda members: members.pop("holdout.npz"), "expected the members"),
    ],
)
def test_a_bundle_made_by_hand_is_refused(data, change, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        read_bundle(rebuilt(data, change))


def test_a_newer_format_with_strange_members_asks_for_an_update(data) -> None:
    with pytest.raises(BundleError, match="newer"):
        read_bundle(rebuilt(data, lambda members: members.update({"thing.bin": b"x"})))


def test_a_huge_file_is_refused_without_reading_it_all(tmp_path) -> None:
    path = tmp_path / "huge.edgetl"
    with path.open("wb") as stream:
        stream.truncate(MAX_SIZE + 10)
    with pytest.raises(BundleError, match="larger than"):
        open_bundle(path)


def test_a_full_disk_leaves_the_old_bundle_and_no_litter(bundle_path, tmp_path, monkeypatch) -> None:
    import os

    path = tmp_path / "old.edgetl"
    path.write_bytes(b"old")
    bundle = open_bundle(bundle_path)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        write_bundle(path, bundle.manifest, bundle.members)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["old.edgetl"]


def test_a_file_swapped_during_the_check_is_not_what_gets_installed(bundle_path, tmp_path, data, monkeypatch) -> None:
    from edgetl_device import home as home_module

    path = tmp_path / "toys.edgetl"
    path.write_bytes(data)

    try_backbone = home_module.try_backbone

    def swap(*arguments: object) -> object:
        path.write_bytes(b"something else entirely")
        return try_backbone(*arguments)

    monkeypatch.setattr(home_module, "try_backbone", swap)
    home = home_module.Home(tmp_path / "home")
    home.install(path)
    assert home.bundle_path.read_bytes() == data
