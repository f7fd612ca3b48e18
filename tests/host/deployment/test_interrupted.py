"""Deployments that are cut off, or meet: the device's part for real, without a network in between."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgetl.deployment import deploy as deployment
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.home import Home

FAKE_SSH = """#!/bin/sh
for last; do :; done
case "$*" in *"-O exit"*) exit 0 ;; esac
HOME="$FAKE_HOME" exec sh -c "$last"
"""

RUNTIME = """#!{python}
import sys
sys.prefix = {folder!r}
from edgetl_device.cli import main
sys.argv[0] = "edgetl-device"
main()
"""


@pytest.fixture
def device(tmp_path, monkeypatch, bundle_path) -> Path:
    """A user's folder with an old runtime and an old bundle; ``ssh`` starts a shell there."""
    root = tmp_path / "device"
    root.mkdir()
    ssh = tmp_path / "ssh"
    ssh.write_text(FAKE_SSH)
    ssh.chmod(0o755)
    monkeypatch.setenv("EDGETL_SSH", str(ssh))
    monkeypatch.setenv("FAKE_HOME", str(root))
    monkeypatch.delenv("EDGETL_HOME", raising=False)
    runtime(root, "runtime-old")
    (root / ".local/lib/edgetl/current").symlink_to(root / ".local/lib/edgetl/runtime-old")
    Home(root / ".local/share/edgetl").install(bundle_path)
    return root


def runtime(root: Path, name: str) -> Path:
    """A runtime, as an environment of its own would be: with a prefix of its own."""
    folder = root / ".local/lib/edgetl" / name
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin/edgetl-device"
    program.write_text(RUNTIME.format(python=sys.executable, folder=str(folder)))
    program.chmod(0o755)
    (folder / "wheel.sha256").write_text(name)
    return folder


def other_bundle(path: Path, sound: Path) -> Path:
    bundle = open_bundle(sound)
    write_bundle(path, {**bundle.manifest, "name": "other"}, bundle.members)
    return path


def in_use(root: Path) -> tuple[str, str]:
    """The runtime that is current, and the bundle that it uses."""
    link = root / ".local/lib/edgetl/current"
    command = [str(link / "bin/edgetl-device"), "--home", str(root / ".local/share/edgetl"), "status", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return link.resolve().name, json.loads(done.stdout)["bundle"]["name"]


def switch(root: Path, new: Path, incoming: Path) -> subprocess.Popen:
    home = root / ".local/share/edgetl"
    arguments = ["switch", str(home), str(incoming), str(new), str(new / "bin/edgetl-device")]
    command = ["sh", "-c", deployment._SCRIPT, "edgetl", *arguments]
    environment = {**os.environ, "HOME": str(root)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


@pytest.mark.slow
def test_a_deployment_cut_at_any_moment_leaves_old_with_old_or_new_with_new(device, bundle_path, tmp_path) -> None:
    other = other_bundle(tmp_path / "other.edgetl", bundle_path)
    home = Home(device / ".local/share/edgetl")
    choose, seen = random.Random(0), set()
    link = device / ".local/lib/edgetl/current"
    whole_s = 6.0  # the first is cut at once; how long one takes shows when it is not cut
    for number in range(6):
        home.install(bundle_path)
        link.unlink()
        link.symlink_to(runtime(device, f"runtime-{number}-old"))
        incoming = home.folder / ".incoming-abc.edgetl"
        incoming.write_bytes(other.read_bytes())
        process, began = switch(device, runtime(device, f"runtime-{number}-new"), incoming), time.monotonic()
        try:
            process.wait(whole_s * (number + choose.random()) / 6 if number else 0.0)
            whole_s = time.monotonic() - began
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        name, bundle = in_use(device)
        assert (name.endswith("old"), bundle) in ((True, "toys"), (False, "other")), number
        seen.add(bundle)
    assert "toys" in seen
    incoming.write_bytes(other.read_bytes())
    process = switch(device, runtime(device, "runtime-last"), incoming)
    assert process.wait(60) == 0
    assert in_use(device) == ("runtime-last", "other")
    left = [path.name for path in home.folder.iterdir() if path.name.startswith(".")]
    assert left == [] and not list((device / ".local/lib/edgetl").glob("*.whl"))


@pytest.mark.slow
def test_two_deployments_wait_for_each_other(device, bundle_path, tmp_path) -> None:
    order: list[str] = []
    with deployment.Remote("camera") as remote, remote.holding(deployment._SCRIPT, "hold", ""):

        def deploy() -> None:
            deployment.deploy("camera", other_bundle(tmp_path / "other.edgetl", bundle_path), runtime=False)
            order.append("deployed")

        thread = threading.Thread(target=deploy)
        thread.start()
        time.sleep(1.0)
        order.append("the first ends")
    thread.join(60)
    assert order == ["the first ends", "deployed"]
    assert in_use(device) == ("runtime-old", "other")
