"""RUN folders that a stranger could send: what may be wrong in each of their files."""

from __future__ import annotations

import io
import os
import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgetl_device.arrays import pack


class Canary:
    """Unpickling this writes a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("touch canary",))


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
