"""``.tflite`` files that are damaged, or made to hold up whoever reads them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hostile_backbones import crowded
from hostile_tflite import ARCHIVES, CONTRADICTIONS, SOUND, shared_buffers
from hostile_tflite import changed as altered

from edgetl.models.keras_files import parse_labels
from edgetl.models.tflite_files import is_tflite, open_tflite
from edgetl.tflite.graph import Graph, read
from edgetl.tflite.model import read_model, write_model
from edgetl.tflite.preflight import preflight
from edgetl_device.errors import InputError


@pytest.mark.parametrize("seed", range(8))
def test_damaged_bytes_are_refused_or_read_and_nothing_else(seed) -> None:
    generator = np.random.default_rng(seed)
    for number in range(60):
        data = bytearray(SOUND)
        if number % 3 == 0:
            data = data[: int(generator.integers(8, len(data)))]
        start = 0 if number % 2 else len(data) - 6000  # the tables lie at the end
        for place in generator.integers(max(start, 0), len(data), 1 + number % 10):
            data[place] ^= int(generator.integers(1, 256))
        for look in (read, preflight):
            try:
                look(bytes(data))
            except InputError as error:
                assert "\n" not in str(error)


def test_tables_that_are_listed_a_million_million_times_are_refused_at_once() -> None:
    with pytest.raises(InputError, match="lists more than it holds"):
        read_model(crowded(20_000))


def test_buffers_that_are_one_and_the_same_are_refused_before_they_are_copied() -> None:
    with pytest.raises(InputError, match="lists more than it holds"):
        read_model(shared_buffers(1000))


@pytest.mark.parametrize("kind", CONTRADICTIONS)
def test_a_classifier_that_contradicts_itself_is_refused_in_one_line(kind, tmp_path) -> None:
    change, match = CONTRADICTIONS[kind]
    path = tmp_path / "model.tflite"
    path.write_bytes(altered(change))
    assert is_tflite(path)
    with pytest.raises(InputError, match=match) as refused:
        open_tflite(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_cannot_be_unpacked_is_refused_in_one_line(kind, tmp_path) -> None:
    make, match = ARCHIVES[kind]
    path = tmp_path / "converted_tflite.zip"
    path.write_bytes(make())
    assert is_tflite(path) == (kind != "newer")
    tracemalloc.start()
    with pytest.raises(InputError, match=match) as refused:
        open_tflite(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)
    assert most < 16 << 20


def test_labels_of_many_lines_are_read_in_one_pass() -> None:
    labels = tuple(f"x{number:x}" for number in range(60_000))
    assert parse_labels("\n".join(labels).encode(), "labels.txt") == labels


@pytest.mark.parametrize(
    ("data", "match"),
    [(b"9" * 5000 + b" a\n1 b\n", "at most 64"), (("e" + "\u0301\u0327" * 200_000).encode(), "at most 64")],
)
def test_lines_that_are_no_labels_are_refused_at_once(data, match) -> None:
    with pytest.raises(InputError, match=match):
        parse_labels(data, "labels.txt")


def changed(change) -> bytes:
    model = read_model(SOUND)
    change(model)
    return write_model(model)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda m: setattr(m.subgraphs[0].operators[0], "inputs", [99_999]), "a tensor that is not there"),
        (lambda m: setattr(m.subgraphs[0], "outputs", [-1]), "a tensor that is not there"),
        (lambda m: setattr(m.subgraphs[0].operators[0], "opcodeIndex", 999), "of no kind"),
        (lambda m: setattr(m.subgraphs[0].tensors[1], "shape", [7, 7, 7]), "its shape is"),
        (lambda m: setattr(m, "subgraphs", []), "without a graph"),
        (lambda m: m.subgraphs.append(m.subgraphs[0]), "expected one graph"),
    ],
)
def test_indices_that_point_nowhere_are_refused_by_name(change, match) -> None:
    with pytest.raises(InputError, match=match):
        for _ in range(2):
            read(changed(change))


def test_what_is_written_again_reads_the_same_with_its_weights_aligned() -> None:
    again = write_model(read_model(SOUND))
    one, other = read(SOUND), read(again)
    assert isinstance(one, Graph) and [o.name for o in one.operators] == [o.name for o in other.operators]
    for tensor, same in zip(one.tensors, other.tensors, strict=True):
        assert (tensor.name, tensor.type, tensor.shape, tensor.scales) == (
            same.name,
            same.type,
            same.shape,
            same.scales,
        )
        assert (tensor.value is None) == (same.value is None)
        assert tensor.value is None or np.array_equal(tensor.value, same.value)
    packed = schema.Model.GetRootAs(again)
    held = [packed.Buffers(i) for i in range(packed.BuffersLength()) if not packed.Buffers(i).DataIsNone()]
    assert held and all(buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0 for buffer in held)
