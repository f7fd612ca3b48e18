"""``edgetl-device run`` as a process of its own."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from conftest import write_photos
from mjpeg import mjpeg_server
from ports import free_port

from edgetl_device import console
from edgetl_device.camera import open_camera, opening
from edgetl_device.cli import program
from edgetl_device.cli.page import host_and_port
from edgetl_device.cli.qr_code import show_qr_code
from edgetl_device.errors import CameraError
from edgetl_device.home import Home

COMMAND = (sys.executable, "-m", "edgetl_device")


def start(home: Home, *options: object, **more) -> subprocess.Popen:
    command = [*COMMAND, "--home", str(home.folder), "run", "--no-web", *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)


def run(home: Home, *options: object, code: int = 0) -> tuple[str, str]:
    process = start(home, *options)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    return out, err


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_in_order_and_json_is_one_object(home: Home, number: int, code: int, tmp_path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(60)
        environment = os.environ | {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "400000"}
        process = start(home, "--camera", "parts", "--json", env=environment)
        while b"READY=1" not in systemd.recv(4096):
            pass
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        messages = b""
        while b"STOPPING=1" not in messages:
            messages = systemd.recv(4096)
    told = json.loads(out)
    assert process.returncode == code and set(told) == {"frames", "fps", "dropped"} and told["frames"] > 0, err


@pytest.mark.slow
def test_a_real_video_plays_to_its_end_at_its_own_rate(home: Home, shared: Path) -> None:
    out, _ = run(home, "--camera", shared / "data/video/bottle-detection.mp4", "--max-frames", 45, "--json")
    told = json.loads(out)
    assert told["frames"] == 45 and told["fps"] < 33


@pytest.mark.slow
def test_jsonl_is_a_line_for_every_photo_with_the_classifiers_labels(home: Home, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 2, seed=3)
    out, err = run(home, "--camera", photos, "--jsonl")
    assert [json.loads(line)["label"] for line in out.splitlines()] == ["ball", "ball", "box", "box"]
    assert "camera  photos in photos" in err


@pytest.mark.slow
def test_people_see_the_camera_each_change_of_label_and_the_end(home: Home, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 1, seed=3)
    out, err = run(home, "--camera", photos)
    first, ball, box, last = out.splitlines()
    assert first == "camera  photos in photos" and last.startswith("ended after 2 frames: ") and err == ""
    assert ball.split()[1] == "ball" and box.split()[1] == "box"


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_ends_it(home: Home) -> None:
    process = start(home, "--camera", "parts", "--jsonl")
    assert json.loads(process.stdout.readline())["frame"] >= 1
    process.stdout.close()
    process.stdout = None
    assert process.wait(30) == 0, process.stderr.read()
    process.stderr.close()


@pytest.mark.slow
def test_a_reader_that_has_seen_enough_changes_of_label_ends_it_too(home: Home, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball", "box"), 1, seed=3)
    process = start(home, "--camera", photos, "--loop")
    assert process.stdout.readline() == "camera  photos in photos\n"
    process.stdout.close()
    process.stdout = None
    assert process.wait(30) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.slow
def test_a_command_runs_when_a_label_appears_and_its_output_does_not_mix_with_json(home: Home, tmp_path) -> None:
    photos = write_photos(tmp_path / "photos", ("ball",), 6, seed=3)
    out, err = run(home, "--camera", photos, "--on-label", "sh -c 'echo seen $EDGETL_LABEL'", "--json")
    assert json.loads(out)["frames"] == 6 and "seen ball" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--camera", "nowhere.mp4"), "no camera, file or folder 'nowhere.mp4'"),
        (("--camera", "parts", "--json", "--jsonl"), "choose"),
        (("--camera", "parts", "--on-label", "no-such-program"), "no such program"),
        (("--camera", "parts", "--max-frames", "0"), "0 is not in the range"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(home: Home, options, message: str, capfd) -> None:
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "run", "--no-web", *options]) == 2
    said = capfd.readouterr()
    assert message in said.err and len(said.err.strip().splitlines()) == 1


@pytest.mark.slow
def test_a_network_camera_that_does_not_answer_is_one_line_without_the_librarys_own(home: Home) -> None:
    _, err = run(home, "--camera", "rtsp://user:secret@127.0.0.1:9/", code=2)
    _hint, err = err.splitlines()
    assert "no video from rtsp://127.0.0.1:9/" in err and "secret" not in err


@pytest.mark.slow
def test_without_a_bundle_it_starts_with_the_one_that_it_carries(tmp_path) -> None:
    out, err = run(Home(tmp_path / "home"), "--camera", "parts", "--max-frames", 2)
    first, camera, *_ = out.splitlines()
    assert first == f"no bundle in {tmp_path / 'home'} yet: starting with the built-in one"
    assert camera == "camera  rendered parts, normal light" and err == ""


@pytest.mark.slow
def test_without_a_camera_it_serves_the_page_says_so_and_goes_on_when_there_is_one(home: Home, tmp_path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/stream.mjpg"
    command = [*COMMAND, "--home", str(home.folder), "run", "--camera", url, "--web", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        camera, page, waiting = (process.stdout.readline() for _ in range(3))
        assert camera.startswith("camera  http://127.0.0.1:") and page.startswith("page    http://127.0.0.1:")
        assert waiting == "the page is served; going on as soon as there is a camera\n"
        status = json.loads(urlopen(f"{page.split()[1]}/api/v1/status").read())
        assert status["camera"]["running"] and "no picture from" in status["camera"]["error"]
        with mjpeg_server(300, then_stall_s=60, port=port):
            told = {process.stdout.readline() for _ in range(2)}  # in either order: the camera, and what it shows
            assert camera in told and any(line.endswith("  unknown\n") for line in told)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err.count("no picture from") == 1, err
    assert out.splitlines()[-1].startswith("ended after ")


def test_a_missing_camera_of_this_machine_is_waited_for_and_a_wrong_word_is_not(monkeypatch) -> None:
    monkeypatch.setattr(opening, "v4l2_cameras", lambda: [])
    monkeypatch.setattr(opening, "pi_cameras", lambda: [])
    for spec in ("auto", "99", "/dev/v4l/by-id/none"):
        assert open_camera(spec, wait=True).live
        with pytest.raises(CameraError):
            open_camera(spec)
    for spec in ("nowhere.mp4", "picamera2"):
        with pytest.raises(CameraError):
            open_camera(spec, wait=True)


def test_a_terminal_shows_the_pages_address_as_a_qr_code_that_a_phone_reads(monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    url = "http://192.168.178.123:8080"
    terminal = Terminal()
    show_qr_code(url, terminal)
    lines = [line.removeprefix("\x1b[97;40m").removesuffix("\x1b[0m") for line in terminal.getvalue().splitlines()]
    assert {len(line) for line in lines} == {33}
    rows = [[cell in above for cell in line] for line in lines for above in ("█▀", "█▄")]
    assert cv2.QRCodeDetector().detectAndDecode(_picture(rows))[0] == url
    plain = Terminal()
    plain.encoding = "ascii"
    show_qr_code(url, plain)
    lines = [re.findall(r"\x1b\[(107|40)m  ", line) for line in plain.getvalue().splitlines()]
    assert {2 * len(line) for line in lines} == {66}
    assert cv2.QRCodeDetector().detectAndDecode(_picture([[cell == "107" for cell in row] for row in lines]))[0] == url


def test_what_is_no_terminal_gets_no_qr_code(monkeypatch) -> None:
    pipe = io.StringIO()
    show_qr_code("http://192.168.178.123:8080", pipe)
    monkeypatch.setenv("TERM", "dumb")
    dumb = Terminal()
    show_qr_code("http://192.168.178.123:8080", dumb)
    assert pipe.getvalue() == dumb.getvalue() == ""


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def _picture(rows: list[list[bool]]) -> np.ndarray:
    """Light modules → an image as a camera takes it."""
    return cv2.resize(np.array(rows, np.uint8) * 255, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)


def test_an_address_alone_means_the_usual_port() -> None:
    for address, expected in (
        ("0.0.0.0", ("0.0.0.0", 8080)),
        ("[::]", ("::", 8080)),
        ("pi.local:80", ("pi.local", 80)),
    ):
        assert host_and_port(address) == expected


@pytest.mark.parametrize("address", ["8080", ":8080", "host:99999", "host:http"])
def test_an_address_that_is_none_is_refused(home: Home, address: str, capfd) -> None:
    assert (
        console.run(
            program, "edgetl-device", ["--home", str(home.folder), "run", "--camera", "parts", "--web", address]
        )
        == 2
    )
    assert "expected HOST:PORT or HOST" in capfd.readouterr().err


def test_without_the_web_extra_it_names_the_package_and_the_way_without(home: Home, monkeypatch, capfd) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "run", "--camera", "parts"]) == 2
    assert "`pip install --upgrade edgetl-device` brings it, --no-web goes without" in capfd.readouterr().err


@pytest.mark.slow
def test_without_a_page_an_untaught_device_says_how_to_teach_it(tmp_path, capfd) -> None:
    arguments = ["--home", str(tmp_path / "home"), "run", "--no-web", "--camera", "parts", "--max-frames", "2"]
    assert console.run(program, "edgetl-device", arguments) == 0
    lines = capfd.readouterr().out.splitlines()
    assert sum("nothing is learned yet: teach it with `edgetl-device learn LABEL" in line for line in lines) == 1
    assert sum(line.endswith("  unknown") for line in lines) == 1


def test_where_the_page_cannot_be_served_only_that_is_told(home: Home, capfd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = ["--home", str(home.folder), "run", "--camera", "parts", "--web", address]
        assert console.run(program, "edgetl-device", arguments) == 2
    told = capfd.readouterr()
    assert not told.out and told.err.startswith(f"error: cannot listen on {address} (") and "HOST:PORT" in told.err
