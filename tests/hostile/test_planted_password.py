"""A camera's password is planted, and every output is searched for it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import cv2
import pytest
from conftest import draw
from ports import free_port

pytest.importorskip("starlette")

from processes import descendants
from snapshots import send, snapshot_server
from web_site import Client, until

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.home import Home

PLANTED = "hunt/er2@Zq9"  # unescaped, as people type it
PARTS = (PLANTED, "hunt", "er2", "Zq9", "hunt%2Fer2%40Zq9")
PATHS = (
    "/", "/healthz", "/metrics", "/static/main.js", "/api/v1/status", "/api/v1/prediction", "/api/v1/samples",
    "/api/v1/versions", "/api/v1/session", "/api/v1/nowhere",
)  # fmt: skip


def addresses(host: str) -> list[str]:
    return [
        f"http://admin:{PLANTED}@{host}/s.jpg",
        f"http://{host}/s.jpg?user=admin&pwd={PLANTED.replace('@', '%40')}",
        f"http://admin:x@{host}/s.jpg?token={PLANTED.replace('@', '%40')}",
    ]


def no_password_in(what: str, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    for part in PARTS:
        assert part.encode() not in data, f"{part} in {what}: {data[:2000]!r}"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed by Linux")
@pytest.mark.parametrize(
    ("way", "number"), [("file", 0), ("file", 1), ("environment", 0), ("whole environment", 2)], ids=str
)
def test_no_output_of_a_running_app_shows_the_password(home: Home, tmp_path, way: str, number: int) -> None:
    photo = cv2.imencode(".jpg", draw("ball", 3))[1].tobytes()
    file, notify, page = tmp_path / "camera", tmp_path / "notify", free_port()
    environment = os.environ | {
        "OPENCV_FFMPEG_DEBUG": "1",
        "OPENCV_FFMPEG_LOGLEVEL": "56",
        "OPENCV_LOG_LEVEL": "VERBOSE",
        "OPENCV_VIDEOIO_DEBUG": "1",
        "NOTIFY_SOCKET": str(notify),
        "WATCHDOG_USEC": "400000",
    }
    with snapshot_server(lambda handler, _: send(handler, photo)) as (host, _):
        address = addresses(host)[number]
        if way == "file":
            file.write_text(address + "\n")
            file.chmod(0o600)
            camera = ["--camera-file", str(file)]
        elif way == "environment":
            environment["PW"] = PLANTED
            camera = ["--camera", address.replace(PLANTED, "${PW}")]
        else:
            environment["CAM"] = address
            camera = ["--camera", "${CAM}"]
        command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "run", "-v", *camera]
        command += ["--web", f"127.0.0.1:{page}", "--on-label", "sleep 3"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
            systemd.bind(str(notify))
            systemd.setblocking(False)
            log = tmp_path / "log"
            with log.open("wb") as stream:
                process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
            try:
                client = Client(f"http://127.0.0.1:{page}")
                until(lambda: b"page " in log.read_bytes(), 60)
                until(lambda: client.get("/healthz").status == 200, 60)
                until(lambda: descendants(process.pid), 30)
                for each in (process.pid, *descendants(process.pid)):
                    no_password_in("the arguments of a process", Path(f"/proc/{each}/cmdline").read_bytes())
                for path in PATHS:
                    answer = client.get(path)
                    no_password_in(path, answer.body + str(answer.headers).encode())
                with client.watch() as viewer:
                    message = viewer.recv(timeout=20)
                    no_password_in("the live picture", message)
                    assert "s.jpg" in message
                client.post("/api/v1/learn", {"label": "kite", "frames": 1})
                messages = b"".join(iter(lambda: received(systemd), b""))
                assert b"STATUS=" in messages
                no_password_in("what systemd is told", messages)
            finally:
                process.terminate()
                process.wait(30)
        no_password_in("output and log", log.read_bytes())
        assert b"s.jpg" in log.read_bytes()
        for kept in home.folder.rglob("*"):
            if kept.is_file():
                no_password_in(str(kept), kept.read_bytes())


def received(channel: socket.socket) -> bytes:
    try:
        return channel.recv(65536)
    except BlockingIOError:
        return b""


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--no-web", "--camera", "rtsp://admin:{}@127.0.0.1:9/s"],
        ["run", "--no-web", "--camera", "http://admin:{}@127.0.0.1:9/s"],
        ["run", "--no-web", "--camera", "http://127.0.0.1:9/s?pwd={}"],
        ["run", "--no-web", "--camera", "http://admin:{}@127.0.0.1:port/s"],
        ["run", "--no-web", "--camera", "rstp://admin:{}@127.0.0.1/s"],
        ["run", "--no-web", "--camera", "admin:{}@127.0.0.1/s"],
        ["run", "--no-web", "rtsp://admin:{}@127.0.0.1/s"],
        ["run", "--no-web", "--threads", "rtsp://admin:{}@127.0.0.1/s"],
        ["run", "--no-web", "--cam=rtsp://admin:{}@127.0.0.1/s"],
        ["run", "--no-web", "--camera", "rtsp://admin:{}@127.0.0.1/s", "--camera-file", "x"],
        ["run", "--no-web", "--camera", "missing-extension:rtsp://admin:{}@127.0.0.1/s"],
        ["run", "--camera", "0", "--web", "http://admin:{}@127.0.0.1:8080"],
        ["service", "--camera", "rtsp://admin:{}@127.0.0.1/s"],
        ["service", "--camera=rtsp://admin:{}@127.0.0.1/s"],
        ["service", "--camera", "rtsp://admin:{}@127.0.0.1/s", "--bogus"],
        ["service", "--uninstall", "--camera", "rtsp://admin:{}@127.0.0.1/s"],
        ["doctor"],
    ],
    ids=lambda arguments: " ".join(arguments)[:60],
)
def test_no_line_of_a_command_shows_the_password(home: Home, arguments, monkeypatch, capfd) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    filled = [argument.format(PLANTED) for argument in arguments]
    for json in ([], ["--json"]):
        console.run(program, "edgetl-device", ["--home", str(home.folder), *filled[:1], *json, *filled[1:]])
        written = capfd.readouterr()
        no_password_in("stdout", written.out)
        no_password_in("stderr", written.err)


@pytest.mark.slow
def test_a_camera_that_goes_away_is_said_without_its_password(home: Home, tmp_path) -> None:
    photo = cv2.imencode(".jpg", draw("ball", 3))[1].tobytes()
    file = tmp_path / "camera"
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "run", "-v", "--no-web"]
    with snapshot_server(lambda handler, _: send(handler, photo)) as (host, asked):
        file.write_text(addresses(host)[0])
        file.chmod(0o600)
        log = tmp_path / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen([*command, "--camera-file", str(file)], stdout=stream, stderr=stream)
        until(lambda: len(asked) > 2, 60)
    until(lambda: b"trying again" in log.read_bytes(), 60)
    process.terminate()
    process.wait(30)
    written = log.read_text()
    assert re.search(r"no picture from http://[^ ]*/s.jpg: Connection refused.*; trying again", written), written
    no_password_in("the log", written)


EXTENSION = """
import sys
from pathlib import Path
from edgetl_device.errors import InputError

