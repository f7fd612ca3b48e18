"""Against a real OpenSSH server on the loopback, with keys and configuration of its own."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import build_bundle, draw, tiny_backbone
from loopback import AVAILABLE, machine

import edgetl_device
from edgetl.cli import program
from edgetl.deployment import deploy as deployment
from edgetl.deployment.ssh import Remote
from edgetl.deployment.wheel import device_wheel
from edgetl_device import console
from edgetl_device.arrays import pack, text_array, unpack
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.export import Export
from edgetl_device.errors import InputError
from edgetl_device.statistics import no_statistics

PACKAGE = Path(edgetl_device.__file__).parent

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not AVAILABLE, reason="needs OpenSSH's client and server (Debian: openssh-server)"),
]


@pytest.fixture
def device(tmp_path, monkeypatch):
    """A machine to deploy to; pip there gets the wheel alone, its dependencies are those of the tests."""
    site = next(path for path in sys.path if path.endswith("site-packages"))
    alone = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PYTHONPATH": site}
    try:
        with machine(tmp_path / "device", alone) as found:
            monkeypatch.setenv("EDGETL_SSH", found.ssh)
            yield found
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture
def equipped(device):
    """The same with `edgetl-device` installed in its own way."""
    script = device.programs / "edgetl-device"
    script.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys.executable} -m edgetl_device "$@"\n')
    script.chmod(0o755)
    return device


@pytest.fixture
def edgetl(capfd):
    def run(*arguments: object, code: int = 0):
        capfd.readouterr()
        found = console.run(program, "edgetl", [*map(str, arguments), *([] if "--json" in arguments else ["--json"])])
        said = capfd.readouterr()
        assert found == code, said.err
        return json.loads(said.out) if code == 0 else said.err.strip().splitlines()[-1]

    return run


def service(device, *, restarts: bool) -> None:
    """A systemctl that knows a running service; each call is noted."""
    script = device.programs / "systemctl"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {device.folder}/calls\n[ "$1" = restart ] && exit {0 if restarts else 1}\nexit 0\n'
    )
    script.chmod(0o755)
    (device.programs / "sudo").write_text("#!/bin/sh\nexit 1\n")
    (device.programs / "sudo").chmod(0o755)


def litter(device) -> list[str]:
    """Files that a deployment must not leave."""
    return [path.name for path in device.home.folder.iterdir() if path.name.startswith(".")]


def test_a_bundle_is_sent_checked_there_and_made_current_and_travels_only_once(equipped, edgetl, bundle_path) -> None:
    told = edgetl("deploy", "camera", bundle_path, "--no-runtime")
    assert told["verified"] and told["sent"] and told["version"] == 1 and told["agreement"] == 1.0
    assert equipped.home.bundle_path.read_bytes() == bundle_path.read_bytes()
    assert not edgetl("deploy", "camera", bundle_path, "--no-runtime")["sent"]
    assert equipped.home.bundle_path.read_bytes() == bundle_path.read_bytes() and litter(equipped) == []


def test_a_bundle_that_fails_on_the_device_leaves_the_old_one_and_exits_with_1(
    equipped, edgetl, bundle_path, tmp_path
) -> None:
    edgetl("deploy", "camera", bundle_path, "--no-runtime")
    bundle = open_bundle(bundle_path)
    check = unpack(bundle.members["check.npz"]) | {"labels": text_array(("box", "ball", "ball"))}
    liar = tmp_path / "liar.edgetl"
    write_bundle(liar, bundle.manifest, {**bundle.members, "check.npz": pack(check)})
    said = edgetl("deploy", "camera", liar, "--no-runtime", code=1)
    assert "of the check photos get the workstation's label" in said and said.startswith(
        "error: camera: on this device"
    )
    assert equipped.home.bundle_path.read_bytes() == bundle_path.read_bytes() and litter(equipped) == []


def test_a_running_service_is_restarted_and_if_it_does_not_start_the_old_bundle_is_back(
    equipped, edgetl, bundle_path, tmp_path
) -> None:
    service(equipped, restarts=True)
    edgetl("deploy", "camera", bundle_path, "--no-runtime")
    assert "restart edgetl" in (equipped.folder / "calls").read_text()
    service(equipped, restarts=False)
    other = build_bundle(tmp_path / "other.edgetl", kinds=("ball", "box", "kite"))
    assert "the old bundle is back" in edgetl("deploy", "camera", other, "--no-runtime", code=1)
    assert equipped.home.bundle_path.read_bytes() == bundle_path.read_bytes() and litter(equipped) == []


def test_the_runtime_is_installed_once_beside_the_old_one_and_linked(device, edgetl, bundle_path) -> None:
    assert "no edgetl-device there" in edgetl("deploy", "camera", bundle_path, "--no-runtime", code=1)
    lib = device.root / ".local" / "lib" / "edgetl"
    (lib / "runtime-ancient").mkdir(parents=True)
    assert edgetl("deploy", "camera", bundle_path)["runtime_updated"]
    current = (lib / "current").resolve()
    package = next(current.glob("lib/python3*/site-packages/edgetl_device"))
    assert package.is_dir() and not list(lib.glob("*.whl"))
    assert (device.root / ".local/bin/edgetl-device").resolve() == current / "bin" / "edgetl-device"
    assert not edgetl("deploy", "camera", bundle_path)["runtime_updated"]
    assert [path.name for path in lib.iterdir() if path.is_dir() and not path.is_symlink()] == [current.name]


def test_a_key_is_trusted_from_the_deployment_on(equipped, edgetl, bundle_path, tmp_path) -> None:
    edgetl("keygen", tmp_path / "owner")
    signed = tmp_path / "signed.edgetl"
    edgetl("sign", bundle_path, "--key", tmp_path / "owner.key", "-o", signed)
    edgetl("deploy", "camera", signed, "--no-runtime", "--public-key", tmp_path / "owner.pub")
    assert "not signed" in edgetl("deploy", "camera", bundle_path, "--no-runtime", code=1)
    assert equipped.home.bundle_path.read_bytes() == signed.read_bytes() and litter(equipped) == []


def test_pull_brings_what_the_device_learned(equipped, edgetl, bundle_path, tmp_path) -> None:
    edgetl("deploy", "camera", bundle_path, "--no-runtime")
    assert "nothing was learned yet" in edgetl("pull", "camera", "-o", tmp_path / "fleet", code=1)
    backbone, learner = tiny_backbone(), equipped.home.learner()
    learner.add("kite", np.stack([backbone.embed(draw("kite", n)) for n in range(3)]))
    told = edgetl("pull", "camera", "-o", tmp_path / "fleet")
    assert told["samples"] == 3 and told["device"] == learner.store.device
    pulled = Export.from_bytes(Path(told["path"]).read_bytes())
    learned = learner.device_statistics()
    assert pulled.statistics_along(learned.projection).to_bytes() == learned.to_bytes()
    edgetl("pull", "camera", "-o", tmp_path / "fleet")
    assert len(list((tmp_path / "fleet").iterdir())) == 1  # one file a device


def test_a_device_that_calls_itself_by_a_path_is_refused(tmp_path, monkeypatch) -> None:
    evil = Export("../../evil", "2026-01-01", no_statistics("f" * 64, 8)).to_bytes()
    facts = b"home=/x\nprogram=/y\nruntime=\nbundle=\npython=3.11\n"
    monkeypatch.setattr(Remote, "shell", lambda self, script, verb, *rest, data=b"": facts if verb == "facts" else evil)
    with pytest.raises(InputError, match="no device"):
        deployment.pull("camera", tmp_path / "fleet")
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_cannot_be_reached_is_one_clear_line(device, edgetl, bundle_path) -> None:
    said = edgetl("deploy", "camera", bundle_path, "--port", 1, code=1)
    assert "cannot reach camera" in said and "does `ssh camera` work?" in said


@pytest.mark.parametrize("target", ["-oProxyCommand=touch /tmp/edgetl-was-here", "", "a b"])
def test_what_is_no_host_is_refused_before_ssh_sees_it(edgetl, bundle_path, target: str) -> None:
    assert "is no USER@HOST" in edgetl("deploy", "--json", "--", target, bundle_path, code=2)


def test_what_does_not_arrive_whole_is_removed(tmp_path) -> None:
    command = ["sh", "-c", deployment._SCRIPT, "edgetl", "receive", "", str(tmp_path / "x"), "0" * 64]
    done = subprocess.run(command, input=b"half", capture_output=True, check=False)
    assert done.returncode == 1 and b"x did not arrive whole" in done.stderr and not (tmp_path / "x").exists()


def test_the_wheel_is_small_complete_and_always_the_same(tmp_path) -> None:
    name, data = device_wheel()
    assert device_wheel() == (name, data) and len(data) < 1.3e6
    (tmp_path / name).write_bytes(data)
    archive = zipfile.ZipFile(tmp_path / name)
    names = archive.namelist()
    assert archive.getinfo("edgetl_device/starter/starter.edgetl").compress_size < 490_000
    assert "edgetl_device/cli/__init__.py" in names and not [n for n in names if "__pycache__" in n]
    sent = archive.read("edgetl_device/web/openapi.json")
    assert b"\n" not in sent and json.loads(sent) == json.loads((PACKAGE / "web/openapi.json").read_text("utf-8"))
    target = ["--target", tmp_path / "there", "--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *target, tmp_path / name], check=True)
    assert (tmp_path / "there/edgetl_device/bundle/bundle.py").exists() and (
        tmp_path / "there/bin/edgetl-device"
    ).exists()
