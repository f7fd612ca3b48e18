"""One file with the model's own head: what is refused, and that the gate holds for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("edgetl")

from support.tiny_source import KINDS, tiny_source

from edgetl.conversion.converter import export, representative_photos
from edgetl.conversion.one_file import check_own_head, with_own_head
from edgetl.models.float_model import FloatModel, OwnHead
from edgetl_device.errors import CheckFailedError, InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> FloatModel:
    return tiny_source(tmp_path_factory.mktemp("photos"))


def test_models_without_a_head_of_their_own_say_what_to_do(source) -> None:
    with pytest.raises(InputError, match="a RUN has no last layer but the solved head of --fused"):
        check_own_head(source)
    with pytest.raises(InputError, match=r"tiny is one \.tflite file with its own head already: use it as it is"):
        check_own_head(replace(source, ready=b"TFL3"))


def test_a_head_that_gets_worse_under_the_converted_backbone_is_refused(source) -> None:
    """A head that the float model is said to be always right with, and that guesses under the converted one."""
    photos = representative_photos(source.training_photos(6), source.preprocessing)
    exported = export(source.backbone, photos, source.scale, "int8")
    rows = np.random.default_rng(0)
    head = OwnHead(rows.normal(size=(64, 3)).astype(np.float32), np.zeros(3, np.float32), KINDS, source.reference)
    with pytest.raises(CheckFailedError, match=r"agree on 33 % of 18 held-out photos.*Nothing was written"):
        with_own_head(exported, replace(source, own=head), 0.01, "toys")
    with_own_head(exported, replace(source, own=head), 1.0, "toys")
