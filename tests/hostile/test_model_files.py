"""Model files from strangers: none may run anything, and each is refused with a line that says why."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import h5py
import hostile_models as hostile
import numpy as np
import pytest

from edgetl.models.keras_files import open_classifier
from edgetl.models.keras_reader import clean_copy
from edgetl_device.errors import InputError

NAMES = [name for name, _ in hostile.planted_layers(Path("marker"))]
LAMBDAS = [name for name in NAMES if "lambda" in name]


def planted(name: str, marker: Path) -> hostile.Layer:
    return next(found for each, found in hostile.planted_layers(marker) if each == name)


def refused(path: Path, folder: Path) -> str:
    """The reason, once a file was refused where nothing but its text was read."""
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        clean_copy(path, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_planted_in_a_model_is_refused_in_every_kind_of_file(tmp_path, name) -> None:
    marker = tmp_path / "marker"
    for major in (2, 3):
        configuration = hostile.model(planted(name, marker), major=major)
        version = f"{major}.15.0"
        hostile.write_keras(tmp_path / "m.keras", configuration, version)
        hostile.write_hdf5(tmp_path / "m.h5", configuration, version)
        for number, path in enumerate((tmp_path / "m.keras", tmp_path / "m.h5")):
            refused(path, tmp_path / f"{major}{number}")
    assert not marker.exists()


@pytest.mark.parametrize("name", LAMBDAS)
def test_no_spelling_of_the_json_hides_a_lambda(tmp_path, name) -> None:
    marker = tmp_path / "marker"
    for spelling, text in hostile.texts(hostile.model(planted(name, marker))):
        refused(hostile.write_hdf5(tmp_path / "m.h5", text), tmp_path / f"h {spelling}")
        refused(hostile.write_hdf5(tmp_path / "b.h5", text.encode()), tmp_path / f"b {spelling}")
        refused(hostile.write_keras(tmp_path / "m.keras", text), tmp_path / f"k {spelling}")
    assert not marker.exists()


@pytest.mark.parametrize("suffix", ["keras", "h5", "hdf5", "weights.h5", "zip", "txt"])
@pytest.mark.parametrize("write", [hostile.write_keras, hostile.write_hdf5])
def test_the_whole_way_runs_nothing_whatever_the_file_is_called(tmp_path, write, suffix) -> None:
    marker = tmp_path / "marker"
    path = write(tmp_path / f"m.{suffix}", hostile.model(planted("lambda", marker)))
    with pytest.raises(InputError, match=r"m\..* has a Lambda layer, which is Python code inside the file"):
        open_classifier(path)
    assert not marker.exists()


def test_the_message_names_the_class_and_says_what_to_do(tmp_path) -> None:
    for number, (name, match) in enumerate(
        [
            ("class of os", r"'system' \(of the module 'os'\).*model\.export"),
            ("activation os.system", r"'system' of the module 'os'.*is not run"),
            ("TensorFlow writes a file", r"'io\.write_file'.*use a layer of Keras"),
            ("vocabulary file", r"'StringLookup' of 'keras\.layers'.*model\.export"),
            ("endless sizes", "asks for units 1e"),
        ]
    ):
        path = hostile.write_keras(tmp_path / "m.keras", hostile.model(planted(name, tmp_path / "marker")))
        with pytest.raises(InputError, match=match):
            (tmp_path / str(number)).mkdir()
            clean_copy(path, tmp_path / str(number))


def test_what_belongs_to_training_is_never_read(tmp_path) -> None:
    marker = tmp_path / "marker"
    loss = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    configuration = hostile.model() | {"compile_config": {"loss": loss, "optimizer": planted("class of os", marker)}}
    (tmp_path / "out").mkdir()
    clean_copy(hostile.write_keras(tmp_path / "m.keras", configuration), tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "clean.keras") as archive:
        assert "compile_config" not in json.loads(archive.read("config.json"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty", ""),
        ("no JSON", "{'class_name': 1}"),
        ("a list", "[]"),
        ("a number", "1"),
        ("deep", "[" * 5000 + "]" * 5000),
        ("deep dicts", '{"a":' * 300 + "1" + "}" * 300),
        ("not a number", json.dumps(hostile.model(hostile.layer("Dense", units=float("nan"))))),
        ("infinite", json.dumps(hostile.model(hostile.layer("ReLU", max_value=float("inf"))))),
        ("infinite by exponent", json.dumps(hostile.model()).replace("192", "1e999").replace("0.0", "1e999")),
        ("a long integer", json.dumps(hostile.model()).replace("192", "9" * 5000).replace("0.0", "9" * 5000)),
        ("a key twice", json.dumps(hostile.model()).replace('"name": "s"', '"name": "s", "name": "t"')),
        ("too long", json.dumps(hostile.model()) + " " * (9 << 20)),
        ("many values", json.dumps(hostile.model(hostile.layer("Dense", units=[0] * 1_100_000)))),
        ("no UTF-8", b"\xff\xfe{}"),
        ("only a layer", json.dumps(hostile.layer("Dense", units=1))),
        ("no configuration", '{"class_name": "Sequential"}'),
        ("a text as configuration", '{"class_name": "Sequential", "config": "x"}'),
    ],
)
def test_a_configuration_that_is_none_is_refused(tmp_path, name, text) -> None:
    refused(hostile.write_keras(tmp_path / "m.keras", text), tmp_path / "out")


def link(file: h5py.File) -> None:
    file["layers"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: h5py.File) -> None:
    file["layers"] = h5py.SoftLink("/elsewhere")


def outside(file: h5py.File) -> None:
    file.create_dataset("w", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "w", (4,))
    file.create_virtual_dataset("w", layout)


def loop(file: h5py.File) -> None:
    file.create_group("a")["b"] = file["/"]


def deep(file: h5py.File) -> None:
    file.create_group("/".join("a" * 80))


def promise(file: h5py.File) -> None:
    file.create_dataset("w", (1 << 40,), "f4", chunks=(1 << 10,))


def packed(file: h5py.File) -> None:
    file.create_dataset("w", data=np.zeros(1 << 24, np.float32), chunks=(1 << 20,), compression="gzip")


def texts(file: h5py.File) -> None:
    file.create_dataset("w", data=["text"], dtype=h5py.string_dtype())


def reference(file: h5py.File) -> None:
    file.attrs.create("r", file.ref, dtype=h5py.ref_dtype)


def compound(file: h5py.File) -> None:
    file.create_dataset("w", (2,), np.dtype([("a", "f4"), ("b", "f4")]))


def own_filter(file: h5py.File) -> None:
    file.create_dataset("w", data=np.zeros(4096, np.float32), compression="lzf")


def a_type(file: h5py.File) -> None:
    file["t"] = np.dtype("f4")


def crowd(file: h5py.File) -> None:
    for number in range(20_100):
        file.create_group(f"a{number}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "match"),
    [
        (link, "is a link"),
        (soft_link, "is a link"),
        (outside, "another file"),
        (virtual, "another file"),
        (loop, "inside themselves"),
        (deep, "too deeply"),
        (promise, "more than the file can hold"),
        (packed, "more than the file can hold"),
        (texts, "expected numbers"),
        (reference, "neither number nor text"),
        (compound, "expected numbers"),
        (own_filter, "a filter"),
        (a_type, "no weight"),
        (crowd, "more than"),
    ],
)
def test_weights_that_are_no_plain_numbers_are_refused(tmp_path, plant, match) -> None:
    path = hostile.write_keras(tmp_path / "m.keras", hostile.model(), weights=hostile.weights_file(plant))
    assert match in refused(path, tmp_path / "zip")
    with h5py.File(hostile.write_hdf5(tmp_path / "m.h5", hostile.model()), "a") as file:
        del file["model_weights"]
        plant(file.create_group("model_weights").file if plant is loop else file.create_group("model_weights"))
        if plant is loop:
            file["model_weights/a"] = file["/"]
    assert match in refused(tmp_path / "m.h5", tmp_path / "hdf5")


def add(path: Path, name: str, data: bytes = b"x", **fields: int) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo(name)
        for field, value in fields.items():
            setattr(member, field, value)
        archive.writestr(member, data)


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/x", "C:\\x", "assets/x", "config.json/", "model.weights.npz", "x.py", "model.weights.json"],
)
def test_members_that_a_model_has_no_use_for_are_refused(tmp_path, name) -> None:
    path = hostile.write_keras(tmp_path / "m.keras", hostile.model())
    add(path, name)
    assert "does not read" in refused(path, tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["metadata.json", "config.json", "model.weights.h5"])
def test_members_given_twice_or_missing_are_refused(tmp_path, name) -> None:
    path = hostile.write_keras(tmp_path / "m.keras", hostile.model())
    add(path, name)
    assert "twice" in refused(path, tmp_path / "twice")
    whole = hostile.write_keras(tmp_path / "w.keras", hostile.model())
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "p.keras", "w") as target:
        for member in source.namelist():
            if member != name:
                target.writestr(member, source.read(member))
    assert f"lacks {name}" in refused(tmp_path / "p.keras", tmp_path / "missing")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_archives_packed_as_no_keras_does_are_refused(tmp_path, packing) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w", packing) as archive:
        archive.writestr("metadata.json", "{}")
    assert "packed in a way" in refused(tmp_path / "m.keras", tmp_path / "out")


def test_a_zip_bomb_is_stopped_as_it_unpacks(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.0"}')
        archive.writestr("config.json", json.dumps(hostile.model()))
        archive.writestr("model.weights.h5", bytes(64 << 20))
    assert "unpack to more than" in refused(tmp_path / "m.keras", tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) < 8 << 20


@pytest.mark.parametrize("version", ["", "x", 3, None, "3" * 99, "３.1", "3.1\x1b[2J", "3.1\n"])
def test_a_version_that_is_none_is_refused(tmp_path, version) -> None:
    path = hostile.write_keras(tmp_path / "m.keras", hostile.model(), version)
    refused(path, tmp_path / "out")


def test_a_model_that_names_an_older_keras_gets_no_further(tmp_path) -> None:
    marker = tmp_path / "marker"
    path = hostile.write_keras(tmp_path / "m.keras", hostile.model(planted("class of os", marker)), "2.99.0")
    with pytest.raises(InputError, match="'system'"):
        open_classifier(path)
    assert not marker.exists()


def test_what_is_no_regular_file_is_refused_at_once(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.keras")
    (tmp_path / "link.keras").symlink_to("/dev/zero")
    with (tmp_path / "sparse.h5").open("wb") as file:
        file.truncate(1 << 40)
    (tmp_path / "empty.h5").touch()
    for name, match in [
        ("pipe.keras", "no regular file"),
        ("link.keras", "no regular file"),
        ("sparse.h5", "reads models of up to"),
        ("empty.h5", "not a Keras model"),
    ]:
        with pytest.raises(InputError, match=match):
            open_classifier(tmp_path / name)


@pytest.mark.slow
def test_a_file_with_more_layers_than_weights_is_refused_before_memory_is_asked_for(tmp_path) -> None:
    wide = hostile.layer("Dense", units=1 << 20) | {"config": {"name": "w", "units": 1 << 20}}
    for name, version in (("m.keras", "2.15.0"), ("n.keras", "3.15.0")):
        major = int(version[0])
        path = hostile.write_keras(tmp_path / name, hostile.model(wide, major=major), version)
        with pytest.raises(InputError, match=r"need more weights than the \d+ numbers in the file"):
            open_classifier(path)


def test_a_layer_that_would_fill_the_memory_is_refused_before_it_runs(tmp_path) -> None:
    large = hostile.layer("UpSampling2D", size=[1 << 13, 1 << 13])
    small = hostile.layer("MaxPooling2D", pool_size=[1 << 13, 1 << 13])
    path = hostile.write_keras(tmp_path / "m.keras", hostile.model(large, small))
    with pytest.raises(InputError, match="no memory holds that"):
        open_classifier(path)


@pytest.mark.parametrize("name", [name for name, *_ in hostile.costly_models()])
def test_a_small_file_that_costs_much_to_build_is_refused_before_keras_sees_it(tmp_path, name) -> None:
    match, configuration = next((match, each) for known, match, each in hostile.costly_models() if known == name)
    assert match in refused(hostile.write_keras(tmp_path / "m.keras", configuration), tmp_path / "zip")
    assert match in refused(hostile.write_hdf5(tmp_path / "m.h5", configuration), tmp_path / "hdf5")


@pytest.mark.parametrize(
    "call",
    [hostile.on("i"), [["i", 0, 0, {}]], ["i", 0, 0, {}], ["_CONSTANT_VALUE", -1, 1.0, {"y": ["i", 0, 0]}]],
    ids=["Keras 3", "Keras 2", "function", "function whose first argument is a constant"],
)
def test_calls_on_what_a_layer_gives_are_taken(tmp_path, call) -> None:
    configuration = hostile.functional("m", [hostile.called(hostile.layer("ReLU"), call)], "relu")
    clean_copy(hostile.write_keras(tmp_path / "m.keras", configuration), tmp_path)


def test_pixels_blown_up_before_the_first_layer_are_refused_before_they_are_measured(tmp_path) -> None:
    resizing = [hostile.layer("Resizing", height=size, width=size) for size in (16_000, 8)]
    for number, each in enumerate(resizing):
        each["config"]["name"] = f"r{number}"
    path = hostile.write_keras(tmp_path / "m.keras", hostile.model(*resizing))
    with pytest.raises(InputError, match="no memory holds that"):
        open_classifier(path)


def test_damaged_files_are_refused_or_read_but_never_crash(tmp_path) -> None:
    generator = np.random.default_rng(0)
    sound = [
        hostile.write_keras(tmp_path / "m.keras", hostile.model()).read_bytes(),
        hostile.write_hdf5(tmp_path / "m.h5", hostile.model()).read_bytes(),
    ]
    path = tmp_path / "damaged"
    for number in range(60):
        data = bytearray(sound[number % 2])
        if number < 20:
            data = data[: int(generator.integers(len(data)))]
        for place in generator.integers(0, max(len(data), 1), 8 if number >= 20 else 0):
            data[place] ^= int(generator.integers(1, 256))
        path.write_bytes(data)
        (tmp_path / str(number)).mkdir()
        try:
            clean_copy(path, tmp_path / str(number))
        except InputError as error:
            assert "\n" not in str(error)


def test_weights_of_which_two_have_one_name_are_one_line(tmp_path: Path) -> None:
    whole = hostile.write_keras(tmp_path / "whole.keras", hostile.model())
    with h5py.File(tmp_path / "weights.h5", "w") as weights:
        weights["aa"], weights["ab"] = [1.0], [2.0]
    twice = (tmp_path / "weights.h5").read_bytes().replace(b"ab\0", b"aa\0")
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "twice.keras", "w") as target:
        for name in source.namelist():
            target.writestr(name, twice if name.endswith(".h5") else source.read(name))
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="its weights are damaged"):
        clean_copy(tmp_path / "twice.keras", tmp_path / "out")
