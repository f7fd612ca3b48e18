"""Pre-flight for the Edge TPU, on Coral's own models and on broken ones; and a stand-in for Coral's closed compiler."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY
from fake_compiler import install_compiler
from tiny_source import tiny_source

pytest.importorskip("edgetl")

from edgetl.cli import program
from edgetl.models import sources
from edgetl.tflite import edgetpu_compiler as compiling
from edgetl.tflite.appender import Appender
from edgetl.tflite.model import read_model, schema, write_model
from edgetl.tflite.preflight import preflight
from edgetl_device import console
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.errors import CheckFailedError, InputError

CORAL = "models/coral"
INT8 = ("INT8", 0.5, 0)


@pytest.mark.parametrize(
    "name",
    ["mobilenet_v1_0.25_128_quant", "mobilenet_v1_1.0_224_quant_embedding_extractor", "tf2_mobilenet_v2_1.0_224_ptq"],
)
def test_corals_own_models_pass_and_their_compiled_twins_are_recognised(shared: Path, name: str) -> None:
    found = preflight((shared / CORAL / f"{name}.tflite").read_bytes())
    assert found.ok and not found.compiled and found.operators > 25
    twin = shared / CORAL / f"{name}_edgetpu.tflite"
    if twin.exists():
        assert preflight(twin.read_bytes()).compiled and preflight(twin.read_bytes()).on_cpu == ()


def test_corals_model_that_fails_on_purpose_fails_with_the_operators_name(shared: Path) -> None:
    (problem,) = preflight((shared / CORAL / "model_invoking_error.tflite").read_bytes()).problems
    assert (problem.op, problem.index) == ("fake-op-double", 0) and "not among the supported" in problem.why


def test_our_own_backbones_pass() -> None:
    found = preflight(TINY.read_bytes())
    assert found.ok and found.operators == 5


def edited(change: Callable[[Any, Any], None]) -> bytes:
    """The tiny backbone after ``change(model, graph)``."""
    model = read_model(TINY.read_bytes())
    change(model, model.subgraphs[0])
    return write_model(model)


def tensor_of(graph: Any, operator: int, given: int) -> Any:
    return graph.tensors[int(graph.operators[operator].inputs[given])]


def unfix(model: Any, graph: Any) -> None:
    graph.tensors[int(graph.inputs[0])].shapeSignature = np.array([-1, 32, 32, 3], np.int32)


def two_photos(model: Any, graph: Any) -> None:
    graph.tensors[int(graph.inputs[0])].shape = np.array([2, 32, 32, 3], np.int32)


def second_graph(model: Any, graph: Any) -> None:
    model.subgraphs.append(read_model(TINY.read_bytes()).subgraphs[0])


def computed_weights(model: Any, graph: Any) -> None:
    tensor_of(graph, 1, 1).buffer = 0


def newer_operator(model: Any, graph: Any) -> None:
    model.operatorCodes[graph.operators[1].opcodeIndex].version = 6


def wide_bytes(model: Any, graph: Any) -> None:
    tensor_of(graph, 2, 0).type = schema().TensorType.INT16


def no_scale(model: Any, graph: Any) -> None:
    tensor_of(graph, 2, 0).quantization = None


def uneven_dilation(model: Any, graph: Any) -> None:
    graph.operators[1].builtinOptions.dilationHFactor = 2


@pytest.mark.parametrize(
    ("change", "op", "index", "why"),
    [
        (unfix, "QUANTIZE", 0, "a tensor of size ?x32x32x3: sizes must be fixed"),
        (two_photos, "", None, "the input is 2x32x32x3: the batch size must be 1"),
        (second_graph, "", None, "2 subgraphs (control flow?): the Edge TPU takes a single one"),
        (computed_weights, "CONV_2D", 1, "its weights must be constant"),
        (newer_operator, "CONV_2D", 1, "version 6: the last compiler reads up to 5"),
        (wide_bytes, "CONV_2D", 1, "works on int16: everything must be int8 or uint8"),
        (no_scale, "CONV_2D", 1, "a tensor without a scale"),
        (uneven_dilation, "CONV_2D", 1, "dilation 2x1: must be the same in both directions"),
    ],
)
def test_a_broken_backbone_is_refused_at_the_first_operator_that_is_wrong(change, op, index, why) -> None:
    first = preflight(edited(change)).problems[0]
    assert (first.op, first.index) == (op, index) and why in first.why


def test_every_operator_that_is_wrong_is_listed() -> None:
    def change(model: Any, graph: Any) -> None:
        for operator in (1, 3):
            graph.operators[operator].builtinOptions.dilationHFactor = 2

    assert [problem.index for problem in preflight(edited(change)).problems] == [1, 3]


def single(
    kind: str, shape: tuple[int, ...], parameters: tuple[Any, ...] = (), options: str | None = None, **values: Any
) -> bytes:
    """A model of one int8 operator; parameters are constants, int32 or int8 by their dtype."""
    model = read_model(TINY.read_bytes())
    graph = model.subgraphs[0]
    graph.operators = []
    model.operatorCodes = []
    photo = graph.tensors[int(graph.inputs[0])]
    photo.shape, photo.shapeSignature, photo.type = np.array(shape, np.int32), None, schema().TensorType.INT8
    appender, inputs = Appender(model), []
    for parameter in parameters:
        index = appender.constant("parameter", np.zeros(parameter.shape))
        tensor = graph.tensors[index]
        model.buffers[tensor.buffer].data = np.frombuffer(parameter.tobytes(), np.uint8)
        tensor.type = {1: schema().TensorType.INT8, 4: schema().TensorType.INT32}[parameter.dtype.itemsize]
        if parameter.dtype.itemsize == 1:
            tensor.quantization = schema().QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = np.float32([1]), np.array([0], np.int64)
        inputs.append(index)
    inputs.insert(1 if kind == "SPLIT" else 0, int(graph.inputs[0]))
    output_shape = values.pop("gives", shape)
    end = appender.operator(kind, inputs, output_shape, options, output=INT8, **values)
    appender.finish(end, "end")
    return write_model(model)


def axes(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


POOL = {"options": "Pool2DOptions"}
REDUCE = {"options": "ReducerOptions"}


@pytest.mark.parametrize(
    ("kind", "shape", "parameters", "options", "why"),
    [
        ("LOGISTIC", (1, 9), (), {}, None),
        ("HARD_SWISH", (1, 9), (), {}, "not among the supported operators; use a backbone with ReLU6"),
        ("GATHER", (1, 9), (axes(0),), {}, "not among the supported operators"),
        ("RELU", (2, 3, 4, 5), (), {}, "the input is 2x3x4x5: the batch size must be 1"),
        ("RELU", (1, 2, 3, 4, 5), (), {}, "only the three innermost dimensions may be larger than 1"),
        ("MAX_POOL_2D", (1, 8, 8, 4), (), POOL, None),
        ("MAX_POOL_2D", (1, 8, 8, 4), (), POOL | {"fusedActivationFunction": 3}, "a fused activation (RELU6)"),
        ("AVERAGE_POOL_2D", (1, 8, 8, 4), (), POOL | {"fusedActivationFunction": 1}, "a fused activation (RELU)"),
        ("SOFTMAX", (1, 1000), (), {"options": "SoftmaxOptions"}, None),
        ("SOFTMAX", (1, 16_001), (), {"options": "SoftmaxOptions"}, "takes 16001 values: at most 16000"),
        ("SOFTMAX", (1, 4, 10), (), {"options": "SoftmaxOptions"}, "takes 1x4x10: must be one-dimensional"),
        ("MEAN", (1, 7, 7, 30), (axes(1, 2),), REDUCE, None),
        ("MEAN", (1, 7, 7, 32), (axes(-1),), REDUCE, None),
        ("MEAN", (1, 7, 7, 30), (axes(-1),), REDUCE, "a mean over 30 channels: their number must be a multiple of 4"),
        ("SUM", (1, 7, 7, 30), (axes(0),), REDUCE, "works along the batch"),
        ("REDUCE_MAX", (1, 7, 7, 30), (axes(2),), REDUCE, None),
        ("PAD", (1, 4, 4, 2), (np.zeros((4, 2), np.int32),), {}, None),
        ("PAD", (1, 4, 4, 2), (np.ones((4, 2), np.int32),), {}, "pads the batch"),
        ("PACK", (1, 2), (), {"options": "PackOptions", "axis": 0}, "packs along the batch"),
        ("PRELU", (1, 4, 4, 2), (np.ones((1, 1, 2), np.int8),), {}, None),
        ("PRELU", (1, 4, 4, 2), (np.ones((4, 4, 2), np.int8),), {}, "one for each channel only"),
        ("SPLIT", (1, 4, 4, 2), (axes(3),), {"options": "SplitOptions"}, None),
        ("SPLIT", (1, 4, 4, 2), (axes(0),), {"options": "SplitOptions"}, "splits the batch"),
        ("STRIDED_SLICE", (1, 4), (axes(0, 0), axes(1, 4), axes(1, 1)), {"options": "StridedSliceOptions"}, None),
        ("STRIDED_SLICE", (1, 4), (axes(0, 0), axes(1, 4), axes(1, 2)), {"options": "StridedSliceOptions"}, "be constant and 1"),
        ("CONCATENATION", (1, 4), (np.zeros((1, 4), np.int8),), {"options": "ConcatenationOptions"}, None),
        ("CONCATENATION", (1, 4), (np.ones((1, 4), np.int8),), {"options": "ConcatenationOptions"}, "must be all zeros"),
        ("FULLY_CONNECTED", (1, 4), (np.ones((3, 4), np.int8),), {"options": "FullyConnectedOptions", "gives": (1, 3)}, None),
        ("FULLY_CONNECTED", (1, 4), (np.ones((3, 4), np.int8),), {"options": "FullyConnectedOptions", "gives": (2, 3)}, "must be one-dimensional"),
    ],
)  # fmt: skip
def test_the_documented_limit_of_each_operator_is_held(kind, shape, parameters, options, why) -> None:
    problems = preflight(single(kind, shape, parameters, **options)).problems
    if why is None:
        assert problems == ()
    else:
        assert why in problems[0].why


def test_dense_weights_with_a_scale_for_each_channel_are_refused_with_the_remedy() -> None:
    data = single("FULLY_CONNECTED", (1, 4), (np.ones((3, 4), np.int8),), "FullyConnectedOptions", gives=(1, 3))
    model = read_model(data)
    quantization = model.subgraphs[0].tensors[int(model.subgraphs[0].operators[0].inputs[1])].quantization
    quantization.scale, quantization.zeroPoint = np.ones(3, np.float32), np.zeros(3, np.int64)
    assert "_experimental_disable_per_channel" in preflight(write_model(model)).problems[0].why


def test_damaged_files_are_refused_whatever_the_damage() -> None:
    data, generator = TINY.read_bytes(), np.random.default_rng(0)
    for cut in (0, 5, 100, len(data) // 2):
        with pytest.raises(InputError):
            preflight(data[:cut])
    for _ in range(60):
        broken = bytearray(data)
        for place in generator.integers(8, len(data), 40):
            broken[place] = int(generator.integers(256))
        try:
            preflight(bytes(broken))
        except InputError as error:
            assert len(str(error).splitlines()) == 1


def with_float_end(*names: str) -> bytes:
    """The tiny backbone, then float: a conversion at its end, and an operator for each name of a constant."""
    appender = Appender(read_model(TINY.read_bytes()), prefix="more")
    kind = {"options": "DequantizeOptions", "version": 2}
    value = appender.operator("DEQUANTIZE", [int(appender.graph.outputs[0])], (1, 64), **kind)
    for name in names:
        constant = appender.constant(name, np.ones(64))
        value = appender.operator("MUL", [value, constant], (1, 64), "MulOptions")
    appender.finish(value, "end")
    return write_model(appender.model)


@pytest.mark.parametrize(
    ("names", "told", "never"),
    [
        ((), ["what it gives is float: convert with --quantize int8"], "before it"),
        (("x",), ["what follows it is float: the model is int8 before it", "must be int8 or uint8"], "convert"),
        (("head/levels",), ["the head of a fused model is float in every format: compile the backbone", "or uint8"], "--quantize"),
    ],
)  # fmt: skip
def test_a_model_of_integers_with_a_float_end_is_not_told_to_become_int8(names, told, never) -> None:
    problems = preflight(with_float_end(*names)).problems
    assert len(problems) == len(told) and not any(never in problem.why for problem in problems)
    assert all(words in problem.why for words, problem in zip(told, problems, strict=True))


def test_indices_that_a_model_computes_are_not_told_to_become_int8() -> None:
    def change(model: Any, graph: Any) -> None:
        tensor_of(graph, 2, 0).type = schema().TensorType.INT32

    assert preflight(edited(change)).problems[0].why == "works on int32: everything must be int8 or uint8"


@pytest.fixture
def edgetl(capfd):
    def run(*arguments: object, code: int = 0):
        assert console.run(program, "edgetl", [str(argument) for argument in arguments]) == code
        return capfd.readouterr()

    return run


def test_preflight_reports_what_the_contract_says(edgetl, tmp_path: Path, bundle_path: Path) -> None:
    told = json.loads(edgetl("preflight", bundle_path, "--json").out)
    assert told["ok"] is True and told["problems"] == [] and told["compiled"] is False
    (tmp_path / "float.tflite").write_bytes(edited(wide_bytes))
    told = json.loads(edgetl("preflight", tmp_path / "float.tflite", "--json", code=1).out)
    assert told["ok"] is False and set(told["problems"][0]) == {"op", "index", "why"}
    said = edgetl("preflight", tmp_path / "float.tflite", code=1).out
    assert said.startswith("no: CONV_2D (#1): works on int16")


@pytest.mark.parametrize(("content", "message"), [(None, "cannot read"), (b"hello, world", "not a .tflite file")])
def test_preflight_of_what_is_no_model_is_a_clear_error(edgetl, tmp_path: Path, content, message: str) -> None:
    if content is not None:
        (tmp_path / "x.tflite").write_bytes(content)
    said = edgetl("preflight", tmp_path / "x.tflite", code=2).err
    assert message in said and len(said.splitlines()) == 1


def test_preflight_loads_no_tensorflow(tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from edgetl.cli import program; from edgetl_device.console import run\n"
        f"assert run(program, 'edgetl', ['preflight', {str(TINY)!r}]) == 0\n"
        "assert not {'tensorflow', 'tf_keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_compilers_table_is_read(tmp_path: Path, monkeypatch) -> None:
    install_compiler(tmp_path, "partly", monkeypatch)
    compiled = compiling.compile_model(TINY.read_bytes())
    assert preflight(compiled.data).compiled
    assert (compiled.version, compiled.mapped) == ("16.0.384591198", 4)
    (left,) = compiled.on_cpu
    assert (left.op, left.count) == ("MEAN", 1) and left.status.endswith("due to some unspecified limitation")


@pytest.mark.slow
def test_convert_puts_the_compiled_twin_into_the_bundle(edgetl, tmp_path: Path, monkeypatch) -> None:
    install_compiler(tmp_path, "partly", monkeypatch)
    monkeypatch.setattr(sources, "open_source", lambda *arguments: tiny_source(tmp_path / "photos"))
    path = tmp_path / "toys.edgetl"
    arguments = ("convert", "run", "-o", path, "--edgetpu", "--max-drop", 1)
    told = json.loads(edgetl(*arguments, "--json").out)
    assert (told["edgetpu"]["mapped"], told["edgetpu"]["on_cpu"][0]["op"]) == (4, "MEAN")
    bundle = open_bundle(path)
    assert bundle.manifest["edgetpu"] == told["edgetpu"]
    assert preflight(bundle.members["backbone_edgetpu.tflite"]).compiled
    assert "the bundle holds its compiled twin" in " ".join(edgetl("preflight", path).out.split())
    said = edgetl(*arguments, "--force").out
    assert "4 operators mapped, 1 left to the CPU" in said and "some unspecified limitation" in said


def test_verbose_shows_the_compilers_log(tmp_path: Path, monkeypatch, caplog) -> None:
    install_compiler(tmp_path, "all", monkeypatch)
    with caplog.at_level("INFO", "edgetl.tflite.edgetpu_compiler"):
        assert compiling.compile_model(TINY.read_bytes()).on_cpu == ()
    assert "Model compiled successfully in 52 ms." in caplog.messages


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("refuse", "refuses the backbone: Invalid model: .* Model not quantized; nothing was written"),
        ("version", "Didn't find op for builtin opcode 'CONV_2D' version '6'"),
        ("nothing", "mapped no operator to the Edge TPU, first QUANTIZE: Operation is working on an unsupported"),
        ("other", "takes or gives something else than its twin"),
    ],
)
def test_a_compiler_that_refuses_or_fails_is_quoted(tmp_path: Path, monkeypatch, mode: str, message: str) -> None:
    install_compiler(tmp_path, mode, monkeypatch)
    with pytest.raises(CheckFailedError, match=message):
        compiling.compile_model(TINY.read_bytes())


def test_without_a_compiler_the_error_says_how_to_get_it(monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(
        InputError, match=r"x86-64 Debian and its derivatives only.*sudo apt-get install edgetpu-compiler"
    ):
        compiling.compile_model(TINY.read_bytes())


def test_a_table_printed_by_an_older_compiler_is_read_too() -> None:
    text = """Edge TPU Compiler version 14.1.317412892
Input: tiny_yolo.tflite
Output: tiny_yolo_edgetpu.tflite

Operator                       Count      Status

CONCATENATION                  1          More than one subgraph is not supported
CONV_2D                        11         Mapped to Edge TPU
RESIZE_NEAREST_NEIGHBOR        1          Operation version not supported
"""
    rows = compiling.read_table(text)
    assert [(row.op, row.count) for row in rows] == [
        ("CONCATENATION", 1),
        ("CONV_2D", 11),
        ("RESIZE_NEAREST_NEIGHBOR", 1),
    ]
    assert rows[2].status == "Operation version not supported"


def sparse_giant(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(40 << 30)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(os.mkfifo, "is not a regular file"), (Path.mkdir, "is a folder, not a bundle"), (sparse_giant, "the limit is")],
)
def test_a_file_that_cannot_be_a_model_is_refused_unread(tmp_path: Path, capsys, make, reason) -> None:
    path = tmp_path / "model.tflite"
    make(path)
    assert console.run(program, "edgetl", ["preflight", str(path)]) == 2
    message = capsys.readouterr().err
    assert reason in message and message.count("\n") == 1
