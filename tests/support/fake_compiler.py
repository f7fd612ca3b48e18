"""A stand-in for Coral's compiler, a closed program that no test can install.

It takes the options of the real one, writes what that writes, and says what version 16.0 says (its logs are quoted in
google-coral/edgetpu#356 and others).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

FAKE = """#!{python}
import re, sys
from pathlib import Path
sys.path[:0] = {path!r}
print("Edge TPU Compiler version 16.0.384591198")
mode = {mode!r}
arguments = sys.argv[1:]
folder = Path(arguments[arguments.index("-o") + 1])
source = Path(arguments[-1])
if mode == "refuse":
    print("Invalid model: " + str(source) + "\\nModel not quantized")
    sys.exit(1)
if mode == "version":
    print("ERROR: Didn't find op for builtin opcode 'CONV_2D' version '6'. An older version of this builtin might be "
          "supported. Are you using an old TFLite binary with a newer model?\\n\\nERROR: Registration failed.\\n")
    sys.exit(1)
from edgetl.tflite.model import read_model, write_model, schema
model = read_model(source.read_bytes())
graph = model.subgraphs[0]
if mode != "nothing":
    code = schema().OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema().BuiltinOperator.CUSTOM
    code.customCode = "edgetpu-custom-op"
    model.operatorCodes = [code]
    operator = graph.operators[0]
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, graph.inputs, graph.outputs
    operator.builtinOptionsType, operator.builtinOptions = 0, None
    graph.operators = [operator]
if mode == "other":
    graph.tensors[int(graph.outputs[0])].quantization.zeroPoint = [5]
name = source.stem + "_edgetpu"
(folder / (name + ".tflite")).write_bytes(write_model(model))
rows = [("QUANTIZE", 1, "Mapped to Edge TPU"), ("CONV_2D", 2, "Mapped to Edge TPU"),
        ("DEPTHWISE_CONV_2D", 1, "Mapped to Edge TPU"), ("MEAN", 1, "Mapped to Edge TPU")]
if mode == "partly":
    rows[3] = ("MEAN", 1, "Operation is otherwise supported, but not mapped due to some unspecified limitation")
if mode == "nothing":
    rows = [(op, count, "Operation is working on an unsupported data type") for op, count, _ in rows]
table = "Operator                       Count      Status\\n\\n"
table += "".join(op.ljust(31) + str(count).ljust(11) + status + "\\n" for op, count, status in rows)
(folder / (name + ".log")).write_text("Edge TPU Compiler version 16.0.384591198\\nInput: a\\nOutput: b\\n\\n" + table)
print("Started a compilation timeout timer of 180 seconds.\\n\\nModel compiled successfully in 52 ms.\\n")
print("Number of Edge TPU subgraphs: 1\\nTotal number of operations: 5\\n")
print(table + "Compilation child process completed within timeout period.\\nCompilation succeeded! ")
"""


def install_compiler(folder: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "edgetpu_compiler"
    path.write_text(FAKE.format(python=sys.executable, path=sys.path, mode=mode))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
