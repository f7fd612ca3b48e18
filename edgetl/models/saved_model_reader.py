"""A SavedModel from anywhere → the frozen graph of its signature.

Runs as a program, in a confined process (see :mod:`edgetl.models.confined`):
``python -m edgetl.models.saved_model_reader FOLDER OUT LIMITS`` writes ``frozen.pb`` into OUT.

TensorFlow's own loader runs whatever the file calls an initializer, and functions by which objects in it say they are
saved and restored. Here none of that is called: the signature's part of the graph is cut out, held against
:mod:`edgetl.models.allowed_operations`, and given the values of its variables.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgetl_device.errors import InputError

from .. import tf
from .allowed_operations import FORBIDDEN, PURE, RANDOM, RESTORE, VARIABLES, first_outside
from .call_graph import check_calls
from .confined import answer
from .confined_graph import start, write
from .frozen_graph import RANDOM_AT_INFERENCE, freeze
from .image_shapes import image_shape

_INITIALIZERS = ("saved_model_main_op", "legacy_init_op", "table_initializer")
_INITIALIZER_SIGNATURE = "__saved_model_init_op"
_OWN_FUNCTIONS = ("_create_resource", "_initialize", "_restore_from_tensors", "_destroy_resource")
_EXPORT = "export it with model.export('folder')"


def main() -> None:
    """Read FOLDER, write its frozen graph into OUT, and tell the parent what goes in and comes out."""
    path, folder = Path(sys.argv[1]), Path(sys.argv[2])

    def work() -> dict[str, Any]:
        start()
        return frozen_signature(path, folder)

    answer(work)


def frozen_signature(path: Path, folder: Path) -> dict[str, Any]:
    """Write ``frozen.pb`` → the names of its ``entry`` and ``output`` tensors and the ``shape`` of its images.

    Raises:
        InputError: it holds an operation that is not allowed, or no signature for one batch of images.
    """
    meta = _meta_graph(path)
    _check_forbidden(meta)
    entry, output, number_type, shape = _signature(meta)
    image = image_shape(shape)
    try:
        call = _forward(meta, path, entry, output, number_type)
        frozen = freeze(call, image)
    except InputError:
        raise
    except Exception as error:  # whatever TensorFlow raises for a graph that does not fit together
        raise _cannot_run(shape, error) from None
    return write(frozen, image[:2], folder)


def _cannot_run(shape: tuple[int | None, ...], error: Exception) -> InputError:
    if shape[0] not in (None, 1):
        return InputError(
            f"it takes batches of exactly {shape[0]} images, and the device sees one at a time: {_EXPORT}, "
            "with an input shape of (None, height, width, 3)"
        )
    return InputError(f"its graph does not fit together: {' '.join(str(error).split())[:200]}")


def _meta_graph(path: Path) -> Any:
    from google.protobuf.message import DecodeError

    tf.load()
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString((path / "saved_model.pb").read_bytes())
    except DecodeError:
        raise InputError("its saved_model.pb is damaged; copy the whole folder again") from None
    graphs = [meta for meta in saved.meta_graphs if "serve" in meta.meta_info_def.tags] or list(saved.meta_graphs)
    if not graphs:
        raise InputError(f"it has no signature to call: {_EXPORT}")
    return graphs[0]


def _check_forbidden(meta: Any) -> None:
    """Refuse what reads or writes files, runs Python or uses a network, called or not; and such initializers."""
    functions = {function.signature.name: function for function in meta.graph_def.library.function}
    everything = [node.op for node in meta.graph_def.node]
    everything += [node.op for function in functions.values() for node in function.node_def]
    bad = next((operation for operation in everything if operation in FORBIDDEN), None)
    if bad is None:
        bad = first_outside(_initializer_operations(meta, functions), PURE | RANDOM | RESTORE - {"RestoreV2"})
    if bad is not None:
        raise InputError(
            f"it holds the operation {bad[:60]!r}, which can touch files, the network or the program itself and is "
            f"not run: {_EXPORT} from layers that only compute"
        )


def _initializer_operations(meta: Any, functions: dict[str, Any]) -> Iterator[str]:
    nodes = {node.name: node for node in meta.graph_def.node}
    names = [output.name for output in meta.signature_def[_INITIALIZER_SIGNATURE].outputs.values()] if (
        _INITIALIZER_SIGNATURE in meta.signature_def
    ) else []  # fmt: skip
    names += [name for key in _INITIALIZERS for name in meta.collection_def[key].node_list.value] if any(
        key in meta.collection_def for key in _INITIALIZERS
    ) else []  # fmt: skip
    for node in _reachable([nodes[_plain(name)] for name in names if _plain(name) in nodes], nodes, functions):
        yield node.op
    objects = meta.object_graph_def.nodes
    for held in objects:
        for child in held.children:
            if child.local_name in _OWN_FUNCTIONS and child.node_id < len(objects):
                for name in objects[child.node_id].function.concrete_functions:
                    called = list(functions[name].node_def) if name in functions else []
                    yield from (node.op for node in _reachable(called, {}, functions))


def _reachable(start: list[Any], nodes: dict[str, Any], functions: dict[str, Any]) -> Iterator[Any]:
    """The nodes that these depend on, and those of the functions that they call, each once."""
    waiting, met, called = list(start), set(), set()
    while waiting:
        node = waiting.pop()
        if id(node) in met:
            continue
        met.add(id(node))
        yield node
        waiting += [nodes[_plain(name)] for name in node.input if _plain(name) in nodes]
        for value in node.attr.values():
            for name in [value.func.name, *(each.name for each in value.list.func)]:
                if name in functions and name not in called:
                    called.add(name)
                    waiting += functions[name].node_def


def _signature(meta: Any) -> tuple[str, str, int, tuple[int | None, ...]]:
    """Tensor names of the images and the scores, the images' type, and their shape."""
    signatures = {name: each for name, each in meta.signature_def.items() if name != _INITIALIZER_SIGNATURE}
    signature = signatures.get("serving_default") or next(iter(signatures.values()), None)
    if signature is None:
        raise InputError(f"it has no signature to call: {_EXPORT}")
    if len(signature.inputs) != 1 or len(signature.outputs) != 1:
        raise InputError(
            f"it has {len(signature.inputs)} inputs and {len(signature.outputs)} outputs: a classifier has one each"
        )
    (entry,), (output,) = signature.inputs.values(), signature.outputs.values()
    if entry.tensor_shape.unknown_rank or not entry.name or not output.name:
        raise InputError(f"its signature does not say the size of its images: {_EXPORT}")
    shape = tuple(None if each.size < 0 else int(each.size) for each in entry.tensor_shape.dim)
    return entry.name, output.name, entry.dtype, shape


