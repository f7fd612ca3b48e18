"""The catalogue's backbones in Keras 3: names, arguments and wrapped lists of Keras 2 that it does not take."""

import numpy as np
import pytest

pytest.importorskip("edgetl")

from edgetl import tf
from edgetl.backbones.backbone import BackboneSpec, build
from edgetl.models.keras3_copy import as_keras3
from edgetl_device.errors import InputError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning:keras.*")]


@pytest.mark.parametrize(
    ("name", "alpha"), [("mobilenet_v2", 0.35), ("mobilenet_v3_small", 0.35), ("efficientnet_lite0", 1.0)]
)
def test_a_backbone_gives_the_same_embeddings_in_keras_3(name: str, alpha: float) -> None:
    model = build(BackboneSpec(name, alpha, 32, "none"))
    twin = as_keras3(model, "backbone")
    assert type(twin).__module__.startswith("keras.src") and twin.name == "backbone"
    assert len(twin.get_weights()) == len(model.get_weights())
    photos = np.random.default_rng(1).uniform(-1, 1, (3, 32, 32, 3)).astype(np.float32)
    one, other = (np.asarray(each(photos, training=False)) for each in (model, twin))
    assert one == pytest.approx(other, abs=1e-4 * float(np.abs(one).max()))


def test_what_keras_3_cannot_be_given_is_named() -> None:
    keras = tf.keras()
    entry = keras.Input((8, 8, 3))
    model = keras.Model(entry, keras.layers.GlobalAveragePooling2D()(tf.load().abs(entry)))
    with pytest.raises(
        InputError, match=r"--export keras: layer tf\.math\.abs is a TFOpLambda, which cannot be made anew"
    ):
        as_keras3(model, "backbone")
