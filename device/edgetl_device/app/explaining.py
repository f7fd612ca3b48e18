"""Where in a frame the evidence for its label is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..heads.contributions import contributions
from ..heads.head import Head
from ..inference.activation_map import as_picture, can_explain, spread
from ..inference.backbone import Backbone
from ..inference.interpreter import TFLiteInterpreter
from .subscription import Recognition


def activation_of(backbone: Backbone, head: Head) -> Callable[[Recognition], npt.NDArray[np.uint8] | None] | None:
    """Recognition → (h, w) uint8 where the evidence for its label is; None where the bundle has no feature map."""
    interpreter = backbone.interpreter
    if not (isinstance(interpreter, TFLiteInterpreter) and interpreter.explains and can_explain(head)):
        return None
    looking, transform, digest = backbone.looking, backbone.transform, backbone.digest

    def activation(recognition: Recognition) -> npt.NDArray[np.uint8] | None:
        if recognition.backbone != digest or recognition.prediction.label not in head.labels:
            return None
        number = head.labels.index(recognition.prediction.label)
        shares = contributions(head.scorer, transform(recognition.raw[None])[0], transform, number).shares
        return as_picture(spread(shares, interpreter.feature_map(looking.anyhow(recognition.frame.image)[0])))

    return activation
