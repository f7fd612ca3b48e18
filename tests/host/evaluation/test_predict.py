"""Labels for photos on the workstation are the device's."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from conftest import draw, write_photos
from small_backbone import SMALL

import edgetl
from edgetl.cli import program
from edgetl.data.datasets import find_photos, split
from edgetl.training.train import train_head
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.errors import InputError
from edgetl_device.inference.backbone import open_backbone
from edgetl_device.inference.classifier import Classifier


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = write_photos(tmp_path / "photos", ("ball", "box", "ring"), 8, seed=3)
    (folder / "note.txt").write_text("not a photo")
    whole = (folder / "ball" / "0000.png").read_bytes()
    (folder / "ball" / "half.png").write_bytes(whole[: len(whole) // 2])
    return folder


def test_labels_and_unknown_are_those_of_the_device(bundle_path, photos) -> None:
    found = edgetl.predict(bundle_path, photos)
    bundle = open_bundle(bundle_path)
    classifier = Classifier(open_backbone(bundle), BundleContent(bundle).head())
    assert len(found.paths) == 24
    for path, each in zip(found.paths, found.predictions, strict=True):
        one = classifier.classify(draw(path.parent.name, 30_000 + int(path.stem)))
        assert (each.label, each.unknown) == (one.label, one.unknown)
        assert each.probability == pytest.approx(one.probability, abs=1e-5)
    assert sum(found.counts.values()) == 24 and found.counts["ball"] >= 6
    reasons = {Path(line.partition(": ")[0]).name: line.partition(": ")[2] for line in found.skipped}
    assert reasons == {"note.txt": "not a photo", "half.png": "the file is truncated; copy it again"}


def test_the_command_prints_one_object_or_writes_one_table(bundle_path, photos, tmp_path, capsys) -> None:
    table = tmp_path / "labels.csv"
    words = ["predict", str(bundle_path), str(photos / "box"), str(photos / "ball" / "0001.png"), "--csv", str(table)]
    assert console.run(program, "edgetl", [*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [each["path"] for each in result["predictions"]] and len(rows) == 9
    assert [row["label"] for row in rows] == [each["label"] for each in result["predictions"]]
    assert [row["unknown"] == "yes" for row in rows] == [each["unknown"] for each in result["predictions"]]
    assert console.run(program, "edgetl", words) == 2 and "exists: choose another name" in capsys.readouterr().err
    assert console.run(program, "edgetl", [*words, "--force"]) == 0
    out = capsys.readouterr().out
    assert "0001.png" not in out and "box" in out, "the counts alone"
    assert console.run(program, "edgetl", words[:-2]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("0001.png: " in line and "ball" in line for line in lines)
    assert not any(", b" in line for line in lines)
    assert console.run(program, "edgetl", [*words[:-2], "--top", "2"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "ball/0001.png: " in line)
    assert re.search(r"ball \d\.\d\d, box \d\.\d\d$", line)


def test_bundles_without_classes_and_photos_without_names_are_refused(empty_bundle_path, photos, tmp_path) -> None:
    with pytest.raises(InputError, match="knows no class yet"):
        edgetl.predict(empty_bundle_path, photos)
    with pytest.raises(InputError, match="no such file"):
        edgetl.predict(empty_bundle_path, tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="holds photos, not a RUN"):
        edgetl.predict(photos, photos)


@pytest.mark.slow
def test_a_run_answers_as_its_bundle_in_float(tmp_path) -> None:
    folder = write_photos(tmp_path / "photos", ("ball", "box"), 15, size=32)
    run = train_head(split(find_photos(folder), 0.3, 0), SMALL, tmp_path / "run")
    edgetl.convert(run, tmp_path / "float.edgetl", quantize="none", max_drop=1.0)
    new = write_photos(tmp_path / "new", ("ball", "box"), 15, seed=4, size=32)
    one, other = edgetl.predict(run, new), edgetl.predict(tmp_path / "float.edgetl", new)
    assert [each.label for each in one.predictions] == [each.label for each in other.predictions]
    assert sum(a.unknown != b.unknown for a, b in zip(one.predictions, other.predictions, strict=True)) <= 1
