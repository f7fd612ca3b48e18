"""The factory's solved precision in a file: used when whole, ignored otherwise, and never about device samples."""

from pathlib import Path

import numpy as np
import pytest
from conftest import build_bundle, draw, tiny_backbone

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.home import Home


def evidence(home: Home, shots: int = 3):
    backbone = tiny_backbone()
    codes = backbone.codes(np.stack([backbone.embed(draw("ring", number)) for number in range(shots)]))
    return BundleContent(open_bundle(home.bundle_path), home.solved_path).evidence(codes, ["ring"] * shots, "r")


def test_installing_keeps_what_was_solved_and_starting_uses_it_without_the_gram_matrix(home: Home) -> None:
    assert home.solved_path.exists()
    found = evidence(home, shots=1)
    head = home.learner().active_head()
    assert head.labels == ("ball", "box")
    assert all(strip.base is not None for strip in found.core.base.strips)  # a view of the mapped file
    assert "gram" not in found.factory.__dict__


def test_what_was_kept_gives_the_same_head_as_a_solve(home: Home) -> None:
    kept = evidence(home)
    home.solved_path.unlink()
    solved = evidence(home)
    assert kept.factory_precision is not None and solved.factory_precision is None
    scale = np.abs(solved.precision.matrix).max()
    np.testing.assert_allclose(kept.precision.matrix, solved.precision.matrix, atol=1e-6 * scale)
    assert kept.precision.unseen == pytest.approx(solved.precision.unseen, rel=1e-6)


@pytest.mark.parametrize("damage", ["flipped", "short", "empty", "missing"])
def test_a_damaged_file_is_ignored(home: Home, damage: str) -> None:
    content = bytearray(home.solved_path.read_bytes())
    content[len(content) // 2] ^= 1
    wrong = {"flipped": bytes(content), "short": bytes(content[:-4]), "empty": b""}
    home.solved_path.unlink()
    if damage in wrong:
        home.solved_path.write_bytes(wrong[damage])
    assert evidence(home).factory_precision is None
    assert home.learner().active_head().labels == ("ball", "box")


def test_what_another_bundle_left_is_ignored(home: Home, tmp_path: Path) -> None:
    left = home.solved_path.read_bytes()
    home.install(build_bundle(tmp_path / "other.edgetl", per_class=20))
    assert home.solved_path.read_bytes() != left
    home.solved_path.write_bytes(left)
    assert evidence(home).factory_precision is None


def test_learning_and_forgetting_leave_the_file_as_it_was(home: Home) -> None:
    before = home.solved_path.read_bytes()
    learner, backbone = home.learner(), tiny_backbone()
    ids = learner.add("ring", np.stack([backbone.embed(draw("ring", number)) for number in range(3)]))
    learner.retrain()
    learner.forget(ids)
    learner.retrain()
    assert home.solved_path.read_bytes() == before
