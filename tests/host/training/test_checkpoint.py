"""What stops a resumed training is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgetl import api
from edgetl.backbones.backbone_spec import BackboneSpec
from edgetl.backbones.own import OwnBackbone
from edgetl.data.datasets import Dataset
from edgetl.training.checkpoint import (
    Checkpoint,
    backbone_options,
    check_left,
    identity_of,
    load_checkpoint,
    plan_options,
)
from edgetl.training.plan import Plan
from edgetl_device.errors import InputError

PLAN = Plan("top", epochs=200)
SPEC = BackboneSpec("mobilenet_v2", 0.35, 96, "builtin")


HELD_OUT = "b.png"


def photos_of(*names: str) -> Dataset:
    splits = tuple("val" if name == HELD_OUT else "train" for name in names)
    return Dataset(Path(), tuple(map(Path, names)), ("a",) * len(names), splits)


def identity(plan: Plan, photos: tuple[str, ...] = ("a.jpg",), spec: BackboneSpec = SPEC) -> dict[str, Any]:
    return identity_of(plan, backbone_options(spec), photos_of(*photos))


def own(pixel: float) -> OwnBackbone:
    return OwnBackbone(weights="mine.keras", initial=(np.full(3, pixel, np.float32),))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (identity(replace(PLAN, epochs=65)), r"options \(--epochs was 200 and is 65\): give the same"),
        (identity(replace(PLAN, learning_rate=0.01)), r"\(--learning-rate was left out and is 0\.01\)"),
        (identity(replace(PLAN, strong=True, views=0)), r"\(--strong was False and is True; --views was 4 and is 0\)"),
        (identity(PLAN, spec=replace(SPEC, image_size=128)), r"\(--image-size was 96 and is 128\)"),
        (
            identity(PLAN, spec=replace(SPEC, region=(0, 0, 5000, 10000))),
            r"\(--region was left out and is \[0, 0, 5000",
        ),
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


def test_another_file_of_the_same_name_is_another_backbone(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    Checkpoint([], (0.5, -1.0), [], [], []).save(path, identity(PLAN, spec=own(0.0)))
    assert load_checkpoint(path, identity(PLAN, spec=own(0.0))) is not None
    with pytest.raises(InputError, match=r"\(the content of --backbone was \w+ and is \w+\)"):
        load_checkpoint(path, identity(PLAN, spec=own(1.0)))


def test_a_checkpoint_of_an_edgetl_that_kept_no_backbone_is_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    Checkpoint([], (0.5, -1.0), [], [], []).save(path, identity_of(PLAN, {}, photos_of("a.jpg")))
    assert load_checkpoint(path, identity(PLAN)) is not None
    with pytest.raises(InputError, match=r"\(--epochs was 200 and is 65\)"):
        load_checkpoint(path, identity(replace(PLAN, epochs=65)))


@pytest.mark.parametrize(
    ("known", "photos", "words"),
    [
        (plan_options(replace(PLAN, epochs=65)), ("a.jpg", "b.jpg"), r"\(--epochs was 200 and is 65\)"),
        (backbone_options(replace(SPEC, alpha=1.0)), ("a.jpg", "b.jpg"), r"\(--alpha was 0\.35 and is 1\.0\)"),
        ({"strategy": "head"}, ("a.jpg", "b.jpg"), r"\(--strategy was top and is head\)"),
        (plan_options(PLAN), ("a.jpg",), r"\(the photos, their labels or their split\)"),
    ],
)
def test_what_is_known_before_photos_are_read_is_told_then(tmp_path, known, photos, words) -> None:
    path = tmp_path / "run.checkpoint"
    Checkpoint([], (0.5, -1.0), [], [], []).save(path, identity(PLAN, ("a.jpg", "b.jpg")))
    with pytest.raises(InputError, match=words):
        check_left(path, known, photos_of(*photos), resume=True, force=False)
    with pytest.raises(InputError, match="of an interrupted training: go on with --resume"):
        check_left(path, known, photos_of(*photos), resume=False, force=False)
    check_left(path, known, photos_of(*photos), resume=False, force=True)
    same = plan_options(PLAN) | backbone_options(SPEC)
    check_left(path, same, photos_of("a.jpg", "b.jpg", "damaged.jpg"), resume=True, force=False)  # it was left out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "top", "epochs": 65, "resume": True}, "--epochs was 200 and is 65"),
        ({"strategy": "top", "epochs": 200, "image_size": 128, "resume": True}, "--image-size was 96 and is 128"),
        ({"strategy": "auto", "epochs": 65, "resume": True}, "--epochs was 200 and is 65"),
        ({"strategy": "head"}, "of an interrupted training"),
        ({"strategy": "auto"}, "of an interrupted training"),
    ],
)
def test_a_training_that_cannot_go_on_is_refused_before_tensorflow_starts(
    tmp_path, monkeypatch, options, words
) -> None:
    monkeypatch.setattr("edgetl.api.training.hardware", lambda _: pytest.fail("it started"))
    Checkpoint([], (0.5, -1.0), [], [], []).save(tmp_path / "run.checkpoint", identity(PLAN, ("a.jpg", HELD_OUT)))
    with pytest.raises(InputError, match=words):
        api.train(photos_of("a.jpg", HELD_OUT), tmp_path / "run", weights="builtin", **options)


def test_weights_that_may_be_missing_do_not_count_before_it_is_known(tmp_path, monkeypatch) -> None:
    """Without a network the same command takes other weights; with --resume as well."""

    class Started(Exception):
        pass

    def start(_: str) -> None:
        raise Started

    monkeypatch.setattr("edgetl.api.training.hardware", start)
    spec = replace(SPEC, image_size=224)
    Checkpoint([], (0.5, -1.0), [], [], []).save(tmp_path / "run.checkpoint", identity(PLAN, ("a.jpg", HELD_OUT), spec))
    with pytest.raises(Started):
        api.train(photos_of("a.jpg", HELD_OUT), tmp_path / "run", strategy="top", epochs=200, resume=True)
