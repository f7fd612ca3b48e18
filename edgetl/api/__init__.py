"""What the program ``edgetl`` does, for a program of your own: photos → run → bundle → device.

One after the other, the examples of the functions are one program: ``photos``, ``training``, ``bundles`` and
``embedded`` in this room. Nothing is printed; where something takes minutes, ``progress=print`` tells what happens.
"""

from __future__ import annotations

from .bundles import Quantization, convert, deploy, evaluate, open_bundle_or_run, predict
from .embedded import convert_embeddings, embed, train_embeddings
from .photos import as_paths, import_photos, load_photos
from .progress import Progress
from .training import FineTuning, Strategy, backbone_spec, train

__all__ = [
    "FineTuning",
    "Progress",
    "Quantization",
    "Strategy",
    "as_paths",
    "backbone_spec",
    "convert",
    "convert_embeddings",
    "deploy",
    "embed",
    "evaluate",
    "import_photos",
    "load_photos",
    "open_bundle_or_run",
    "predict",
    "train",
    "train_embeddings",
]
