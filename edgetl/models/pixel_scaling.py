"""What a classifier does to pixels before its first real layer: scale them, reorder and resize them.

There are many ways to write the same scaling (``Rescaling``, ``Normalization``, ``preprocess_input`` with or without
BGR, behind ``Resizing``, by three slices and a stack), so it is not read off the operations but measured. The graph is
followed while its operations are light; wherever all paths meet, photos of one colour are sent through, and what comes
out says what pixels became: the same for each place, and a line for each channel.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .. import tf
from .frozen_graph import FrozenGraph, GraphView, plain, tensor_name

PLAUSIBLE = 300.0  # beyond this no network is fed: then pixels of 0 … 255 are not what the model takes
_LIGHT = frozenset(
    """
    Add AddV2 All Any BiasAdd Cast Ceil Concat ConcatV2 Div EnsureShape Equal ExpandDims Floor FloorDiv FloorMod
    FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherV2 Greater GreaterEqual Identity IdentityN Less
    LessEqual LogicalAnd LogicalNot LogicalOr Maximum Merge Minimum MirrorPad Mul Neg NotEqual Pack Pad PadV2
    PreventGradient Range Rank RealDiv Reshape ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor Reverse
    ReverseV2 Round ScaleAndTranslate Select SelectV2 Shape ShapeN Size Slice Snapshot Split SplitV Squeeze
    StopGradient StridedSlice Sub Switch Transpose Unpack
    """.split()  # noqa: SIM905
)
_TOLERANCE = 1e-4  # of the range of values
_MAX_CUTS = 16

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Where the scaling of pixels ends.

    Args:
        start: name of the tensor from which the backbone is taken.
        scale: what pixels 0 and 255 are there.
        inside: whether scaling is left behind it.
    """

    start: str
    scale: tuple[float, float]
    inside: bool


@dataclass(frozen=True, eq=False)
class _Stage:
    """What became of pixels at one tensor.

    Args:
        tensor: its name.
        black, white: what the ends of the range are there, (3,) by channel, or (1,) in grey.
        moved: whether pixels are elsewhere, or of another channel, than they were.
    """

    tensor: str
    black: Values
    white: Values
    moved: bool

    def same_values(self, other: _Stage) -> bool:
        """Whether pixels have the values that they have there."""
        room = _TOLERANCE * max(float(np.ptp([other.black, other.white])), 1e-6)
        ends = ((self.black, other.black), (self.white, other.white))
        return all(np.abs(np.sort(a) - np.sort(b)).max() <= room for a, b in ends)


def find_scaling(graph: GraphView, frozen: FrozenGraph, asked: tuple[float, float] | None) -> Scaling:
    """Follow the pixels from the entry of a graph to its first real layer.

    Args:
        asked: what pixels 0 and 255 become before the classifier sees them; None to find out.

    Raises:
        InputError: nothing scales them, or to values that no network is fed with.
    """
    low, high = asked or (0.0, 255.0)
    entry = _Stage(tensor_name(frozen.entry), np.full(3, low), np.full(3, high), False)
    before, scaled = entry, entry
    for stage in _stages(graph, frozen, low, high):
        if not stage.same_values(before):
            scaled = stage
        before = stage
    if asked is None and scaled is entry:
        raise InputError(
            "no scaling of pixels was found inside the model: say with --scale MIN,MAX what pixels 0 and 255 "
            "became in its training (-1,1 for MobileNetV2's preprocess_input, 0,1 for / 255; 0,255 for pixels as they "
            "are, which is right too where the model scales them in a way that edgetl does not know)"
        )
    ends = (scaled.black, scaled.white)
    worst = max(float(np.abs(value).max()) for value in ends)
    if worst > PLAUSIBLE:
        raise InputError(
            f"the model's own scaling turns pixels of 0 to 255 into values up to {worst:.0f}, so it was trained on "
            "others: say with --scale MIN,MAX what pixels 0 and 255 became before the model (0,1 for / 255)"
        )
    by_channel = any(np.ptp(value) > 1e-6 * max(worst, 1) for value in ends)
    if by_channel or scaled.moved:
        return Scaling(entry.tensor, (float(low), float(high)), True)
    return Scaling(scaled.tensor, (float(ends[0].flat[0]), float(ends[1].flat[0])), False)


def _stages(graph: GraphView, frozen: FrozenGraph, low: float, high: float) -> list[_Stage]:
    """What became of pixels wherever all paths meet, up to where they are more than scaled and moved."""
    cuts = _cuts(graph, plain(frozen.entry))
    if not cuts:
        return []
    noise, colours = _probes(graph, frozen, low, high)
    stages = []
    for name, values in zip(cuts, _values(graph, frozen, cuts, [noise, *colours]), strict=True):
        stage = _stage(f"{name}:0", values[0], np.stack([_middle(value) for value in values[1:]]), noise, low, high)
        if stage is None:
            break
        stages.append(stage)
    return stages


