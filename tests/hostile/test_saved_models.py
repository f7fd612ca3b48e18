"""SavedModels from strangers: nothing in one is run before every operation of it is known to compute and no more."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hostile_saved_models import SIZE, export, with_effect

from edgetl import tf
from edgetl.models.keras_files import open_classifier
from edgetl.models.saved_model_reader import frozen_signature
from edgetl_device.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tensorflow():
    return tf.load()


def refused(path: Path, folder: Path) -> str:
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        frozen_signature(path, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def effects(tensorflow, marker: str):
    text = tensorflow.constant("x")
    yield "WriteFile", lambda: tensorflow.io.write_file(marker, text)
    yield "ReadFile", lambda: tensorflow.io.read_file("/etc/passwd")
    yield "MatchingFiles", lambda: tensorflow.io.matching_files("/etc/*")
    yield "EagerPyFunc", lambda: tensorflow.py_function(lambda: 1.0, [], tensorflow.float32)
    yield "PyFunc", lambda: tensorflow.numpy_function(lambda: np.float32(1), [], tensorflow.float32)
    yield "PrintV2", lambda: tensorflow.print("hello")
    yield (
        "SaveV2",
        lambda: tensorflow.raw_ops.SaveV2(prefix=marker, tensor_names=["a"], shape_and_slices=[""], tensors=[text]),
    )
    yield (
        "RestoreV2",
        lambda: tensorflow.raw_ops.RestoreV2(
            prefix=marker, tensor_names=["a"], shape_and_slices=[""], dtypes=[tensorflow.float32]
        )[0],
    )
    yield "StatelessWhile", lambda: tensorflow.while_loop(lambda i: True, lambda i: [i + 1], [0])[0]
    yield (
        "TextLineDataset",
        lambda: tensorflow.raw_ops.TextLineDataset(filenames=["/etc/passwd"], compression_type="", buffer_size=0),
    )
    yield "DecodeJpeg", lambda: tensorflow.io.decode_jpeg(text)


NAMES = "WriteFile ReadFile MatchingFiles EagerPyFunc PyFunc PrintV2 SaveV2 RestoreV2 StatelessWhile TextLineDataset DecodeJpeg"


@pytest.mark.parametrize("operation", NAMES.split())
def test_an_operation_that_does_more_than_compute_is_refused_by_name(tensorflow, tmp_path, operation) -> None:
    marker = tmp_path / "marker"
    effect = dict(effects(tensorflow, str(marker)))[operation]
    path = export(tensorflow, tmp_path / "m", with_effect(tensorflow, effect))
    assert f"'{operation}'" in refused(path, tmp_path / "out")
    assert not list(tmp_path.glob("marker*"))


def initializer(tensorflow, marker: str):
    """An object of the file that writes a file as it is made, as a lookup table reads one."""

    class Planted(tensorflow.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tensorflow.raw_ops.StackV2(max_size=1, elem_type=tensorflow.float32)

        def _initialize(self):
            tensorflow.io.write_file(marker, "x")

    return Planted()


def test_an_initializer_that_writes_a_file_is_neither_run_nor_accepted(tensorflow, tmp_path) -> None:
    marker = tmp_path / "marker"
    path = export(tensorflow, tmp_path / "m", planted=initializer(tensorflow, str(marker)))
    assert "'WriteFile'" in refused(path, tmp_path / "out")
    with pytest.raises(InputError, match="WriteFile"):
        open_classifier(path)
    assert not marker.exists()
    tensorflow.saved_model.load(str(path))  # what TensorFlow's own loader makes of it
    assert marker.exists()


def test_a_table_that_is_filled_from_a_file_is_refused(tensorflow, tmp_path) -> None:
    (tmp_path / "words").write_text("a\nb\n")
    lookup = tensorflow.lookup
    words = lookup.TextFileInitializer(
        str(tmp_path / "words"), tensorflow.string, lookup.TextFileIndex.WHOLE_LINE,
        tensorflow.int64, lookup.TextFileIndex.LINE_NUMBER,
    )  # fmt: skip
    path = export(tensorflow, tmp_path / "m", table=lookup.StaticHashTable(words, -1))
    assert "InitializeTableFromTextFile" in refused(path, tmp_path / "out")


def test_what_restores_by_a_function_of_its_own_is_not_run(tensorflow, tmp_path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    path = export(tensorflow, tmp_path / "m")
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    for function in graph.library.function:
        for node in function.node_def:
            if node.op == "RestoreV2":
                node.op = "ReaderReadV2"
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    assert "'ReaderReadV2'" in refused(path, tmp_path / "out")


def test_a_batch_that_is_fixed_or_a_size_that_is_not_said_are_one_line(tensorflow, tmp_path) -> None:
    def of_eight(images):
        return tensorflow.ensure_shape(images, (8, *SIZE))

    path = export(tensorflow, tmp_path / "eight", of_eight, (8, *SIZE))
    assert "batches of exactly 8 images" in refused(path, tmp_path / "8")
    path = export(tensorflow, tmp_path / "none", lambda x: tensorflow.ensure_shape(x, (None, *SIZE)), None)
    assert "does not say the size of its images" in refused(path, tmp_path / "0")


def test_damaged_folders_are_refused(tensorflow, tmp_path) -> None:
    generator = np.random.default_rng(0)
    sound = (export(tensorflow, tmp_path / "m") / "saved_model.pb").read_bytes()
    path = tmp_path / "m"
    outcomes = []
    for number in range(30):
        data = bytearray(sound[: len(sound) * number // 30] if number < 10 else sound)
        for place in generator.integers(0, max(len(data), 1), 0 if number < 10 else 12):
            data[place] ^= int(generator.integers(1, 256))
        (path / "saved_model.pb").write_bytes(data)
        (tmp_path / str(number)).mkdir()
        try:
            frozen_signature(path, tmp_path / str(number))
        except InputError as error:
            assert "\n" not in str(error)
            outcomes.append(str(error))
    assert len(outcomes) >= 20
    (path / "saved_model.pb").write_bytes(sound)
    (path / "variables" / "variables.index").write_bytes(b"no")
    assert "does not fit together" in refused(path, tmp_path / "index")


def test_folders_with_pipes_and_too_much_are_refused_before_anything_is_read(tmp_path) -> None:
    (tmp_path / "m" / "variables").mkdir(parents=True)
    (tmp_path / "m" / "saved_model.pb").touch()
    os.mkfifo(tmp_path / "m" / "variables" / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        open_classifier(tmp_path / "m")
    (tmp_path / "m" / "variables" / "pipe").unlink()
    with (tmp_path / "m" / "variables" / "variables.data-00000-of-00001").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="reads models of up to"):
        open_classifier(tmp_path / "m")


def test_a_linked_folder_inside_is_refused(tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.mkfifo(tmp_path / "elsewhere" / "variables.index")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "saved_model.pb").touch()
    (tmp_path / "m" / "variables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="a link to another folder"):
        open_classifier(tmp_path / "m")


def test_a_constant_that_would_fill_the_memory_is_refused_before_it_is_computed(tensorflow, tmp_path) -> None:
    def function(images):
        large = tensorflow.raw_ops.Fill(dims=tensorflow.constant([1 << 15, 1 << 14]), value=tensorflow.constant(1e-9))
        return images * tensorflow.reduce_sum(large)

    path = export(tensorflow, tmp_path / "m", function)
    with pytest.raises(InputError, match="no memory holds that"):
        open_classifier(path)


def with_calls(tensorflow, folder: Path, callee) -> Path:
    """A SavedModel in which f1 … f18 each call ``callee(level)`` twice, and the signature calls f18."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = export(tensorflow, folder, tensorflow.nn.relu)
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    library = saved.meta_graphs[0].graph_def.library
    (node,) = [each for function in library.function for each in function.node_def if each.op == "Relu"]
    for level in range(1, 19):
        made = library.function.add()
        made.signature.name = f"f{level}"
        made.signature.input_arg.add(name="a", type=1)
        made.signature.output_arg.add(name="o", type=1)
        last = "a"
        for name in ("first", "second"):
            call(made.node_def.add(name=name, input=[last]), callee(level))
            last = f"{name}:output:0"
        made.ret["o"] = last
    for function in library.function:
        for each in function.node_def:
            each.input[:] = [name.replace(f"{node.name}:activations", f"{node.name}:output") for name in each.input]
    call(node, "f18")
    (path / "saved_model.pb").write_bytes(saved.SerializeToString())
    return path


def call(node, function: str) -> None:
    node.op = "PartitionedCall"
    node.attr.clear()
    node.attr["Tin"].list.type.append(1)
    node.attr["Tout"].list.type.append(1)
    node.attr["f"].func.name = function


def test_functions_whose_calls_multiply_or_never_end_are_refused_before_they_are_written_out(
    tensorflow, tmp_path
) -> None:
    path = with_calls(tensorflow, tmp_path / "many", lambda level: f"f{level - 1}")
    assert "more than 50,000 operations" in refused(path, tmp_path / "1")
    path = with_calls(tensorflow, tmp_path / "endless", lambda level: f"f{level}")
    assert "'f18' calls itself" in refused(path, tmp_path / "2")


def test_a_sound_model_is_read_and_gives_its_own_scores(tensorflow, tmp_path) -> None:
    found = open_classifier(export(tensorflow, tmp_path / "m"), None)
    image = np.random.default_rng(0).uniform(0, 1, SIZE).astype(np.float32)
    assert found.scores(image) == pytest.approx(np.full(2, image.sum() * 0.01), rel=1e-4)
