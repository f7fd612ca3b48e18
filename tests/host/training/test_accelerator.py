"""Where training is computed; a GPU's ways are tried on the second of two CPU devices, for there is none here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_photos

from edgetl import tf
from edgetl.training.accelerator import hardware
from edgetl_device.errors import InputError


@pytest.mark.slow
@pytest.mark.parametrize("asked", ["gpu:7", "gpu:", "tpu", "auto:1", "cpu:4"])
def test_a_device_that_is_not_there_is_refused(asked: str) -> None:
    with pytest.raises(InputError, match="--device"):
        hardware(asked)


@pytest.mark.slow
def test_memory_of_a_gpu_is_taken_as_it_is_needed(monkeypatch) -> None:
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    tf.load()
    import os

    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"


_CHILD = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from small_backbone import SMALL
from edgetl import tf
config = tf.load().config
config.set_logical_device_configuration(
    config.list_physical_devices("CPU")[0], [config.LogicalDeviceConfiguration()] * 2
)
from edgetl.data.datasets import find_photos, split
from edgetl.training import train as training
from edgetl.training.accelerator import hardware
from edgetl.training.plan import Plan
machine = hardware("cpu:1")
seen = []
def watched(network, optimizer, batch):
    seen.append((network.body.layers[1].kernel.device, network.body.layers[1].compute_dtype, batch.inputs.shape[0]))
    return training.default_step(network, optimizer, batch)
folder = Path(sys.argv[1])
dataset = split(find_photos(folder / "photos"), 0.25, 0)
like_a_gpu = replace(machine, mixed_precision=True, xla=True)
options = training.Training(Plan("top", epochs=1, batch_size=16, cache_limit=0), step=watched, machine=like_a_gpu)
run = training.train(dataset, SMALL, folder / "run", options)
(facts,) = set(seen)
assert facts[0].endswith("CPU:1") and facts[1:] == ("bfloat16", 16), facts
assert run.accuracy > 0.3, run.accuracy
"""


@pytest.mark.slow
def test_fine_tuning_runs_where_it_was_asked_to_in_mixed_precision_and_compiled_once(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", ("ball", "box", "kite"), 10, size=48)
    support = Path(__file__).parents[2] / "support"
    command = [sys.executable, "-c", _CHILD, str(tmp_path), str(support)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
