"""Fine-tuning on drawn photos: a small network, and once the built-in backbone."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_photos
from small_backbone import SMALL

from edgetl import tf
from edgetl.backbones.backbone import BUILTIN, build, cut
from edgetl.data.datasets import find_photos, group_by, split
from edgetl.training.feeds import PhotoFeed
from edgetl.training.finetuning import Plan, finetune, stopping_rows
from edgetl.training.network import Network, build_network, default_step, unfreeze
from edgetl.training.train import Training, checkpoint_of, in_mixed_precision, open_run, train
from edgetl.training.watching import TensorBoard
from edgetl_device.errors import InputError

pytestmark = pytest.mark.slow

KINDS = ("ball", "box", "kite", "ring")
PLAN = Plan("top", epochs=2, batch_size=16, views=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Photos with their split, and a cache folder of the module's own."""
    folder = tmp_path_factory.mktemp("tuning")
    dataset = split(find_photos(write_photos(folder / "photos", KINDS, 16, size=96)), 0.25, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGETL_CACHE", str(folder / "cache"))
        yield folder, dataset


@pytest.fixture(scope="module")
def tuned(world):
    folder, dataset = world
    said: list[str] = []
    watched: list[dict] = []
    board = TensorBoard(folder / "board", watched.append)
    run = train(dataset, SMALL, folder / "top", Training(PLAN, tell=said.append, watch=board))
    return run, said, watched


def weights_of(model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def test_every_epoch_is_told_to_whoever_watches_and_written_for_tensorboard(world, tuned) -> None:
    run, _, watched = tuned
    assert watched[:-1] == list(run.details["epochs"]) and watched[-1] == {"accuracy": run.accuracy}
    (path,) = (world[0] / "board").iterdir()
    written: dict[str, list[tuple[int, float]]] = {}
    for event in tf.load().compat.v1.train.summary_iterator(str(path)):
        for value in event.summary.value:
            written.setdefault(value.tag, []).append((event.step, float(tf.load().make_ndarray(value.tensor))))
    assert written["loss"] == [(f["epoch"], pytest.approx(f["loss"], rel=1e-6)) for f in watched[:-1]]
    assert written["accuracy"] == [(len(watched) - 1, pytest.approx(run.accuracy))]


def test_only_the_top_is_trained_and_batch_normalization_stays_as_it_was(tuned) -> None:
    run, said, _ = tuned
    before, after = weights_of(build(SMALL)), weights_of(run.model())
    changed = {n for n in before if any((a != b).any() for a, b in zip(before[n], after[n], strict=True))}
    assert changed == {"last"} and any("epochs run the top alone" in line for line in said)


def test_of_the_built_in_backbone_the_last_stage_is_trained(world) -> None:
    folder, dataset = world
    few = dataset.take([*range(0, len(dataset), 4)])
    run = train(few, BUILTIN, folder / "builtin", Training(replace(PLAN, epochs=1)))
    before, after = weights_of(build(BUILTIN)), weights_of(run.model())
    changed = {n for n in before if any((a != b).any() for a, b in zip(before[n], after[n], strict=True))}
    assert changed >= {"block_13_expand", "Conv_1"} and not any("BN" in name or "_bn" in name for name in changed)
    assert not [name for name in changed if name.startswith("block_") and int(name.split("_")[1]) < 13]


def test_a_fine_tuned_run_can_be_opened_and_keeps_split_history_and_embeddings(world, tuned) -> None:
    run, dataset = open_run(tuned[0].folder), world[1]
    assert run.dataset.splits == dataset.splits and run.strategy == "top"
    assert [facts["epoch"] for facts in run.details["epochs"]] == [1, 2] and run.details["cached"] is True
    model, spec = run.model(), run.spec
    pixels = np.stack([spec.preprocessing(_read(path)) for path in run.dataset.files()[:4]])
    exact = model(pixels.astype(np.float32) / 127.5 - 1)
    # The stored ones passed the frozen part in float16.
    np.testing.assert_allclose(run.float_embeddings()[:4], exact, rtol=0.02, atol=0.02)
    assert all(layer.trainable for layer in model.layers)


def test_with_and_without_the_cache_training_ends_at_the_same_place(world) -> None:
    folder, dataset = world
    plain = replace(PLAN, augment=False)
    runs = [
        train(dataset, SMALL, folder / f"plain{limit}", Training(replace(plain, cache_limit=limit)))
        for limit in (1 << 30, 0)
    ]
    assert [run.details["cached"] for run in runs] == [True, False]
    cached, fresh = (run.float_embeddings() for run in runs)
    untrained = build(SMALL)(_pixels(runs[0])) if len(cached) else None
    moved = np.abs(fresh - untrained).mean()
    assert np.abs(cached - fresh).mean() < 0.1 * moved, "they differ by less than a tenth of what training did"


def test_the_same_seed_gives_the_same_weights(world, tuned) -> None:
    folder, dataset = world
    again = train(dataset, SMALL, folder / "again", Training(PLAN))
    assert (again.float_embeddings() == tuned[0].float_embeddings()).all()


def interrupted(dataset, output: Path, how: signal.Signals) -> tuple[int, str]:
    """``edgetl train`` in a process of its own, struck after its first epoch → exit code and stderr."""
    code = (
        "import signal, time, small_backbone\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background shell's children ignore it
        "import edgetl.training.finetuning as f\n"
        "line = f._line\n"
        "f._line = lambda *told: (time.sleep(60), line(*told))[1]\n"  # gives the test time to strike
        "from edgetl.cli import main\nmain()"
    )
    arguments = ["train", str(dataset.root), "-o", str(output), "--backbone", "small", "--image-size", "32", "--weights", "none", "--strategy", "top",
                 "--epochs", "2", "--batch-size", "16", "--views", "1", "--val-split", "0.25"]  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True,
                               cwd=Path(__file__).parents[2] / "support")  # fmt: skip
    deadline = time.monotonic() + 300
    while not checkpoint_of(output).exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(how)
    said = process.communicate()[1]
    return process.returncode, said


def test_a_killed_training_goes_on_and_ends_like_one_that_never_was(world, tuned, tmp_path) -> None:
    _, dataset = world
    output = tmp_path / "run"
    code, said = interrupted(dataset, output, signal.SIGKILL)
    assert code == -signal.SIGKILL and checkpoint_of(output).exists(), said
    with pytest.raises(InputError, match="go on with --resume, or start anew with --force"):
        train(dataset, SMALL, output, Training(PLAN))
    with pytest.raises(InputError, match="had other photos or options"):
        train(dataset, SMALL, output, Training(replace(PLAN, epochs=5), resume=True))
    run = train(dataset, SMALL, output, Training(PLAN, resume=True))
    assert (run.float_embeddings() == tuned[0].float_embeddings()).all()
    assert not checkpoint_of(output).exists()


def test_ctrl_c_leaves_the_checkpoint_alone_and_says_how_to_go_on(world, tmp_path) -> None:
    code, said = interrupted(world[1], tmp_path / "run", signal.SIGINT)
    assert code == 130 and "go on with the same command and --resume" in said
    assert [path.name for path in tmp_path.iterdir()] == ["run.checkpoint"]


def test_a_step_of_ones_own_replaces_the_training_loops(world) -> None:
    folder, dataset = world
    seen = []

    def step(network: Network, optimizer, batch):
        seen.append(batch.inputs.shape)
        return default_step(network, optimizer, batch._replace(weights=0.0 * batch.weights))

    run = train(dataset, SMALL, folder / "own", Training(replace(PLAN, epochs=1), step))
    assert seen and seen[0][1:] == (8, 8, 12)
    before, after = build(SMALL).get_weights(), run.model().get_weights()
    assert all((a == b).all() for a, b in zip(before, after, strict=True)), "no gradient, no change"


def test_full_trains_from_the_first_layer_and_says_why_nothing_is_cached(world) -> None:
    folder, dataset = world
    few = dataset.take([*range(0, len(dataset), 4)])
    run = train(few, SMALL, folder / "full", Training(Plan("full", epochs=1, batch_size=8, strong=True)))
    before, after = weights_of(build(SMALL)), weights_of(run.model())
    assert (before["first"][0] != after["first"][0]).any() and run.details["cached"] is False


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        (replace(PLAN, strong=True), "strong"),
        (replace(PLAN, views=0), "--views 0"),
        (replace(PLAN, cache_limit=9), "larger"),
    ],
)
def test_what_does_not_commute_or_fit_disables_the_cache_with_the_reason(world, plan, why) -> None:
    folder, dataset = world
    said: list[str] = []

    def stop(network, optimizer, batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(dataset, SMALL, folder / "x", Training(plan, stop, tell=said.append))
    assert why in next(line for line in said if line.startswith("no cache"))
    assert not (folder / "x").exists()


def test_the_start_is_the_solved_head_with_the_probabilities_of_the_stopping_part(world, tuned) -> None:
    dataset = tuned[0].dataset
    model = build(SMALL)
    values = model(_pixels(tuned[0])).numpy()
    fit, stop = dataset.rows("train"), dataset.rows("val")
    lower, upper = cut(model, name="small")
    network = build_network(upper, values, dataset.labels, fit, stop)
    logits = network.logits(lower(_pixels(tuned[0]))).numpy()
    from edgetl.training.float_head import fit_float_head, predict

    expected, _ = predict(fit_float_head(values, [dataset.labels[r] for r in fit], fit), values, range(len(values)))
    assert (logits.argmax(1) == expected).mean() > 0.95


def test_the_learning_rate_warms_up_and_falls_along_a_cosine() -> None:
    plan = Plan("top", epochs=11, learning_rate=0.01, warmup=1.0)
    assert plan.rate_at(0.0) < 0.0002 and plan.rate_at(0.5) == pytest.approx(0.005, rel=0.02)
    assert plan.rate_at(1.0) == pytest.approx(0.01) and plan.rate_at(6.0) == pytest.approx(0.005)
    assert plan.rate_at(3.5) == pytest.approx(0.005 * (1 + math.cos(math.pi / 4))) and plan.rate_at(11.0) < 1e-9


def test_the_stopping_part_is_of_training_photos_and_keeps_groups_whole(tmp_path) -> None:
    photos = write_photos(tmp_path / "p", KINDS, 60, size=32)
    dataset = split(group_by(find_photos(photos), r"(\w+)/(\d{3})"), 0.2, 0)
    fit, stop = stopping_rows(dataset, 0)
    assert sorted([*fit, *stop]) == dataset.rows("train") and 20 <= len(stop) <= 50
    assert not {dataset.groups[row] for row in fit} & {dataset.groups[row] for row in stop}


def tiny(dataset):
    """A network, its feed and rows: everything is trained, from random weights, on 32-pixel photos."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Input((32, 32, 3)),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
    ]
    model = keras.Sequential(layers)
    feed = PhotoFeed(dataset.files(), 32, None, True, False)
    rows = stopping_rows(dataset, 0)
    arrays = next(feed.plain([np.arange(len(dataset))]))
    return model, model(feed.inputs(arrays)).numpy(), feed, rows


def test_training_learns_and_ends_at_its_best_epoch(world, tmp_path) -> None:
    _, dataset = world
    plan = Plan("full", epochs=12, batch_size=8, learning_rate=0.01, patience=12)
    body, values, feed, rows = tiny(dataset)
    network = build_network(body, values, dataset.labels, *rows)
    history = finetune(network, feed, dataset, rows, plan, tmp_path / "c").history
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


def test_epochs_without_progress_end_it_early_and_the_start_is_kept(world, tmp_path) -> None:
    _, dataset = world
    body, values, feed, _ = tiny(dataset)
    rows = (dataset.rows("train"), dataset.rows("val"))
    network = build_network(body, values, dataset.labels, *rows)
    start = network.state()

    def ruin(network, optimizer, batch):
        network.kernel.assign(-tf.load().abs(network.kernel))
        network.bias.assign([9.0, 0, 0, 0])
        return 0.0

    said: list[str] = []
    plan = Plan("full", epochs=9, patience=2)
    done = finetune(network, feed, dataset, rows, plan, tmp_path / "c", step=ruin, tell=said.append)
    assert f"{done.start_accuracy:.3f} right on the stopping part, {len(rows[1])} photos" in said[0]
    first = done.history[0]
    losses = (
        f"loss {first['loss']:.3f}; on the stopping part {first['stop_loss']:.3f}, {first['stop_accuracy']:.3f} right"
    )
    assert any(line.startswith(f"epoch 1/9: {losses}; ") for line in said)
    assert "the start is kept: no epoch was better" in said[-1]
    assert len(done.history) == 2 and all((a == b).all() for a, b in zip(start, network.state(), strict=True))


def test_in_bfloat16_and_compiled_training_comes_close_to_float32(world, tmp_path) -> None:
    _, dataset = world
    plan, ends = Plan("full", epochs=2, batch_size=16, learning_rate=1e-3, augment=False), []
    for fast in (False, True):
        body, values, feed, rows = tiny(dataset)
        body = in_mixed_precision(body) if fast else body
        network = build_network(body, values, dataset.labels, *rows)
        finetune(network, feed, dataset, rows, plan, tmp_path / f"c{fast}", xla=fast)
        assert all(variable.dtype == "float32" for variable in network.variables)
        ends.append(np.concatenate([value.ravel() for value in body.get_weights()]))
    start = np.concatenate([value.ravel() for value in tiny(dataset)[0].get_weights()])
    assert 0 < np.abs(ends[0] - ends[1]).mean() < 0.3 * np.abs(ends[0] - start).mean()


def test_batch_normalization_is_trained_if_asked() -> None:
    model = build(SMALL)
    _, upper = cut(model, name="small")
    unfreeze(model, upper, True)
    names = {variable.name for variable in upper.trainable_variables}
    assert names == {"last/kernel:0", "last/bias:0", "last_bn/gamma:0", "last_bn/beta:0"}


@pytest.mark.parametrize(
    "options", [{"epochs": 0}, {"learning_rate": 2.0}, {"strategy": "half"}, {"label_smoothing": 1.0}]
)
def test_a_plan_that_cannot_be_meant_is_refused(options) -> None:
    with pytest.raises(InputError):
        Plan(**{"strategy": "top", **options})


def _read(path: Path) -> np.ndarray:
    from edgetl_device.photos import read_photo

    return read_photo(path)


def _pixels(run) -> np.ndarray:
    photos = np.stack([run.spec.preprocessing(_read(path)) for path in run.dataset.files()])
    return photos.astype(np.float32) / 127.5 - 1


def test_the_run_json_of_a_fine_tuned_run_holds_its_options(tuned) -> None:
    value = json.loads((tuned[0].folder / "run.json").read_text())
    assert value["details"]["plan"]["learning_rate"] == PLAN.chosen_rate and "CPU" in value["details"]["device"]
