"""What the arguments alone decide is told before photos are read and models loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import TINY, write_photos

import edgetl
from edgetl.backbones.backbone_spec import BackboneSpec
from edgetl.conversion.asked import what_to_try
from edgetl.conversion.compression import Compression
from edgetl.data.datasets import find_all
from edgetl.training import train as training
from edgetl.training.finetuning import too_few_to_tune
from edgetl.training.runs import Run, save_run
from edgetl.training.watching import check_folder
from edgetl_device.errors import InputError


@pytest.mark.parametrize(
    ("kind", "quantize", "compression", "told"),
    [
        ("run", "int8", Compression(), "Try more --calibration-samples, --quantize int16x8 or dynamic, or --qat"),
        ("run", "int8", Compression(qat=True), "Try more --calibration-samples, or --quantize int16x8 or dynamic"),
        ("run", "int8", Compression(prune=0.5, qat=True), "Give more photos, more --epochs, or compress less"),
        ("run", "float16", Compression(), "Try --quantize none, and give more photos"),
        ("run", "none", Compression(), "Give more photos"),
        ("keras3", "int8", Compression(), "Try more --calibration-samples, or --quantize int16x8 or dynamic"),
        ("tflite", "int8", Compression(), "Give more photos: the head is solved from them"),
    ],
)
def test_a_conversion_that_costs_too_much_is_told_what_it_has_not_tried(kind, quantize, compression, told) -> None:
    def keras() -> None:
        if kind == "keras3":
            raise InputError("saved by Keras 3")

    source: Any = SimpleNamespace(ready=b"" if kind == "tflite" else None, keras=keras)
    assert what_to_try(source, quantize, compression) == told


def model(folder: Path, kind: str) -> Path:
    if kind == "tflite":
        return TINY
    if kind == "saved":
        (folder / "saved").mkdir()
        (folder / "saved" / "saved_model.pb").touch()
        return folder / "saved"
    if kind == "run":
        (folder / "run").mkdir()
        (folder / "run" / "run.json").touch()
        return folder / "run"
    with zipfile.ZipFile(folder / "mine.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", "{}")
    return folder / "mine.keras"


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("keras", {"keep_head": True, "export": ("keras",)}, r"mine\.keras is a model of your own: keep your file"),
        ("saved", {"export": ("keras",)}, "saved is a model of your own"),
        ("saved", {"qat": True}, "need a Keras 2 model .* is a SavedModel"),
        ("tflite", {"export": ("keras",)}, "is a .tflite file already"),
        ("tflite", {"keep_head": True}, "with its own head already: use it as it is"),
        ("tflite", {"quantize": "float16"}, "is converted already: leave out --quantize"),
        ("tflite", {"per_tensor": True}, "is converted already: leave out"),
        ("run", {"keep_head": True}, "a RUN has no last layer but the solved head"),
        ("keras", {"quantize": "float16", "inspectable": True}, "--inspectable needs --quantize int8 or int8-float-io"),
    ],
)
def test_options_that_a_kind_of_model_cannot_have_are_refused_before_anything_is_read(
    tmp_path, kind, options, match
) -> None:
    with pytest.raises(InputError, match=match):
        edgetl.convert(model(tmp_path, kind), tmp_path / "o.edgetl", photos=tmp_path / "not there", **options)


def test_a_file_where_the_folder_for_tensorboard_belongs_is_told_before_photos_are_looked_for(tmp_path) -> None:
    (tmp_path / "text.txt").touch()
    for place in (tmp_path / "text.txt", tmp_path / "text.txt" / "below"):
        with pytest.raises(InputError, match=r"text\.txt is a file: name a folder"):
            edgetl.train(tmp_path / "not there", tmp_path / "run", tensorboard=place)
    check_folder(tmp_path)
    check_folder(tmp_path / "new" / "one")


def test_too_few_photos_to_tune_on_are_told_before_training_with_how_many_it_takes(tmp_path) -> None:
    few = find_all((write_photos(tmp_path, ("ball", "box"), 10),))
    told = too_few_to_tune(few, 0)
    assert "0 of the 16 training photos are kept" in told and "takes 100, so about 1,000 training photos" in told
    paths, labels = tuple(Path(f"{row}.jpg") for row in range(1200)), ("ball", "box") * 600
    assert too_few_to_tune(type(few)(tmp_path, paths, labels, ("train",) * 1200), 0) == ""
    said, asked = [], []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", lambda *given: asked.append(given[3]))
        machine = SimpleNamespace(device="CPU", replicas=SimpleNamespace(chief=True))
        patch.setattr("edgetl.api.training.hardware", lambda _: machine)
        edgetl.train(few, tmp_path / "run", weights="builtin", strategy="top", tune=1, progress=said.append)
    assert [line for line in said if "tun" in line] == [told] and asked[0].tune_s == 0, "it is said once"


@pytest.mark.parametrize("kind", ["a RUN", "a model"])
def test_epochs_too_few_to_learn_in_are_told_before_the_model_is_loaded(tmp_path, monkeypatch, kind: str) -> None:
    monkeypatch.setattr("edgetl.models.sources.open_source", lambda *_, **__: pytest.fail("it was loaded"))
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 20)
    dataset = find_all((photos,))
    run = Run(tmp_path / "run", BackboneSpec(weights="none"), dataset, (), 0, "head", 1.0,
              dict.fromkeys(dataset.classes, 1.0), "2026-11-27T14:02:09", 1.0)  # fmt: skip
    run.folder.mkdir()
    save_run(run.folder, run, SimpleNamespace(get_weights=list))
    given = {"run": run.folder} if kind == "a RUN" else {"run": model(tmp_path, "keras"), "photos": photos}
    with pytest.raises(InputError, match=r"--epochs 1 of 32 photos is 2 steps of qat.* give 10 or more"):
        edgetl.convert(**given, output=tmp_path / "o.edgetl", qat=True, epochs=1)
    with pytest.raises(pytest.fail.Exception, match="it was loaded"):
        edgetl.convert(**given, output=tmp_path / "o.edgetl", qat=True, epochs=10)
