"""Training on several devices and in several processes, against the same training on one device."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos
from ports import free_port

from edgetl.training.replicas import ALONE, Member, Replicas, member
from edgetl_device.errors import InputError

SUPPORT = Path(__file__).parents[2] / "support"
PATIENCE_S = 300
CHILD = """
import os, sys, time
from pathlib import Path
folder, name, device, strategy, epochs, devices, pause, resume = sys.argv[1:9]
sys.path[:0] = sys.argv[9:]
from small_backbone import SMALL
from edgetl import tf
tf.load().config.threading.set_intra_op_parallelism_threads(1)
if int(devices) > 1:
    config = tf.load().config
    logical = [config.LogicalDeviceConfiguration()] * int(devices)
    config.set_logical_device_configuration(config.list_physical_devices("CPU")[0], logical)
from edgetl.data.datasets import find_photos, split
from edgetl.training import train as training
from edgetl.training.accelerator import hardware
from edgetl.training.plan import Plan
from edgetl_device.errors import EdgetlError
def told(line):
    print(line, flush=True)
    time.sleep(float(pause) if line.startswith("epoch") else 0)
try:
    machine = hardware(device)
    dataset = split(find_photos(Path(folder) / "photos"), 0.25, 0)
    plan = Plan(strategy, epochs=int(epochs), batch_size=7, learning_rate=1e-3, patience=99)
    options = training.Training(plan, machine=machine, tell=told, resume=resume == "resume")
    run = training.train(dataset, SMALL, Path(folder) / name, options)
    print("accuracy", run.accuracy, machine.replicas.count)
except EdgetlError as error:
    print("error:", error)
    sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("replicas")
    write_photos(made / "photos", ("ball", "box", "kite"), 16, size=48)
    return made


def start(
    folder: Path, name: str, device: str = "auto", strategy: str = "top", epochs: int = 3, devices: int = 1,
    pause: float = 0, resume: bool = False, cluster: tuple[int, list[int]] | None = None,
) -> subprocess.Popen[str]:  # fmt: skip
    environment = {**os.environ, "EDGETL_CACHE": str(folder / f"cache-{name}-{cluster[0] if cluster else 0}")}
    environment.pop("TF_CONFIG", None)
    if cluster is not None:
        index, ports = cluster
        workers = [f"127.0.0.1:{port}" for port in ports]
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        environment["TF_CONFIG"] = json.dumps(task)
    facts = [folder, name, device, strategy, epochs, devices, pause, "resume" if resume else "anew", SUPPORT]
    command = [sys.executable, "-c", CHILD, *map(str, facts)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )


def ended(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == code, output[-3000:]
    return output


def together(folder: Path, name: str, **options: object) -> list[subprocess.Popen[str]]:
    ports = [free_port() for _ in range(2)]
    return [start(folder, name, cluster=(index, ports), **options) for index in range(2)]


def embeddings(folder: Path, name: str) -> np.ndarray:
    from edgetl.training.runs import FLOAT_FILE

    return np.load(folder / name / FLOAT_FILE)


def differs(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max() / np.abs(one).max())


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["top", "full"])
def test_two_devices_train_what_one_trains(folder: Path, strategy: str) -> None:
    """Batches of 7, so parts of 4 and 3: what fills the second must not count; the last batch has a photo or two."""
    alone = ended(start(folder, f"{strategy}-1", "cpu:0", strategy))
    two = ended(start(folder, f"{strategy}-2", "cpu:0,cpu:1", strategy, devices=2))
    assert two.splitlines()[-1].endswith(" 2")
    moved = embeddings(folder, f"{strategy}-1")
    untrained = ended(start(folder, f"{strategy}-0", "cpu:0", strategy, epochs=1))
    assert untrained and differs(moved, embeddings(folder, f"{strategy}-0")) > 1e-2  # training does something
    assert differs(moved, embeddings(folder, f"{strategy}-2")) < 1e-3
    assert alone.splitlines()[-1].split()[:2] == two.splitlines()[-1].split()[:2]


@pytest.mark.slow
def test_two_processes_train_what_one_trains_and_go_on_where_one_died(folder: Path) -> None:
    alone = ended(start(folder, "alone", "cpu:0"))
    chief, other = together(folder, "both")
    told, quiet = ended(chief), ended(other)
    assert told.splitlines()[-1].split()[:2] == alone.splitlines()[-1].split()[:2] == quiet.splitlines()[-1].split()[:2]
    assert differs(embeddings(folder, "alone"), embeddings(folder, "both")) < 1e-3

    chief, other = together(folder, "died", pause=2)
    checkpoint = folder / "died.checkpoint"
    until = time.monotonic() + PATIENCE_S
    while not checkpoint.exists():
        assert time.monotonic() < until and chief.poll() is None and other.poll() is None
        time.sleep(0.05)
    os.killpg(other.pid, signal.SIGKILL)
    other.communicate()
    output = ended(chief, code=2)
    (line,) = [line for line in output.splitlines() if line.startswith("error:")]
    assert "another process of this training went away" in line
    assert checkpoint.exists() and not (folder / "died").exists()
    for process in together(folder, "died", resume=True):
        assert "epoch 1/3" not in ended(process)
    assert not checkpoint.exists()
    assert (embeddings(folder, "died") == embeddings(folder, "both")).all()


@pytest.mark.parametrize("size", [1, 2, 5, 7, 8, 32])
@pytest.mark.parametrize(("copies", "workers"), [(1, 1), (2, 1), (4, 1), (2, 2), (6, 3)])
def test_the_parts_of_a_batch_weigh_what_the_batch_weighs(size: int, copies: int, workers: int) -> None:
    """Each photo counts once: the parts' mean losses add up to the mean loss of the batch."""

    class Strategy:
        num_replicas_in_sync = copies

    losses = np.random.default_rng(size).normal(size=size).astype(np.float32)
    total, seen = 0.0, []
    for index in range(workers):
        replicas = Replicas(Strategy(), Member(workers, index) if workers > 1 else None)
        positions, weighs = replicas.shared(size)
        seen += positions[weighs > 0].tolist()
        for part, weight in zip(
            np.split(positions, copies // workers), np.split(weighs, copies // workers), strict=True
        ):
            total += float((losses[part] * weight).mean())
    assert sorted(seen) == list(range(size))
    assert total == pytest.approx(float(losses.mean()), rel=1e-5)


def test_tf_config_is_read_or_refused() -> None:
    good = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
    assert member({"TF_CONFIG": json.dumps(good)}) == Member(2, 1)
    assert member({}) is None and member({"TF_CONFIG": " "}) is None
    assert (
        member(
            {"TF_CONFIG": json.dumps(good | {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}})}
        )
        is None
    )
    task = '"task": {"type": "worker", "index": 0}'
    lists = ("ab", {"a": 1, "b": 2}, [1, 2], ["a:1", None], None, 2)
    for bad in (
        "{",
        "[]",
        "[" * 100_000,
        json.dumps(good | {"task": {"type": "worker", "index": 2}}),
        json.dumps(good).replace('"index": 1', '"index": 1e999'),
        json.dumps({"cluster": {}}),
        *(f'{{"cluster": {{"worker": {json.dumps(each)}}}, {task}}}' for each in lists),
    ):
        with pytest.raises(InputError, match="TF_CONFIG must be"):
            member({"TF_CONFIG": bad})
    assert (ALONE.count, ALONE.alone, ALONE.chief) == (1, True, True)
