"""RUNs from strangers: each is refused in one line, quickly, and nothing in it runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bounded import outcomes
from conftest import write_photos
from small_backbone import SMALL

from edgetl.data.datasets import find_photos, split
from edgetl.training.runs import FLOAT_FILE, RUN_FILE, WEIGHTS_FILE, open_run
from edgetl.training.train import train_head
from edgetl_device.arrays import pack, unpack
from edgetl_device.errors import InputError


class Canary:
    """Unpickling this writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch canary",))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    dataset = split(find_photos(write_photos(folder / "photos", ("ball", "box"), 6, size=32)), 0.25, 0)
    train_head(dataset, SMALL, folder / "run")
    value = json.loads((folder / "run" / RUN_FILE).read_text())
    value["backbone"] = {"name": "mobilenet_v2", "alpha": 0.35, "image_size": 96, "weights": "none"}  # for a process
    (folder / "run" / "other.json").write_text(json.dumps(value))  # that does not know the small one
    return folder / "run"


def copied(good: Path, folder: Path) -> Path:
    shutil.copytree(good, folder / "run")
    return folder / "run"


def pickled(value: object) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([value], dtype=object), allow_pickle=True)
    return stream.getvalue()


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return stream.getvalue()


def zeros(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.zeros(shape, np.float32), (1, 0))
    return stream.getvalue()


