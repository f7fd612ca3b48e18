"""What short trials choose: on the stopping part alone, once, and leaving the network as it was."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_photos

from edgetl import tf
from edgetl.data.datasets import Dataset, find_photos, split
from edgetl.training import feeds, search, trials
from edgetl.training.batch_norm import BatchNormStatistics
from edgetl.training.epochs import Epochs, StoppingPart
from edgetl.training.feeds import PhotoFeed
from edgetl.training.finetuning import finetune
from edgetl.training.network import Network, default_step
from edgetl.training.plan import Plan
from edgetl.training.trials import Choice, choose
from edgetl_device.photos import decoded

pytestmark = pytest.mark.slow

PLAN = Plan("full", epochs=2, batch_size=16)


@pytest.fixture(autouse=True)
def few_are_enough(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(trials, "ENOUGH", 20)
    monkeypatch.setenv("EDGETL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def arrows(tmp_path_factory) -> Dataset:
    """Two classes that are mirror images of each other: nothing but the side tells them apart."""
    folder = tmp_path_factory.mktemp("arrows")
    generator = np.random.default_rng(0)
    for label, x in (("left", 6), ("right", 25)):
        (folder / label).mkdir()
        for number in range(120):
            photo = generator.integers(90, 130, (32, 32, 3)).astype(np.uint8)
            cv2.circle(photo, (x, int(generator.integers(8, 24))), 4, (250, 250, 250), -1)
            cv2.imwrite(str(folder / label / f"{number:03}.png"), photo)
    return split(find_photos(folder), 0.2, 0)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Dataset:
    photos = write_photos(tmp_path_factory.mktemp("drawn"), ("ball", "box"), 120, size=32)
    return split(find_photos(photos), 0.2, 0)


def network(classes: int, pooled: bool = False) -> Network:
    """Small and untrained; able to see where something is, unless its features are pooled."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Input((32, 32, 3)),
        keras.layers.Conv2D(8, 3, strides=4, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D() if pooled else keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu"),
    ]
    kernel = np.random.default_rng(0).normal(0, 0.1, (16, classes)).astype(np.float32)
    variable = tf.load().Variable
    return Network(keras.Sequential(layers), variable(kernel), variable(np.zeros(classes, np.float32)))


def chosen(dataset: Dataset, plan: Plan, step=default_step, pooled: bool = False) -> tuple[Choice, Network, list[str]]:
    made = network(len(dataset.classes), pooled)
    feed = PhotoFeed(dataset.files(), 32, None, True, False)
    fit, stop = (np.array(dataset.rows(part)) for part in ("train", "val"))
    epochs = Epochs(made, feed, dataset, fit, plan, step, False)
    told: list[str] = []
    before = made.state()
    choice = choose(epochs, StoppingPart(made, feed, dataset, stop), plan, ["a test"], told.append)
    assert all((a == b).all() for a, b in zip(before, made.state(), strict=True))
    assert feed.variation == choice.plan.variation
    return choice, made, told


def test_mirroring_is_given_up_where_it_does_harm_and_only_there(arrows, drawn) -> None:
    plan = replace(PLAN, learning_rate=5e-3)
    choice, _, told = chosen(arrows, plan)
    assert choice.plan.flip is False and "photos not mirrored" in told[0]
    assert [trial.variation for trial in choice.trials] == ["all", "unmirrored"]
    assert chosen(drawn, plan, pooled=True)[0].plan.variation == "all"


def test_only_very_many_photos_may_do_without_variation(drawn, monkeypatch) -> None:
    plan = replace(PLAN, learning_rate=5e-3, flip=True)
    assert chosen(drawn, plan)[0].trials == ()
    monkeypatch.setattr(trials, "PLENTY", 90)
    choice, _, told = chosen(drawn, plan)
    assert [trial.variation for trial in choice.trials] == ["all", "none"]
    assert choice.plan.augment is False and "photos not varied" in told[0]


