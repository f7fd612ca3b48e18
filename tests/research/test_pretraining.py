"""The built-in backbone: the script that makes it, and the weights it made."""

import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from research.pretraining.__main__ import main
from research.pretraining.archive import Archive, read_archive
from research.pretraining.errors import PretrainingError
from research.pretraining.probe import (
    LabelledPhotos,
    fit_lda,
    fit_logistic,
    lda_accuracy,
    pixel_features,
    pooled_features,
    read_folder,
)
from research.pretraining.recipe import WEIGHTS_NAME, Recipe

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SHIPPED = REPOSITORY / "edgetl" / "backbones" / "builtin" / WEIGHTS_NAME
REAL_DATA = Path(os.environ.get("EDGETL_TEST_DATA", REPOSITORY.parent / "shared")) / "data"

TINY = Recipe(epochs=2, stages=((0.0, 32),), batch_size=8, warmup=0.0, cooldown=0.5)


def photo(label: int, random: np.random.Generator, side: int = 32) -> np.ndarray:
    """A filled circle (0), square (1) or triangle (2) of any colour, place and size; BGR."""
    image = np.full((side, side, 3), random.integers(0, 256, 3), np.uint8)
    colour = random.integers(0, 256, 3).tolist()
    centre, radius = random.integers(side // 3, 2 * side // 3, 2), int(random.integers(side // 5, side // 3))
    if label == 0:
        cv2.circle(image, centre.tolist(), radius, colour, -1, cv2.LINE_AA)
    else:
        turns = random.uniform(0, 2 * np.pi) + np.arange(5 - label) * 2 * np.pi / (5 - label)
        corners = centre + radius * np.column_stack([np.cos(turns), np.sin(turns)])
        cv2.fillPoly(image, [np.round(corners).astype(np.int32)], colour, cv2.LINE_AA)
    return image


def write_archive(path: Path, names: list[str], side: int = 32) -> Path:
    random = np.random.default_rng(0)
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            content = cv2.imencode(".png", photo(int("square" in name), random, side))[1].tobytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def names(train: int = 12, val: int = 2) -> list[str]:
    return [
        f"{part}/{label}/{label}_{i}.JPEG"
        for part, count in (("train", train), ("val", val))
        for label in ("square", "circle")
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return read_archive(write_archive(tmp_path_factory.mktemp("archive") / "tiny.tar.gz", names()))


def test_an_archive_is_read_with_sorted_classes(archive: Archive) -> None:
    assert archive.classes == ("circle", "square")
    assert archive.train.images.shape == (24, 32, 32, 3)
    assert archive.train.labels.tolist() == [0] * 12 + [1] * 12
    assert archive.val.labels.tolist() == [0, 0, 1, 1]


def test_photos_are_rgb_in_the_order_of_their_names(tmp_path: Path) -> None:
    random, expected = np.random.default_rng(0), {}
    path = write_archive(tmp_path / "a.tar.gz", names(train=3, val=1))
    for name in names(train=3, val=1):
        expected[name] = photo(int("square" in name), random)[..., ::-1]
    train = [expected[name] for name in sorted(expected) if name.startswith("train")]
    np.testing.assert_array_equal(read_archive(path).train.images, np.stack(train))


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "no photos under train/"),
        (["train/a/1.png", "train/b/1.png"], "no photos under val/"),
        (["train/a/1.png", "val/a/1.png"], "only the class 'a'"),
        (["train/a/1.png", "train/b/1.png", "val/c/1.png"], "val/c has no counterpart"),
        (["holiday/rome/1.png"], "unexpected photo holiday/rome/1.png"),
    ],
)
def test_a_wrong_archive_is_rejected_saying_what_is_missing(tmp_path: Path, members: list[str], message: str) -> None:
    with pytest.raises(PretrainingError, match=message):
        read_archive(write_archive(tmp_path / "wrong.tar.gz", members))


