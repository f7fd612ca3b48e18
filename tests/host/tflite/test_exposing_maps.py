"""Which tensors inspection looks at, by the structure of the graph, and that nothing else changes."""

import numpy as np
import pytest
from conftest import INSPECTABLE

from edgetl.conversion.inspectable import make_inspectable
from edgetl.tflite.feature_map import expose_feature_map
from edgetl.tflite.inner_maps import expose_inner_maps
from edgetl.tflite.model import read_model, sizes, write_model
from edgetl_device import starter
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.inference.interpreter import TFLiteInterpreter


@pytest.fixture(scope="module")
def mobilenet() -> bytes:
    """MobileNetV2 alpha 0.35 at 96 px, that gives its embedding alone."""
    model = read_model(open_bundle(starter.PATH).members["backbone.tflite"])
    graph = model.subgraphs[0]
    graph.outputs = sizes(graph.outputs)[:1]
    for signature in model.signatureDefs or []:
        signature.outputs = signature.outputs[:1]
    return write_model(model)


def photos(side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8)


def test_mobilenet_gives_the_last_narrow_tensor_of_its_last_three_stages(mobilenet) -> None:
    made = make_inspectable(mobilenet, photos(96))
    assert [inner.shape for inner in made.maps] == [(12, 12, 16), (6, 6, 32), (3, 3, 112)]
    assert [inner.name.split("/")[1] for inner in made.maps] == [
        "block_5_add",
        "block_12_add",
        "block_16_project_BN",
    ]
    assert made.extra_bytes < 2000 and made.photos == 3 and TFLiteInterpreter(made.data).xnnpack


def test_exposing_twice_gives_the_same_bytes(mobilenet) -> None:
    once = expose_inner_maps(mobilenet)
    assert expose_inner_maps(once) == once


def test_both_maps_that_explain_and_maps_that_inspect_can_be_exposed_in_any_order() -> None:
    data = INSPECTABLE.read_bytes()  # its last inner map is the one that is pooled
    photo = photos(32)[0]
    for made in (expose_feature_map(data), expose_inner_maps(expose_feature_map(data))):
        interpreter = TFLiteInterpreter(made)
        assert interpreter.explains and len(interpreter.maps) == 2
        values = interpreter.feature_map(photo).mean(axis=(0, 1))
        raw = (interpreter(photo).astype(np.float32) - interpreter.output.zero_point) * interpreter.output.scale
        assert np.abs(values - raw).max() <= interpreter.output.scale
    assert expose_feature_map(expose_feature_map(data)) == expose_feature_map(data)
