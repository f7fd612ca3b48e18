import numpy as np
import pytest
from conftest import INSPECTABLE, build_bundle, draw, tiny_backbone

from edgetl_device.bundle.bundle import open_bundle, write_bundle
from edgetl_device.codes import CodeTransform
from edgetl_device.errors import BundleError, MismatchError, PhotoError
from edgetl_device.inference.backbone import Backbone, open_backbone, prepare_files, quantize
from edgetl_device.preprocess import Preprocessing


class FloatInterpreter:
    """The seam: a backbone with float output."""

    runtime = "fake-1"

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        return photo.reshape(-1, 3).mean(axis=0).astype(np.float32) / 100


def test_float_embeddings_become_int8_by_scale_and_zero_point() -> None:
    values = np.array([[-1.0, 0.0, 0.004, 0.006, 2.54, 2.56, 9.0, np.nan]], np.float32)
    assert quantize(values, 0.01, -128).tolist() == [[-128, -128, -128, -127, 126, 127, 127, -128]]
    assert quantize(np.array([-0.3, 0.3], np.float32), 0.01, 5).tolist() == [-25, 35]


def test_a_backbone_with_float_output_gives_int8_on_every_path(tmp_path) -> None:
    backbone = Backbone(FloatInterpreter(), Preprocessing(8, 8), CodeTransform(-128, 3), "digest", 0.01)
    photo = np.full((8, 8, 3), (10, 20, 130), np.uint8)  # BGR
    for raw in (backbone.embed(photo), backbone.embed_photo(photo[:, :, ::-1])):
        assert raw.dtype == np.int8 and raw.tolist() == [2, -108, -118]


def test_a_backbone_with_int8_output_is_taken_as_it_is() -> None:
    backbone = tiny_backbone()
    photo = backbone.preprocessing(draw("ball", 1))
    assert backbone.scale is None and (backbone.embed_photo(photo) == backbone.interpreter(photo)).all()


@pytest.mark.parametrize("scale", [0, -1.0, "0.1", True, 1e400])
def test_a_manifest_with_a_senseless_scale_of_embeddings_is_refused(tmp_path, scale) -> None:
    bundle = open_bundle(build_bundle(tmp_path / "a.edgetl"))
    with pytest.raises((BundleError, ValueError), match=r"scale of embeddings must be positive|not JSON compliant"):
        write_bundle(tmp_path / "b.edgetl", bundle.manifest | {"embedding_scale": scale}, bundle.members)
    assert not (tmp_path / "b.edgetl").exists()


def test_a_manifest_that_gives_an_int8_backbone_a_scale_does_not_fit_it(tmp_path) -> None:
    bundle = open_bundle(build_bundle(tmp_path / "a.edgetl"))
    write_bundle(tmp_path / "b.edgetl", bundle.manifest | {"embedding_scale": 0.02}, bundle.members)
    assert bundle.members["backbone.tflite"] == INSPECTABLE.read_bytes()
    with pytest.raises(MismatchError, match="the manifest describes a backbone"):
        open_backbone(open_bundle(tmp_path / "b.edgetl"))


def test_of_a_photo_that_is_refused_nothing_but_the_reason_is_kept(tmp_path) -> None:
    (tmp_path / "large.jpg").write_bytes(b"\xff\xd8\xff" + bytes(1 << 20))
    ((_, refusal),) = prepare_files([tmp_path / "large.jpg"], Preprocessing(8, 8))
    assert isinstance(refusal, PhotoError) and "large.jpg" in str(refusal)
    assert refusal.__traceback__ is None and refusal.__context__ is None  # both would hold the file's bytes
