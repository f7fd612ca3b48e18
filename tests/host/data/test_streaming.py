from __future__ import annotations

import cv2
from conftest import draw

from edgetl.data.streaming import shots
from edgetl_device.errors import PhotoError
from edgetl_device.preprocess import Preprocessing


def test_shots_come_in_order_and_of_a_refused_photo_nothing_but_the_reason_is_kept(tmp_path) -> None:
    whole = cv2.imencode(".png", draw("ball", 1))[1].tobytes()
    files = [tmp_path / name for name in ("a.png", "b.png", "missing.png", "c.png")]
    for path, data in zip(files, (whole, whole[:-30], None, whole), strict=True):
        if data is not None:
            path.write_bytes(data)
    first, damaged, missing, last = shots(files, (Preprocessing(8, 8),))
    assert (first.photos[0] == last.photos[0]).all() and first.photos[0].shape == (8, 8, 3)
    for refusal, name in ((damaged, "b.png"), (missing, "missing.png")):
        assert isinstance(refusal, PhotoError) and name in str(refusal)
        assert refusal.__traceback__ is None and refusal.__context__ is None
