"""A bundle made with the softmax rule carries what the factory's embeddings taught it."""

from pathlib import Path

import numpy as np
import pytest
from conftest import build_bundle, draw, tiny_backbone

from edgetl_device.arrays import pack, text_array
from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.errors import BundleError
from edgetl_device.heads.evidence import Correction
from edgetl_device.heads.softmax import Softmax
from edgetl_device.home import Home

PHOTOS = [(kind, number) for kind in ("ball", "box") for number in range(20)]


def taught(path: Path, **changed: np.ndarray) -> Correction:
    """Write a bundle with the rule's correction, or with something else in its place."""
    plain = build_bundle(path.with_name("plain.edgetl"), rule="softmax")
    bundle, backbone = open_bundle(plain), tiny_backbone()
    factory = BundleContent(bundle)
    codes = backbone.codes(np.stack([backbone.embed(draw(kind, number)) for kind, number in PHOTOS]))
    odd = {3: "box", 27: "ball"}  # so easy are these photos that only wrong labels leave something to correct
    labels = [odd.get(row, kind) for row, (kind, _) in enumerate(PHOTOS)]
    found = Softmax.correction(factory.evidence(codes[:0], (), ""), codes, labels)
    arrays = {"labels": text_array(found.labels), "weights": found.weights, "bias": found.bias} | changed
    manifest = {name: value for name, value in bundle.manifest.items() if name not in ("members", "format")}
    write_bundle(path, manifest, {**bundle.members, "head.npz": pack(arrays)})
    return found


def test_the_correction_travels_and_is_used_from_the_first_photo(tmp_path: Path) -> None:
    correction = taught(tmp_path / "toys.edgetl")
    assert np.abs(correction.weights).max() > 0
    home = Home(tmp_path / "home")
    home.install(tmp_path / "toys.edgetl")
    head = home.learner().active_head()
    assert head.rule == "softmax" and isinstance(head.scorer, Softmax)
    np.testing.assert_array_equal(head.scorer.weights, correction.weights)


def test_a_device_may_change_to_the_softmax_rule_and_back(home: Home) -> None:
    learner, backbone = home.learner(), tiny_backbone()
    learner.add("ring", np.stack([backbone.embed(draw("ring", number)) for number in range(5)]))
    assert learner.retrain("softmax").promoted
    assert learner.active_head().rule == "softmax" and "ring" in learner.active_head().labels
    assert learner.retrain("predictive").promoted


@pytest.mark.parametrize(
    "changed",
    [
        {"weights": np.zeros((2, 3), np.float32)},
        {"weights": np.zeros((2, 64), np.float64)},
        {"bias": np.full(2, np.nan, np.float32)},
        {"labels": text_array(("ball",))},
    ],
    ids=["shape", "type", "nan", "labels"],
)
def test_a_correction_that_does_not_fit_is_refused(tmp_path: Path, changed: dict[str, np.ndarray]) -> None:
    taught(tmp_path / "odd.edgetl", **changed)
    with pytest.raises(BundleError, match=r"head\.npz|row labels"):
        _ = BundleContent(open_bundle(tmp_path / "odd.edgetl")).correction