def test_a_larger_learning_rate_is_taken_if_it_is_better_by_more_than_chance(drawn) -> None:
    choice, _, told = chosen(drawn, replace(PLAN, flip=True))
    rates = [trial.learning_rate for trial in choice.trials]
    assert rates == pytest.approx([2e-4, 6e-4, 1.6e-3]) and choice.plan.learning_rate == pytest.approx(1.6e-3)
    losses = [trial.loss for trial in choice.trials]
    assert losses == sorted(losses, reverse=True) and "learning rate 0.0016" in told[0]


@pytest.mark.parametrize(("plenty", "rate"), [(10_000, 2e-4), (90, 1.6e-3)])
def test_with_very_many_photos_a_larger_learning_rate_need_only_be_as_good(drawn, monkeypatch, plenty, rate) -> None:
    monkeypatch.setattr(trials, "PLENTY", plenty)

    def nothing(network: Network, optimizer, batch):
        return 0.0

    choice, _, _ = chosen(drawn, replace(PLAN, flip=True, augment=True), nothing)
    assert choice.plan.learning_rate == pytest.approx(rate)


def test_what_was_asked_for_is_not_tried_out(drawn) -> None:
    def never(*_: object) -> None:
        raise AssertionError("trained")

    choice, _, _ = chosen(drawn, replace(PLAN, learning_rate=1e-3, flip=False), never)
    assert choice.trials == () and (choice.plan.learning_rate, choice.plan.variation) == (1e-3, "unmirrored")
    choice, _, _ = chosen(drawn, replace(PLAN, learning_rate=1e-3, augment=False), never)
    assert choice.trials == ()


def test_too_few_photos_to_stop_on_leave_the_defaults(drawn, monkeypatch) -> None:
    monkeypatch.setattr(trials, "ENOUGH", 1000)
    choice, _, told = chosen(drawn, PLAN)
    assert (choice.trials, choice.plan.learning_rate, choice.plan.variation, told) == ((), 2e-4, "all", [])


def test_trials_are_run_once(drawn) -> None:
    first, _, _ = chosen(drawn, PLAN)

    def never(*_: object) -> None:
        raise AssertionError("trained")

    again, _, told = chosen(drawn, PLAN, never)
    assert again == first and "learning rate" in told[0]


def test_damaged_notes_of_trials_are_run_again(drawn, tmp_path: Path) -> None:
    first, _, _ = chosen(drawn, PLAN)
    (note,) = (tmp_path / "cache" / "trials").glob("*.json")
    note.write_text('{"trials": [{}]}')
    assert chosen(drawn, PLAN)[0] == first


def test_where_the_start_is_right_and_no_trial_gains_nothing_is_trained(drawn, tmp_path) -> None:
    made = network(2)
    feed = PhotoFeed(drawn.files(), 32, None, True, False)
    rows = (drawn.rows("train"), drawn.rows("val"))
    finetune(made, feed, drawn, rows, replace(PLAN, learning_rate=5e-3, epochs=6), tmp_path / "c")
    made.kernel.assign(made.kernel * 50)  # sure of itself, as a solved head may be
    start, said = made.state(), []

    def ruin(network: Network, optimizer, batch):
        network.bias.assign_add([9.0, -9.0])
        return 0.0

    done = finetune(made, feed, drawn, rows, PLAN, tmp_path / "d", step=ruin, tell=said.append)
    assert done.start_accuracy == 1.0 and done.history == [] and len(done.trials) >= 2
    assert "the start is kept: no trial was better" in said[-1]
    assert all((a == b).all() for a, b in zip(start, made.state(), strict=True))


