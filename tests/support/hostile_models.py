"""Model files that a stranger could send: small, valid ones, and what may be planted in them."""

from __future__ import annotations

import base64
import io
import json
import marshal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Layer = dict[str, Any]


def layer(name: str, module: str | None = "keras.layers", **config: Any) -> Layer:
    return {"module": module, "class_name": name, "config": {"name": name.lower(), **config}, "registered_name": None}


def model(*layers: Layer, major: int = 3) -> dict[str, Any]:
    """A Sequential model on 8 × 8 pixels around the layers of a test."""
    shape = {"batch_shape" if major == 3 else "batch_input_shape": [None, 8, 8, 3]}
    around = [layer("InputLayer", **shape, dtype="float32"), layer("Rescaling", scale=1 / 255, offset=0.0)]
    parts = [*around, *layers, layer("Flatten"), layer("Dense", units=2)]
    return {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "s", "layers": parts},
        "registered_name": None,
    }


def weights(group: h5py.Group) -> None:
    """The weights of :func:`model` without further layers, as Keras 3 lays them out."""
    variables = group.create_group("layers/dense/vars")
    variables["0"], variables["1"] = np.full((192, 2), 0.01, np.float32), np.zeros(2, np.float32)


def weights_file(fill: Callable[[h5py.File], None] = weights) -> bytes:
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        fill(file)
    return memory.getvalue()


def write_keras(path: Path, configuration: Any, version: str = "3.15.1", **members: bytes) -> Path:
    """A ``.keras`` file; ``configuration`` is data, or the text itself."""
    text = configuration if isinstance(configuration, str | bytes) else json.dumps(configuration)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", text)
        archive.writestr("model.weights.h5", members.get("weights", weights_file()))
    return path


def write_hdf5(path: Path, configuration: Any, version: str = "2.15.0") -> Path:
    """A legacy ``.h5`` file; its weights are not what is tested."""
    text = configuration if isinstance(configuration, str | bytes) else json.dumps(configuration)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"], file.attrs["keras_version"] = text, version
        file.create_group("model_weights").attrs["layer_names"] = np.array([b"dense"])
        file["model_weights"].create_group("dense").attrs["weight_names"] = np.array([b"dense/kernel:0"])
    return path


def bytecode(marker: Path) -> list[Any]:
    """What Keras stores of a Lambda's function: marshalled code; this one makes a file when it runs."""
    code = compile(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]", "<planted>", "eval").co_consts[0]
    return [base64.b64encode(marshal.dumps(code)).decode(), None, None]


