"""Backbone + head in one file: it must say what the bundle says, to the TFLite runtime alone and to other readers."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from conftest import COLOURS, TINY, draw, some_projection, tiny_backbone
from tiny_source import tiny_source

pytest.importorskip("edgetl")

import flatbuffers
from flatbuffers import encode, number_types
from flatbuffers import table as tables

from edgetl.conversion.convert import Options, convert
from edgetl.conversion.proof import MODES
from edgetl.tflite import fused, fused_proof
from edgetl.tflite.appender import Appender
from edgetl.tflite.metadata import NAME, with_labels
from edgetl.tflite.model import constant, dimensions, operator_name, read_model, write_model
from edgetl_device.bundle.bundle import open_bundle
from edgetl_device.codes import CodeTransform
from edgetl_device.errors import CheckFailedError, InputError
from edgetl_device.heads.evidence import empty_evidence, gather
from edgetl_device.heads.head import fit_head
from edgetl_device.heads.registry import HEADS
from edgetl_device.inference.backbone import Backbone
from edgetl_device.inference.interpreter import TFLiteInterpreter
from edgetl_device.metrics import softmax
from edgetl_device.statistics import statistics_of

pytestmark = pytest.mark.slow

KINDS = tuple(sorted(COLOURS))


def signed() -> tuple[bytes, Backbone]:
    """The tiny backbone with features that can be negative: its own less their middle."""
    plain, appender = tiny_backbone(), Appender(read_model(TINY.read_bytes()))
    value = appender.operator("DEQUANTIZE", [int(appender.graph.outputs[0])], (1, 64), "DequantizeOptions", version=2)
    mean = np.mean([plain.embed(draw(kind, 0)) + 128.0 for kind in KINDS], axis=0) * plain.interpreter.output.scale
    middle = appender.constant("middle", mean)
    value = appender.operator("SUB", [value, middle], (1, 64), "SubOptions")
    kind = ("INT8", plain.interpreter.output.scale, -20)
    appender.finish(appender.operator("QUANTIZE", [value], (1, 64), "QuantizeOptions", output=kind), "embedding")
    data = write_model(appender.model)
    return data, Backbone(TFLiteInterpreter(data), plain.preprocessing, CodeTransform(-20, 64), plain.digest)


def learned(backbone: Backbone, rule: str, counts: tuple[int, ...]):
    """A head fitted on so many photos a kind → the head, codes it was fitted on, and unseen photos with their codes."""
    shots = [(kind, number) for kind, count in zip(KINDS, counts, strict=True) for number in range(count)]
    codes = backbone.codes(np.stack([backbone.embed(draw(*shot)) for shot in shots]))
    statistics = statistics_of(codes, [kind for kind, _ in shots], backbone.digest, "x", some_projection(64))
    photos = [backbone.preprocessing(draw(kind, 5000 + number)) for kind in KINDS for number in range(50)]
    unseen = backbone.codes(np.stack([backbone.embed_photo(photo) for photo in photos]))
    evidence = gather(
        statistics, unseen[::2], [KINDS[row // 50] for row in range(0, 200, 2)], codes[:0], (), "x",
        origin=backbone.transform.origin,
    )  # fmt: skip
    return fit_head(evidence, rule), codes, photos, unseen


def fuse(backbone: Backbone, data: bytes, head, scale: float | None = None) -> bytes:
    formula = fused.formula(head, backbone.transform)
    return fused.fuse(data, formula, head.labels, backbone.transform, scale, (-1.0, 1.0), "toys")


@pytest.mark.parametrize("counts", [(40, 40, 40, 40), (3, 8, 40, 60)], ids=["balanced", "unbalanced"])
@pytest.mark.parametrize("rule", sorted(HEADS))
def test_a_fused_model_gives_the_bundles_labels_and_probabilities(rule: str, counts: tuple[int, ...]) -> None:
    backbone = tiny_backbone()
    head, _, photos, unseen = learned(backbone, rule, counts)
    told = fused_proof.predict(fuse(backbone, TINY.read_bytes(), head), photos) / 256
    wanted = softmax(head.scorer.scores(unseen) / head.temperature)  # one temperature, without neighbours to ask
    assert (wanted.argmax(axis=1) == head.predict(unseen)[0].argmax(axis=1)).all()
    assert (told.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.995
    assert np.abs(told - wanted).max() < 0.05 and np.abs(told - wanted).mean() < 0.003


def test_the_quadratic_term_is_what_tells_classes_of_few_photos() -> None:
    """Leaving it out must show: otherwise the test above would pass without it."""
    backbone = tiny_backbone()
    head, _, clear, _ = learned(backbone, "predictive", (2, 3, 40, 60))
    photos = [one // 2 + other // 2 for one, other in zip(clear, clear[60:], strict=False)]  # of two kinds each
    unseen = backbone.codes(np.stack([backbone.embed_photo(photo) for photo in photos]))
    formula = fused.formula(head, backbone.transform)
    linear = fused.Formula(formula.weights, formula.bias)
    model = fused.fuse(TINY.read_bytes(), linear, head.labels, backbone.transform, None, (-1.0, 1.0), "toys")
    errors = [
        np.abs(fused_proof.predict(data, photos) / 256 - softmax(head.scorer.scores(unseen) / head.temperature)).max()
        for data in (fuse(backbone, TINY.read_bytes(), head), model)
    ]
    assert errors[0] < 0.05 < 0.2 < errors[1]


def test_signed_features_are_fused_too() -> None:
    data, backbone = signed()
    head, codes, photos, unseen = learned(backbone, "lda", (30, 30, 30, 30))
    told = fused_proof.predict(fuse(backbone, data, head), photos) / 256
    wanted = softmax(head.scorer.scores(unseen) / head.temperature)
    assert (codes < 128).any() and (codes > 128).any()
    assert (told.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.995
    assert np.abs(told - wanted).max() < 0.05


def test_a_backbone_with_float_output_is_quantized_as_the_device_does() -> None:
    backbone = tiny_backbone()
    head, _, photos, unseen = learned(backbone, "predictive", (20, 20, 20, 20))
    appender = Appender(read_model(TINY.read_bytes()))
    end = appender.operator("DEQUANTIZE", [int(appender.graph.outputs[0])], (1, 64), "DequantizeOptions", version=2)
    appender.finish(end, "embedding")
    data, scale = write_model(appender.model), backbone.interpreter.output.scale
    told = fused_proof.predict(fuse(backbone, data, head, scale), photos) / 256
    assert (told.argmax(axis=1) == head.predict(unseen)[0].argmax(axis=1)).mean() >= 0.995
    with pytest.raises(InputError, match="the step of float embeddings is for backbones that give floats"):
        fuse(backbone, data, head)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory):
    return tiny_source(tmp_path_factory.mktemp("source"))


@pytest.mark.parametrize("mode", sorted(MODES))
def test_every_quantization_mode_can_be_fused(source, tmp_path: Path, mode: str) -> None:
    done = convert(lambda: source, tmp_path / "x.edgetl", Options(quantize=mode, max_drop=1.0, fused=True))
    assert done.fused.samples == 18 and done.fused.agreement >= 17 / 18
    bundle = open_bundle(tmp_path / "x.edgetl")
    assert bundle.members["model.tflite"] == done.fused.data
    told = told_by(done.fused.data)
    # A float model takes pixels as they are, and scales them inside.
    assert (told["mean"], told["std"]) == ((127.5, 127.5) if mode == "int8" else (0.0, 1.0))
    assert told["labels"] == list(bundle.labels)


def test_a_fused_int8_model_takes_and_gives_bytes_and_keeps_the_backbones_weights() -> None:
    backbone = tiny_backbone()
    head, *_ = learned(backbone, "lda", (9, 9, 9, 9))
    data = fuse(backbone, TINY.read_bytes(), head)
    before, after = read_model(TINY.read_bytes()), read_model(data)
    names = [operator_name(before, operator) for operator in before.subgraphs[0].operators]
    assert [operator_name(after, operator) for operator in after.subgraphs[0].operators][: len(names)] == names
    pairs = zip(before.subgraphs[0].tensors, after.subgraphs[0].tensors, strict=False)
    values = [(constant(before, first), constant(after, second)) for first, second in pairs]
    assert any(first is not None for first, _ in values)
    assert all(np.array_equal(first, second) for first, second in values if first is not None)
    graph = after.subgraphs[0]
    ends = [graph.tensors[int(index)] for index in (*graph.inputs, *graph.outputs)]
    assert [dimensions(end) for end in ends] == [(1, 32, 32, 3), (1, 4)] and [end.type for end in ends] == [3, 3]
    assert after.signatureDefs[0].outputs[0].tensorIndex == graph.outputs[0]


def test_fusing_again_gives_the_same_bytes() -> None:
    backbone = tiny_backbone()
    head, *_ = learned(backbone, "predictive", (9, 9, 9, 9))
    assert fuse(backbone, TINY.read_bytes(), head) == fuse(backbone, TINY.read_bytes(), head)


def test_a_head_without_classes_cannot_be_fused() -> None:
    backbone = tiny_backbone()
    head = fit_head(empty_evidence(backbone.digest, 64), "predictive")
    with pytest.raises(InputError, match="knows no classes"):
        fused.formula(head, backbone.transform)


@pytest.mark.parametrize(("wrong", "samples", "fine"), [(1, 25, True), (2, 25, False), (1, 200, True), (2, 200, False)])
def test_a_fused_model_may_differ_on_half_a_percent_or_one_photo(wrong: int, samples: int, fine: bool) -> None:
    backbone = tiny_backbone()
    head, _, photos, _ = learned(backbone, "lda", (20, 20, 20, 20))
    model = fuse(backbone, TINY.read_bytes(), head)
    told = fused_proof.predict(model, photos[:samples]).argmax(axis=1)
    told[:wrong] = (told[:wrong] + 1) % 4
    if fine:
        assert fused_proof.prove(model, photos[:samples], told).agreement == 1 - wrong / samples
    else:
        with pytest.raises(CheckFailedError, match="Try --head lda"):
            fused_proof.prove(model, photos[:samples], told)


def test_written_weights_are_aligned_to_16_bytes_as_the_schema_demands() -> None:
    from ai_edge_litert import schema_py_generated as schema

    data = write_model(read_model(TINY.read_bytes()))
    model = schema.Model.GetRootAs(data)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if not buffer.DataIsNone()]
    assert len(starts) > 5 and not any(start % 16 for start in starts)


def slots(table: tables.Table, *numbers: int) -> list:
    """Sub-tables of a flatbuffer table, first of each vector, as the schema numbers them."""
    found = []
    for number in numbers:
        place = table.Offset(4 + 2 * number)
        found.append(tables.Table(table.Bytes, table.Indirect(table.Pos + place)) if place else None)
    return found


def text(table: tables.Table, number: int) -> str:
    return table.String(table.Offset(4 + 2 * number) + table.Pos).decode()


def first(table: tables.Table, number: int) -> tables.Table:
    start = table.Vector(table.Offset(4 + 2 * number))
    return tables.Table(table.Bytes, table.Indirect(start))


def number(table: tables.Table, slot: int) -> float:
    return encode.Get(number_types.Float32Flags.packer_type, table.Bytes, table.Vector(table.Offset(4 + 2 * slot)))


def told_by(data: bytes) -> dict:
    """What a reader of TFLite Metadata finds in a classifier."""
    model = read_model(data)
    (entry,) = [entry for entry in model.metadata if entry.name in (NAME, NAME.encode())]
    raw = np.asarray(model.buffers[entry.buffer].data, np.uint8).tobytes()
    assert flatbuffers.util.BufferHasIdentifier(bytearray(raw), 0, b"M001")
    root = tables.Table(bytearray(raw), encode.Get(flatbuffers.packer.uoffset, raw, 0))
    graph = first(root, 3)
    photo, scores = first(graph, 2), first(graph, 3)
    (normalization,) = slots(first(photo, 4), 1)
    label_file = first(scores, 6)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        labels = archive.read(text(label_file, 0)).decode().splitlines()
    kind = encode.Get(number_types.Uint8Flags.packer_type, raw, label_file.Offset(8) + label_file.Pos)
    return {"mean": number(normalization, 0), "std": number(normalization, 1), "kind": kind, "labels": labels}


def test_the_metadata_says_how_to_feed_the_model_and_what_its_scores_mean() -> None:
    backbone = tiny_backbone()
    head, *_ = learned(backbone, "lda", (9, 9, 9, 9))
    told = told_by(fuse(backbone, TINY.read_bytes(), head))
    assert told == {"mean": 127.5, "std": 127.5, "kind": 2, "labels": list(KINDS)}


def test_the_reader_of_these_tests_understands_corals_own_metadata(shared: Path) -> None:
    told = told_by((shared / "models/coral/tf2_mobilenet_v2_1.0_224_ptq.tflite").read_bytes())
    assert (told["mean"], told["std"], told["kind"], len(told["labels"])) == (127.5, 127.5, 2, 1001)


def test_labels_of_any_alphabet_survive(tmp_path: Path) -> None:
    data = with_labels(TINY.read_bytes(), ["Äpfel", "猫"])
    (tmp_path / "m.tflite").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert archive.read("labels.txt").decode() == "Äpfel\n猫\n"
    assert fused_proof.predict(data, [np.zeros((32, 32, 3), np.uint8)]).shape == (1, 64)


def test_mediapipe_reads_a_fused_model_and_finds_the_same_labels() -> None:
    """An outside reader, where it is installed (``pip install mediapipe``)."""
    mediapipe = pytest.importorskip("mediapipe", reason="MediaPipe is not installed")
    vision, base = mediapipe.tasks.vision, mediapipe.tasks.BaseOptions
    backbone = tiny_backbone()
    head, _, photos, unseen = learned(backbone, "predictive", (20, 20, 20, 20))
    options = vision.ImageClassifierOptions(
        base_options=base(model_asset_buffer=fuse(backbone, TINY.read_bytes(), head)), max_results=1
    )
    with vision.ImageClassifier.create_from_options(options) as classifier:
        images = [mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=photo) for photo in photos]
        found = [classifier.classify(image).classifications[0].categories[0].category_name for image in images]
    wanted = [head.labels[row.argmax()] for row in head.predict(unseen)[0]]
    assert np.mean([a == b for a, b in zip(found, wanted, strict=True)]) >= 0.995
