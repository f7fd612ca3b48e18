"""A device without a bundle starts with the one that the package carries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import draw, write_photos

from edgetl_device import Device, console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.signing import write_key_pair
from edgetl_device.cli import program
from edgetl_device.errors import HomeError, SignatureError
from edgetl_device.home import Home
from edgetl_device.starter import PATH, install_starter


def on_the_command_line(capfd: pytest.CaptureFixture[str], home: Path, *arguments: object) -> tuple[int, str, str]:
    code = console.run(program, "edgetl-device", ["--home", str(home), *map(str, arguments)])
    return code, *capfd.readouterr()


def test_it_knows_nothing_and_is_this_projects_own_backbone() -> None:
    bundle = open_bundle(PATH)
    assert bundle.name == "starter" and bundle.labels == ()
    assert (bundle.manifest["backbone"]["weights"], bundle.manifest["quantization"]) == ("builtin", "int8")
    assert len(bundle.members["backbone.tflite"]) < 700_000


@pytest.mark.slow
def test_learning_on_an_empty_home_starts_with_it_and_says_so_once(tmp_path: Path, capfd) -> None:
    photos, home = write_photos(tmp_path / "photos", ("ball", "box"), 6), tmp_path / "home"
    code, out, _ = on_the_command_line(capfd, home, "learn", "ball", photos / "ball")
    assert code == 0
    assert out.startswith(f"no bundle in {home} yet: starting with the built-in one\n")
    assert "no bundle" not in on_the_command_line(capfd, home, "learn", "box", photos / "box")[1]
    told = json.loads(on_the_command_line(capfd, home, "status", "--json")[1])
    assert told["bundle"]["name"] == "starter" and told["samples"] == {"ball": 6, "box": 6}
    held_out = write_photos(tmp_path / "new", ("ball", "box"), 4, seed=7)
    found = json.loads(on_the_command_line(capfd, home, "classify", held_out, "--json")[1])["predictions"]
    assert [item["label"] for item in found] == ["ball"] * 4 + ["box"] * 4


@pytest.mark.parametrize("command", ["classify", "status", "samples", "versions", "retrain", "forget --all"])
def test_what_needs_something_taught_says_how_to_teach_and_makes_nothing(tmp_path: Path, command, capfd) -> None:
    words = command.split() + (["photo.jpg"] if command == "classify" else [])
    code, out, err = on_the_command_line(capfd, tmp_path / "home", *words)
    assert (code, out) == (2, "") and not (tmp_path / "home").exists()
    assert "`edgetl-device run` and teach on its page, or `edgetl-device learn LABEL PHOTO…`" in err


def test_an_installed_bundle_stays(home: Home) -> None:
    assert not install_starter(home) and home.bundle().name == "toys"


def test_a_device_that_trusts_a_key_does_not_start_with_what_nobody_signed(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    home = Home(tmp_path / "home")
    home.folder.mkdir()
    home.trusted_path.write_bytes(write_key_pair(tmp_path / "key").to_pem())
    with pytest.raises(SignatureError, match="the built-in one is not"):
        install_starter(home)
    assert not home.bundle_path.exists()


@pytest.mark.slow
def test_two_programs_that_start_at_once_end_with_one_bundle(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from edgetl_device.home import Home\n"
    code += "from edgetl_device.starter import install_starter; print(install_starter(Home(Path(sys.argv[1]))))"
    command = [sys.executable, "-c", code, str(tmp_path / "home")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sorted(one.communicate(timeout=60)[0].strip() for one in both) == ["False", "True"]
    assert Home(tmp_path / "home").bundle().name == "starter"


@pytest.mark.slow
def test_from_python_learning_starts_with_it_and_classifying_says_teach_first(tmp_path: Path) -> None:
    with Device(tmp_path / "home") as device:
        with pytest.raises(HomeError, match="nothing was taught in"):
            device.classify(draw("ball", 1), color="bgr")
        device.learn("ball", [draw("ball", number) for number in range(5)], color="bgr")
        device.learn("box", [draw("box", number) for number in range(5)], color="bgr")
        assert device.classify(draw("ball", 50), color="bgr").label == "ball"


@pytest.mark.slow
def test_a_backup_of_a_device_that_started_with_it_is_restored_on_a_new_one(tmp_path: Path, capfd) -> None:
    photos = write_photos(tmp_path / "photos", ("ball",), 3)
    on_the_command_line(capfd, tmp_path / "old", "learn", "ball", photos / "ball")
    on_the_command_line(capfd, tmp_path / "old", "backup", tmp_path / "card.sqlite")
    code, out, _ = on_the_command_line(capfd, tmp_path / "new", "restore", tmp_path / "card.sqlite")
    assert code == 0 and "restored 3 samples" in out
    assert json.loads(on_the_command_line(capfd, tmp_path / "new", "status", "--json")[1])["samples"] == {"ball": 3}
