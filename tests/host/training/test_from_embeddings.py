"""A head on embeddings that were made before: the same statistics as from photos, part by part."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos

pytest.importorskip("edgetl")
pytest.importorskip("pyarrow")

from edgetl.cli import program
from edgetl.conversion.from_embeddings import convert_embeddings
from edgetl.data.datasets import find_all
from edgetl.embedding.embed import embed_device
from edgetl.embedding.embeddings import open_embeddings
from edgetl.embedding.engines import LocalEngine
from edgetl.embedding.scale import embed_photos
from edgetl.training.directions import leading_directions
from edgetl.training.from_embeddings import fit_embeddings
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.errors import InputError
from edgetl_device.heads.registry import HEADS
from edgetl_device.inference.backbone import open_backbone
from edgetl_device.statistics import statistics_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety photos of three classes, which the bundle of the tests does not know all of."""
    return write_photos(tmp_path_factory.mktemp("embedded") / "photos", ("ball", "box", "kite"), 30)


@pytest.fixture(scope="module")
def embeddings(photos, bundle_path) -> Path:
    """Of them, in parts of seven."""
    embed_photos(str(photos), photos.parent / "emb", bundle_path, LocalEngine(1), part_photos=7)
    return photos.parent / "emb"


def test_statistics_are_byte_for_byte_those_of_the_photos(photos, embeddings, bundle_path) -> None:
    dataset = find_all([photos], 0.2, 5)
    backbone = open_backbone(open_bundle(bundle_path))
    raw = embed_device(backbone, dataset.files(), 1).values
    train = dataset.rows("train")
    codes, labels = backbone.codes(raw[train]), [dataset.labels[row] for row in train]
    plain = statistics_of(codes, labels, backbone.digest, backbone.runtime)
    whole = statistics_of(codes, labels, backbone.digest, backbone.runtime, leading_directions(plain))
    fitted = fit_embeddings(open_embeddings(embeddings), seed=5)
    assert fitted.evidence.factory.to_bytes() == whole.to_bytes()
    held = dataset.rows("val")
    assert fitted.held_out.total() == len(held) == 18
    expected = {(dataset.labels[row], raw[row].tobytes()) for row in held}
    assert {(label, row.tobytes()) for row, label in zip(*fitted.holdout, strict=True)} == expected
    right = np.array(fitted.head.labels)[fitted.head.predict(backbone.codes(raw[held]))[0].argmax(axis=1)]
    assert fitted.accuracy == float((right == [dataset.labels[row] for row in held]).mean()) > 0.8


def test_any_partition_gives_the_same_bundle(photos, embeddings, bundle_path, tmp_path) -> None:
    embed_photos(str(photos), tmp_path / "emb", bundle_path, LocalEngine(1))
    made = [convert_embeddings(each, tmp_path / f"{n}.edgetl") for n, each in enumerate((embeddings, tmp_path / "emb"))]
    first, second = (open_bundle(done.path).members for done in made)
    assert first == second


def test_splits_that_photos_bring_are_kept(photos, bundle_path, tmp_path) -> None:
    for split, kinds in (("train", ("ball", "box")), ("test", ("ball",))):
        write_photos(tmp_path / "photos" / split, kinds, 12, seed=len(split))
    embed_photos(str(tmp_path / "photos"), tmp_path / "emb", bundle_path, LocalEngine(1))
    fitted = fit_embeddings(open_embeddings(tmp_path / "emb"))
    assert fitted.held_out == {"ball": 12} and fitted.evidence.factory.samples == 24
    assert fitted.per_class["box"] is None


def test_what_cannot_be_trained_on_is_said(photos, embeddings, bundle_path, tmp_path) -> None:
    embed_photos(str(photos / "ball"), tmp_path / "one", bundle_path, LocalEngine(1))
    with pytest.raises(InputError, match=r"0 classes: at least two .* 30 photos have no label"):
        fit_embeddings(open_embeddings(tmp_path / "one"))
    with pytest.raises(InputError, match="held-out share"):
        fit_embeddings(open_embeddings(embeddings), val_split=1.0)
    assert "softmax" in HEADS
    with pytest.raises(InputError, match="softmax learns from all embeddings at once"):
        fit_embeddings(open_embeddings(embeddings), "softmax")


def test_train_and_convert_make_a_bundle_that_a_device_takes(photos, embeddings, tmp_path, capfd, home) -> None:
    def run(*words: object, code: int = 0) -> str:
        capfd.readouterr()
        assert console.run(program, "edgetl", list(map(str, words))) == code, capfd.readouterr().err
        said = capfd.readouterr()
        return said.out if not code else said.err

    trained = json.loads(run("train", "--embeddings", embeddings, "-o", tmp_path / "run", "--json"))
    assert trained["photos"] == 90 and trained["classes"] == ["ball", "box", "kite"] and trained["accuracy"] > 0.8
    moved = embeddings.rename(embeddings.with_name("elsewhere"))
    try:
        assert "make them with `edgetl embed" in run("convert", tmp_path / "run", "-o", tmp_path / "a.edgetl", code=2)
        words = ("convert", tmp_path / "run", "--embeddings", moved, "-o", tmp_path / "a.edgetl", "--json")
        assert json.loads(run(*words))["parity"]["converted_accuracy"] == trained["accuracy"]
        run("convert", "--embeddings", moved, "-o", tmp_path / "b.edgetl")
    finally:
        moved.rename(embeddings)
    assert open_bundle(tmp_path / "a.edgetl").members == open_bundle(tmp_path / "b.edgetl").members
    home.install(tmp_path / "a.edgetl")
    content = BundleContent(open_bundle(tmp_path / "a.edgetl"))
    assert content.statistics.samples == 72 and len(content.seen) == 72 and len(content.holdout) == 18
    assert "holds no float model" in run("sweep", tmp_path / "run", code=2)
    assert "--qat is of a float model" in run("convert", tmp_path / "run", "-o", tmp_path / "c.edgetl", "--qat", code=2)
    assert "takes the place of PHOTOS" in run("train", photos, "--embeddings", embeddings, "-o", "c", code=2)
    assert "say what to train on" in run("train", "-o", tmp_path / "c", code=2)
    assert "say what to convert" in run("convert", "-o", tmp_path / "c.edgetl", code=2)
    description = tmp_path / "run" / "run.json"
    description.write_text(description.read_text().replace('"statistics": "', '"statistics": "0'))
    assert "changed since training" in run("convert", tmp_path / "run", "-o", tmp_path / "c.edgetl", code=2)