def test_a_photo_that_does_not_decode_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("train/a/empty.JPEG"), io.BytesIO())
    with pytest.raises(PretrainingError, match=r"train/a/empty\.JPEG is not a readable photo"):
        read_archive(tmp_path / "a.tar.gz")


def test_a_truncated_archive_is_rejected(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.tar.gz", names())
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(PretrainingError, match="cannot be read"):
        read_archive(path)


@pytest.mark.parametrize("content", [None, b"", b"not an archive"])
def test_the_command_says_in_one_line_that_its_archive_is_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "photos.tar.gz"
    if content is not None:
        path.write_bytes(content)
    result = CliRunner().invoke(main, [str(path), "-o", str(tmp_path / "run")])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {path}: cannot be read (")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_command_refuses_to_overwrite_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_NAME).touch()
    result = CliRunner().invoke(main, ["photos.tar.gz", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "--resume" in result.stderr


def test_the_learning_rate_of_a_longer_run_is_the_same_until_the_shorter_one_cools_down() -> None:
    short, long = Recipe(epochs=10), Recipe(epochs=30)
    for epoch in np.linspace(0, 7, 50):
        assert short.learning_rate_at(epoch) == long.learning_rate_at(epoch)


def test_views_are_repeatable_and_differ_from_each_other() -> None:
    import tensorflow as tf

    from research.pretraining.augment import random_views

    images = np.repeat(photo(1, np.random.default_rng(0))[None], 4, axis=0)
    once, again, other = (random_views(images, 48, tf.constant([0, step])).numpy() for step in (1, 1, 2))
    assert once.shape == (4, 48, 48, 3)
    assert once.dtype == np.float32
    assert once.min() >= -1
    assert once.max() <= 1
    np.testing.assert_array_equal(once, again)
    assert np.abs(once - other).mean() > 0.02
    assert np.abs(once[0] - once[1]).mean() > 0.02


def test_a_crop_of_everything_is_the_photo_or_its_mirror_image(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    from research.pretraining import augment

    monkeypatch.setattr(augment, "MIN_AREA", 1.0)
    for name in (
        "MAX_LOG_ASPECT",
        "MAX_TURN",
        "MAX_BRIGHTNESS",
        "MAX_CONTRAST",
        "MAX_SATURATION",
        "GREY_PROBABILITY",
    ):
        monkeypatch.setattr(augment, name, 0.0)
    image = photo(2, np.random.default_rng(1))
    views = augment.random_views(np.repeat(image[None], 16, axis=0), 32, tf.constant([0, 0])).numpy()
    straight, mirrored = image / 127.5 - 1, image[:, ::-1] / 127.5 - 1
    kinds = {
        next(i for i, kind in enumerate((straight, mirrored)) if np.allclose(kind, view, atol=1e-3)) for view in views
    }
    assert kinds == {0, 1}


@pytest.fixture(scope="module")
def finished_run(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from research.pretraining.training import pretrain

    folder = tmp_path_factory.mktemp("finished")
    pretrain(archive, folder, TINY)
    return folder


class Stop(Exception):
    """Stands for whatever ends a process."""


def test_an_interrupted_and_resumed_run_gives_the_weights_of_an_uninterrupted_one(
    archive: Archive, finished_run: Path, tmp_path: Path
) -> None:
    from research.pretraining.training import pretrain

    def stop(facts: dict) -> None:
        if "loss" in facts:  # an epoch's end; on a slow machine there are reports within one, too
            raise Stop

    with pytest.raises(Stop):
        pretrain(archive, tmp_path, TINY, report=stop)
    end = pretrain(archive, tmp_path, TINY, resume=True)
    assert [facts["epoch"] for facts in end.history] == [1, 2]
    with (
        np.load(tmp_path / "checkpoint.npz") as resumed,
        np.load(finished_run / "checkpoint.npz") as expected,
    ):
        assert resumed.files == expected.files
        for name in sorted(set(resumed.files) - {"facts"}):
            np.testing.assert_allclose(resumed[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_run_leaves_weights_that_keras_loads_and_that_are_its_average(archive: Archive, finished_run: Path) -> None:
    import tf_keras

    model = tf_keras.applications.MobileNetV2(alpha=0.35, include_top=False, weights=None, input_shape=(96, 96, 3))
    model.load_weights(finished_run / WEIGHTS_NAME)
    with np.load(finished_run / "checkpoint.npz") as checkpoint:
        for i, weight in enumerate(model.get_weights()):
            np.testing.assert_array_equal(weight, checkpoint[f"average-{i:03d}"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda archive: (archive, replace(TINY, seed=1)), "made with seed 0, received 1"),
        (lambda archive: (replace(archive, sha256="other"), TINY), "made with another archive"),
    ],
)
def test_a_checkpoint_of_another_run_is_not_resumed(archive: Archive, finished_run: Path, change, message: str) -> None:
    from research.pretraining.checkpoint import load_checkpoint

    other, recipe = change(archive)
    with pytest.raises(PretrainingError, match=message):
        load_checkpoint(finished_run, recipe, other.sha256)


def test_a_damaged_or_missing_checkpoint_is_an_error(tmp_path: Path) -> None:
    from research.pretraining.checkpoint import load_checkpoint

    with pytest.raises(PretrainingError, match="no such checkpoint"):
        load_checkpoint(tmp_path, TINY, "")
    (tmp_path / "checkpoint.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(PretrainingError, match="damaged checkpoint"):
        load_checkpoint(tmp_path, TINY, "")


def clusters(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), 60)
    means = np.random.default_rng(9).normal(size=(3, 8)) * 0.8
    return (means[labels] + random.normal(size=(180, 8)) * np.linspace(0.7, 1.3, 8)).astype(np.float32), labels


def test_lda_is_scikit_learns_with_the_same_shrinkage() -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    features, labels = clusters()
    weights, bias = fit_lda(features, labels)
    # Scaling each feature to unit within-class variance first makes scikit-learn's shrinkage target ours.
    means = np.stack([features[labels == c].mean(axis=0) for c in range(3)])
    scaled = features / (features - means[labels]).std(axis=0)
    theirs = discriminant.LinearDiscriminantAnalysis(solver="lsqr", shrinkage=8 / (8 + 180)).fit(scaled, labels)
    np.testing.assert_array_equal(np.argmax(features @ weights + bias, axis=1), theirs.predict(scaled))


def test_logistic_regression_is_scikit_learns() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, labels = clusters()
    features = ((features - features.mean(axis=0)) / features.std(axis=0)).astype(np.float64)
    weights, _ = fit_logistic(features, labels, penalty=0.01, steps=2000)
    theirs = linear_model.LogisticRegression(C=1 / (0.01 * len(labels)), tol=1e-8, max_iter=1000).fit(features, labels)
    np.testing.assert_allclose(weights.T, theirs.coef_, atol=1e-4)


def test_a_folder_is_split_in_every_class_and_always_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for label, count in enumerate((10, 20)):
        (tmp_path / f"kind {label}").mkdir()
        for i in range(count):
            cv2.imwrite(str(tmp_path / f"kind {label}" / f"{i}.png"), photo(label, random)[:, :24])
    photos = read_folder(tmp_path, size=16)
    assert photos.images.shape == (30, 16, 16, 3)
    assert [int((~photos.train[photos.labels == label]).sum()) for label in (0, 1)] == [2, 4]
    np.testing.assert_array_equal(photos.train, read_folder(tmp_path, size=16).train)
    (tmp_path / "kind 1" / "3.png").write_bytes(b"")
    with pytest.raises(PretrainingError, match=r"3\.png: the file is empty; remove it"):
        read_folder(tmp_path)


def shapes(per_class: int = 120) -> LabelledPhotos:
    random = np.random.default_rng(3)
    labels = np.arange(3 * per_class) % 3
    images = np.stack([photo(int(label), random, side=96) for label in labels])
    return LabelledPhotos(images, labels, ("circle", "square", "triangle"), np.arange(len(labels)) % 5 > 0)


def features_of(photos: LabelledPhotos, weights: Path | None) -> np.ndarray:
    import tf_keras

    from research.pretraining.network import backbone

    tf_keras.utils.set_random_seed(0)
    model = backbone()
    if weights is not None:
        model.load_weights(weights)
    return pooled_features(model, photos)


def test_the_shipped_weights_are_small_and_their_card_is_beside_them() -> None:
    assert SHIPPED.stat().st_size <= 2_500_000
    assert (SHIPPED.parent / "MODEL_CARD.md").stat().st_size > 0


def test_the_shipped_backbone_tells_shapes_of_any_colour_apart_and_random_weights_do_not() -> None:
    photos = shapes()
    shipped, random = (lda_accuracy(features_of(photos, weights), photos) for weights in (SHIPPED, None))
    assert shipped >= random + 0.2


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no photos at {REAL_DATA}; set EDGETL_TEST_DATA")
@pytest.mark.parametrize(("name", "reached"), [("flowers", 0.79), ("trashnet", 0.72)])
def test_the_shipped_backbone_is_as_good_as_its_card_says_on_photos_it_never_saw(name: str, reached: float) -> None:
    if not (REAL_DATA / name).is_dir():
        pytest.skip(f"no photos in {REAL_DATA / name}: set EDGETL_TEST_DATA")
    photos = read_folder(REAL_DATA / name)
    features = features_of(photos, SHIPPED)
    splits = [photos, *(read_folder(REAL_DATA / name, seed=seed) for seed in range(1, 5))]
    assert np.mean([lda_accuracy(features, split) for split in splits]) >= reached
    assert lda_accuracy(pixel_features(photos), photos) < 0.55


def test_card_and_report_are_of_the_file_that_is_shipped() -> None:
    card = (SHIPPED.parent / "MODEL_CARD.md").read_text()
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() in card and f"{SHIPPED.stat().st_size:,} bytes" in card
    run = json.loads((SHIPPED.parent / "run.json").read_text())
    assert run["history"][-1]["steps"] == run["steps"] and f"{run['steps']:,} steps" in card
    assert all(digest in card for digest in run["sha256"].values())


def test_the_report_of_the_first_leg_agrees_with_its_recipe() -> None:
    run = json.loads((REPOSITORY / "research" / "pretraining" / "run.json").read_text())
    assert len(run["history"]) == run["epochs"]
    assert 0.2 < run["val_accuracy"] < 0.9


def test_rendered_photos_join_as_further_classes_and_leave_some_kinds_unseen() -> None:
    from edgetl_device import parts
    from research.pretraining.rendered import KINDS, UNSEEN_KINDS, rendered_photos

    photos = rendered_photos(Recipe(rendered_per_kind=3), 32, 200)
    assert photos.images.shape == (3 * len(KINDS), 32, 32, 3) and photos.images.dtype == np.uint8
    assert photos.labels.tolist() == [200 + number for number in range(len(KINDS)) for _ in range(3)]
    assert sorted((*KINDS, *UNSEEN_KINDS)) == list(parts.KINDS)


def test_rendered_photos_are_trained_on_from_their_epoch_on(tmp_path: Path) -> None:
    from research.pretraining.rendered import KINDS
    from research.pretraining.training import pretrain

    names = [f"{part}/{label}/{n}.png" for part in ("train", "val") for label in ("round", "square") for n in range(4)]
    archive = read_archive(write_archive(tmp_path / "a.tar.gz", names))
    kernels = []
    for number, count in enumerate((0, 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        end = pretrain(archive, folder, replace(TINY, rendered_per_kind=count, rendered_from=0.5))
        kernels.append(next(value for value in end.state.values() if value.shape == (1280, 2 + len(KINDS))))
    assert not np.array_equal(kernels[0][:, 2:], kernels[1][:, 2:])