def _cuts(graph: GraphView, entry: str) -> list[str]:
    """Nodes that all that follows depends on, in order, as long as operations are light."""
    waiting = deque([entry])
    missing: dict[str, int] = {}
    open_edges: dict[str, int] = {}
    cuts: list[str] = []
    while waiting and len(cuts) < _MAX_CUTS:
        name = waiting.popleft()
        node = graph.nodes[name]
        if name != entry and node.op not in _LIGHT and not _is_grey(graph, node):
            break
        for source in dict.fromkeys(plain(each) for each in node.input):
            if source in open_edges:
                open_edges[source] -= 1
        users = graph.users(name)
        open_edges[name] = len(users)
        for user in users:
            left = missing.get(user.name)
            if left is None:
                left = sum(not graph.is_constant(each) for each in dict.fromkeys(plain(i) for i in user.input))
            missing[user.name] = left - 1
            if left == 1:
                waiting.append(user.name)
        if name != entry and all(count == 0 for source, count in open_edges.items() if source != name):
            cuts.append(name)
    return cuts


def _is_grey(graph: GraphView, node: Any) -> bool:
    """Whether a node turns colour into grey: weights that add up to one."""
    if node.op != "Conv2D":
        return False
    kernel = graph.constant(node.input[1])
    return kernel is not None and kernel.shape == (1, 1, 3, 1) and kernel.min() >= 0 and abs(kernel.sum() - 1) < 0.01


def _probes(graph: GraphView, frozen: FrozenGraph, low: float, high: float) -> tuple[Values, list[Values]]:
    """A photo of noise; and photos black, white, red, green, blue and of two mixed colours, (1, h, w, 3)."""
    shape = [size.size for size in graph.node(frozen.entry).attr["shape"].shape.dim]
    generator = np.random.default_rng(0)
    shares = [np.zeros(3), np.ones(3), *np.eye(3), np.array([0.2, 0.5, 0.9]), np.array([0.7, 0.1, 0.4])]
    colours = [np.broadcast_to(low + share * (high - low), shape) for share in shares]
    return low + generator.uniform(0, 1, shape) * (high - low), colours


def _values(graph: GraphView, frozen: FrozenGraph, cuts: list[str], photos: list[Values]) -> list[list[Values]]:
    """For each node, what it gives for each photo."""
    tensorflow = tf.load()
    part = tensorflow.compat.v1.graph_util.extract_sub_graph(graph.definition, cuts)

    def imported() -> None:
        tensorflow.graph_util.import_graph_def(part, name="")

    wrapped = tensorflow.compat.v1.wrap_function(imported, [])
    tensors = [wrapped.graph.get_tensor_by_name(f"{name}:0") for name in cuts]
    run = wrapped.prune([wrapped.graph.get_tensor_by_name(tensor_name(frozen.entry))], tensors)
    results = [run(tensorflow.constant(photo, tensorflow.float32)) for photo in photos]
    return [[np.asarray(result[index], np.float64) for result in results] for index in range(len(cuts))]


def _middle(value: Values) -> Values:
    """The pixel in the middle: bars may have been added around it."""
    return value[0, value.shape[1] // 2, value.shape[2] // 2] if value.ndim == 4 else np.full(1, np.nan)


def _stage(tensor: str, of_noise: Values, pixels: Values, noise: Values, low: float, high: float) -> _Stage | None:
    """What a tensor makes of pixels, if it is a line for each channel; else None.

    Args:
        pixels: (7, c) what the photos of :func:`_probes` became in the middle.
    """
    if of_noise.ndim != 4 or of_noise.shape[3] not in (1, 3) or not np.isfinite(pixels).all():
        return None
    black, white = pixels[0], pixels[1]
    slopes = pixels[2:5] - black  # (3, c): what full red, green and blue add to each channel
    room = _TOLERANCE * max(float(np.abs(pixels).max()), 1e-6)
    mixed = black + np.array([[0.2, 0.5, 0.9], [0.7, 0.1, 0.4]]) @ slopes
    is_line = np.abs(pixels[5:] - mixed).max() <= room and np.abs(white - black - slopes.sum(axis=0)).max() <= room
    alone = (np.abs(slopes) > room).sum(axis=0) <= 1
    if not is_line or (of_noise.shape[3] == 3 and not alone.all()):
        return None
    span = np.array(high - low)
    unmoved = of_noise.shape == noise.shape and bool(
        np.abs(of_noise - (black + (noise - low) / span * np.diagonal(slopes))).max() <= 10 * room
    )
    return _Stage(tensor, black, white, not unmoved)
