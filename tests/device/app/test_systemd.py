"""systemd: the unit file, and the watchdog's food."""

import getpass
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgetl_device import console
from edgetl_device.app.pipeline import Health
from edgetl_device.app.systemd import Notifier, unit
from edgetl_device.cli import program
from edgetl_device.cli.run import run_camera
from edgetl_device.cli.run_sinks import sink_specs
from edgetl_device.errors import InputError

HEALTH = Health("camera", True, 30.0, 0, 0, 0, None, None, None, 0.0, None)


@pytest.fixture(params=["/path", "@abstract"])
def systemd(request, tmp_path):
    """The receiving end of a real notification socket."""
    address = str(tmp_path / "notify") if request.param == "/path" else f"@edgetl-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address.replace("@", "\0", 1))
        receiver.settimeout(5)
        yield receiver, {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"}


def test_ready_comes_with_the_first_frame_and_the_watchdog_is_fed_only_while_frames_advance(systemd) -> None:
    receiver, environment = systemd
    notifier = Notifier(environment)
    assert notifier.interval_s == 5.0

    def told(frames: int, error: str | None = None) -> list[str]:
        notifier.report(replace(HEALTH, frames=frames, error=error))
        return receiver.recv(4096).decode().split("\n")

    assert told(0) == ["STATUS=camera: 30.0 frames a second"]
    assert told(3)[1:] == ["READY=1", "WATCHDOG=1"]
    assert told(9)[1:] == ["WATCHDOG=1"]
    assert told(9, "camera has sent no frame for 7 s") == ["STATUS=camera has sent no frame for 7 s"]
    assert told(10)[1:] == ["WATCHDOG=1"]
    notifier.stopping()
    assert receiver.recv(4096) == b"STOPPING=1"


def test_waiting_for_a_first_camera_is_a_sign_of_life_and_a_stuck_driver_is_none(systemd) -> None:
    receiver, environment = systemd
    notifier = Notifier(environment)

    def told(frames: int, reconnects: int) -> list[str]:
        notifier.report(replace(HEALTH, frames=frames, reconnects=reconnects, error="no camera"))
        return receiver.recv(4096).decode().split("\n")[1:]

    assert told(0, 1) == ["READY=1", "WATCHDOG=1"]
    assert told(0, 1) == []
    assert told(0, 2) == ["WATCHDOG=1"]
    assert told(5, 2) == ["WATCHDOG=1"]
    assert told(5, 9) == []  # a camera that worked and does not come back: a new start may help


def test_without_systemd_nothing_is_sent_and_a_systemd_that_is_gone_does_no_harm(tmp_path) -> None:
    assert Notifier({}).interval_s == 0
    Notifier({}).report(replace(HEALTH, frames=1))
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).report(replace(HEALTH, frames=1))


def test_the_watchdog_is_asked_often_enough_for_a_shorter_one() -> None:
    assert Notifier({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "4000000"}).interval_s == 1.0
    assert Notifier({"NOTIFY_SOCKET": "/x"}).interval_s == 5.0


def test_the_unit_is_one_that_systemd_accepts(tmp_path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = unit(
        Path(sys.executable), tmp_path, "root", ["--camera", "rtsp://u:p%40@host/a b", "--on-label", "say '$x'"]
    )
    path = tmp_path / "edgetl.service"
    path.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "edgetl.service" in line]
    assert complaints == [] and done.returncode == 0, done.stderr


def test_arguments_reach_the_program_as_they_were_given() -> None:
    text = unit(
        Path("/opt/edge tl/bin/edgetl-device"),
        Path("/home/a"),
        "pi",
        ["--camera", "rtsp://u:p%40@h/", "--on-label", 'a "b" $c \\d'],
    )
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    expected = '"/opt/edge tl/bin/edgetl-device" --home /home/a run --camera "rtsp://u:p%%40@h/" --on-label "a \\"b\\" $$c \\\\d"'
    assert line == f"ExecStart={expected}"


