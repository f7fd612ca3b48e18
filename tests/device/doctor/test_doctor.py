"""Each fault is injected where it would really be: a package that does not load, a file under another root, a command."""

import importlib.util
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import edgetl_device
from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.doctor import Check, System, connections, examine, hardware, software, state
from edgetl_device.environment import RUNTIMES, WEB_MODULES, available_runtimes

CAPTURE, METADATA, MEMORY_TO_MEMORY = 0x1, 0x800000, 0x8000  # of linux/videodev2.h


class Pi(System):
    """The files of a Raspberry Pi with nothing attached."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.said: dict[str, bytes] = {}  # by video devices; a file under another root cannot answer
        self.write("/proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0")
        self.write("/usr/bin/python3", "")

    def write(self, name: str, text: str) -> Path:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def video_device(self, name: str) -> bytes | None:
        return self.said.get(name)

    def camera(self, number: int, name: str, index: int = 0, driver: str = "uvcvideo", can: int = CAPTURE) -> Path:
        self.write(f"/sys/class/video4linux/video{number}/name", name)
        self.write(f"/sys/bus/drivers/{driver}/bind", "")
        self.write(f"/sys/class/video4linux/video{number}/device/modalias", "")
        link = self.path(f"/sys/class/video4linux/video{number}/device/driver")
        link.symlink_to(self.path(f"/sys/bus/drivers/{driver}"))
        said = (driver.encode(), name.encode(), b"", 0, can, can, 0, 0, 0)
        self.said[f"/dev/video{number}"] = struct.pack("<16s32s32s6I", *said)
        self.write(f"/sys/class/video4linux/video{number}/index", str(index))
        return self.write(f"/dev/video{number}", "")


@pytest.fixture
def pi(tmp_path) -> Pi:
    return Pi(tmp_path / "root")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Put a module in front of the real one, for child processes."""

    def make(name: str, code: str) -> None:
        *folders, module = name.split(".")
        folder = tmp_path / "packages"
        for part in folders:
            folder /= part
            folder.mkdir(parents=True)
            (folder / "__init__.py").touch()
        folder.mkdir(exist_ok=True)
        (folder / f"{module}.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "packages"))

    return make


@pytest.fixture
def program_says(tmp_path, monkeypatch):
    """Put a program in front of all others on PATH."""

    def make(name: str, says: str, code: int = 0) -> None:
        folder = tmp_path / "programs"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    return make


def refused(check: Check, detail: str, fix: str, needed: bool) -> None:
    assert not check.ok and check.needed is needed, check
    assert detail in check.detail and fix in check.fix, check


@pytest.mark.slow
def test_a_healthy_machine_passes_with_everything_named(home) -> None:
    checks = {check.name: check for check in examine(home.folder)}
    assert [check for check in checks.values() if check.needed and not check.ok] == []
    assert checks["bundle"].detail == "toys: ball, box"
    assert "used by litert-" in checks["xnnpack"].detail or "not used by tflite-" in checks["xnnpack"].detail
    assert all(check.fix for check in checks.values() if not check.ok)
    assert list(checks)[:5] == ["python", "architecture", "numpy", "opencv", "runtime"]


def test_the_command_prints_a_table_or_json_and_exits_with_1_if_something_needed_is_broken(
    home, capsys, monkeypatch
) -> None:
    monkeypatch.setattr(software, "CHECKS", software.CHECKS[:2])
    arguments = ["--home", str(home.folder), "doctor"]
    assert console.run(program, "edgetl-device", [*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["checks"]
    assert set(told[0]) >= {"name", "ok", "detail", "fix"}
    home.bundle_path.write_bytes(b"rubbish")
    assert console.run(program, "edgetl-device", arguments) == 1
    said = capsys.readouterr().out
    assert "broken  bundle" in said and "fix: install the bundle again: edgetl-device install" in said


def test_a_package_that_does_not_load_or_crashes_is_told_with_the_remedy(package, tmp_path) -> None:
    system = System()
    package("numpy", "raise ImportError('libopenblas.so.0: cannot open shared object file')")
    refused(software.numpy(system, tmp_path), "libopenblas", "pip install --force-reinstall numpy", True)
    package("cv2", "raise ImportError('libGL.so.1: cannot open shared object file')")
    refused(software.opencv(system, tmp_path), "libGL.so.1", "opencv-python-headless", True)
    package("apsw", "import os; os.abort()")
    refused(software.sqlite(system, tmp_path), "crashes (SIGABRT)", "--force-reinstall apsw", True)


def test_a_runtime_that_crashes_is_told(package, tmp_path, monkeypatch) -> None:
    package("ai_edge_litert.interpreter", "import os; os.abort()")
    monkeypatch.setattr(software, "installed_version", {"ai-edge-litert": "2.3.0"}.get)
    refused(software.runtime(System(), tmp_path), "crashes (SIGABRT)", "pip install --force-reinstall", True)
    monkeypatch.setattr(software, "installed_version", {}.get)
    refused(software.runtime(System(), tmp_path), "no TFLite runtime", "pip install ai-edge-litert", True)


def test_tflite_runtime_beside_numpy_2_is_told(package, tmp_path, monkeypatch) -> None:
    package("numpy", "__version__ = '2.1.0'")
    monkeypatch.setattr(software, "installed_version", {"tflite-runtime": "2.14.0"}.get)
    refused(software.numpy(System(), tmp_path), "crashes with NumPy 2", "'numpy<2'", True)


@pytest.mark.parametrize(
    ("machine", "detail", "needed"),
    [("riscv64", "riscv64", True), ("armv7l", "armv7l", False)],
)
def test_a_machine_without_wheels_is_told(pi, monkeypatch, tmp_path, machine: str, detail: str, needed: bool) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    refused(software.architecture(pi, tmp_path), detail, "64-bit Raspberry Pi OS", needed)


def test_32_bit_python_on_a_64_bit_kernel_is_told(pi, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("struct.calcsize", lambda code: 4)
    refused(software.architecture(pi, tmp_path), "32-bit Python", "64-bit Raspberry Pi OS", True)


def test_a_python_without_wheels_is_told(pi, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sys.version_info", (3, 9, 2))
    refused(software.python(pi, tmp_path), "needs 3.10 to 3.13", "python3.11", True)


def test_an_old_sqlite_is_told(package, tmp_path) -> None:
    package("apsw", "def sqlite_lib_version(): return '3.46.1'")
    refused(software.sqlite(System(), tmp_path), "3.46.1 can lose", "pip install --upgrade apsw", False)


def test_missing_extras_are_told_and_cryptography_only_where_a_key_is_trusted(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused(software.web(System(), tmp_path), "starlette, uvicorn", "pip install --upgrade edgetl-device", False)
    assert software.signatures(System(), tmp_path).ok
    (tmp_path / "trusted.pub").touch()
    refused(software.signatures(System(), tmp_path), "refuses every bundle", "edgetl-device[sign]", True)


@pytest.mark.parametrize("module", WEB_MODULES)
def test_each_module_that_the_page_needs_is_looked_for(monkeypatch, tmp_path, module) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else real(name))
    refused(software.web(System(), tmp_path), f"the web page needs {module}", "install --upgrade edgetl-device", False)


def test_the_modules_that_the_page_needs_are_installed_with_the_package() -> None:
    needs = (Path(edgetl_device.__file__).parents[1] / "pyproject.toml").read_text()
    needs = needs.partition("\ndependencies = [\n")[2].partition("\n]\n")[0]
    assert set(WEB_MODULES) <= {name.replace("-", "_") for name in re.findall(r'^  "([\w-]+)', needs, re.M)}


def test_an_edge_tpu_that_is_asked_for_but_missing_is_told(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGETL_EDGETPU_LIBRARY", str(tmp_path / "libedgetpu.so.1"))
    assert software.edge_tpu(System(), tmp_path).ok
    monkeypatch.setenv("EDGETL_EDGETPU", "usb:0")
    refused(software.edge_tpu(System(), tmp_path), "is not installed", "libedgetpu1-std", False)


def test_the_edge_tpu_is_tried_with_the_runtime_that_was_chosen(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("EDGETL_EDGETPU", "usb:0")
    missing = next((name for name in RUNTIMES if name not in available_runtimes()), None)
    if missing is None:
        pytest.skip("both runtimes are installed")
    monkeypatch.setenv("EDGETL_RUNTIME", missing)
    refused(software.edge_tpu(System(), tmp_path), RUNTIMES[missing][1], "EDGETL_RUNTIME", False)


@pytest.mark.slow
def test_the_examination_needs_no_package_that_may_be_broken(home) -> None:
    code = (
        "import sys, pathlib\n"
        "for name in ('numpy', 'cv2', 'apsw', 'ai_edge_litert', 'tflite_runtime'): sys.modules[name] = None\n"
        "from edgetl_device.doctor import examine\n"
        "for check in examine(pathlib.Path(sys.argv[1])): print(check.name, 'itself failed' in check.detail)"
    )
    command = [sys.executable, "-c", code, str(home.folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cameras False" in said and "True" not in said


def test_a_damaged_bundle_and_store_are_told_and_left_as_they_are(home) -> None:
    home.bundle_path.write_bytes(home.bundle_path.read_bytes()[:-100])
    refused(state.bundle(System(), home.folder), "truncated", "edgetl-device install", True)
    home.store_path.write_bytes(b"SQLite format 3\0" + b"rubbish" * 500)
    before = sorted(home.folder.iterdir())
    refused(state.store(System(), home.folder), "is damaged", "edgetl-device restore FILE", True)
    assert sorted(home.folder.iterdir()) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_is_told(tmp_path) -> None:
    tmp_path.chmod(0o500)
    refused(state.folder(System(), tmp_path / "home"), "cannot be written", "chown", True)


def test_a_full_and_a_slow_disk_are_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(state, "MIN_FREE_BYTES", 1 << 60)
    refused(state.space(System(), tmp_path), "MB free", "free some space", True)
    monkeypatch.setattr(state, "SLOW_FSYNC_MS", 0.0)
    refused(state.speed(System(), tmp_path), "a 4 kB write is durable after", "A1 or A2", False)
    assert list(tmp_path.iterdir()) == []


def test_cameras_are_named_without_the_pis_codecs_and_metadata_nodes(pi, tmp_path) -> None:
    refused(hardware.cameras(pi, tmp_path), "no USB camera", "plug in a USB camera", False)
    pi.camera(10, "bcm2835-codec-decode", driver="bcm2835-codec", can=MEMORY_TO_MEMORY)
    pi.camera(0, "HDMI Display Capture")
    pi.camera(1, "HDMI Display Capture", index=1, can=METADATA)
    pi.camera(2, "Camera of a ribbon cable", driver="unicam")
    pi.camera(3, "some scaler", driver="hantro-vpu", can=MEMORY_TO_MEMORY)
    pi.camera(4, "gone again")
    del pi.said["/dev/video4"]
    assert hardware.cameras(pi, tmp_path).detail == "/dev/video0 (HDMI Display Capture)"


def test_a_camera_that_this_user_may_not_open_is_told(pi, tmp_path, monkeypatch) -> None:
    pi.camera(0, "HD Pro Webcam C920").chmod(stat.S_IRUSR)
    pi.camera(1, "HD Pro Webcam C920", index=1)
    pi.camera(2, "Camera of a ribbon cable", driver="unicam")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    refused(hardware.cameras(pi, tmp_path), "may not open /dev/video0", "usermod -aG video", False)
    assert hardware.cameras(pi, tmp_path).detail.endswith("open /dev/video0")


def test_picamera2_that_is_missing_hidden_or_for_another_python_is_told(pi, tmp_path) -> None:
    refused(
        hardware.picamera2(pi, tmp_path),
        "not installed",
        "apt install -y --no-install-recommends python3-picamera2",
        False,
    )
    pi.path("/usr/lib/python3/dist-packages/picamera2").mkdir(parents=True)
    refused(hardware.picamera2(pi, tmp_path), "does not see it", "--system-site-packages", False)
    link = pi.path("/usr/bin/python3")
    pi.write("/usr/bin/python3.7", "")
    link.unlink()
    link.symlink_to("python3.7")
    refused(hardware.picamera2(pi, tmp_path), "system's Python 3.7", "/usr/bin/python3.7 -m venv", False)


def test_libcamera_by_pip_is_told(pi, tmp_path, monkeypatch) -> None:
    import sys
    from types import SimpleNamespace

    inside = SimpleNamespace(origin=f"{sys.prefix}/lib/site-packages/libcamera/__init__.py")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: inside)
    monkeypatch.setattr(hardware, "_in_venv", lambda: True)
    refused(hardware.picamera2(pi, tmp_path), "installed by pip", "pip uninstall", False)


@pytest.mark.parametrize(
    ("said", "detail", "fix"),
    [
        ("throttled=0x50005", "now: too little voltage, throttled", "5 V supply"),
        ("throttled=0x80000", "since boot: too hot", "heat sink"),
    ],
)
def test_too_little_power_and_too_much_heat_are_told(program_says, tmp_path, said: str, detail: str, fix: str) -> None:
    program_says("vcgencmd", said)
    refused(hardware.power(System(), tmp_path), detail, fix, False)


def test_a_pi_that_was_never_throttled_passes(program_says, tmp_path) -> None:
    program_says("vcgencmd", "throttled=0x0")
    assert hardware.power(System(), tmp_path).detail == "not throttled since boot"


def test_a_clock_that_is_not_set_is_told(program_says, tmp_path, monkeypatch) -> None:
    program_says("timedatectl", "no")
    refused(hardware.clock(System(), tmp_path), "not synchronised", "set-ntp true", False)
    monkeypatch.setattr("time.time", lambda: 0.0)
    refused(hardware.clock(System(), tmp_path), "never set", "set-ntp true", False)


def test_a_hot_processor_is_told(pi, tmp_path) -> None:
    pi.write("/sys/class/thermal/thermal_zone0/temp", "84500\n")
    refused(hardware.temperature(pi, tmp_path), "84 °C", "fan", False)
    pi.write("/sys/class/thermal/thermal_zone0/temp", "51000\n")
    assert hardware.temperature(pi, tmp_path).detail == "51 °C"


def test_a_check_that_fails_itself_does_not_end_the_examination(home, monkeypatch) -> None:
    def broken(system: System, folder: Path) -> Check:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(hardware, "CHECKS", (("cameras", broken),))
    monkeypatch.setattr(software, "CHECKS", ())
    checks = {check.name: check for check in examine(home.folder)}
    assert "ZeroDivisionError: by zero" in checks["cameras"].detail and not checks["cameras"].needed


def test_what_the_service_sends_to_is_tried_and_no_password_is_shown(tmp_path, monkeypatch) -> None:
    assert connections.sinks(System(), tmp_path).ok
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        there, away = server.getsockname()[1], nobody.getsockname()[1]
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
        (tmp_path / "sink-1.argument").write_text(f"mqtt:mqtt://house:hunt/er2@127.0.0.1:{there}/porch\n")
        (tmp_path / "sink-2.argument").write_text("diary:/var/log/diary\n")
        found = connections.sinks(System(), tmp_path)
        assert found.ok and found.detail == f"mqtt://127.0.0.1:{there}"
        (tmp_path / "sink-3.argument").write_text(f"webhook:http://u:hunt@127.0.0.1:{away}/token#secret=hunt\n")
        (tmp_path / "sink-4.argument").write_text("webhook:https://${HOST}:port/\n")
        found = connections.sinks(System(), tmp_path)
        refused(found, f"cannot reach http://127.0.0.1:{away}", "goes on trying", False)
        assert "hunt" not in str(found) and "token" not in str(found)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    refused(connections.sinks(System(), tmp_path), "without its package", "edgetl-device[mqtt]", True)
