"""The built-in world: photos a person can name, that give nothing away but the shape."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgetl_device import parts
from edgetl_device.errors import InputError

CHANCE = 1 / len(parts.KINDS)


@pytest.fixture(scope="module")
def drawer() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Photos to learn from and others to be asked about: (images, kind numbers) twice, 96 px."""
    sets = []
    for per_class, seed in ((40, 1), (15, 2)):
        pairs = list(parts.photos(per_class=per_class, size=96, seed=seed))
        sets += [np.stack([p for _, p in pairs]), np.array([parts.KINDS.index(k) for k, _ in pairs])]
    return sets[0], sets[1], sets[2], sets[3]


def nearest_mean(train: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    means = np.stack([train[labels == c].mean(0) for c in range(len(parts.KINDS))])
    return np.asarray(((asked[:, None] - means) ** 2).sum(2).argmin(1))


def ridge(train: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """One-against-all least squares on standardised features."""
    mean, spread = train.mean(0), train.std(0) + 1e-6
    x, q = (train - mean) / spread, (asked - mean) / spread
    targets = np.eye(len(parts.KINDS))[labels]
    weights = x.T @ np.linalg.solve(x @ x.T + 0.3 * x.shape[1] * np.eye(len(x)), targets - targets.mean(0))
    return np.asarray((q @ weights).argmax(1))


def outline_spectrum(images: np.ndarray) -> np.ndarray:
    """Spectrum of the edges in polar form, harmonics of its angle: no place, no turn, no colour, only shape."""
    window = np.outer(np.hanning(96), np.hanning(96))
    rows = []
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
        grey = (grey - grey.mean()) / (grey.std() + 1)
        edges = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) * window
        power = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(edges)))).astype(np.float32)
        polar = cv2.warpPolar(power, (40, 64), (48, 48), 40, cv2.INTER_LINEAR)
        rows.append(np.abs(np.fft.rfft(polar, axis=0))[:13:2].ravel())
    return np.stack(rows)


def test_there_are_eight_kinds_or_more_in_alphabetical_order() -> None:
    assert len(parts.KINDS) >= 8
    assert list(parts.KINDS) == sorted(set(parts.KINDS))
    assert {"bearing", "bolt", "bracket", "gear", "nut", "screw", "spring", "washer"} <= set(parts.KINDS)


@pytest.mark.parametrize("light", parts.LIGHTS)
@pytest.mark.parametrize("kind", parts.KINDS)
def test_every_kind_renders_in_every_light(kind: str, light: str) -> None:
    photo = parts.render(kind, light=light, size=96, seed=3)
    assert photo.shape == (96, 96, 3)
    assert photo.dtype == np.uint8
    assert photo.std() > 4


@pytest.mark.slow
@pytest.mark.once
def test_no_shape_of_any_kind_fails_to_render() -> None:
    for kind in parts.KINDS:
        shown = [parts.render(kind, size=48, seed=seed) for seed in range(40)]
        assert all(photo.shape == (48, 48, 3) for photo in shown)


def test_the_same_seed_gives_the_same_photo() -> None:
    first = parts.render("gear", light="warm", size=128, seed=11)
    parts.render("bolt", seed=4)
    assert np.array_equal(first, parts.render("gear", light="warm", size=128, seed=11))


def test_another_seed_gives_another_photo() -> None:
    first, second = parts.render("gear", size=96, seed=1), parts.render("gear", size=96, seed=2)
    assert np.abs(first.astype(int) - second).mean() > 10


def test_a_larger_photo_of_a_seed_shows_the_same_scene() -> None:
    small = parts.render("nut", size=112, seed=5).astype(float)
    large = cv2.resize(parts.render("nut", size=224, seed=5), (112, 112), interpolation=cv2.INTER_AREA)
    assert np.corrcoef(small.ravel(), large.astype(float).ravel())[0, 1] > 0.8


@pytest.mark.slow
@pytest.mark.once
def test_dim_photos_are_less_than_two_thirds_as_bright_as_normal_ones() -> None:
    for kind in parts.KINDS:
        normal, dim = (
            np.mean([parts.render(kind, light=light, size=64, seed=seed) for seed in range(12)])
            for light in ("normal", "dim")
        )
        assert dim < 0.66 * normal


def test_warm_photos_are_redder_than_normal_ones() -> None:
    def red_to_blue(light: str) -> float:
        pixels = np.concatenate([parts.render("nut", light=light, size=64, seed=s).reshape(-1, 3) for s in range(12)])
        return float(pixels[:, 2].mean() / pixels[:, 0].mean())

    assert red_to_blue("warm") > 1.3 * red_to_blue("normal")


def test_light_changes_neither_the_part_nor_its_place() -> None:
    normal, dim = (parts.render("gear", light=light, size=96, seed=5).mean(2).ravel() for light in ("normal", "dim"))
    assert np.corrcoef(normal, dim)[0, 1] > 0.5


