"""Operators behind the last one of a ``.tflite`` file."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgetl_device.errors import InputError

from .model import enumeration, schema

HEAD = "head"
"""Names of what a fused model has behind its backbone begin so, and a slash."""


class Appender:
    """Adds operators behind a model's only output, which becomes the last operator's.

    Args:
        model: ``ModelT`` with one graph and one output; changed in place.
        prefix: of the names of what operators give.
    """

    def __init__(self, model: Any, prefix: str = HEAD) -> None:
        if len(model.subgraphs) != 1 or len(model.subgraphs[0].outputs) != 1:
            raise InputError("expected a model with one graph and one output")
        self.model = model
        self.graph = model.subgraphs[0]
        self._prefix = prefix
        self._types = {name: value for value, name in enumeration("TensorType").items()}

    def constant(self, name: str, values: npt.ArrayLike) -> int:
        """Numbers → index of a float32 tensor that holds them."""
        array, buffer = np.atleast_1d(np.asarray(values, np.float32)), schema().BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self._tensor(name, array.shape, "FLOAT32", len(self.model.buffers) - 1, None)

    def tensor(self, name: str, shape: tuple[int, ...], quantized: tuple[str, float, int] | None) -> int:
        """A tensor that is computed or fed → its index; type, scale and zero point, or None for float32."""
        kind, scale, zero = quantized or ("FLOAT32", None, None)
        quantization = None
        if scale is not None:
            quantization = schema().QuantizationParametersT()
            quantization.scale = np.array([scale], np.float32)
            quantization.zeroPoint = np.array([zero], np.int64)
        return self._tensor(name, shape, kind, 0, quantization)

    def operator(
        self,
        kind: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str | None = None,
        *,
        version: int = 1,
        output: tuple[str, float, int] | None = None,
        **values: Any,
    ) -> int:
        """Append an operator → index of its output.

        Args:
            kind: TFLite's builtin name, such as ``FULLY_CONNECTED``.
            inputs: indices of its input tensors.
            shape: of its output.
            options: name of its options table, such as ``FullyConnectedOptions``, if it has any.
            version: of the operator.
            output: type, scale and zero point of a quantized output; float32 where None.
            values: what to set in its options.
        """
        tables = schema()
        index = self.tensor(f"{self._prefix}/{kind.lower()}_{len(self.graph.tensors)}", shape, output)
        operator = tables.OperatorT()
        operator.opcodeIndex = self._code(kind, version)
        operator.inputs = np.array(inputs, np.int32)
        operator.outputs = np.array([index], np.int32)
        if options is not None:
            operator.builtinOptionsType = getattr(tables.BuiltinOptions, options)
            operator.builtinOptions = getattr(tables, f"{options}T")()
            for name, value in values.items():
                setattr(operator.builtinOptions, name, value)
        self.graph.operators.append(operator)
        return index

    def finish(self, output: int, name: str) -> None:
        """Make tensor ``output`` the model's only output, called ``name``, in the graph and in its signatures."""
        self.graph.outputs = np.array([output], np.int32)
        self.graph.tensors[output].name = name
        for signature in self.model.signatureDefs or []:
            for entry in signature.outputs:
                entry.tensorIndex = output
                entry.name = name

    def _code(self, kind: str, version: int) -> int:
        builtin = getattr(schema().BuiltinOperator, kind)
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin and code.version == version:
                return index
        code = schema().OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, 127)  # what readers from before 2020 look at
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1

    def _tensor(self, name: str, shape: tuple[int, ...], kind: str, buffer: int, quantization: Any) -> int:
        tensor = schema().TensorT()
        tensor.name, tensor.shape = name, np.array(shape, np.int32)
        tensor.type, tensor.buffer, tensor.quantization = self._types[kind], buffer, quantization
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
