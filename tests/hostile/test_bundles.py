"""Bundles that a stranger made: a backbone that crashes, never ends or fills the memory takes nothing with it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import draw, write_photos
from hostile_bundles import sealed
from processes import descendants, is_running, wait_for

from edgetl.cli import program
from edgetl_device import console
from edgetl_device.app.app import App
from edgetl_device.arrays import pack, unpack
from edgetl_device.bundle.bundle import open_bundle, read_bundle, write_bundle
from edgetl_device.bundle.signing import read_private_key, read_public_key
from edgetl_device.camera.opening import open_camera
from edgetl_device.environment import choose_runtime
from edgetl_device.errors import BundleError, CheckFailedError, EdgetlError, InputError, RuntimeMissingError
from edgetl_device.home import Home
from edgetl_device.inference import backbone_trial
from edgetl_device.open_home import OpenHome

hostile_backbones = pytest.importorskip("hostile_backbones")  # made with the workstation's tools
BACKBONES, bundle_with, crashing = (
    getattr(hostile_backbones, name) for name in ("BACKBONES", "bundle_with", "crashing")
)


@pytest.fixture(params=list(BACKBONES))
def hostile(request, bundle_path, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(backbone_trial, "TIMEOUT_S", 4.0)
    return bundle_with(tmp_path / "hostile.edgetl", bundle_path, BACKBONES[request.param]())


def installed(home: Home) -> str:
    return hashlib.sha256(home.bundle_path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_installing_it_is_refused_in_one_line_and_the_old_bundle_stays(home: Home, hostile) -> None:
    before = installed(home)
    with pytest.raises((CheckFailedError, RuntimeMissingError)) as refusal:
        home.install(hostile)
    assert "\n" not in str(refusal.value) and "backbone" in str(refusal.value)
    assert installed(home) == before and not home.bundle_on_trial.previous.exists()


@pytest.mark.slow
def test_a_program_that_starts_with_it_says_so_instead_of_crashing(home: Home, hostile) -> None:
    home.bundle_path.write_bytes(hostile.read_bytes())  # as edgetl 0.1 might have installed it
    with pytest.raises((CheckFailedError, RuntimeMissingError)) as refusal:
        OpenHome(home)
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
def test_an_app_that_starts_with_it_goes_back_to_the_bundle_before(home: Home, hostile, caplog) -> None:
    before = installed(home)
    home.bundle_on_trial.put(hostile.read_bytes(), hashlib.sha256(hostile.read_bytes()).hexdigest())
    assert installed(home) != before
    with OpenHome(home, on_trial=True) as opened:
        assert opened.learner.active_head().labels == ("ball", "box")
    assert installed(home) == before and "the bundle before is back in use" in caplog.text


@pytest.mark.slow
def test_the_command_line_ends_with_one_line(home: Home, bundle_path, tmp_path) -> None:
    path = bundle_with(tmp_path / "hostile.edgetl", bundle_path, crashing())
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "install", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2) and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "explain"])
def test_a_workstation_command_refuses_it_in_one_line(hostile, tmp_path, capsys, command) -> None:
    """Were it run in this process, this process would be gone, or never come back."""
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 2)
    output = ["-o", str(tmp_path / "maps")] if command == "explain" else []
    assert console.run(program, "edgetl", [command, str(hostile), str(photos), *output]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and message.count("\n") == 1
    assert not (tmp_path / "maps").exists()


ENDLESS_TRIAL = """
import sys
from pathlib import Path
import numpy as np
from edgetl_device.inference.backbone_trial import try_backbone
try_backbone(Path(sys.argv[1]).read_bytes(), np.zeros((1, 32, 32, 3), np.uint8))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_trial_ends_with_the_program_that_started_it(tmp_path) -> None:
    model = tmp_path / "endless.tflite"
    model.write_bytes(hostile_backbones.endless())
    parent = subprocess.Popen([sys.executable, "-c", ENDLESS_TRIAL, str(model)])
    (child,) = wait_for(lambda: descendants(parent.pid))
    # The priority in a shortage of memory is what the child sets last before it loads the model.
    wait_for(lambda: Path(f"/proc/{child}/oom_score_adj").read_text().strip() == "1000")
    parent.terminate()
    parent.wait(30)
    wait_for(lambda: not is_running(child))


@pytest.mark.skipif(sys.platform != "linux", reason="a process is watched by Linux's means")
def test_a_busy_machine_makes_no_backbone_slow(tmp_path) -> None:
    """What is bounded is time of a core, not of a clock that goes on while others compute."""
    request = pack({
        "model": np.frombuffer(hostile_backbones.endless(), np.uint8), "photos": np.zeros((1, 32, 32, 3), np.uint8)
    })  # fmt: skip
    (tmp_path / "request").write_bytes(request)
    command = [sys.executable, "-m", "edgetl_device.inference.backbone_trial", choose_runtime("auto"), "1.0", "0"]
    with (tmp_path / "request").open("rb") as stdin:
        child = subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip() == "1000")
    os.kill(child.pid, signal.SIGSTOP)  # as a machine would that has others to serve
    time.sleep(1.5)
    assert child.poll() is None
    os.kill(child.pid, signal.SIGCONT)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == -signal.SIGPROF
    assert used.ru_utime + used.ru_stime >= 1.0