@pytest.mark.slow
@pytest.mark.once
def test_mean_colour_says_next_to_nothing_about_the_kind(
    drawer: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    train, labels, asked, truth = drawer
    found = nearest_mean(train.mean((1, 2)), labels, asked.mean((1, 2)))
    assert (found == truth).mean() < 2 * CHANCE


@pytest.mark.slow
@pytest.mark.once
def test_shape_says_much_about_the_kind(
    drawer: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    train, labels, asked, truth = drawer
    found = ridge(outline_spectrum(train), labels, outline_spectrum(asked))
    assert (found == truth).mean() > 3 * CHANCE


def test_photos_come_kind_by_kind() -> None:
    labels = [kind for kind, _ in parts.photos(("nut", "bolt"), 2, "normal", 48, 0)]
    assert labels == ["nut", "nut", "bolt", "bolt"]


def test_a_photo_does_not_depend_on_what_else_is_asked_for() -> None:
    alone = [photo for _, photo in parts.photos(("nut",), 1, "normal", 48, 7)]
    among = [photo for kind, photo in parts.photos(parts.KINDS, 2, "normal", 48, 7) if kind == "nut"]
    assert np.array_equal(alone[0], among[0])


def test_an_empty_bench_repeats_for_a_seed() -> None:
    bench = parts.render_background(size=96, seed=2)
    assert bench.shape == (96, 96, 3)
    assert np.array_equal(bench, parts.render_background(size=96, seed=2))


def test_photos_are_written_one_folder_a_kind(tmp_path: Path) -> None:
    written = parts.write_photos(tmp_path / "new", kinds=("bolt", "nut"), per_class=3, size=64)
    names = sorted(str(path.relative_to(tmp_path / "new")) for path in tmp_path.rglob("*.jpg"))
    assert written == 6
    assert names == [f"{kind}/{kind}-000{i}.jpg" for kind in ("bolt", "nut") for i in range(3)]
    assert cv2.imread(str(tmp_path / "new" / names[0])).shape == (64, 64, 3)


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        parts.write_photos(tmp_path / name, kinds=("gear",), per_class=2, size=64, seed=9)
    first, second = ([path.read_bytes() for path in sorted((tmp_path / name).rglob("*.jpg"))] for name in ("a", "b"))
    assert first == second


def test_writing_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    parts.write_photos(tmp_path, kinds=("nut",), per_class=1, size=48)
    assert capfd.readouterr() == ("", "")


def test_a_stream_shows_every_kind_and_the_empty_bench_between() -> None:
    frames = list(islice(parts.stream(kinds=("nut", "bolt"), size=(60, 80), fps=6, seed=1), 150))
    labels = [label for _, label in frames]
    changes = [a for a, b in pairwise([*labels, "end"]) if a != b]
    assert all(frame.shape == (60, 80, 3) and frame.dtype == np.uint8 for frame, _ in frames)
    assert labels[0] is None
    assert set(labels) == {None, "nut", "bolt"}
    assert all(None in pair for pair in pairwise(changes))


@pytest.mark.slow
@pytest.mark.once
def test_a_stream_moves_smoothly() -> None:
    frames = [frame.astype(int) for frame, _ in islice(parts.stream(size=(120, 160), fps=15, seed=3), 200)]
    steps = [np.abs(a - b).mean() for a, b in pairwise(frames)]
    assert np.median(steps) < 12
    assert max(steps) < 35


def test_a_labelled_frame_differs_from_the_empty_bench() -> None:
    frames = list(islice(parts.stream(size=(120, 160), fps=5, seed=2), 100))
    bench = frames[0][0].astype(int)
    empty = [np.abs(frame - bench).mean() for frame, label in frames[:3] if label is None]
    shown = [np.abs(frame - bench).mean() for frame, label in frames if label is not None]
    assert min(shown) > 1.5 * max(empty)


def test_a_stream_repeats_for_a_seed() -> None:
    first, second = (
        [(frame.tobytes(), label) for frame, label in islice(parts.stream(size=(60, 80), seed=8), 40)] for _ in range(2)
    )
    assert first == second


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown part 'widget': expected one of bearing, bolt, "):
        parts.render("widget")


def test_an_unknown_light_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown light 'neon': expected one of normal, dim, warm, harsh"):
        parts.stream(light="neon")


def test_photos_refuses_at_the_call_not_at_the_first_photo() -> None:
    with pytest.raises(InputError, match="unknown part"):
        parts.photos(("nut", "widget"))


@pytest.mark.parametrize(("option", "value"), [("size", 8), ("seed", -1)])
def test_sizes_and_seeds_out_of_range_are_refused(option: str, value: int) -> None:
    with pytest.raises(InputError, match=option):
        parts.render("nut", **{option: value})  # type: ignore[arg-type]