def planted_layers(marker: Path) -> Iterator[tuple[str, Layer]]:
    """Layers that would run code, open files, or name what is none of Keras' layers."""
    lamb = layer("Lambda", function={"class_name": "__lambda__", "config": {"value": bytecode(marker)}})
    legacy = {"class_name": "Lambda", "config": {"name": "l", "function": bytecode(marker), "function_type": "lambda"}}
    command = f"touch {marker}"
    system = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    yield "lambda", lamb
    yield "legacy lambda", legacy
    yield "lambda inside TimeDistributed", layer("TimeDistributed", layer=lamb)
    yield "lambda inside Bidirectional", layer("Bidirectional", layer=layer("LSTM", units=1), backward_layer=legacy)
    yield "lambda in a model in a model", model(model(lamb))
    yield "lambda as cell", layer("RNN", cell=lamb)
    yield "lambda among cells", layer("StackedRNNCells", cells=[legacy])
    yield "lambda in lower case", {**lamb, "class_name": "lambda"}
    yield "lambda in capitals", {**lamb, "class_name": "LAMBDA"}
    yield "lambda of another module", {**lamb, "module": "tf_keras.src.layers.core.lambda_layer"}
    yield "lambda behind a zero-width space", {**lamb, "class_name": "Lambda\u200b"}
    yield "lambda by registered name", {**layer("Dense", units=1), "registered_name": "Lambda"}
    yield "activation of bytecode", layer("Dense", units=1, activation=lamb["config"]["function"])
    yield "activation os.system", layer("Dense", units=1, activation=system)
    yield "activation eval", layer("Dense", units=1, activation={**system, "module": "builtins", "config": "eval"})
    yield "activation named like one", layer("Dense", units=1, activation={**system, "config": "relu"})
    yield "activation of a tuple", layer("Dense", units=1, activation={**system, "config": ["system"]})
    yield "activation by a helper's name", layer("Dense", units=1, activation="deserialize")
    yield "initializer by a helper's name", layer("Dense", units=1, kernel_initializer="get")
    yield (
        "initializer Popen",
        layer(
            "Dense",
            units=1,
            kernel_initializer={"module": "subprocess", "class_name": "Popen", "config": {"args": command}},
        ),
    )
    yield (
        "regularizer of a module",
        layer("Dense", units=1, kernel_regularizer={"module": "os", "class_name": "system", "config": command}),
    )
    yield (
        "constraint download",
        layer(
            "Dense",
            units=1,
            kernel_constraint={"module": "keras.utils", "class_name": "get_file", "config": {"origin": "file:///x"}},
        ),
    )
    yield "class of os", {"module": "os", "class_name": "system", "config": command, "registered_name": None}
    yield "class without a module", {"class_name": "system", "config": {}, "module": None}
    yield "class by a dotted name", layer("core.Lambda")
    yield "module with a dot", {**layer("Dense", units=1), "module": "keras.layers..os"}
    yield "module by a prefix", {**layer("Dense", units=1), "module": "kerasx.layers"}
    yield "module of test code", {**layer("Dense", units=1), "module": "keras.src.utils.python_utils"}
    yield "module as a list", {**layer("Dense", units=1), "module": ["os"]}
    yield "registered elsewhere", {**layer("Dense", units=1), "registered_name": "evil>Dense"}
    yield (
        "switching safe mode off",
        layer(
            "Dense", units=1, activation={**system, "module": "keras.config", "config": "enable_unsafe_deserialization"}
        ),
    )
    yield "SavedModel layer", layer("TFSMLayer", filepath=str(marker.parent))
    yield "torch layer", layer("TorchModuleWrapper", module={"class_name": "__bytes__", "config": {"value": "x"}})
    yield "vocabulary file", layer("StringLookup", vocabulary="/etc/passwd")
    yield "text vocabulary", layer("TextVectorization", vocabulary="/etc/passwd")
    yield "TensorFlow writes a file", layer("TFOpLambda", "keras.src.layers.core.tf_op_layer", function="io.write_file")
    yield "TensorFlow runs Python", layer("TFOpLambda", "keras.src.layers.core.tf_op_layer", function="py_function")
    yield "slicing that is none", layer("SlicingOpLambda", None, function="numpy_function")
    yield "TensorFlow's function as a list", layer("TFOpLambda", None, function=["math.add"])
    yield "graph node of TensorFlow 1", layer("TensorFlowOpLayer", node_def='op: "WriteFile"')
    yield (
        "type of a module",
        {
            "class_name": "__typespec__",
            "spec_name": "Popen",
            "module": "subprocess",
            "registered_name": None,
            "config": [command],
        },
    )
    yield (
        "tensor of objects",
        layer("Dense", units=1, bias={"class_name": "__numpy__", "config": {"value": [0], "dtype": "object"}}),
    )
    yield (
        "number type of a class",
        layer("Dense", units=1, dtype={"module": "os", "class_name": "Policy", "config": {}}),
    )
    yield "number type of texts", layer("Dense", units=1, dtype="string")
    yield (
        "planted in the arguments of a node",
        {
            **layer("Dense", units=1),
            "inbound_nodes": [{"args": [system], "kwargs": {}}],
        },
    )
    yield "planted in what it was built with", {**layer("Dense", units=1), "build_config": {"input_shape": lamb}}
    yield "endless sizes", layer("Dense", units=10**12)
    yield "an endless picture", layer("ZeroPadding2D", padding=[10**9, 10**9])