def test_the_command_prints_a_unit_for_this_home_and_checks_its_options(home, capfd) -> None:
    assert (
        console.run(
            program, "edgetl-device", ["--home", str(home.folder), "service", "--camera", "parts", "--threads", "2"]
        )
        == 0
    )
    text = capfd.readouterr().out
    for line in ("Type=notify", "WatchdogSec=30", "Restart=on-failure", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert line in text.splitlines()
    assert f"--home {home.folder} run --camera parts --threads 2" in text and f"ReadWritePaths={home.folder}" in text
    for wrong, message in (
        (["--threads", "0"], "0 is not in the range"),
        (["--bogus"], "No such option"),
        (["--no-history", "--history-mb", "5"], "--no-history records nothing"),
        (["--user", "nobody-here"], "no user 'nobody-here'"),
    ):
        assert console.run(program, "edgetl-device", ["--home", str(home.folder), "service", *wrong]) == 2
        assert message in capfd.readouterr().err


def test_installing_needs_root_and_the_command_to_repeat_is_whole(home, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    user = getpass.getuser()
    options = ["--camera", "my photos", "--user", user]
    repeated = f"--home {home.folder} --user {user} --camera 'my photos'"
    for action, wanted in (([], "install"), (["--install"], "install"), (["--uninstall"], "uninstall")):
        code = console.run(program, "edgetl-device", ["--home", str(home.folder), "service", *action, *options])
        assert code == (2 if action else 0)
        command = f"sudo {Path(sys.executable).parent}/edgetl-device service --{wanted} {repeated}"
        assert f"{'needs root' if action else 'install it with'}: {command}" in capfd.readouterr().err


def test_under_sudo_the_unit_follows_the_users_runtime_through_its_link(home, tmp_path, monkeypatch, capfd) -> None:
    entry = pwd.struct_passwd(("somebody", "x", 1000, 1000, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", {"somebody": entry}.__getitem__)
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("SUDO_USER", "somebody")
    current = tmp_path / ".local" / "lib" / "edgetl" / "current"
    current.parent.mkdir(parents=True)
    current.symlink_to(sys.prefix)
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "service"]) == 0
    assert f"ExecStart={current}/bin/edgetl-device --home" in capfd.readouterr().out


def test_relative_options_mean_in_the_unit_what_they_mean_here(home, tmp_path, monkeypatch, capfd) -> None:
    folder = tmp_path / "50% of it"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "told.sh").write_text("#!/bin/sh\n")
    (folder / "told.sh").chmod(0o755)
    (folder / "password").write_text("long enough\n")
    (folder / "password").chmod(0o600)
    options = ["--on-label", "./told.sh", "--web", "0.0.0.0:8080", "--password-file", "password"]
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "service", *options]) == 0
    assert f"WorkingDirectory=-{tmp_path}/50%% of it" in capfd.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--web", "0.0.0.0:8080"], "a password is needed"),
        (["--web", "8080"], "expected HOST:PORT"),
        (["--password-file", "missing"], "cannot read the password file"),
        (["--on-label", "./missing.sh"], "no such program"),
    ],
)
def test_what_run_would_refuse_is_not_installed(home, options, message: str, tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr("edgetl_device.app.systemd.UNIT_PATH", tmp_path / "edgetl.service")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))  # no systemctl
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "service", "--install", *options]) == 2
    assert message in capfd.readouterr().err and not (tmp_path / "edgetl.service").exists()


SECRET = "rtsp://admin:hunter2@127.0.0.1:9/s"


def keys(text: str) -> list[str]:
    return [line.partition("=")[0] for line in text.splitlines()]


@pytest.mark.parametrize(
    "word",
    [
        "a\nUser=root",
        "a\r\nExecStartPre=/bin/sh",
        "a\\",
        "a \\\n",
        '"',
        "'",
        "%h",
        "$HOME",
        "${HOME}",
        ";",
        "#",
        "\t",
        "é\x1b[0m",
        " ",
        "",
    ],
    ids=ascii,
)
def test_no_option_writes_a_line_of_its_own_into_the_unit_or_is_expanded(word: str) -> None:
    harmless = unit(Path("/bin/edgetl-device"), Path("/home/a"), "pi", ["--on-label", "x", "--loop"])
    text = unit(Path("/bin/edgetl-device"), Path("/home/a"), "pi", ["--on-label", word, "--loop"])
    assert keys(text) == keys(harmless)
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    inside = line.partition("--on-label ")[2].removesuffix(" --loop")
    assert (inside.startswith('"') and inside.endswith('"')) or inside == word
    read = inside[1:-1].replace("%%", "%").replace("$$", "$") if inside != word else word  # as systemd does it, last
    assert read.encode().decode("unicode_escape").encode("latin-1").decode() == word


@pytest.mark.parametrize("odd", ["a\nUser=root", 'a"b', "a\\b", "a$b", "a\x1bb"], ids=ascii)
def test_a_folder_that_a_unit_cannot_hold_is_refused(odd: str) -> None:
    with pytest.raises(InputError, match="a systemd unit cannot hold"):
        unit(Path("/bin/edgetl-device"), Path("/home") / odd, "pi", [])
    with pytest.raises(InputError, match="is not a name that a systemd unit can hold"):
        unit(Path("/bin/edgetl-device"), Path("/home/a"), odd, [])


def test_a_status_cannot_feed_the_watchdog(systemd) -> None:
    receiver, environment = systemd
    Notifier(environment).report(replace(HEALTH, error="gone\nREADY=1\nWATCHDOG=1"))
    assert receiver.recv(4096).split(b"\n") == [b"STATUS=gone\\nREADY=1\\nWATCHDOG=1"]


