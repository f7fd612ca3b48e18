"""What stops a resumed training is named."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from edgetl.training.checkpoint import Checkpoint, load_checkpoint
from edgetl.training.plan import Plan
from edgetl_device.errors import InputError

PLAN = Plan("top", epochs=200)


def identity(plan: Plan, photos: tuple[str, ...] = ("a.jpg",)) -> dict[str, Any]:
    return {"plan": asdict(plan), "photos": [list(photos), ["a"], ["train"]]}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (identity(replace(PLAN, epochs=65)), r"options \(--epochs was 200 and is 65\): give the same"),
        (identity(replace(PLAN, learning_rate=0.01)), r"\(--learning-rate was left out and is 0\.01\)"),
        (identity(replace(PLAN, strong=True, views=0)), r"\(--strong was False and is True; --views was 4 and is 0\)"),
        (identity(PLAN, ("b.jpg",)), r"\(the photos, their labels or their split\)"),
    ],
)
def test_the_option_that_differs_is_named(tmp_path: Path, other: dict[str, Any], words: str) -> None:
    path = tmp_path / "run.checkpoint"
    Checkpoint([], (0.5, -1.0), [], [], []).save(path, identity(PLAN))
    assert load_checkpoint(path, identity(PLAN)) is not None
    with pytest.raises(InputError, match=words):
        load_checkpoint(path, other)


def test_a_checkpoint_that_kept_a_digest_alone_says_what_it_can(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    Checkpoint([], (0.5, -1.0), [], [], []).save(path, ["older"])
    with pytest.raises(InputError, match="had other photos or options: give the same"):
        load_checkpoint(path, identity(PLAN))
