import numpy as np
import pytest
from conftest import TINY, draw, tiny_backbone

from edgetl_device import environment as packages
from edgetl_device.environment import available_runtimes, choose_runtime
from edgetl_device.errors import RuntimeMissingError
from edgetl_device.inference.interpreter import TFLiteInterpreter


def test_the_same_photo_gives_the_same_embedding_again() -> None:
    one, other = tiny_backbone(), tiny_backbone()
    photo = draw("ball", 1)
    assert (one.embed(photo) == other.embed(photo)).all()
    one.embed(draw("box", 2))
    assert (one.embed(photo) == other.embed(photo)).all()


def test_the_runtime_is_named_with_its_version() -> None:
    name, _, version = TFLiteInterpreter(TINY.read_bytes()).runtime.partition("-")
    assert name in packages.RUNTIMES and version[0].isdigit()


@pytest.mark.skipif("litert" not in available_runtimes(), reason="ai-edge-litert is not installed")
def test_litert_computes_with_xnnpack() -> None:
    assert TFLiteInterpreter(TINY.read_bytes(), "litert").xnnpack


def test_without_a_runtime_the_error_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setattr(packages, "installed_version", lambda name: None)
    with pytest.raises(RuntimeMissingError, match="pip install ai-edge-litert"):
        choose_runtime("litert")


def test_an_unknown_runtime_names_the_known_ones() -> None:
    with pytest.raises(RuntimeMissingError, match="expected auto, litert, tflite"):
        choose_runtime("torch")


def test_a_file_that_is_no_model_is_refused_with_the_reason() -> None:
    with pytest.raises(RuntimeMissingError, match="cannot run this backbone"):
        TFLiteInterpreter(b"not a flatbuffer" * 10)


def test_models_that_are_no_backbone_are_refused(shared) -> None:
    classifier = (shared / "models/coral/mobilenet_v1_0.25_128_quant.tflite").read_bytes()
    with pytest.raises(RuntimeMissingError, match=r"expected an output \(1, d\) int8"):
        TFLiteInterpreter(classifier)


def test_what_native_code_says_is_captured_and_stderr_restored(capfd) -> None:
    import os

    from edgetl_device.inference.native_log import captured_stderr

    with captured_stderr() as said:
        os.write(2, b"INFO: from C++\n")
    os.write(2, b"after\n")
    assert said == ["INFO: from C++"] and capfd.readouterr().err == "after\n"


def test_embeddings_separate_the_kinds_at_least_a_little() -> None:
    backbone = tiny_backbone()
    means = [np.mean([backbone.embed(draw(kind, n)) for n in range(5)], axis=0) for kind in ("ball", "box")]
    assert np.abs(means[0] - means[1]).max() > 5
