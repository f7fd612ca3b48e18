"""The student of the distillation in PyTorch: the same network as in Keras, taught consistently.

PyTorch is no dependency of the project: where it is not installed these tests are skipped.
"""

import io
import json
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

from research.distillation import __main__ as command  # noqa: E402
from research.distillation.learning import Learner, Recipe  # noqa: E402
from research.distillation.memory import Memory  # noqa: E402
from research.distillation.networks import (  # noqa: E402
    Teacher,
    efficientnet_lite,
    fold_batch_norm,
    mobilenet_v2,
    read_keras,
    read_lite,
    write_keras,
)
from research.distillation.photos import read_archives  # noqa: E402
from research.distillation.views import Views  # noqa: E402

SHIPPED = Path(__file__).parents[2] / "edgetl" / "backbones" / "builtin" / "mobilenet_v2_0.35_96.h5"


def smooth_photos(count: int, side: int = 64) -> np.ndarray:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (count, 6, 6, 3), np.uint8)
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in small])


def as_tensor(images: np.ndarray) -> "torch.Tensor":
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


@pytest.mark.parametrize("size", [96, 128, 112])
def test_the_student_gives_the_embeddings_that_keras_gives(size: int) -> None:
    import tf_keras

    images = np.random.default_rng(1).uniform(-1, 1, (4, size, size, 3)).astype(np.float32)
    model = tf_keras.applications.MobileNetV2(
        alpha=0.35, include_top=False, weights=None, input_shape=(size, size, 3), pooling="avg"
    )
    model.load_weights(SHIPPED)
    expected = model(images, training=False).numpy()
    with torch.no_grad():
        found = read_keras(SHIPPED, 0.35).eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - expected).max() < 1e-4 and expected.max() > 0.5


def test_weights_written_for_keras_are_those_that_were_read(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "layout.h5", "w") as copy, h5py.File(SHIPPED) as shipped:
        for name in shipped:
            shipped.copy(name, copy)
        copy.visititems(lambda _, item: item.write_direct(item[...] * 0) if isinstance(item, h5py.Dataset) else None)
    write_keras(read_keras(SHIPPED, 0.35), tmp_path / "layout.h5", tmp_path / "written.h5")
    compared = []
    with h5py.File(tmp_path / "written.h5") as written, h5py.File(SHIPPED) as shipped:
        shipped.visititems(
            lambda name, item: (
                compared.append(np.array_equal(item, written[name])) if isinstance(item, h5py.Dataset) else None
            )
        )
    assert len(compared) == 260 and all(compared)


def test_folding_batch_norm_changes_no_embedding() -> None:
    torch.manual_seed(0)
    backbone, images = read_keras(SHIPPED, 0.35).eval(), torch.rand(4, 3, 96, 96) * 2 - 1
    with torch.no_grad():
        before = backbone(images)
        fold_batch_norm(backbone)
        after = backbone(images)
    assert before.abs().max() > 0.1 and torch.allclose(before, after, atol=1e-4)


def test_a_teacher_that_is_not_the_published_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "lite2.pth").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(SystemExit, match="expected the published file"):
        read_lite("lite2", tmp_path / "lite2.pth", 224)


def test_student_and_teacher_see_the_same_view_at_their_own_size() -> None:
    torch.manual_seed(0)
    photos, parts = as_tensor(smooth_photos(30)), as_tensor(smooth_photos(10, 128))
    student, teacher = Views(parts=0.2).draw(photos, parts, 40, [48, 96])
    assert student.shape == (40, 3, 48, 48) and teacher.shape == (40, 3, 96, 96)
    assert student.abs().max() <= 1
    shrunk = torch.nn.functional.avg_pool2d(teacher, 2)
    assert (shrunk - student).abs().mean() < 0.02
    assert (shrunk - student.roll(1, 0)).abs().mean() > 0.2  # another view is far away


def test_a_memory_gives_back_what_was_said_of_each_view() -> None:
    memory = Memory(6)
    for start in (0, 4):
        values = torch.arange(start, start + 4) / 10
        memory.add(values[:, None, None, None].expand(4, 3, 2, 2), {"lite2": (values[:, None], 2 * values[:, None])})
    torch.manual_seed(0)
    views, lessons = memory.draw(50)
    embedding, logits = lessons["lite2"]
    assert torch.allclose(views[:, 0, 0, 0], embedding[:, 0], atol=0.01)
    assert torch.allclose(2 * embedding, logits, atol=0.01)
    assert sorted({round(float(value), 1) for value in embedding}) == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


def test_a_student_learns_what_it_is_told_and_its_average_follows() -> None:
    torch.manual_seed(0)
    teachers = {"lite0": Teacher(efficientnet_lite("lite0"), torch.nn.Linear(1280, 1000), 32)}
    learner = Learner(Recipe(rate=3e-3), mobilenet_v2(0.35), teachers, "cpu")
    started = [tensor.clone() for tensor in learner.average.parameters()]
    views = torch.rand(16, 3, 32, 32) * 2 - 1
    lessons = {"lite0": (torch.randn(16, 1280), 3 * torch.randn(16, 1000))}
    losses = [learner.step(views, lessons, 0.02 + 0.01 * step) for step in range(25)]
    for part in ("lite0/embedding", "lite0/logits"):
        assert losses[-1][part] < 0.8 * losses[0][part]
    assert all(not torch.equal(a, b) for a, b in zip(learner.average.parameters(), started, strict=True))


def test_photos_of_several_archives_are_read_together_with_their_classes(tmp_path: Path) -> None:
    paths = [tmp_path / "one.tar.gz", tmp_path / "two.tar.gz"]
    for path, kinds in zip(paths, ("ab", "bc"), strict=True):
        write_archive(path, [f"train/{kind}/{number}.png" for kind in kinds for number in range(2)])
    images, labels = read_archives(paths, "train")
    assert images.shape == (8, 64, 64, 3) and labels.tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    with pytest.raises(SystemExit, match="found none"):
        read_archives(paths, "val")


def test_the_command_writes_weights_that_keras_loads_and_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tf_keras

    names = [f"{part}/{kind}/{number}.png" for part in ("train", "val") for kind in "ab" for number in range(4)]
    write_archive(tmp_path / "photos.tar.gz", names)
    teacher = tf_keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3))
    teacher.save_weights(tmp_path / "teacher.h5")
    options = ["--photos", "photos.tar.gz", "--teacher", "mobilenet=teacher.h5@32", "--start", SHIPPED, "--out", "run",
               "--batch", 8, "--per-kind", 1, "--minutes", 0.02, "--device", "cpu", "--memory", 100]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["distillation", *map(str, options)])
    command.main()
    record = json.loads((tmp_path / "run" / "student-0.json").read_text())
    assert record["steps"] > 3 and record["teachers"] == {"mobilenet": {"size": 32}}
    assert 0 <= record["history"][-1]["held_out"] <= 1
    student = tf_keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=None, input_shape=(96, 96, 3))
    student.load_weights(tmp_path / "run" / "student-0.h5")
    assert all(np.isfinite(values).all() for values in student.get_weights())


def write_archive(path: Path, names: list[str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, image in zip(names, smooth_photos(len(names)), strict=True):
            content = cv2.imencode(".png", image)[1].tobytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
