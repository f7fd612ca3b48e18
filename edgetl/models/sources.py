"""What ``edgetl convert`` is given → a float model: a RUN, or a classifier in a file or folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgetl_device.errors import InputError

from ..training.train import open_run
from .classifiers import Given, keras_source, tflite_source
from .float_model import FloatModel, run_source
from .model_kinds import refuse_bundle, refuse_packed
from .tflite_files import is_tflite


def open_source(
    path: Path,
    photos: tuple[Path, ...] | None = None,
    labels: Path | None = None,
    scale: tuple[float, float] | None = None,
    seed: int | None = None,
    resize: str | None = None,
) -> FloatModel:
    """A RUN, or an image classifier in a file or folder.

    Args:
        photos: where the run's photos are now; of a classifier, the photos to convert with, one folder a class.
        labels: of a classifier, a file with the label of each output; else the sorted folders of ``photos``.
        scale: of a classifier: what pixels 0 and 255 became in training, where it does not scale itself.
        seed: instead of the run's, or of 0.
        resize: of a classifier: one of :data:`~edgetl_device.preprocess.RESIZES`; None to find out.

    Raises:
        InputError: it is neither, or something is missing that it needs.
    """
    if path.is_dir() and not (path / "saved_model.pb").is_file():
        unused = [
            name
            for name, value in (("--labels", labels), ("--scale", scale), ("--resize", resize))
            if value is not None
        ]
        if unused:
            raise InputError(f"{unused[0]} describes a model file, and {path} is a RUN, which knows: leave it out")
        if photos is not None and len(photos) > 1:
            raise InputError(f"{path} is a RUN, whose photos lie in one folder: give that one with --photos")
        source = run_source(open_run(path), None if photos is None else photos[0])
        return source if seed is None else replace(source, seed=seed)
    refuse_bundle(path, "it is converted already, give the RUN or the model it was made from")
    refuse_packed(path)
    given = Given(path, photos, labels, scale, seed or 0, resize)
    return tflite_source(given) if is_tflite(path) else keras_source(given)