@pytest.mark.slow
def test_while_an_app_tries_one_out_that_never_ends_it_recognises_and_learns(home, bundle_path, tmp_path, monkeypatch):
    monkeypatch.setattr(backbone_trial, "TIMEOUT_S", 6.0)
    path = bundle_with(tmp_path / "hostile.edgetl", bundle_path, hostile_backbones.endless())
    refusals: list[BaseException] = []
    trying = threading.Event()
    run = subprocess.run

    def started(*arguments: object, **options: object) -> object:
        trying.set()
        return run(*arguments, **options)

    monkeypatch.setattr(backbone_trial.subprocess, "run", started)

    def install() -> None:
        try:
            app.install(path)
        except EdgetlError as error:
            refusals.append(error)

    with App(home, open_camera("parts")) as app:
        thread = threading.Thread(target=install)
        thread.start()
        assert trying.wait(30)
        assert len(app.teach_photos("kite", [draw("kite", number) for number in range(3)])) == 3
        assert app.status()["samples"] == {"kite": 3} and not refusals
        thread.join(60)
        assert [type(error) for error in refusals] == [CheckFailedError]
        assert app.classify(draw("ball", 3)).label == "ball"


def test_a_bundle_without_check_photos_is_refused(home: Home, bundle_path, tmp_path) -> None:
    bundle = open_bundle(bundle_path)
    arrays = unpack(bundle.members["check.npz"])
    check = pack({"photos": arrays["photos"][:0], "raw": arrays["raw"][:0], "labels": np.zeros(0, np.uint8)})
    write_bundle(tmp_path / "none.edgetl", bundle.manifest, {**bundle.members, "check.npz": check})
    with pytest.raises(BundleError, match="holds no photos"):
        home.install(tmp_path / "none.edgetl")


DIE = """
import os, sys
from pathlib import Path
from edgetl_device.home import Home
from edgetl_device.open_home import OpenHome
OpenHome(Home(Path(sys.argv[1])), on_trial=True)
os.kill(os.getpid(), 9)
"""


def other_bundle(path: Path, sound: Path) -> Path:
    bundle = open_bundle(sound)
    write_bundle(path, {**bundle.manifest, "name": "other"}, bundle.members)
    return path


@pytest.mark.slow
def test_a_bundle_that_kills_the_app_three_times_gives_way_to_the_one_before(
    home, bundle_path, tmp_path, caplog
) -> None:
    before = installed(home)
    home.install(other_bundle(tmp_path / "other.edgetl", bundle_path))
    for _ in range(3):
        assert subprocess.run([sys.executable, "-c", DIE, str(home.folder)], check=False).returncode == -9
        assert installed(home) != before
    with OpenHome(home, on_trial=True) as opened:
        assert opened.bundle.name == "toys" and installed(home) == before
    assert "started 3 times and never ran well" in caplog.text
    assert not home.bundle_on_trial.previous.exists()


def test_a_bundle_that_ran_well_is_never_given_up_and_the_one_before_is_removed(home, bundle_path, tmp_path) -> None:
    home.install(other_bundle(tmp_path / "other.edgetl", bundle_path))
    assert home.bundle_on_trial.previous.exists()
    with OpenHome(home, on_trial=True) as opened:
        opened.prove()
    assert not home.bundle_on_trial.previous.exists()
    for _ in range(4):
        with OpenHome(home, on_trial=True) as opened:
            assert opened.bundle.name == "other"


def test_a_bundle_on_trial_that_is_replaced_leaves_the_last_good_one_to_fall_back_to(
    home, bundle_path, tmp_path
) -> None:
    before = installed(home)
    home.install(other_bundle(tmp_path / "other.edgetl", bundle_path))
    bundle = open_bundle(bundle_path)
    write_bundle(tmp_path / "third.edgetl", {**bundle.manifest, "name": "third"}, bundle.members)
    home.install(tmp_path / "third.edgetl")
    home.bundle_path.write_bytes(b"spoilt")
    with OpenHome(home, on_trial=True) as opened:
        assert opened.bundle.name == "toys"
    assert installed(home) == before


FILES: dict[str, Callable[[Path], object]] = {
    "a pipe": os.mkfifo,
    "a folder": Path.mkdir,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "nothing": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", list(FILES))
def test_a_file_that_cannot_be_a_bundle_or_a_key_is_refused_at_once(tmp_path, kind) -> None:
    path = tmp_path / "file"
    FILES[kind](path)
    with pytest.raises(BundleError):
        open_bundle(path)
    for read in (read_public_key, read_private_key):
        with pytest.raises(InputError) as refusal:
            read(path)
        assert "\n" not in str(refusal.value)


def test_a_sparse_giant_is_refused_unread(tmp_path) -> None:
    path = tmp_path / "giant.edgetl"
    with path.open("wb") as stream:
        stream.write(b"PK\x03\x04")
        stream.truncate(1 << 40)
    with pytest.raises(BundleError, match="larger than"):
        open_bundle(path)
    with pytest.raises(InputError, match="the limit is"):
        read_public_key(path)


def test_what_a_bundle_is_called_inside_does_not_fill_the_message(bundle_path: Path) -> None:
    data = bytearray(bundle_path.read_bytes())
    data[26:28] = (40_000).to_bytes(2, "little")  # the length of the first member's name, before its content
    with pytest.raises(BundleError, match="damaged") as raised:
        read_bundle(sealed(bytes(data)))
    assert len(str(raised.value)) < 300
