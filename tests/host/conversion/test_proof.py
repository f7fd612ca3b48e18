"""The proof against files that are not what they claim: each was broken on purpose in the flatbuffer itself."""

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edgetl import tf
from edgetl.conversion.converter import export, representative_photos
from edgetl.conversion.proof import MODES, float_operators, leftover_pairs, prove
from edgetl.tflite.graph import read
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.preprocess import Preprocessing

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def small():
    """A Keras backbone of ours and photos for it."""
    keras = tf.keras()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Conv2D(16, 3, strides=2, activation="relu6"),
            layers.DepthwiseConv2D(3, activation="relu6"),
            layers.Conv2D(96, 3, strides=2, activation="relu6"),
            layers.GlobalAveragePooling2D(),
        ]
    )
    photos = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    return model, representative_photos(photos, Preprocessing(32, 32))


@pytest.fixture(scope="module")
def files(small):
    """The same backbone in every mode."""
    model, photos = small
    return {mode: export(model, photos, (-1.0, 1.0), mode) for mode in MODES}


def broken(data: bytes, change) -> bytes:
    """A ``.tflite`` file after ``change(model)`` on its object form."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    change(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def test_every_mode_gives_the_float_embeddings_within_its_precision(small, files) -> None:
    model, photos = small
    exact = model.predict(photos / np.float32(127.5) - 1, verbose=0)
    bounds = {"int8": 0.05, "int8-float-io": 0.05, "int16x8": 0.02, "float16": 0.002, "dynamic": 0.05, "none": 1e-5}
    for mode, exported in files.items():
        interpreter = TFLiteInterpreter(exported.data)
        raw = np.stack([interpreter(photo) for photo in photos]).astype(np.float32)
        out = interpreter.output
        values = (raw - out.zero_point) * out.scale if out.dtype == np.int8 else raw
        assert np.abs(values - exact).max() < bounds[mode] * exact.max(), mode


def test_the_proof_counts_what_each_mode_promises(files) -> None:
    for mode in ("int8", "int8-float-io", "int16x8"):
        proof = files[mode].proof
        assert (proof.float_ops, proof.leftover, proof.per_channel, proof.unquantized) == (0, 0, 3, 0), mode
        assert set(proof.weight_bytes) == {"INT8"}
    assert set(files["float16"].proof.weight_bytes) == {"FLOAT16"}
    assert files["dynamic"].proof.weight_bytes["INT8"] == 16 * 96 * 9
    assert files["none"].proof.weight_bytes == {"FLOAT32": 4 * (27 * 16 + 9 * 16 + 16 * 96 * 9)}
    ends = {mode: (exported.proof.input, exported.proof.output) for mode, exported in files.items()}
    assert ends.pop("int8") == ("UINT8", "INT8") and set(ends.values()) == {("FLOAT32", "FLOAT32")}


@pytest.mark.parametrize("mode", ["float16", "dynamic", "int8-float-io", "int16x8"])
def test_a_file_identical_to_float_is_not_passed_as_quantized(files, mode: str) -> None:
    with pytest.raises(CheckFailedError, match=r"float32 weights in \d of 3 operators|operators stayed float"):
        prove(files["none"].data, mode)


def test_a_float_operator_in_the_middle_is_named(files) -> None:
    with pytest.raises(CheckFailedError, match=r"stayed float: .*CONV_2D \(#\d+\).*not an int8-float-io model"):
        prove(files["none"].data, "int8-float-io")


def test_one_float_tensor_between_integer_operators_is_found(files) -> None:
    def spoil(model) -> None:
        graph = model.subgraphs[0]
        graph.tensors[graph.operators[1].outputs[0]].type = schema.TensorType.FLOAT32

    with pytest.raises(CheckFailedError, match=r"2 of \d+ operators stayed float"):
        prove(broken(files["int8"].data, spoil), "int8")


def test_wrong_ends_are_found(files) -> None:
    with pytest.raises(CheckFailedError, match="expected uint8 -> int8 of mode int8, the file has float32 -> float32"):
        prove(files["int8-float-io"].data, "int8")


def test_a_convolution_with_one_scale_for_all_channels_is_found(files) -> None:
    def spoil(model) -> None:
        for tensor in model.subgraphs[0].tensors:
            if tensor.quantization is not None and tensor.quantization.scale is not None:
                tensor.quantization.scale = tensor.quantization.scale[:1]
                tensor.quantization.zeroPoint = tensor.quantization.zeroPoint[:1]

    with pytest.raises(CheckFailedError, match=r"3 operators have one scale for all channels"):
        prove(broken(files["int8"].data, spoil), "int8")


def test_a_quantize_that_undoes_a_dequantize_is_counted(files) -> None:
    def insert(model) -> None:
        graph = model.subgraphs[0]
        names = (schema.BuiltinOperator.DEQUANTIZE, schema.BuiltinOperator.QUANTIZE)
        old = graph.operators[-1].inputs[0]
        floating, again = schema.TensorT(), schema.TensorT()
        like = graph.tensors[old]
        for tensor, kind in ((floating, schema.TensorType.FLOAT32), (again, like.type)):
            tensor.shape, tensor.buffer, tensor.type, tensor.name = like.shape, 0, kind, b"extra"
        again.quantization = like.quantization
        graph.tensors += [floating, again]
        first, second = len(graph.tensors) - 2, len(graph.tensors) - 1
        for name, source, target in zip(names, (old, first), (first, second), strict=True):
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = name
            code.version = 1
            model.operatorCodes.append(code)
            operator = schema.OperatorT()
            operator.opcodeIndex, operator.inputs, operator.outputs = len(model.operatorCodes) - 1, [source], [target]
            graph.operators.insert(len(graph.operators) - 1, operator)
        graph.operators[-1].inputs = [second, *graph.operators[-1].inputs[1:]]

    data = broken(files["int8"].data, insert)
    assert leftover_pairs(read(data)) == 1 and len(float_operators(read(data))) == 2
    with pytest.raises(CheckFailedError, match="stayed float: DEQUANTIZE"):
        prove(data, "int8")


def test_a_model_without_weights_proves_nothing(files) -> None:
    def spoil(model) -> None:
        model.subgraphs[0].operators = model.subgraphs[0].operators[:1]

    with pytest.raises(CheckFailedError, match="the file has no weights"):
        prove(broken(files["int8"].data, spoil), "int8")


def test_operators_of_what_is_no_model_are_refused(files) -> None:
    with pytest.raises(InputError, match=r"not a \.tflite file"):
        read(b"hello world")
    with pytest.raises(InputError, match=r"damaged \.tflite file"):
        read(b"\xff\xff\xff\x0fTFL3" + bytes(40))
