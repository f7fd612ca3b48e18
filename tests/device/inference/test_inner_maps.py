"""Inner maps: what a backbone gives beside its embedding, in the same run."""

import numpy as np
import pytest
from conftest import TINY, build_bundle, draw, tiny_backbone

from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.errors import MismatchError
from edgetl_device.inference.backbone import open_backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter


def test_the_embedding_stays_the_same_bytes_and_the_maps_come_from_the_same_photo() -> None:
    backbone = tiny_backbone()
    photo = backbone.preprocessing(draw("ball", 1))
    raw, maps = backbone.embed_with_maps(photo)
    assert raw.tobytes() == backbone.embed_photo(photo).tobytes()
    assert [(values.shape, values.dtype) for values in maps] == [((16, 16, 24), np.int8), ((8, 8, 64), np.int8)]
    # the embedding is the mean of the last map over its places, so they must be of one photo
    last, inner = maps[-1].astype(np.float64), backbone.maps[-1]
    mean = (last.mean(axis=(0, 1)) - inner.zero_point) * inner.scale
    output = backbone.interpreter.output
    assert np.abs(mean - (raw.astype(np.float64) - output.zero_point) * output.scale).max() <= output.scale


def test_maps_are_no_views_that_the_next_photo_overwrites() -> None:
    backbone = tiny_backbone()
    _, before = backbone.embed_with_maps(backbone.preprocessing(draw("ball", 1)))
    kept = [values.copy() for values in before]
    backbone.embed_with_maps(backbone.preprocessing(draw("box", 1)))
    assert all((one == other).all() for one, other in zip(before, kept, strict=True))


def test_a_map_for_inspection_is_not_taken_for_the_one_that_explains() -> None:
    assert not TFLiteInterpreter(TINY.read_bytes()).explains


def test_a_bundle_opens_with_its_maps_and_one_without_says_how_to_get_them(bundle_path, tmp_path) -> None:
    assert [inner.shape for inner in open_backbone(open_bundle(bundle_path)).maps] == [(16, 16, 24), (8, 8, 64)]
    backbone = open_backbone(open_bundle(build_bundle(tmp_path / "plain.edgetl", maps=False)))
    with pytest.raises(MismatchError, match="convert --inspectable"):
        backbone.embed_with_maps(backbone.preprocessing(draw("ball", 1)))


@pytest.mark.parametrize("change", [{"shape": [8, 16, 48]}, {"scale": 0.25}, {"zero_point": 5}])
def test_a_manifest_that_describes_other_maps_than_the_file_holds_is_refused(bundle_path, tmp_path, change) -> None:
    bundle = open_bundle(bundle_path)
    first, second = bundle.manifest["maps"]
    for maps in ([first | change, second], [second], [first, second, second]):
        write_bundle(tmp_path / "lies.edgetl", bundle.manifest | {"maps": maps}, bundle.members)
        with pytest.raises(MismatchError, match="the manifest describes the inner maps"):
            open_backbone(open_bundle(tmp_path / "lies.edgetl"))
