"""Class activation maps: where in a photo the evidence for its label is.

Class activation mapping (Zhou et al. 2016, https://arxiv.org/abs/1512.04150) is exact where scores are linear in pooled
features: a score is a sum over features, a feature a mean over places, so the score is a sum over places. Here two
things stand between pooled features and scores, and this is what is done about them:

1. The code transform, ``code = round(√p · L / ‖√p‖)``, is not linear. Each feature's code is shared out over the places
   in proportion to what each place contributes to the pooled feature: ``code_j · F_j(place) / Σ F_j``. That is the
   secant of the transform through zero at this photo. The shares add up to the code exactly, so *the map adds up to the
   score*; but it says how the score of this photo is made up, not what the score would be if a place changed (the root
   has another slope there, and the norm couples all places).
2. A head need not be linear (``predictive`` has a quadratic part). What a feature contributes is the integral of the
   score's slope from the empty embedding to this photo's (:mod:`edgetl_device.heads.contributions`): exact for scores
   up to cubic in the codes, so for every built-in head but ``prototype``, whose kinks and norms leave a rest. The rest
   is measured, and the command shows it.

The score explained is that of the label over the mean of the others: what all classes share moves no decision.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgetl_device.bundle.bundle import Bundle
from edgetl_device.bundle.possible import sound_content
from edgetl_device.errors import InputError
from edgetl_device.heads.contributions import contributions
from edgetl_device.inference.activation_map import spread
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.backbone_trial import refuse_unsound
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.photos import Image

from ..tflite.feature_map import expose_feature_map

_FOR, _AGAINST = (0, 140, 255), (200, 90, 0)  # BGR: orange and blue

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Where the evidence for a label is.

    Args:
        label: what is explained.
        probability: of it.
        evidence: (h, w) float32, parts of the score by place; positive speaks for the label, negative for the others.
        score: of the label over the mean of the others, less that of the empty embedding.
        rest: share of the score that the map does not add up to; rounding alone leaves about 0.001.
    """

    label: str
    probability: float
    evidence: Map
    score: float
    rest: float


class Explainer:
    """A bundle's backbone and head, ready to explain photos. Any bundle will do; see :mod:`.feature_map`.

    Raises:
        InputError: the bundle has no classes, or its backbone no feature map.
        BundleError: the backbone crashes, never ends or needs too much memory.
    """

    def __init__(self, bundle: Bundle, runtime: str = "auto") -> None:
        content = sound_content(bundle)
        self.head = content.head()
        if len(self.head.labels) < 2:
            raise InputError("the bundle knows fewer than two classes: there is nothing to explain")
        self._preprocessing, self._transform = bundle.preprocessing, bundle.codes
        model = expose_feature_map(bundle.members["backbone.tflite"])
        refuse_unsound(model, content.check[0], runtime)
        interpreter = TFLiteInterpreter(model, runtime)
        self._interpreter = interpreter
        scale = bundle.embedding_scale
        self._backbone = Backbone(interpreter, bundle.preprocessing, bundle.codes, bundle.backbone_digest, scale)

    def explain(self, frame: Image, label: str | None = None) -> Explanation:
        """(any, any, 3) uint8 BGR → Explanation of a label, or of the most probable one.

        Raises:
            InputError: the bundle does not know the label.
        """
        if label is not None and label not in self.head.labels:
            raise InputError(f"the bundle does not know {label!r}: expected one of {', '.join(self.head.labels)}")
        photo = self._preprocessing(frame)
        codes = self._backbone.codes(self._backbone.embed_photo(photo)[None])
        probabilities = self.head.probabilities(codes)[0]
        number = int(probabilities.argmax()) if label is None else self.head.labels.index(label)
        parts = contributions(self.head.scorer, codes[0], self._transform, number)
        evidence = spread(parts.shares, self._interpreter.feature_map(photo))
        rest = abs(float(evidence.sum(dtype=np.float64)) - parts.score) / max(abs(parts.score), 1e-6)
        return Explanation(self.head.labels[number], float(probabilities[number]), evidence, parts.score, rest)


def overlay(photo: npt.NDArray[np.uint8], evidence: Map) -> Image:
    """Evidence (h, w) over the photo it is of, (H, W, 3) uint8 RGB → (H, W, 3) uint8 BGR.

    Orange speaks for the label, blue against it (colours that the colour-blind tell apart), the photo is dimmed to grey
    where nothing speaks.
    """
    import cv2

    height, width = photo.shape[:2]
    smooth = cv2.resize(evidence, (width, height), interpolation=cv2.INTER_CUBIC)
    strength = np.clip(smooth / max(float(np.abs(smooth).max()), 1e-9), -1, 1)[:, :, None]
    colour = np.where(strength > 0, np.array(_FOR, np.float32), np.array(_AGAINST, np.float32))
    grey = cv2.cvtColor(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2BGR).astype(np.float32)
    near = np.abs(strength)
    plain = grey * 0.75 * (1 - near) + photo[:, :, ::-1] * near
    mixed: Image = np.clip(plain * (1 - 0.45 * near) + colour * 0.45 * near, 0, 255).astype(np.uint8)
    return mixed
