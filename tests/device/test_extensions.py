"""Cameras and sinks that an installed package adds."""

import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import draw

from edgetl_device import console
from edgetl_device.app.sinks import open_sink
from edgetl_device.camera import open_camera
from edgetl_device.cli import program
from edgetl_device.errors import InputError

MODULE = """
import pathlib
import numpy as np

class Still:
    live, finite = False, True
    def __init__(self, argument):
        self.name, self._image = f"still {argument}", np.load(argument)
    def frames(self):
        yield self._image
    def close(self):
        pass

class Diary:
    def __init__(self, argument):
        self._path = pathlib.Path(argument)
    def _write(self, line):
        with self._path.open("a") as stream:
            stream.write(line)
    def __call__(self, recognition):
        self._write(recognition.prediction.label)
    def close(self):
        self._write("closed")

def broken(argument):
    raise KeyError(argument)

def nothing(argument):
    return None
"""


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A distribution as pip would install it, on the path."""
    site = tmp_path / "site"
    info = site / "shed-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "shed_extension.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shed\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[edgetl.cameras]\nstill = shed_extension:Still\nempty = shed_extension:nothing\nlost = shed_missing:camera\n"
        "[edgetl.sinks]\ndiary = shed_extension:Diary\nbroken = shed_extension:broken\nempty = shed_extension:nothing\n"
    )
    monkeypatch.syspath_prepend(site)
    yield site
    sys.modules.pop("shed_extension", None)


def test_a_package_adds_a_camera_and_a_sink_to_the_running_app(home, package, tmp_path, capfd) -> None:
    photo, diary = tmp_path / "photo.npy", tmp_path / "diary.txt"
    np.save(photo, draw("box", 3))
    options = ["--no-web", "--camera", f"still:{photo}", "--sink", f"diary:{diary}"]
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "run", *options]) == 0
    assert f"camera  still {photo}" in capfd.readouterr().out
    assert sorted(diary.read_text().partition("box")) == ["", "box", "closed"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lost", r"'lost' of the package shed cannot be loaded \(ModuleNotFoundError.*install what it needs"),
        ("empty", "'empty' .edgetl.cameras. returned NoneType, which lacks name, live"),
        ("unheard", "no camera, file or folder 'unheard:x': expected auto, .*, or empty, lost, still"),
    ],
)
def test_a_camera_that_cannot_be_made_is_one_clear_line(package, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_camera(f"{name}:x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("broken", "'broken' .edgetl.sinks. failed: KeyError: 'x'"),
        ("empty", "returned NoneType, which cannot be called or has no close"),
        (
            "unheard",
            "no sink 'unheard': expected command, gpio, mqtt, part-command, webhook, broken, diary, empty; a package adds one",
        ),
    ],
)
def test_a_sink_that_cannot_be_made_is_one_clear_line(package, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_sink(f"{name}:x")


def test_the_command_that_runs_at_each_label_is_a_sink_like_any_other() -> None:
    open_sink("command:true").close()
    with pytest.raises(InputError, match="no such program"):
        open_sink("command:no-such-program")


def test_two_packages_with_one_name_are_refused(package) -> None:
    other = package / "barn-1.0.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: barn\nVersion: 1.0\n")
    (other / "entry_points.txt").write_text("[edgetl.cameras]\nstill = barn_extension:Still\n")
    with pytest.raises(InputError, match=r"barn and shed both add 'still' to edgetl\.cameras: uninstall one"):
        open_camera("still:x")
