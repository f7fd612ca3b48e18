"""The clean copy of a Keras file → the frozen graph of the classifier.

Runs as a program, in a confined process (see :mod:`edgetl.models.confined`):
``python -m edgetl.models.keras_freezer COPY OUT LIMITS`` writes ``frozen.pb`` into OUT. The configuration was checked
when the copy was made; but what Keras makes of it, and takes for it, is best found out where it can do no harm.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from .confined import answer
from .confined_graph import start, write
from .frozen_graph import freeze
from .image_shapes import image_shape
from .keras_loading import FACTS, CleanCopy, loaded


def main() -> None:
    """Read COPY, write its frozen graph into OUT, and tell the parent what goes in and comes out."""
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])
    facts = json.loads(path.with_name(FACTS).read_text())
    copy = CleanCopy(path, str(facts["version"]), int(facts["weights"]))

    def work() -> dict[str, Any]:
        start(tf.keras3 if copy.major >= 3 else tf.keras)
        return frozen_model(copy, folder)

    answer(work)


def frozen_model(copy: CleanCopy, folder: Path) -> dict[str, Any]:
    """Write ``frozen.pb`` → the names of its ``entry`` and ``output`` tensors, ``height`` and ``width`` of its images.

    Raises:
        InputError: Keras cannot build it, or it is no image classifier; the message does not name the file.
    """
    model = loaded(copy)
    shapes = [getattr(model, "input_shape", None), getattr(model, "output_shape", None)]
    if any(isinstance(each, list | dict) for each in shapes):
        raise InputError("it has several inputs or outputs: an image classifier has one of each")
    shape = image_shape(shapes[0])
    try:
        frozen = freeze(tf.inference(model), shape)
    except (ValueError, tf.load().errors.OpError) as error:
        raise InputError(f"it cannot be frozen into one graph: {' '.join(str(error).split())[:200]}") from None
    return write(frozen, shape[:2], folder)


if __name__ == "__main__":
    main()