class Speaking:
    def __init__(self, argument):
        if "refuse" in argument:
            raise InputError(f"cannot reach {argument}")
        if "fail" in argument:
            raise RuntimeError(f"cannot reach {argument}")
        Path("argument").write_text(argument)
        self.argument = argument
    def __call__(self, recognition):
        raise ConnectionError(f"lost {self.argument}")
    def close(self):
        pass
"""


@pytest.fixture
def speaking(tmp_path, monkeypatch) -> Path:
    """A folder with a package that adds the sink ``speaking``, which names its argument in all that it raises."""
    (tmp_path / "speaking.py").write_text(EXTENSION)
    about = tmp_path / "speaking-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: speaking\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[edgetl.sinks]\nspeaking = speaking:Speaking\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


BROKERS = ["mqtt://admin:{}@127.0.0.1/labels", "http://127.0.0.1/hook?token={}"]


@pytest.mark.slow
@pytest.mark.parametrize("broker", BROKERS)
@pytest.mark.parametrize("way", ["argument", "file", "environment"])
def test_a_sink_that_names_its_address_does_not_show_the_password(
    home: Home, speaking, monkeypatch, capfd, caplog, broker, way
) -> None:
    cv2.imwrite("ball.png", draw("ball", 1))
    spec = "speaking:" + broker.format(PLANTED)
    options = ["--sink", spec]
    if way == "file":
        Path("sink").write_text(spec + "\n")
        Path("sink").chmod(0o600)
        options = ["--sink-file", "sink"]
    elif way == "environment":
        monkeypatch.setenv("BROKER", PLANTED)
        options = ["--sink", "speaking:" + broker.format("${BROKER}")]
    command = [
        "--home",
        str(home.folder),
        "run",
        "-v",
        "--no-web",
        "--camera",
        "ball.png",
        "--smoothing",
        "0",
        *options,
    ]
    assert console.run(program, "edgetl-device", command) == 0
    written = capfd.readouterr()
    shown = written.out + written.err + caplog.text
    no_password_in("output and log", shown)
    assert "speaking failed and is off: ConnectionError: lost" in shown and "127.0.0.1" in shown
    expected = quote(PLANTED, safe="") if way == "environment" else PLANTED
    assert Path("argument").read_text() == broker.format(expected)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["refuse", "fail"])
@pytest.mark.parametrize("broker", BROKERS)
def test_a_sink_that_cannot_be_opened_does_not_show_the_password(home: Home, speaking, capfd, broker, what) -> None:
    cv2.imwrite("ball.png", draw("ball", 1))
    spec = "speaking:" + broker.format(PLANTED).replace("127.0.0.1", f"{what}.example")
    command = ["--home", str(home.folder), "run", "--no-web", "--camera", "ball.png", "--sink", spec]
    assert console.run(program, "edgetl-device", command) == 2
    written = capfd.readouterr()
    no_password_in("the refusal", written.out + written.err)
    assert f"{what}.example" in written.err


COMMANDS = [
    ("--on-label", "missing-program -u admin:{} http://127.0.0.1/hook"),
    ("--on-label", "PW={} curl http://127.0.0.1/hook"),
    ("--on-label", "curl -u 'admin:{} http://127.0.0.1/hook"),
    ("--on-label", ""),
    ("--sink", "command:missing-program --password {}"),
    ("--sink", "missing-sink:{}"),
    ("--sink", "mqtt:mqtt://admin:{}@127.0.0.1/porch"),
    ("--sink", "mqtt:mqtts://admin:{}@127.0.0.1:port/porch"),
    ("--sink", "webhook:https://admin:{}@127.0.0.1/hook"),
    ("--sink", "webhook:https://127.0.0.1/hook#secret={}"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("option", "value"), COMMANDS)
@pytest.mark.parametrize("name", ["run", "service"])
def test_a_command_that_is_refused_does_not_show_its_arguments(home: Home, capfd, monkeypatch, name, option, value):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    options = ["--no-web", "--camera", "parts", f"{option}={value.format(PLANTED)}"]
    code = console.run(program, "edgetl-device", ["--home", str(home.folder), name, *options])
    written = capfd.readouterr()
    no_password_in("the refusal", written.out + written.err)
    assert code == (0 if (name, value) == ("service", "missing-sink:{}") else 2)


@pytest.mark.slow
def test_a_command_from_a_file_runs_and_no_process_shows_its_password(home: Home, tmp_path, monkeypatch) -> None:
    """Where the shell that it starts takes the password from the environment, as is documented."""
    file, log = tmp_path / "command", tmp_path / "log"
    file.write_text(f"sh -c 'printf %s \"$PW\" > {tmp_path}/told;\nsleep 5'\n")
    file.chmod(0o600)
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "run", "-v", "--no-web", "--loop"]
    cv2.imwrite(str(tmp_path / "ball.png"), draw("ball", 1))
    command += ["--camera", str(tmp_path / "ball.png"), "--on-label-file", str(file)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {"PW": PLANTED})
    try:
        until(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text() == PLANTED, 60)
        for each in (process.pid, *descendants(process.pid)):
            no_password_in("the arguments of a process", Path(f"/proc/{each}/cmdline").read_bytes())
    finally:
        process.terminate()
        process.wait(30)
    no_password_in("output and log", log.read_bytes())


@pytest.mark.slow
def test_a_command_file_that_others_can_read_is_refused(home: Home, tmp_path, capfd) -> None:
    for option in ("--on-label-file", "--sink-file"):
        file = tmp_path / "secret"
        file.write_text(f"command:echo {PLANTED}\n")
        file.chmod(0o644)
        for name in ("run", "service"):
            arguments = ["--home", str(home.folder), name, "--no-web", "--camera", "parts", option, str(file)]
            assert console.run(program, "edgetl-device", arguments) == 2
            written = capfd.readouterr().err
            assert "chmod 600" in written
            no_password_in("the refusal", written)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are listed by Linux")
def test_no_output_shows_the_password_of_a_broker_or_a_webhook(home: Home, tmp_path) -> None:
    """From a file, from the environment, and from a file that the address names."""
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (the extra [mqtt])")
    from broker import MOSQUITTO, Mosquitto

    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed here")
    passwords, log, page = tmp_path / "passwords", tmp_path / "log", free_port()
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "admin", PLANTED], check=True, capture_output=True)
    house = Mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}")
    house.start()
    at = f"127.0.0.1:{house.port}"
    sink, password = tmp_path / "sink", tmp_path / "password"
    for file, text in ((sink, f"mqtt:mqtt://admin:{PLANTED}@{at}/a\n"), (password, PLANTED)):
        file.write_text(text)
        file.chmod(0o600)
    command = [sys.executable, "-m", "edgetl_device", "--home", str(home.folder), "run", "-v", "--camera", "parts"]
    command += ["--web", f"127.0.0.1:{page}", "--sink-file", str(sink), "--sink", f"mqtt:mqtt://admin:${{PW}}@{at}/b"]
    command += ["--sink", f"mqtt:mqtt://admin@{at}/c?password-file={password}"]
    command += ["--sink", "webhook:http://admin:${PW}@127.0.0.1:9/hook/${PW}?token=${PW}#secret=${KEY}"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdout=stream, stderr=stream, env=os.environ | {"PW": PLANTED, "KEY": 2 * PLANTED}
        )
    try:
        until(lambda: log.read_bytes().count(b"connected to the MQTT broker") == 3, 60)
        until(lambda: b"page " in log.read_bytes(), 60)
        until(lambda: b"the webhook http://127.0.0.1:9 cannot be reached" in log.read_bytes(), 60)
        no_password_in("the arguments of a process", Path(f"/proc/{process.pid}/cmdline").read_bytes())
        client = Client(f"http://127.0.0.1:{page}")
        for path in PATHS:
            answer = client.get(path)
            no_password_in(path, answer.body + str(answer.headers).encode())
        house.kill()
        until(lambda: log.read_bytes().count(b"is gone") == 3, 60)
    finally:
        process.terminate()
        process.wait(30)
    no_password_in("output and log", log.read_bytes())
    for kept in home.folder.rglob("*"):
        if kept.is_file():
            no_password_in(str(kept), kept.read_bytes())
