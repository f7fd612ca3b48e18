import json

import pytest

from edgetl_device import console
from edgetl_device.cli import program
from edgetl_device.environment import available_runtimes
from edgetl_device.inference import thread_count as threads


def told(capsys, home, *arguments: str) -> dict:
    capsys.readouterr()
    assert console.run(program, "edgetl-device", ["--home", str(home.folder), "bench", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_bench_tells_latency_throughput_memory_and_retraining_and_changes_nothing(home, capsys) -> None:
    home.learner()
    before = {path.name: path.read_bytes() for path in home.folder.glob("*.edgetl")}
    versions, drift = home.learner().versions(), home.learner().drift_state()
    found = told(capsys, home, "--runs", "20")
    latency = found["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]
    assert 0 < found["fps"] <= 2e3 / latency["p50"]  # half of the frames took at least the median
    assert 20e6 < found["rss_bytes"] < 2e9 and found["retrain_ms"] > 0 and found["cold_start_ms"] > 0
    assert found["runtime"].split("-")[0] in available_runtimes()
    assert {path.name: path.read_bytes() for path in home.folder.glob("*.edgetl")} == before
    assert (
        home.learner().drift_state() == drift and home.learner().versions() == versions and not home.learner().samples()
    )


@pytest.mark.slow
def test_compare_measures_every_runtime_in_its_own_process(home, capsys, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.bench.cores", lambda: 1)
    found = told(capsys, home, "--runs", "10", "--compare", "--no-cold-start")
    assert [row["runtime"].split("-")[0] for row in found["compared"]] == list(available_runtimes())
    assert {row["threads"] for row in found["compared"]} == {1} and found["cold_start_ms"] is None


@pytest.fixture
def machine(monkeypatch):
    """``machine(cores, latencies)`` → what is chosen where so many threads take so long."""

    def choose(cores: int, latency_ms: dict[int, float]) -> threads.Choice:
        monkeypatch.setattr(threads, "cores", lambda: cores)
        monkeypatch.setattr(threads, "_p95_ms", lambda compute: compute())
        return threads.choose(lambda count: lambda: latency_ms[count])

    return choose


def test_more_threads_are_used_only_as_long_as_they_pay(machine) -> None:
    assert machine(8, {1: 16, 2: 8, 4: 4}).threads == 4
    assert machine(8, {1: 16, 2: 8, 4: 7.5}).threads == 2
    stuck = machine(8, {1: 4, 2: 20, 4: 1})
    assert stuck.threads == 1 and set(stuck.p95_ms) == {1, 2}  # a core short: it does not try four


def test_one_core_is_left_for_camera_and_learning(machine) -> None:
    assert set(machine(4, {1: 16, 2: 8, 4: 4}).p95_ms) == {1, 2}


def test_install_measures_threads_and_another_backbone_or_runtime_starts_with_one(home, monkeypatch) -> None:
    bundle = home.bundle()
    value = json.loads(home.threads_path.read_text())
    assert value["backbone"] == bundle.backbone_digest and "1" in value["p95_ms"]
    monkeypatch.setattr(threads, "cores", lambda: 8)
    home.threads_path.write_text(json.dumps(value | {"threads": 4}))
    assert home.best_threads(bundle) == 4
    assert threads.recall(home.threads_path, bundle, "another-1.0") is None
    monkeypatch.setattr(threads, "cores", lambda: 2)
    assert home.best_threads(bundle) == 1  # the card was moved to a smaller board
    home.threads_path.write_text("{")
    assert home.best_threads(bundle) == 1
