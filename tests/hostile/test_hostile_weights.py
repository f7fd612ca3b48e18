"""Weight files from strangers, as `--weights FILE` takes them: refused in one line, and nothing else is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from small_backbone import SMALL

from edgetl.backbones.backbone import BackboneSpec, build
from edgetl_device.errors import InputError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.h5"
    build(SMALL).save_weights(path, save_format="h5")
    return path


def first_kernel(file: h5py.File) -> str:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return next(name for name in names if "kernel" in name)


def linked(path: Path, link: object) -> None:
    with h5py.File(path, "r+") as file:
        name = first_kernel(file)
        del file[name]
        file[name] = link


def external(path: Path) -> None:
    """A dataset whose numbers are the bytes of another file."""
    with h5py.File(path, "r+") as file:
        name = first_kernel(file)
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, shape, np.float32, external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def virtual(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        name = first_kernel(file)
        shape = file[name].shape
        del file[name]
        layout = h5py.VirtualLayout(shape, np.float32)
        layout[:] = h5py.VirtualSource(path.with_name("other.h5"), "secret", shape)
        file.create_virtual_dataset(name, layout)


def bomb(path: Path) -> None:
    """A kilobyte that unpacks to 40 GB."""
    with h5py.File(path, "r+") as file:
        name = first_kernel(file)
        del file[name]
        file.create_dataset(name, (100_000, 100_000), np.float32, chunks=(1000, 1000), compression="gzip")


FILES: dict[str, Callable[[Path], object]] = {
    "a soft link": lambda path: linked(path, h5py.SoftLink("/last")),
    "a link to another file": lambda path: linked(path, h5py.ExternalLink("/etc/passwd.h5", "/secret")),
    "numbers in another file": external,
    "a virtual data set": virtual,
    "a bomb": bomb,
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a pickle": lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n"),
    "empty": lambda path: path.write_bytes(b""),
    "a zip": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
}


@pytest.mark.parametrize("name", FILES)
def test_weights_that_are_not_plain_numbers_in_the_file_are_refused(name: str, weights: Path) -> None:
    FILES[name](weights)
    with pytest.raises(InputError, match=r"^\S*weights\.h5 (is not|holds|takes|does not fit)"):
        build(BackboneSpec("small", 1.0, 32, str(weights)))


def test_plain_weights_are_loaded(weights: Path) -> None:
    loaded = build(BackboneSpec("small", 1.0, 32, str(weights)), seed=7)
    for one, other in zip(loaded.get_weights(), build(SMALL).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