@pytest.mark.parametrize("options", [["--camera", SECRET], [f"--camera={SECRET}"]])
def test_a_cameras_password_is_kept_beside_the_unit_and_not_in_it(home, tmp_path, monkeypatch, capfd, options) -> None:
    path, commands = tmp_path / "edgetl.service", []
    monkeypatch.setattr("edgetl_device.app.systemd.UNIT_PATH", path)
    monkeypatch.setattr(
        sys.modules["edgetl_device.cli.service"], "_systemctl", lambda *arguments: commands.append(arguments)
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    command = ["--home", str(home.folder), "service", "--user", getpass.getuser(), "--loop", *options]
    assert console.run(program, "edgetl-device", command) == 0
    printed = capfd.readouterr()
    assert f"--camera-file {home.folder}/camera.address --loop" in printed.out and "ADDRESS" in printed.err
    assert not path.exists() and not (home.folder / "camera.address").exists()
    assert console.run(program, "edgetl-device", [*command, "--install"]) == 0
    kept = home.folder / "camera.address"
    assert kept.read_text() == f"{SECRET}\n" and kept.stat().st_mode & 0o777 == 0o600
    assert "UMask=0077" in path.read_text() and ("restart", "edgetl.service") in commands
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for action in ("--install", "--uninstall"):
        assert console.run(program, "edgetl-device", [*command, action]) == 2
    installed = capfd.readouterr()
    assert "hunter2" not in path.read_text() + printed.out + printed.err + installed.out + installed.err


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--on-label", "./told.sh", "--sink", "diary"], {}),
        (["--on-label", "sh -c 'echo hunter2'"], {"on-label.command": "sh -c 'echo hunter2'"}),
        (["--on-label=curl\n-u a:hunter2"], {"on-label.command": "curl\n-u a:hunter2"}),
        (
            ["--sink", "a:hunter2", "--sink=b:x:hunter2", "--sink", "diary"],
            {"sink-1.argument": "a:hunter2", "sink-2.argument": "b:x:hunter2"},
        ),
        ([f"--camera=gate={SECRET}", "--camera", "yard=0", "--camera", f"door={SECRET}"],
         {"camera.address": f"gate={SECRET}", "camera-2.address": f"door={SECRET}"}),
        (["--sink", "command:echo hunter2", "--camera", SECRET],
         {"camera.address": SECRET, "sink-1.argument": "command:echo hunter2"}),
        (["--camera", "gate=rtsp://u:hunter2@cam/x?t=${TOKEN}"],
         {"camera.address": "gate=rtsp://u:hunter2@cam/x?t=${TOKEN}"}),
        (["--camera=http://cam/x?pwd=hunter2&t=${TOKEN}"],
         {"camera.address": "http://cam/x?pwd=hunter2&t=${TOKEN}"}),
        (["--camera", "rtsp://u:${PW}@cam/x?user=${USER}&t=${TOKEN}"], {}),
        (["--camera", "${CAMERA}"], {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_may_be_secret_in_a_command_or_a_sink_is_kept_beside_the_unit(
    home, tmp_path, monkeypatch, capfd, options, kept
) -> None:
    monkeypatch.chdir(tmp_path)
    for program_name in ("told.sh", "curl"):
        (tmp_path / program_name).write_text("#!/bin/sh\n")
        (tmp_path / program_name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = tmp_path / "edgetl.service"
    monkeypatch.setattr("edgetl_device.app.systemd.UNIT_PATH", path)
    monkeypatch.setattr(sys.modules["edgetl_device.cli.service"], "_systemctl", lambda *arguments: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    stale = {"camera.address", "on-label.command", "sink-1.argument", "sink-7.argument"}
    for name in stale:
        (home.folder / name).write_text("of an earlier service")
    command = ["--home", str(home.folder), "service", "--user", getpass.getuser(), "--loop", *options]
    assert console.run(program, "edgetl-device", command) == 0
    assert console.run(program, "edgetl-device", [*command, "--install"]) == 0
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert console.run(program, "edgetl-device", [*command, "--install"]) == 2
    printed = capfd.readouterr()
    assert "hunter2" not in path.read_text() + printed.out + printed.err
    found = {name: home.folder / name for name in stale | set(kept) if (home.folder / name).exists()}
    assert {name: file.read_text().removesuffix("\n") for name, file in found.items()} == kept
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in found.values())
    (line,) = [line for line in path.read_text().splitlines() if line.startswith("ExecStart=")]
    words = shlex.split(line.partition(" run ")[2])
    again = run_camera.make_context("run", words).params
    specs = {spec for _, spec in sink_specs(again)}
    first = run_camera.make_context("run", list(options)).params
    assert specs == {spec for _, spec in sink_specs(first)} and again["loop"]
