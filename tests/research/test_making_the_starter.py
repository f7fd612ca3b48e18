"""The starter bundle in the device's package is what its script makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("edgetl")

from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.bundle.content import BundleContent
from edgetl_device.inference.backbone import open_backbone
from edgetl_device.starter import PATH
from research.starter.__main__ import make_starter

pytestmark = pytest.mark.slow


def test_making_it_again_gives_the_same_embeddings(tmp_path: Path) -> None:
    make_starter(tmp_path / "starter.edgetl")
    carried, made = open_bundle(PATH), open_bundle(tmp_path / "starter.edgetl")
    assert set(made.members) == set(carried.members) and made.manifest.keys() == carried.manifest.keys()
    photos, raw, _ = BundleContent(carried).check
    backbone = open_backbone(made)
    again = np.stack([backbone.embed_photo(photo) for photo in photos])
    # Renderings, and so the ranges of the integers, are exactly the same with the pinned NumPy and OpenCV alone.
    assert np.abs(again.astype(int) - raw).max() <= 6
    assert all(np.corrcoef(a, b)[0, 1] > 0.999 for a, b in zip(again, raw, strict=True))
