"""What options ask of a kind of model that it cannot give: told before anything is loaded, which takes long."""

from __future__ import annotations

from pathlib import Path

from edgetl_device.errors import InputError

from ..data.datasets import find_all
from ..models.classifiers import HELD_OUT
from ..models.float_model import FloatModel
from ..models.keras_files import needs_keras2
from ..models.model_kinds import model_kind
from ..training.runs import is_run, open_run
from .compression import MAX_PHOTOS, Compression, check_steps


def check_asked(
    path: Path, quantize: str, compression: Compression, export: tuple[str, ...] = (), keep_head: bool = False
) -> None:
    """Raise InputError where the arguments alone decide; what is no model is left to those that open it."""
    if is_run(path):
        if keep_head:
            raise no_own_head()
        return
    kind = model_kind(path)
    if kind == "a .tflite file":
        if keep_head:
            raise own_head_already(path.name)
        if export:
            raise no_float_model(path.name)
        if compression or compression.per_tensor or quantize != "int8":
            raise converted_already(path.name)
    elif kind is not None and "keras" in export:
        raise not_trained_here(path.name)
    if kind == "a SavedModel" and compression:
        raise needs_keras2(f"{path} is a SavedModel")


def check_epochs(path: Path, compression: Compression, photos: tuple[Path, ...] | None, seed: int) -> None:
    """Raise InputError where the epochs that are asked for are too few to learn anything in.

    Args:
        path: a RUN, which lists its photos, or a model.
        photos: to convert a model with; None where they are missing, which is told by those that open it.
        seed: of what is held out.
    """
    if compression.epochs is None or not (is_run(path) or (photos is not None and model_kind(path))):
        return
    dataset = open_run(path).dataset if is_run(path) else find_all(photos or (), HELD_OUT, seed)
    check_steps(compression, min(len(dataset.rows("train")), MAX_PHOTOS))


def what_to_try(source: FloatModel, quantize: str, compression: Compression) -> str:
    """Where conversion costs too much accuracy: what is not done yet and would not be refused."""
    if source.ready is not None:
        return "Give more photos: the head is solved from them"
    if compression.prune is not None or compression.cluster is not None:
        return "Give more photos, more --epochs, or compress less"
    if quantize not in ("int8", "int8-float-io"):
        return "Give more photos" if quantize == "none" else "Try --quantize none, and give more photos"
    learn = quantize == "int8" and not compression.qat and _can_learn(source)
    others = "--quantize int16x8 or dynamic"
    return f"Try more --calibration-samples, {f'{others}, or --qat' if learn else f'or {others}'}"


def _can_learn(source: FloatModel) -> bool:
    """Whether TFMOT takes it: a RUN or a Keras 2 model."""
    try:
        source.keras()
    except InputError:
        return False
    return True


def no_own_head() -> InputError:
    """Of ``--keep-head`` with a RUN."""
    return InputError("--keep-head is for a model of your own: a RUN has no last layer but the solved head of --fused")


def own_head_already(name: str) -> InputError:
    """Of ``--keep-head`` with a ``.tflite`` file."""
    return InputError(f"--keep-head: {name} is one .tflite file with its own head already: use it as it is")


def no_float_model(name: str) -> InputError:
    """Of ``--export`` with a ``.tflite`` file."""
    return InputError(f"--export is of float models, and {name} is a .tflite file already")


def converted_already(name: str) -> InputError:
    """Of another number format, or fine-tuning, of a ``.tflite`` file."""
    return InputError(
        f"{name} is converted already: leave out --quantize, --per-tensor, --qat, --prune and --cluster, or give the "
        "model it was made of"
    )


def nothing_to_sweep(name: str) -> InputError:
    """Of a ``.tflite`` file, whose numbers stay as they are."""
    return InputError(
        f"{name} is converted already, so there are no ways to compare: `edgetl convert` makes a bundle of it as it "
        "is; or give the model it was made of"
    )


def not_trained_here(name: str) -> InputError:
    """Of ``--export keras`` with a model of the user's own."""
    return InputError(
        f"--export keras gives back what `edgetl train` made; {name} is a model of your own: keep your file"
    )
