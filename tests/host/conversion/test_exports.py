"""The float model for other tools: files that say what the float pipeline says, and load without anything of ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("edgetl")

from support.tiny_source import tiny_source

from edgetl import tf
from edgetl.conversion import exports
from edgetl.conversion.exports import exported_files
from edgetl.models.float_model import FloatModel, OwnHead, SolvedHead
from edgetl.training.embeddings import to_float
from edgetl.training.float_head import fit_float_head, float_codes
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.inference.backbone import prepare_files
from edgetl_device.metrics import fit_temperature, softmax

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning:keras.*")]


def pictures(source: FloatModel) -> np.ndarray:
    return np.stack([photo for _, photo in prepare_files(source.dataset.files(), source.preprocessing)])


@pytest.fixture(scope="module")
def solved(tmp_path_factory) -> FloatModel:
    """What a RUN is: a float backbone and a head solved on its embeddings."""
    source = tiny_source(tmp_path_factory.mktemp("photos"))
    values = np.asarray(source.backbone(to_float(pictures(source), source.scale), training=False))
    train = source.dataset.rows("train")
    head = fit_float_head(values, [source.dataset.labels[row] for row in train], train)
    scores = head.scores(float_codes(values))
    return replace(
        source,
        keras=lambda: source.backbone,
        reference=lambda rows: [head.labels[index] for index in scores[list(rows)].argmax(axis=1)],
        solved=lambda: SolvedHead(head, scores[source.held_out]),
    )


def probabilities(source: FloatModel) -> np.ndarray:
    """What the float pipeline gives all photos, by NumPy."""
    values = np.asarray(source.backbone(to_float(pictures(source), source.scale), training=False))
    head = source.solved()
    truth = [source.dataset.classes.index(source.dataset.labels[row]) for row in source.held_out]
    return softmax(head.scorer.scores(float_codes(values)) / fit_temperature(head.scores, np.array(truth)))


def test_the_keras_file_loads_in_keras_3_alone_and_gives_the_pipelines_probabilities(solved, tmp_path) -> None:
    (file,) = exported_files(solved, ("keras",))
    assert file.agreement >= 17 / 18 and file.samples == 18 and file.labels == solved.dataset.classes
    path = file.path(tmp_path / "toys.edgetl")
    path.write_bytes(file.data)
    assert path.name == "toys.keras"
    model = tf.keras3().saving.load_model(path)
    given = np.asarray(model(pictures(solved).astype(np.float32), training=False))
    assert given == pytest.approx(probabilities(solved), abs=2e-3)
    assert model.get_layer("backbone").output_shape == (None, 64)


def test_the_onnx_file_gives_the_same_in_onnx_runtime(solved) -> None:
    pytest.importorskip("tf2onnx", reason="edgetl[onnx] is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="edgetl[onnx] is not installed")
    (file,) = exported_files(solved, ("onnx",))
    session = runtime.InferenceSession(file.data, providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: pictures(solved).astype(np.float32)})
    assert given == pytest.approx(probabilities(solved), abs=2e-3)
    assert session.get_modelmeta().custom_metadata_map["labels"].split("\n") == list(solved.dataset.classes)


def test_an_own_classifier_goes_to_onnx_with_its_own_head_and_not_to_keras(solved) -> None:
    weights = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    names = ("kite", "box", "ball")

    def answers(rows) -> list[str]:
        values = np.asarray(solved.backbone(to_float(pictures(solved)[list(rows)], solved.scale), training=False))
        return [names[index] for index in (values @ weights).argmax(axis=1)]

    own = replace(solved, solved=None, own=OwnHead(weights, np.zeros(3, np.float32), names, answers))
    with pytest.raises(InputError, match="tiny is a model of your own: keep your file"):
        exported_files(own, ("keras",))
    with pytest.raises(InputError, match=r"tiny is a \.tflite file already"):
        exported_files(replace(own, ready=b"TFL3"), ("onnx",))
    pytest.importorskip("tf2onnx", reason="edgetl[onnx] is not installed")
    (file,) = exported_files(own, ("onnx",))
    assert file.labels == names and file.agreement >= 17 / 18


def test_a_file_that_says_something_else_is_refused(solved) -> None:
    wrong = replace(solved, reference=lambda rows: ["ball"] * len(rows))
    with pytest.raises(CheckFailedError, match=r"the keras file says what the float model says on only \d+ of 18 "):
        exported_files(wrong, ("keras",))


def test_what_cannot_be_exported_is_said_before_anything_is_loaded(monkeypatch) -> None:
    with pytest.raises(InputError, match="--export must be one of keras, onnx, got 'torch'"):
        exports.check(("torch",))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"needs tf2onnx and onnxruntime: pip install 'edgetl\[onnx\]'"):
        exports.check(("onnx",))
