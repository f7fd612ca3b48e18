import hashlib

import cv2
import numpy as np
import pytest

from edgetl_device.errors import InputError
from edgetl_device.preprocess import RESIZES, Preprocessing, resized


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 8000), (3000, 2), (224, 224), (225, 223), (6000, 8000), (480, 640)])
def test_every_size_gives_the_backbones_size(shape: tuple[int, int]) -> None:
    found = Preprocessing(224, 192)(np.full((*shape, 3), (10, 20, 30), np.uint8))
    assert found.shape == (224, 192, 3) and found.dtype == np.uint8 and found.flags.c_contiguous
    assert (found == (30, 20, 10)).all()  # RGB


def test_the_crop_is_centred() -> None:
    frame = np.zeros((100, 300, 3), np.uint8)
    frame[:, 100:200] = 255
    assert (Preprocessing(50, 50)(frame) == 255).all()


def test_a_photo_of_the_right_size_is_only_reordered() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert (Preprocessing(32, 32)(frame) == frame[:, :, ::-1]).all()


def test_halving_is_the_mean_of_two_by_two_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blocks = frame.reshape(32, 2, 32, 2, 3).astype(int).sum(axis=(1, 3))
    found = Preprocessing(32, 32)(frame)[:, :, ::-1].astype(int)
    assert np.abs(found * 4 - blocks).max() <= 2


def test_the_bytes_are_the_same_on_every_architecture_and_with_every_opencv() -> None:
    generator = np.random.default_rng(0)
    shapes = ((64, 64), (480, 640), (240, 240), (232, 320), (100, 90), (300, 301), (447, 449), (1080, 1920))
    frames = [generator.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    found = hashlib.sha256(b"".join(Preprocessing(224, 224)(frame).tobytes() for frame in frames)).hexdigest()
    assert found == "46dff93b24f5300042790e741afb02f54c2e71e40848bc506a286cfc59fbf12b"


@pytest.mark.parametrize(
    ("resize", "digest"),
    [
        ("stretch", "d5656ec0917ad2a9db586b935ddddd8f14aa3fd3fd84fbb2f8f95ff34e39533a"),
        ("letterbox", "fb4111c79ff2c4fac80f990b21fb13cfd5d22e12092ee3f42ceeb70bddfcb715"),
    ],
)
def test_the_other_ways_to_resize_give_the_same_bytes_everywhere_too(resize, digest) -> None:
    generator = np.random.default_rng(0)
    shapes = ((64, 64), (480, 640), (232, 320), (100, 90), (447, 449), (1080, 1920), (30, 2000), (1, 7))
    frames = [generator.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]
    found = hashlib.sha256(b"".join(Preprocessing(224, 192, resize)(frame).tobytes() for frame in frames))
    assert found.hexdigest() == digest


@pytest.mark.parametrize("size", [(96, 96), (180, 180), (223, 160), (224, 300), (300, 224), (359, 1), (640, 480)])
def test_a_fourth_channel_for_speed_changes_no_byte(size) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (360, 400, 3), np.uint8)[:, 20:380]
    np.testing.assert_array_equal(resized(frame, size), cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR_EXACT))


def test_stretching_keeps_what_lies_at_the_sides_as_keras_does() -> None:
    frame = np.zeros((100, 400, 3), np.uint8)
    frame[:, :100], frame[:, 300:] = 200, 100
    found = Preprocessing(40, 40, "stretch")(frame)
    assert (found[:, :9] == 200).all() and not found[:, 12:28].any() and (found[:, 31:] == 100).all()


def test_a_letterbox_shows_the_whole_frame_between_black_bars() -> None:
    frame = np.full((100, 400, 3), 200, np.uint8)
    found = Preprocessing(40, 40, "letterbox")(frame)
    assert (found[15:25] == 200).all() and not found[:15].any() and not found[25:].any()
    assert (Preprocessing(40, 40, "letterbox")(frame.transpose(1, 0, 2)) == found.transpose(1, 0, 2)).all()
    assert Preprocessing(40, 40, "letterbox")(np.full((1, 5000, 3), 9, np.uint8)).any()


@pytest.mark.parametrize("resize", RESIZES)
def test_a_frame_of_the_backbones_aspect_ratio_is_the_same_whatever_the_way(resize) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (448, 384, 3), dtype=np.uint8)
    assert (Preprocessing(224, 192, resize)(frame) == Preprocessing(224, 192)(frame)).all()


def test_fine_stripes_do_not_alias_when_shrunk() -> None:
    frame = np.zeros((1024, 1024, 3), np.uint8)
    frame[:, ::2] = 255
    assert Preprocessing(64, 64)(frame).std() < 2
    assert cv2.resize(frame, (64, 64), interpolation=cv2.INTER_NEAREST).std() in (0.0, 127.5)  # what aliasing does


def test_what_is_not_a_frame_is_refused() -> None:
    for odd in (
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3)),
    ):
        with pytest.raises(InputError, match="a frame must be"):
            Preprocessing(8, 8)(odd)


def test_json_round_trips_and_a_stranger_is_refused() -> None:
    value = Preprocessing(96, 128).to_json()
    for resize in RESIZES:
        assert Preprocessing.from_json(Preprocessing(96, 128, resize).to_json()) == Preprocessing(96, 128, resize)
    for odd in (
        None,
        {},
        value | {"resize": "squeeze"},
        value | {"resize": ["crop"]},
        value | {"height": 0},
        value | {"height": True},
    ):
        with pytest.raises(InputError):
            Preprocessing.from_json(odd)
