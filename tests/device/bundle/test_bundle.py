import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import draw, tiny_backbone
from hostile_bundles import manifest, rebuilt

from edgetl_device.bundle.archive import MAX_SIZE
from edgetl_device.bundle.bundle import Bundle, open_bundle, read_bundle, sign_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.bundle.signing import key_path, read_private_key, write_key_pair
from edgetl_device.errors import BundleError, StorageError
from edgetl_device.home import Home
from edgetl_device.statistics import statistics_of

INNER = {"name": "a/b", "shape": [8, 8, 64], "scale": 0.5, "zero_point": 3}


@pytest.fixture
def data(bundle_path) -> bytes:
    return bundle_path.read_bytes()


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


def test_a_bundle_without_inner_maps_is_one_that_older_programs_read(bundle_path, tmp_path) -> None:
    bundle = open_bundle(bundle_path)
    assert bundle.manifest["format"] == 3 and [inner.shape for inner in bundle.maps] == [(16, 16, 24), (8, 8, 64)]
    plain = {name: value for name, value in bundle.manifest.items() if name not in ("maps", "format")}
    write_bundle(tmp_path / "plain.edgetl", plain, bundle.members)
    again = open_bundle(tmp_path / "plain.edgetl")
    assert again.manifest["format"] == 2 and again.maps == ()


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
        (manifest(format=5), "format 5 is newer than 4, the last that this edgetl reads; update"),
        (manifest(labels=["box", "ball"]), "sorted and distinct"),
        (manifest(labels=["../x", "y"]), "not valid"),
        (manifest(labels=[1, 2]), "sorted and distinct"),
        (manifest(codes={"transform": 1, "zero_point": -128, "dimension": 10**9}), "not valid"),
        (manifest(preprocessing={"height": 10**9, "width": 1}), "not valid"),
        (manifest(quantization=None), "lacks quantization"),
        (manifest(format=2), "names inner maps, which format 2 does not have"),
        (manifest(maps={}), "must be a list of up to 4"),
        (manifest(maps=[INNER] * 5), "must be a list of up to 4"),
        (manifest(maps=[INNER | {"shape": [10**9, 10**9, 64]}]), "up to 64 x 64 places and 4096 channels"),
        (manifest(maps=[INNER | {"shape": [64, 64, 4096]}]), "up to 1048576 values"),
        (manifest(maps=[INNER | {"shape": [True, 8, 64]}]), "three integers"),
        (manifest(maps=[INNER | {"scale": float("1e999")}]), "no readable manifest"),
        (manifest(maps=[INNER | {"scale": 0}]), "positive scale"),
        (manifest(maps=[INNER | {"zero_point": 128}]), "zero point of -128 to 127"),
        (manifest(maps=[INNER | {"name": "a\x1b[2J"}]), "printable name"),
        (manifest(maps=[INNER | {"more": 1}]), "must hold name, shape"),
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


def of_format_1(path: Path, bundle_path: Path) -> Bundle:
    """The bundle as a release before 0.2 would have made it: statistics without moments of single classes."""
    bundle = open_bundle(bundle_path)
    statistics = replace(BundleContent(bundle).statistics, projected=None)
    old = {**bundle.manifest, "format": 1, "head": "predictive", "maps": []}
    write_bundle(path, old, {**bundle.members, "statistics.npz": statistics.to_bytes()})
    return open_bundle(path)


def test_a_bundle_of_format_1_works_as_it_did(tmp_path: Path, bundle_path: Path) -> None:
    old = of_format_1(tmp_path / "old.edgetl", bundle_path)
    assert old.manifest["format"] == 1 and BundleContent(old).statistics.projection is None
    home = Home(tmp_path / "home")
    home.install(tmp_path / "old.edgetl")
    learner, backbone = home.learner(), tiny_backbone()
    learner.add("ring", np.stack([backbone.embed(draw("ring", number)) for number in range(12)]))
    assert learner.retrain().promoted
    head = learner.active_head()
    assert head.rule == "predictive" and head.labels == ("ball", "box", "ring")
    assert learner.device_statistics().projected is None
    write_key_pair(tmp_path / "mine")
    sign_bundle(old, tmp_path / "signed.edgetl", read_private_key(key_path(tmp_path / "mine")))
    assert open_bundle(tmp_path / "signed.edgetl").manifest["format"] == 1  # so that old devices still read it


def test_a_device_may_take_a_bundle_of_format_2_after_one_of_format_1(tmp_path: Path, bundle_path: Path) -> None:
    of_format_1(tmp_path / "old.edgetl", bundle_path)
    home, backbone = Home(tmp_path / "home"), tiny_backbone()
    home.install(tmp_path / "old.edgetl")
    raw = np.stack([backbone.embed(draw("ring", number)) for number in range(12)])
    home.learner().add("ring", raw)
    home.install(bundle_path)
    learner = home.learner()
    assert learner.retrain().promoted and learner.active_head().rule == "gaussian"
    known, projection = learner.device_statistics(), learner.factory.statistics.projection
    codes = backbone.codes(raw)
    expected = statistics_of(codes, ["ring"] * len(codes), known.backbone, learner.runtime, projection)
    assert known.to_bytes() == expected.to_bytes() and projection is not None


def test_moments_in_a_bundle_of_format_1_are_refused(data) -> None:
    bundle = read_bundle(rebuilt(data, manifest(format=1, maps=[])))
    with pytest.raises(BundleError, match="which format 1 does not have"):
        _ = BundleContent(bundle).statistics


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