def _forward(meta: Any, path: Path, entry: str, output: str, number_type: int) -> Callable[[Any], Any]:
    """The signature as a function of a batch of images, its variables filled."""
    tensorflow = tf.load()
    functions = {function.signature.name: function for function in meta.graph_def.library.function}
    graph = tensorflow.compat.v1.graph_util.extract_sub_graph(meta.graph_def, [_plain(output)])
    nodes = {node.name: node for node in graph.node}
    used = list(_reachable([nodes[_plain(output)]], nodes, functions))
    bad = first_outside((node.op for node in used), PURE | RANDOM | VARIABLES)
    if bad is not None and any("Random" in node.op for node in used):
        raise InputError(RANDOM_AT_INFERENCE)
    if bad is not None:
        raise InputError(
            f"it computes with the operation {bad[:60]!r}, which is not among those that edgetl takes from a file: "
            f"{_EXPORT} from layers that only compute"
        )
    check_calls(graph.node, functions)
    values = _variables(meta, path, graph)

    def call(batch: Any) -> Any:
        function = tensorflow.compat.v1.get_default_graph()
        mapped = {entry: tensorflow.cast(batch, number_type)}
        for name, value in values.items():
            if isinstance(value, tensorflow.Variable):
                function.watch_variable(value)
                value = function.capture(value.handle)
            mapped[name] = value
        (scores,) = tensorflow.graph_util.import_graph_def(graph, input_map=mapped, return_elements=[output], name="")
        return scores

    call.keep = values  # type: ignore[attr-defined]  # else the variables were deleted before they are frozen
    return call


def _variables(meta: Any, path: Path, graph: Any) -> dict[str, Any]:
    """Tensor names of the variables in a graph → a variable, or the value itself where the graph is of TensorFlow 1."""
    tensorflow = tf.load()
    wanted = [node for node in graph.node if node.op in ("VarHandleOp", "VariableV2", "Variable")]
    if not wanted:
        return {}
    restored = _restored(meta, path, [node.name for node in wanted])
    return {
        f"{node.name}:0": (tensorflow.Variable if node.op == "VarHandleOp" else tensorflow.constant)(value)
        for node, value in zip(wanted, restored, strict=True)
    }


def _restored(meta: Any, path: Path, names: list[str]) -> list[Any]:
    """The values of variables, read from ``variables/`` by the file's own restore function, once that was checked."""
    tensorflow = tf.load()
    functions = {function.signature.name: function for function in meta.graph_def.library.function}
    saver = meta.saver_def
    nodes = {node.name: node for node in meta.graph_def.node}
    if saver.restore_op_name not in nodes or _plain(saver.filename_tensor_name) not in nodes:
        raise InputError(f"it does not say how its variables are restored: {_EXPORT}")
    used = _reachable([nodes[saver.restore_op_name]], nodes, functions)
    bad = first_outside((node.op for node in used), PURE | RESTORE)
    if bad is not None:
        raise InputError(f"it restores its variables by the operation {bad[:60]!r}, which is not run: {_EXPORT}")
    check_calls(used, functions)
    v1 = tensorflow.compat.v1
    with tensorflow.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        part = v1.graph_util.extract_sub_graph(meta.graph_def, [saver.restore_op_name, *names])
        tensorflow.graph_util.import_graph_def(part, name="")
        prefix = str(path / "variables" / "variables")
        session.run(saver.restore_op_name, {saver.filename_tensor_name: prefix})
        reads = []
        for name in names:
            operation = graph.get_operation_by_name(name)
            tensor = operation.outputs[0]
            if operation.type == "VarHandleOp":
                tensor = tensorflow.raw_ops.ReadVariableOp(resource=tensor, dtype=operation.get_attr("dtype"))
            reads.append(tensor)
        return list(session.run(reads))


def _plain(name: str) -> str:
    return name.removeprefix("^").split(":")[0]


if __name__ == "__main__":
    main()
