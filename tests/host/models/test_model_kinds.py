"""Models and photos where a bundle or a RUN is expected: the message names the command that takes them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from conftest import TINY, write_photos

import edgetl
from edgetl.cli import program
from edgetl.models.model_kinds import model_kind, refuse_model
from edgetl.models.own_backbone import own_backbone
from edgetl_device import console
from edgetl_device.errors import InputError


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


def test_models_are_told_from_bundles_and_from_anything_else(tmp_path, bundle_path) -> None:
    (tmp_path / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (tmp_path / "text.keras").write_text("nothing")
    (tmp_path / "cut.zip").write_bytes(b"PK\3\4")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").touch()
    keras = zipped(tmp_path / "m.keras", "metadata.json", "config.json", "model.weights.h5")
    teachable = zipped(tmp_path / "converted_tflite.zip", "model.tflite", "labels.txt")
    assert model_kind(keras) == model_kind(tmp_path / "m.h5") == "a Keras model"
    assert model_kind(TINY) == model_kind(teachable) == "a .tflite file"
    assert model_kind(tmp_path / "saved") == "a SavedModel"
    others = (bundle_path, tmp_path / "text.keras", tmp_path / "cut.zip", tmp_path / "gone", tmp_path)
    assert [model_kind(path) for path in others] == [None] * 5
    with pytest.raises(InputError, match=r"saved is a SavedModel, .* -o saved\.edgetl`"):
        refuse_model(tmp_path / "saved")


@pytest.mark.parametrize("command", ["predict", "evaluate", "explain", "inspection-report", "show"])
def test_where_a_bundle_is_expected_a_model_is_told_how_to_become_one(tmp_path, capfd, command: str) -> None:
    model = zipped(tmp_path / "m.keras", "metadata.json", "config.json")
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 1)
    more = {"show": [], "explain": [photos / "ball", "-o", tmp_path / "out"]}.get(command, [photos])
    assert console.run(program, "edgetl", [str(word) for word in (command, model, *more)]) == 2
    assert f"is a Keras model, not a bundle: make one with `edgetl convert {model} --photos" in capfd.readouterr().err


def test_from_python_too(tmp_path) -> None:
    model = zipped(tmp_path / "m.keras", "metadata.json", "config.json")
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 1)
    for use in (edgetl.evaluate, edgetl.predict):
        with pytest.raises(InputError, match="not a bundle: make one with `edgetl convert"):
            use(model, photos)


@pytest.mark.parametrize(("command", "then"), [("sweep", "sweep run"), ("predict", "predict run PHOTOS")])
def test_photos_in_place_of_a_run_name_the_command_that_comes_after_training(tmp_path, capfd, command, then) -> None:
    photos = str(write_photos(tmp_path / "photos", ("ball", "box"), 1))
    assert console.run(program, "edgetl", [command, photos, *([photos] if command == "predict" else [])]) == 2
    assert f"`edgetl train {photos} -o run` first, then `edgetl {then}`" in capfd.readouterr().err


@pytest.mark.parametrize("words", [("train", "p.zip", "-o", "run"), ("embed", "p.zip", "-o", "emb")])
def test_archives_of_photos_are_to_be_unpacked(tmp_path, monkeypatch, capfd, words) -> None:
    monkeypatch.chdir(tmp_path)
    zipped(tmp_path / "p.zip", "ball/1.png")
    assert console.run(program, "edgetl", list(words)) == 2
    assert "p.zip is an archive: unpack it and give the folder" in capfd.readouterr().err


@pytest.mark.parametrize(
    "words", [["convert", "-o", "new.edgetl"], ["convert", "--photos", "photos", "-o", "n.edgetl"], ["sweep"]]
)
def test_a_bundle_in_place_of_a_run_is_told_to_be_converted_already(tmp_path, bundle_path, capfd, words) -> None:
    assert console.run(program, "edgetl", [words[0], str(bundle_path), *words[1:]]) == 2
    assert f"{bundle_path} is a bundle: it is converted already, give the RUN or the" in capfd.readouterr().err


def test_a_bundle_is_no_backbone_to_be_trained(bundle_path) -> None:
    with pytest.raises(
        InputError, match=r"toys\.edgetl is a bundle: its layers cannot be trained any more, give the Keras"
    ):
        own_backbone(bundle_path)


@pytest.mark.parametrize("command", ["preflight", "evaluate", "explain", "inspection-report", "show"])
def test_a_folder_in_place_of_a_bundle_is_told_from_a_run(tmp_path, capfd, command: str) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 1)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").touch()
    more = {"show": [], "preflight": [], "explain": [photos / "ball", "-o", tmp_path / "out"]}.get(command, [photos])
    for folder, told in (("photos", "is a folder, not a bundle: "), ("run", "is a RUN, not a bundle: ")):
        assert console.run(program, "edgetl", [str(word) for word in (command, tmp_path / folder, *more)]) == 2
        assert told in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "told"),
    [("run.json", "is a RUN, which a training wrote"), ("embeddings.json", "`edgetl train --embeddings`")],
)
def test_what_edgetl_wrote_in_place_of_photos_is_told(tmp_path, capfd, name: str, told: str) -> None:
    (tmp_path / name).touch()
    assert console.run(program, "edgetl", ["train", str(tmp_path), "-o", str(tmp_path / "new")]) == 2
    assert told in capfd.readouterr().err


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("keras_model.h5", "labels.txt"), "unpack it and give keras_model.h5, with --labels labels.txt; "),
        (("labels.txt", "model.savedmodel/saved_model.pb"), "give model.savedmodel, with --labels labels.txt; "),
        (("mine.keras",), "unpack it and give mine.keras; "),
    ],
)
def test_a_zip_of_a_keras_model_is_to_be_unpacked(tmp_path, capfd, names, told: str) -> None:
    packed = zipped(tmp_path / "converted_keras.zip", *names)
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 1)
    words = ("convert", packed, "--photos", photos, "-o", tmp_path / "new.edgetl")
    assert console.run(program, "edgetl", [str(word) for word in words]) == 2
    assert told in capfd.readouterr().err


def test_a_bundle_is_no_export_of_a_device(tmp_path, bundle_path, capfd) -> None:
    words = ("merge", bundle_path, bundle_path, "-o", tmp_path / "new.edgetl")
    assert console.run(program, "edgetl", [str(word) for word in words]) == 2
    assert "is a bundle: expected what a device exported" in capfd.readouterr().err