def test_batch_statistics_are_those_of_the_photos() -> None:
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    inputs = keras.layers.Input((4, 4, 3))
    first = keras.layers.BatchNormalization(momentum=0.999)(inputs)
    frozen = keras.layers.BatchNormalization(trainable=False)(first)
    model = keras.Model(inputs, frozen)
    generator = np.random.default_rng(0)
    batches = [generator.normal(n, 1 + n, (64, 4, 4, 3)).astype(np.float32) for n in range(3)]
    BatchNormStatistics(model).estimate(batches)
    values = np.concatenate(batches).reshape(-1, 3)
    norm = model.layers[1]
    np.testing.assert_allclose(norm.moving_mean, values.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(norm.moving_variance, values.var(axis=0), rtol=2e-3)
    assert norm.momentum == 0.999 and (model.layers[2].moving_mean.numpy() == 0).all()


@pytest.fixture
def small_grid(monkeypatch) -> None:
    monkeypatch.setattr(search, "ENOUGH", 20)
    for name, value in {"EPOCHS": 1, "TIMES": (1.0, 3.0), "SMOOTHINGS": (0.1,), "BATCHES": (16,)}.items():
        monkeypatch.setattr(search, name, value)


def searched(dataset: Dataset, rate: float, seconds: float, step=default_step) -> tuple[Plan, tuple, list[str]]:
    """A search from a settled plan, by a network that stays as it was."""
    made = network(len(dataset.classes), pooled=True)
    feed = PhotoFeed(dataset.files(), 32, None, False, False)
    fit, stop = (np.array(dataset.rows(part)) for part in ("train", "val"))
    settled = replace(PLAN, learning_rate=rate, augment=False)
    epochs, told = Epochs(made, feed, dataset, fit, settled, step, False), list[str]()
    before, deadline = made.state(), time.perf_counter() + seconds
    part = StoppingPart(made, feed, dataset, stop)
    plan, tuned = search.search(epochs, part, settled, PLAN, ["a test"], deadline, told.append)
    assert all((a == b).all() for a, b in zip(before, made.state(), strict=True)) and epochs.plan == settled
    return plan, tuned, told


def test_a_search_finds_a_better_learning_rate_and_does_not_train_the_same_twice(drawn, small_grid) -> None:
    plan, tuned, told = searched(drawn, 1e-7, 600)
    assert tuned[0].learning_rate == 1e-7 and len(tuned) == 3  # 2e-4 and 6e-4 beside it
    taken = min(tuned, key=lambda each: each.loss)
    assert [each for each in tuned if each.taken] == [taken] and plan.learning_rate == taken.learning_rate > 1e-7
    assert "min left" in told[0] and told[-1].startswith("tuned with 3 of 3")

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    again, same, told = searched(drawn, 1e-7, 0, never)
    assert (again, same) == (plan, tuned) and "known from before" in told[0]


def test_a_search_without_time_left_keeps_what_was_settled(drawn, small_grid) -> None:
    plan, tuned, told = searched(drawn, 2e-4, 0)
    assert len(tuned) == 1 and plan.learning_rate == 2e-4 and told[-1].startswith("tuned with 1 of 2")


def test_a_compiled_step_sees_batches_of_one_size_and_learns_the_same(drawn) -> None:
    states = []
    for xla in (True, False):
        made = network(2)
        feed = PhotoFeed(drawn.files(), 32, None, False, False)
        fit = np.array(drawn.rows("train"))
        epochs = Epochs(made, feed, drawn, fit, replace(PLAN, batch_size=50, learning_rate=1e-3), default_step, xla)
        assert len(fit) % 50
        epochs.train(0)
        states.append(made.state())
        assert not xla or epochs._step.experimental_get_tracing_count() == 1
    for compiled, plain in zip(*states, strict=True):
        np.testing.assert_allclose(compiled, plain, atol=2e-4)


def test_two_batches_are_decoded_before_they_are_asked_for(drawn, monkeypatch) -> None:
    loaded = []
    monkeypatch.setattr(feeds, "decoded", lambda data: (loaded.append(1), decoded(data))[1])
    batches = np.array(drawn.rows("train")[:180]).reshape(3, 60)
    photos = PhotoFeed(drawn.files(), 32, None, False, False).plain(list(batches))
    next(photos)
    until = time.monotonic() + 20
    while len(loaded) < 180 and time.monotonic() < until:
        time.sleep(0.01)
    assert len(loaded) == 180
