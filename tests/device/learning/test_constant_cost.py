"""What a device does again and again takes as many of SQLite's instructions with many samples stored as with few."""

from collections.abc import Callable

import numpy as np
import pytest
from conftest import embeddings
from sqlite_steps import steps_of

from edgetl_device.home import Home
from edgetl_device.learning.groups import Groups
from edgetl_device.learning.learner import Learner
from edgetl_device.learning.review import drop_frames, frames_of_samples, samples_of_frames
from edgetl_device.store.review import ReviewFrame

FEW, MANY = 200, 2000  # samples of each label


def fill(learner: Learner, count: int, seed: int) -> None:
    """So many of each label, confirmed, and taught in a view of its own."""
    generator = np.random.default_rng(seed)
    for label in ("kite", "ring"):
        raw = np.tile(embeddings(label, 20), (-(-count // 20), 1))[:count]
        raw[:, :4] = generator.integers(-128, 128, (count, 4))  # no photo twice
        ids = learner.store.add_samples(label, raw, learner.bundle.backbone_digest, learner.runtime, view="{}")
        learner.store.confirm_samples(learner.bundle.backbone_digest, ids)
    learner.retrain(accept_scene_change=True)


def asked(learner: Learner) -> dict[str, int]:
    """The work that must not grow → its steps."""
    new, store, backbone = embeddings("kite", 2, 700), learner.store, learner.bundle.backbone_digest

    def learn(row: int) -> None:
        learner.add("kite", new[row : row + 1])
        learner.retrain(accept_scene_change=True)

    def newest() -> list[int]:
        return [row.id for row in store.newest_samples(backbone, None, None, 1)]

    def relabel() -> None:
        learner.relabel("ring", newest())
        learner.retrain(accept_scene_change=True)

    def forget() -> None:
        learner.forget(newest())
        learner.retrain(accept_scene_change=True)

    def confirm() -> None:
        learner.confirm(newest())

    def review() -> None:
        frame = ReviewFrame(backbone, "", "", "unknown", "kite", 0.5, embeddings("kite", 1, 702)[0], b"")
        for _ in range(2):
            assert store.review.keep(frame, learner.runtime)
        first, second = (each.id for each in store.review.frames(backbone))
        frames_of_samples(learner, "kite", samples_of_frames(learner, "kite", [first]))
        drop_frames(learner, [second])
        drop_frames(learner)
        learner.retrain(accept_scene_change=True)

    verbs: dict[str, Callable[[], object]] = {
        "learn one": lambda: learn(0),
        "learn the next": lambda: learn(1),
        "relabel one": relabel,
        "forget one": forget,
        "roll back": learner.rollback,
        "what is pending": lambda: store.pending(backbone),
        "confirm one": confirm,
        "review": review,
        "samples of other backbones": lambda: store.count_elsewhere(backbone),
    }
    return {name: steps_of(learner.store, ask) for name, ask in verbs.items()}


def test_what_groups_and_inspection_do_costs_the_other_labels_nothing(home: Home) -> None:
    def steps() -> dict[str, int]:
        (number,) = wind.add("calm", embeddings("box", 1, 900 + len(learner.samples())))
        wind.retrain(accept_scene_change=True)
        changes: dict[str, Callable[[], object]] = {
            "relabelled in a group": lambda: wind.relabel("storm", [number]),
            "forgotten in a group": lambda: wind.forget([number]),
            "hidden": lambda: learner.hide("ball"),
        }
        found = {}
        for name, change in changes.items():
            change()
            found[name] = steps_of(learner.store, lambda: (learner.active_head(), learner.evidence()))
        return found

    learner = home.learner()
    wind = Groups(learner).known_or_new("wind")
    fill(learner, FEW, 0)
    few = steps()
    fill(learner, MANY - FEW, 1)
    many = steps()
    assert {name: (few[name], many[name]) for name in many if many[name] > 1.2 * few[name] + 500} == {}


@pytest.mark.parametrize("group", [None, "condition"])
def test_no_step_grows_with_what_is_stored(home: Home, group: str | None) -> None:
    learner = home.learner() if group is None else Groups(home.learner()).known_or_new(group)
    fill(learner, FEW, 0)
    few = asked(learner)
    fill(learner, MANY - FEW, 1)
    many = asked(learner)
    if group is not None:  # for these a group reads its own labels again
        for name in ("relabel one", "forget one", "review"):
            del many[name]
    assert {name: (few[name], many[name]) for name in many if many[name] > 1.2 * few[name] + 500} == {}
