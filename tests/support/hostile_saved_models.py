"""SavedModels that a stranger could send, as folders: ``python tests/support/hostile_saved_models.py OUT MARKER``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from edgetl import tf

SIZE = (8, 8, 3)


def export(tensorflow: Any, folder: Path, function=lambda x: x, shape=(None, *SIZE), **parts: Any) -> Path:
    """A SavedModel that scales, calls what is planted, and ends in a Dense layer."""
    module = tensorflow.Module()
    module.weights = tensorflow.Variable(np.full((192, 2), 0.01, np.float32))
    for name, part in parts.items():
        setattr(module, name, part)

    def call(images):
        flat = tensorflow.reshape(function(images) / 255.0, (-1, 192))
        return {"scores": flat @ module.weights}

    signature = [tensorflow.TensorSpec(shape, tensorflow.float32)]
    concrete = tensorflow.function(call, input_signature=signature).get_concrete_function()
    tensorflow.saved_model.save(module, str(folder), signatures={"serving_default": concrete})
    return folder


def with_effect(tensorflow: Any, effect: Callable[[], Any]) -> Callable[[Any], Any]:
    """A function of images that has a side effect first."""

    def function(images):
        with tensorflow.control_dependencies([effect()]):
            return tensorflow.identity(images)

    return function


def effects(tensorflow: Any, marker: str) -> dict[str, Callable[[], Any]]:
    """Operations that reach out of the graph."""
    io, raw = tensorflow.io, tensorflow.raw_ops
    return {
        "writes a file": lambda: io.write_file(marker, "x"),
        "reads a file": lambda: io.read_file("/etc/passwd"),
        "lists files": lambda: io.matching_files("/etc/*"),
        "runs Python": lambda: tensorflow.numpy_function(lambda: np.float32(0), [], tensorflow.float32),
        "prints": lambda: tensorflow.print("x", output_stream=f"file://{marker}"),
        "saves": lambda: raw.SaveV2(
            prefix=marker, tensor_names=["a"], shape_and_slices=[""], tensors=[tensorflow.constant(1.0)]
        ),
        "restores": lambda: raw.RestoreV2(prefix=marker, tensor_names=["a"], shape_and_slices=[""], dtypes=["float"]),
        "a summary": lambda: raw.WriteAudioSummary(
            writer=raw.SummaryWriter(), step=1, tag="a", tensor=tensorflow.zeros((1, 1)), sample_rate=1.0
        ),
    }


def main(folder: Path, marker: str) -> None:
    """Make them all."""
    tensorflow = tf.load()
    folder.mkdir()
    made = 0
    for name, effect in effects(tensorflow, marker).items():
        try:
            export(tensorflow, folder / name, with_effect(tensorflow, effect))
            made += 1
        except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
            print(f"not made: {name}: {error}"[:200], file=sys.stderr)
    large = tensorflow.raw_ops
    for side in (14, 20):

        def fill(images, side=side):
            value = large.Fill(dims=tensorflow.constant([1 << side, 1 << side]), value=tensorflow.constant(1e-9))
            return images * tensorflow.reduce_sum(value)

        export(tensorflow, folder / f"fills 2 to the {2 * side}", fill)

    def resized(images):
        return tensorflow.image.resize(tensorflow.image.resize(images, (30_000, 30_000)), SIZE[:2])

    export(tensorflow, folder / "a huge image", resized)

    def endless(images):
        return tensorflow.while_loop(lambda x: tensorflow.reduce_sum(x) > -1e30, lambda x: (x + 1.0,), (images,))[0]

    export(tensorflow, folder / "an endless loop", endless)
    sound = export(tensorflow, folder / "damage", lambda x: x)
    data = (sound / "saved_model.pb").read_bytes()
    generator = np.random.default_rng(0)
    import shutil

    for number in range(4):
        path = folder / f"damage {number}"
        shutil.copytree(sound, path)
        changed = bytearray(data[: len(data) * number // 4] if number < 2 else data)
        for place in generator.integers(0, max(len(changed), 1), 0 if number < 2 else 12):
            changed[place] ^= int(generator.integers(1, 256))
        (path / "saved_model.pb").write_bytes(changed)
    shutil.rmtree(sound)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
