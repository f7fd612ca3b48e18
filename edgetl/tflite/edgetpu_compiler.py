"""Drives Coral's ``edgetpu_compiler`` and reads its log.

https://coral.ai/docs/edgetpu/compiler. It is a closed program for x86-64 Debian and its derivatives; version 16.0 of
2021 is the last one.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgetl_device.errors import CheckFailedError, InputError

from .model import dimensions, read_model, scaling, tensor_type
from .preflight import preflight

PROGRAM = "edgetpu_compiler"
MAPPED = "Mapped to Edge TPU"
TIMEOUT_S = 900
_KEY, _APT = "/usr/share/keyrings/coral-edgetpu.gpg", "https://packages.cloud.google.com/apt"
INSTALL = (
    f"curl -fsSL {_APT}/doc/apt-key.gpg | sudo gpg --dearmor -o {_KEY} && "
    f'echo "deb [signed-by={_KEY}] {_APT} coral-edgetpu-stable main" | '
    "sudo tee /etc/apt/sources.list.d/coral-edgetpu.list && "
    "sudo apt-get update && sudo apt-get install edgetpu-compiler"
)
_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")
_ROW = re.compile(r"^(\S+)\s+(\d+)\s+(\S.*?)\s*$")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mapping:
    """A line of the compiler's operator table.

    Args:
        op: TFLite's name of the operator.
        count: how many of them.
        status: "Mapped to Edge TPU", or why not, in the compiler's words.
    """

    op: str
    count: int
    status: str


@dataclass(frozen=True, eq=False)
class Compiled:
    """What the compiler made of a model.

    Args:
        data: the bytes of the compiled ``.tflite`` file.
        version: of the compiler.
        mappings: the operator table.
    """

    data: bytes
    version: str
    mappings: tuple[Mapping, ...]

    @property
    def mapped(self) -> int:
        """How many operators run on the Edge TPU."""
        return sum(mapping.count for mapping in self.mappings if mapping.status == MAPPED)

    @property
    def on_cpu(self) -> tuple[Mapping, ...]:
        """The others."""
        return tuple(mapping for mapping in self.mappings if mapping.status != MAPPED)

    def to_json(self) -> dict[str, Any]:
        """What manifest and ``--json`` hold."""
        return {
            "compiler": self.version,
            "mapped": self.mapped,
            "on_cpu": [asdict(mapping) for mapping in self.on_cpu],
            "size_bytes": len(self.data),
        }


def find_compiler() -> Path:
    """Where the compiler is; raises InputError that says how to get it."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise InputError(
            f"{PROGRAM} is not on PATH; it exists for x86-64 Debian and its derivatives only. There: {INSTALL}. "
            "Elsewhere: convert without --edgetpu, look with `edgetl preflight BUNDLE`, and compile in a container or "
            "virtual machine (debian:12, linux/amd64)"
        )
    return Path(program)


def compile_model(data: bytes) -> Compiled:
    """A fully integer ``.tflite`` file → its twin for the Edge TPU; the compiler's own words go to the log.

    Raises:
        InputError: no compiler is installed.
        CheckFailedError: it refuses the model, maps nothing, or what it wrote does not fit the model.
    """
    compiler = find_compiler()
    with tempfile.TemporaryDirectory(prefix="edgetl-") as folder:
        source, output = Path(folder, "backbone.tflite"), Path(folder, "backbone_edgetpu.tflite")
        source.write_bytes(data)
        command = [str(compiler), "-s", "-o", folder, str(source)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise CheckFailedError(f"{PROGRAM} did not finish in {TIMEOUT_S} s; nothing was written") from None
        except OSError as error:
            raise InputError(f"{compiler} cannot be run: {error.strerror or error}") from None
        said = done.stdout + done.stderr
        for line in said.splitlines():
            log.info(line)
        if done.returncode or not output.exists():
            raise CheckFailedError(f"{PROGRAM} refuses the backbone: {_reason(said)}; nothing was written")
        report = output.with_suffix(".log")
        table = read_table(report.read_text(errors="replace") if report.exists() else said) or read_table(said)
        version = _VERSION.search(said)
        compiled = Compiled(output.read_bytes(), version.group(1) if version else "unknown", table)
    _check_twin(data, compiled)
    return compiled


def read_table(text: str) -> tuple[Mapping, ...]:
    """The operator table of the compiler's log: what stands under its header, to the first line that is no row."""
    rows: list[Mapping] = []
    below = False
    for line in text.splitlines():
        if line.split() == ["Operator", "Count", "Status"]:
            below = True
        elif below and line.strip():
            row = _ROW.match(line)
            if row is None:
                break
            rows.append(Mapping(row.group(1), int(row.group(2)), row.group(3)))
    return tuple(rows)


def _reason(said: str) -> str:
    """The lines that say why, on one line."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not _VERSION.search(line)]
    telling = [
        line for line in lines if line.startswith(("ERROR", "Invalid", "Model", "Internal", "Compilation failed"))
    ]
    return " ".join(" ".join((telling or lines or ["it says nothing"])[:4]).split())[:300]


def _check_twin(data: bytes, compiled: Compiled) -> None:
    if not preflight(compiled.data).compiled:
        first = f", first {compiled.on_cpu[0].op}: {compiled.on_cpu[0].status}" if compiled.on_cpu else ""
        raise CheckFailedError(f"{PROGRAM} mapped no operator to the Edge TPU{first}; nothing was written")
    if _ends(data) != _ends(compiled.data):
        raise CheckFailedError("the compiled backbone takes or gives something else than its twin; nothing was written")


def _ends(data: bytes) -> list[tuple[object, ...]]:
    """Type, size, scale and zero point of inputs and outputs."""
    graph = read_model(data).subgraphs[0]
    ends: list[tuple[object, ...]] = []
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[int(index)]
        ends.append((tensor_type(tensor), dimensions(tensor), *scaling(tensor)))
    return ends