def texts(configuration: Any) -> Iterator[tuple[str, str]]:
    """The same JSON as a search for text would not recognise it."""
    yield "plain", json.dumps(configuration)
    yield "compact", json.dumps(configuration, separators=(",", ":"))
    yield "spread out", json.dumps(configuration, indent=3).replace('": ', '"\n:\t')
    yield "escaped", json.dumps(configuration).replace("Lambda", "\\u004cambd\\u0061").replace("lambda", "l\\u0061mbda")


def called(described: Layer, *calls: Any, **fields: Any) -> Layer:
    """A layer of a functional model, with its calls."""
    return {**described, "name": described["config"]["name"], "inbound_nodes": list(calls), **fields}


def on(name: str, node: int = 0) -> dict[str, Any]:
    """A call on what another layer gives, as Keras 3 writes it."""
    history = {"shape": [None, 8, 8, 3], "dtype": "float32", "keras_history": [name, node, 0]}
    return {"args": [{"class_name": "__keras_tensor__", "config": history}], "kwargs": {}}


def functional(name: str, layers: list[Layer], output: str, node: int = 0) -> Layer:
    entry = called({"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 8, 8, 3]}})
    config = {"name": name, "layers": [entry, *layers], "input_layers": [["i", 0, 0]]}
    return {"class_name": "Functional", "config": config | {"output_layers": [[output, node, 0]]}}


def nested(depth: int, calls: Callable[[str], list[Any]]) -> Layer:
    """Models in models, each called twice at every level."""
    inner = functional("f0", [called(layer("ReLU"), on("i"))], "relu")
    for level in range(1, depth):
        name = f"f{level - 1}"
        inner = functional(f"f{level}", [{**inner, "name": name, "inbound_nodes": calls(name)}], name, 1)
    return inner


def costly_models() -> Iterator[tuple[str, str, Layer]]:
    """Name, what the refusal says, and a small configuration that takes gigabytes or minutes to build."""
    relu = called(layer("ReLU"), on("i"))
    ghost = called(layer("Dense", units=1 << 19), build_config={"input_shape": [None, 1 << 10]})
    yield "a layer that nothing calls", "nothing calls", functional("m", [relu, ghost], "relu")
    without_outputs = functional("m", [relu, ghost], "relu")
    del without_outputs["config"]["output_layers"]
    yield "a model without outputs", "nothing calls", without_outputs
    constant = {"class_name": "__numpy__", "config": {"value": [[1.0]], "dtype": "float32"}}
    tile = called(layer("Tile", "keras.src.ops.numpy", repeats=[1 << 15, 1 << 14]), {"args": [constant], "kwargs": {}})
    yield "an operation on a constant", "computes on constants", functional("m", [relu, tile], "relu")
    legacy = layer("TFOpLambda", None, function="tile")
    legacy = called(legacy, ["_CONSTANT_VALUE", -1, [[1.0]], {"multiples": [1 << 15, 1 << 14]}])
    yield "a function on a constant", "computes on constants", functional("m", [relu, legacy], "relu")
    yield "an unrolled loop", "unrolls", model(layer("SimpleRNN", units=1, unroll=True))
    bidirectional = layer("Bidirectional", layer=layer("LSTM", units=1, unroll=True))
    yield "an unrolled loop in a wrapper", "unrolls", model(bidirectional)
    yield "30,000 layers", "layers and", model(*[layer("ReLU")] * 30_000)
    yield "calls that multiply", "calls of them", nested(18, lambda name: [on("i"), on(name)])
    yield (
        "calls that multiply, in Keras 2",
        "calls of them",
        nested(18, lambda name: [[["i", 0, 0, {}]], [[name, 1, 0, {}]]]),
    )
    wide = {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 1 << 18, 1 << 18, 3]}}
    yield "an endless image", "no camera has", model(wide)
    by_place = layer("Normalization", axis=[1, 2, 3], mean=0.0, variance=1.0)
    yield "a normalization of each place", "normalize by channel", model(by_place)