def keras_file(path: Path) -> None:
    """An HDF5 file under the name that 0.1 gave its backbone, with a Lambda whose code writes a file."""
    from edgetl import tf

    keras = tf.keras()
    layer = keras.layers.Lambda(lambda x: (__import__("os").system("touch canary"), x)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras would rather write its newer format
        keras.Sequential([keras.layers.Input((4,)), layer]).save(path, save_format="h5")
    for left in Path().glob("canary"):
        left.unlink()  # building the model ran it


WEIGHTS: dict[str, Callable[[Path, dict[str, np.ndarray]], object]] = {
    "gone": lambda path, arrays: path.unlink(),
    "a folder": lambda path, arrays: (path.unlink(), path.mkdir()),
    "a pipe": lambda path, arrays: (path.unlink(), os.mkfifo(path)),
    "an endless device": lambda path, arrays: (path.unlink(), path.symlink_to("/dev/zero")),
    "a sparse terabyte": lambda path, arrays: os.truncate(path, 1 << 40),
    "a pickle": lambda path, arrays: path.write_bytes(pickle.dumps(Canary())),
    "pickled objects": lambda path, arrays: path.write_bytes(
        archive({f"{name}.npy": pickled(Canary()) for name in arrays})
    ),
    "a bomb": lambda path, arrays: path.write_bytes(
        archive({f"{name}.npy": zeros((4000, 4000)) for name in list(arrays)[:1]}, zipfile.ZIP_DEFLATED)
    ),
    "an HDF5 file with a Lambda": lambda path, arrays: (
        keras_file(path.with_suffix(".h5")) or path.with_suffix(".h5").rename(path)
    ),
    "one array fewer": lambda path, arrays: path.write_bytes(pack(dict(list(arrays.items())[:-1]))),
    "one array more": lambda path, arrays: path.write_bytes(pack({**arrays, "9999": np.zeros(1, np.float32)})),
    "other names": lambda path, arrays: path.write_bytes(pack({f"../{name}": a for name, a in arrays.items()})),
    "other shapes": lambda path, arrays: path.write_bytes(pack({n: np.zeros(3, np.float32) for n in arrays})),
    "other numbers": lambda path, arrays: path.write_bytes(pack({n: a.astype(np.int32) for n, a in arrays.items()})),
    "no numbers": lambda path, arrays: path.write_bytes(pack({n: a * np.nan for n, a in arrays.items()})),
    "cut off": lambda path, arrays: os.truncate(path, path.stat().st_size // 2),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_are_not_plain_arrays_of_the_architecture_are_refused(name, good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    WEIGHTS[name](run / WEIGHTS_FILE, unpack((run / WEIGHTS_FILE).read_bytes()))
    with pytest.raises(InputError, match=f"{WEIGHTS_FILE}.*train again"):
        open_run(run).model()
    assert not Path("canary").exists()


def test_a_run_of_0_1_is_refused_unread_with_what_to_do(good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    value = json.loads((run / RUN_FILE).read_text())
    (run / RUN_FILE).write_text(json.dumps({**value, "format": 1}))
    keras_file(run / "backbone.h5")
    (run / "backbone.h5").rename(run / "backbone.keras")
    with pytest.raises(InputError, match=r"written by edgetl 0\.1: train it again"):
        open_run(run)
    assert not Path("canary").exists()


def test_a_keras_file_that_lies_in_a_run_is_never_loaded(good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    keras_file(run / "backbone.h5")
    (run / "backbone.h5").rename(run / "backbone.keras")
    open_run(run).model()
    assert not Path("canary").exists()


EMBEDDINGS: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "pickled": lambda path: path.write_bytes(pickled(Canary())),
    "a zip": lambda path: path.write_bytes(archive({"a.npy": zeros((2, 2))})),
    "of fewer photos": lambda path: path.write_bytes(zeros((3, 24))),
    "cut off": lambda path: os.truncate(path, path.stat().st_size - 4),
    "empty": lambda path: path.write_bytes(b""),
    "numbers of another kind": lambda path: path.write_bytes(path.read_bytes().replace(b"<f4", b"<i4")),
    "code for a header": lambda path: path.write_bytes(
        path.read_bytes()[:10] + b"__import__('os').system('touch canary')".ljust(118) + path.read_bytes()[128:]
    ),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_embeddings_that_are_not_plain_rows_are_refused(name, good, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = copied(good, tmp_path)
    EMBEDDINGS[name](run / FLOAT_FILE)
    with pytest.raises(InputError, match=f"{FLOAT_FILE} cannot be read"):
        open_run(run).float_embeddings()
    assert not Path("canary").exists()


def changed(key: str, new: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """The description with one value, ``backbone.alpha`` or ``samples.0.1``, replaced."""

    def change(value: dict[str, Any]) -> dict[str, Any]:
        place: Any = value
        *path, last = (int(part) if part.isdigit() else part for part in key.split("."))
        for part in path:
            place = place[part]
        place[last] = new
        return value

    return change


DESCRIPTIONS: dict[str, Callable[[dict[str, Any]], object]] = {
    **{f"without {key}": lambda value, key=key: {k: v for k, v in value.items() if k != key} for key in
       ("format", "backbone", "photos", "classes", "samples", "skipped", "seed", "strategy", "accuracy", "per_class",
        "created", "seconds", "details")},
    **{f"{key} is {new!r:.40}": changed(key, new) for key, new in [
        ("format", 3), ("format", "2"), ("format", [2]),
        ("backbone", "mobilenet_v2"), ("backbone.name", "../evil"), ("backbone.name", 3), ("backbone.name", "__init__"),
        ("backbone.alpha", 1e9), ("backbone.alpha", -1.0), ("backbone.alpha", float("nan")), ("backbone.alpha", "0.35"),
        ("backbone.image_size", 1 << 40), ("backbone.image_size", 96.5), ("backbone.image_size", True),
        ("backbone.image_size", 0), ("backbone.weights", ["imagenet"]), ("backbone.module", "os"),
        ("photos", 7), ("samples", []), ("samples", "abc"), ("samples", [[]] * 12), ("samples.0", {"a": 1}),
        ("samples.0.0", "/etc/passwd"), ("samples.0.0", "../../etc/passwd"), ("samples.0.0", "a\0b"), ("samples.0.0", 4),
        ("samples.0.1", "ba\x1b[31mll"), ("samples.0.1", "\ud800"), ("samples.0.1", ["ball"]), ("samples.0.1", "unknown"),
        ("samples.0.1", "never seen"), ("samples.0.2", "else"), ("samples.0.2", None),
        ("classes", ["ball"]), ("classes", None), ("per_class", {}), ("per_class.ball", 2.0), ("per_class.ball", "1"),
        ("skipped", "none"), ("skipped", [3]), ("seed", -1), ("seed", 0.5), ("strategy", "os.system"), ("strategy", {}),
        ("accuracy", float("inf")), ("accuracy", None), ("created", "\x1b]0;evil\x07"), ("created", 5),
        ("seconds", "soon"), ("seconds", []), ("details", "none"),
    ]},
    "all held out": lambda value: {**value, "samples": [[p, label, "val"] for p, label, _ in value["samples"]]},
    "a list": lambda value: [value],
    "a number": lambda value: 10**400,
}  # fmt: skip
TEXTS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "no JSON": lambda: b"\x80\x04\x95pickle",
    "nested without end": lambda: b"[" * 1_000_000,
    "nested in an object": lambda: b'{"format": 2, "details": ' * 100_000,
    "a number of a million digits": lambda: b'{"format": ' + b"9" * 1_000_000 + b"}",
    "twenty million empty lists": lambda: b'{"format": 2, "samples": [' + b"[]," * 20_000_000 + b"[]]}",
}


@pytest.mark.slow
def test_descriptions_that_do_not_hold_are_refused_within_512_mb_and_10_s(good, tmp_path) -> None:
    value = json.loads((good / "other.json").read_text())
    folders = []
    for number, (name, change) in enumerate([*DESCRIPTIONS.items(), *TEXTS.items()]):
        folder = tmp_path / f"{number} {name.replace('/', '-')[:60]!a}"
        folder.mkdir()
        if name in TEXTS:
            (folder / RUN_FILE).write_bytes(TEXTS[name]())
        else:
            (folder / RUN_FILE).write_text(json.dumps(change(json.loads(json.dumps(value)))))
        folders.append(folder)
    whole = tmp_path / "whole"
    whole.mkdir()
    (whole / RUN_FILE).write_text(json.dumps(value))
    *hostile, honest = outcomes("edgetl.training.runs", "open_run", [*folders, whole])
    assert honest.outcome == "accepted", honest
    assert not [each for each in hostile if each.outcome != "refused" or "\n" in each.detail or len(each.detail) > 600]
    assert not [each for each in hostile if "\x1b" in each.detail or "\x07" in each.detail]


def test_the_good_run_gives_back_the_model_that_was_saved(good) -> None:
    run = open_run(good)
    pixels = np.stack([SMALL.preprocessing(_read(path)) for path in run.dataset.files()]).astype(np.float32)
    np.testing.assert_allclose(run.model()(pixels / 127.5 - 1), run.float_embeddings(), rtol=1e-4, atol=1e-5)


def _read(path: Path) -> np.ndarray:
    from edgetl_device.photos import read_photo

    return read_photo(path)
