"""`device/install.sh`, for a user with an empty home folder; pip gets the wheel alone, its dependencies are those of the tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgetl.deployment.wheel import device_wheel

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[3] / "device" / "install.sh"


@pytest.fixture
def user(tmp_path):
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    site = next(path for path in sys.path if path.endswith("site-packages"))
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(home), "PYTHONPATH": site, "EDGETL_AS_ROOT": "1"}
    environment |= {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1"}

    def run(*arguments: object, code: int = 0) -> str:
        command = ["sh", str(SCRIPT), *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    run.home, run.programs = home, programs
    return run


def test_one_command_installs_program_and_first_bundle_and_uninstall_leaves_what_was_learned(
    user, tmp_path, bundle_path
) -> None:
    name, data = device_wheel()
    (tmp_path / name).write_bytes(data)
    said = user("--wheel", tmp_path / name, "--bundle", bundle_path)
    assert "installed toys: ball, box" in said and "ok      bundle" in said
    program, lib = user.home / ".local/bin/edgetl-device", user.home / ".local/lib/edgetl"
    first = (lib / "current").resolve()
    assert program.resolve() == first / "bin" / "edgetl-device"
    state = user.home / ".local/share/edgetl"
    assert (state / "bundle.edgetl").read_bytes() == bundle_path.read_bytes()
    assert "what was learned is still in" in user("--uninstall")
    assert not lib.exists() and not program.is_symlink() and (state / "bundle.edgetl").exists()


def test_an_update_restarts_a_running_service_before_the_old_runtime_goes(user, tmp_path) -> None:
    name, data = device_wheel()
    (tmp_path / name).write_bytes(data)
    user("--wheel", tmp_path / name)
    lib = user.home / ".local/lib/edgetl"
    old = (lib / "current").resolve().rename(lib / "runtime-old")  # names hold seconds
    (lib / "current").unlink()
    (lib / "current").symlink_to(old)
    (user.programs / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
    (user.programs / "systemctl").write_text(f'#!/bin/sh\necho "$1 $2" && ls {lib} && readlink {lib}/current\n')
    for program in ("sudo", "systemctl"):
        (user.programs / program).chmod(0o755)
    said = user("--wheel", tmp_path / name).partition("try-restart edgetl.service\n")[2]
    new = (lib / "current").resolve()
    assert said.splitlines()[:4] == ["current", new.name, "runtime-old", str(new)] and not old.exists()


def test_a_failure_leaves_no_half_installed_runtime(user, tmp_path) -> None:
    (tmp_path / "edgetl_device-0.1.0-py3-none-any.whl").write_text("not a wheel")
    assert "pip could not install it" in user("--wheel", tmp_path / "edgetl_device-0.1.0-py3-none-any.whl", code=1)
    assert list((user.home / ".local/lib/edgetl").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--bundle", "missing.edgetl"), "no such file: missing.edgetl"),
        (("--bundle",), "--bundle needs a file"),
        (("--fast",), "unknown option --fast"),
    ],
)
def test_wrong_usage_is_one_clear_line_and_installs_nothing(user, arguments, message: str) -> None:
    assert message in user(*arguments, code=2)
    assert list(user.home.iterdir()) == []


def test_help_is_the_comment_at_its_top(user) -> None:
    assert "--uninstall" in user("--help") and "set -eu" not in user("--help")


def test_it_is_not_for_root(user, tmp_path, monkeypatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can try to run it as root")
    done = subprocess.run(
        ["sh", str(SCRIPT)], env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}, capture_output=True, check=False
    )
    assert done.returncode == 2 and b"without sudo" in done.stderr
