import json

import numpy as np
import pytest
from conftest import draw, tiny_backbone

from edgetl_device.heads.neighbours import unit
from edgetl_device.heads.novelty import Novelty
from edgetl_device.home import Home
from edgetl_device.learning.drift import FEWEST, WINDOW, Drift

DIMENSION = 256


def codes(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """A world of sparse features, or one in which some are swapped for others."""
    generator = np.random.default_rng(seed)
    scale = np.random.default_rng(0).gamma(0.3, 60.0, DIMENSION)
    moved = int(shift * DIMENSION)
    scale[:moved] = scale[:moved][::-1]
    return np.clip(generator.gamma(0.7, scale, (count, DIMENSION)), 0, 255).astype(np.uint8)


def novelty(bank: np.ndarray) -> Novelty:
    return Novelty(unit(bank, 0), 0, 0.5)


@pytest.mark.slow
def test_forty_streams_of_the_same_world_raise_no_alarm() -> None:
    known = novelty(codes(200, 1))
    ranks = []
    for seed in range(40):
        drift = Drift(known)
        for row in codes(120, 1000 + seed):
            assert drift.update(row[None]).state != "drifting", seed
        ranks.append(drift.state.rank)
    assert abs(np.mean(ranks) - 0.5) < 0.1


def test_another_world_is_noticed_with_the_first_frames_that_may_tell() -> None:
    drift = Drift(novelty(codes(200, 1)))
    found = [drift.update(row[None]).state for row in codes(FEWEST, 2, shift=0.9)]
    assert found == ["collecting"] * (FEWEST - 1) + ["drifting"]


def test_it_is_over_when_the_old_world_is_back() -> None:
    drift = Drift(novelty(codes(200, 1)))
    assert drift.update(codes(WINDOW, 2, shift=0.9)).state == "drifting"
    assert drift.update(codes(WINDOW, 3)).state == "steady"


def test_a_thing_that_stays_before_the_camera_counts_once() -> None:
    drift = Drift(novelty(codes(200, 1)))
    strange = codes(1, 2, shift=0.9)
    assert drift.update(np.repeat(strange, 500, axis=0)).frames == 1


def test_with_too_little_to_compare_with_nothing_is_said() -> None:
    drift = Drift(novelty(codes(10, 1)))
    assert drift.update(codes(200, 2, shift=0.9)).state == "collecting"
    assert Drift(novelty(codes(0, 1))).update(codes(50, 1)).frames == 0


def test_it_goes_on_in_another_process_where_it_was_kept() -> None:
    known, stream = novelty(codes(200, 1)), codes(80, 2, shift=0.4)
    whole = Drift(known)
    whole.update(stream)
    first = Drift(known)
    first.update(stream[:37])
    second = Drift(known, json.loads(json.dumps(first.to_json())))
    assert second.update(stream[37:]) == whole.state


def test_a_learner_keeps_it_until_the_version_changes(home: Home) -> None:
    learner, backbone = home.learner(), tiny_backbone()
    seen = np.stack([backbone.embed(draw(kind, 700 + number)) for number in range(20) for kind in ("ball", "box")])
    drift = learner.drift()
    drift.update(learner.transform(seen))
    learner.keep_drift(drift)
    kept = home.learner().drift_state()
    assert kept == drift.state and kept.frames > 5
    assert home.learner().drift().state == kept
    learner.add("kite", seen[:1])
    learner.retrain(accept_scene_change=True)
    assert learner.drift_state().frames == 0 == learner.drift().state.frames
