"""Views: which part of a frame counts, and how it is laid before the backbone."""

import hashlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.errors import InputError, PhotoError
from edgetl_device.part_pose import otsu, pose_of
from edgetl_device.preprocess import Preprocessing
from edgetl_device.view import UNIT, View, parse_region


def frame_with_part(
    angle: float = 0.0, x: float = 320, y: float = 240, scale: float = 1.0, broad: float = 1.0
) -> np.ndarray:
    """A (480, 640, 3) frame with noise and one wedge of 200 x 60 pixels, its thick end to the left at angle 0."""
    noise = np.random.default_rng(1).normal(180, 3, (480, 640, 3))
    frame = np.ascontiguousarray(np.clip(noise, 0, 255).astype(np.uint8))
    corners = np.array([[-100, -30], [-100, 30], [100, 10], [100, -10]], float) * (scale, scale * broad)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    cv2.fillPoly(frame, [np.rint(corners @ turn + (x, y)).astype(np.int32)], (40, 60, 90))
    return frame


def sha(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def coloured(height: int, width: int) -> np.ndarray:
    """A frame without a library's random numbers or resizing: the same on every machine."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 7 + y, x ^ y, (x * y) >> 4], axis=-1).astype(np.uint8)


def golden_part() -> np.ndarray:
    """A bright slanted bar with a thick end on a dark frame, from integers alone."""
    frame = coloured(360, 500) // 16
    y, x = np.mgrid[0:360, 0:500]
    u, v = 4 * (x - 260) + 3 * (y - 170), 4 * (y - 170) - 3 * (x - 260)
    inside = (abs(u) < 700) & (abs(v) < np.where(u < -300, 200, 90))
    frame[inside] += np.uint8(150)
    return frame


def test_the_whole_frame_is_what_the_backbone_gets_and_nothing_is_cut_off() -> None:
    frame = coloured(480, 640)
    assert (View().photo(frame, 64, 64) == Preprocessing(64, 64, "stretch")(frame)).all()


def test_a_region_is_that_part_of_the_frame() -> None:
    frame = coloured(480, 640)
    view = View(parse_region("160,120,320,240", 640, 480))
    assert view.region == (2500, 2500, 5000, 5000) and view.region == parse_region("0.25,0.25,0.5,0.5", 64, 48)
    assert (view.cut(frame) == frame[120:360, 160:480]).all()
    assert (view.photo(frame, 32, 32) == Preprocessing(32, 32, "stretch")(frame[120:360, 160:480])).all()
    assert View((9999, 9999, 1, 1)).cut(frame).shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("600,0,100,100", r"not inside the frame, which has 640 x 480 pixels"),
        ("-1,0,100,100", "not inside the frame"),
        ("0,0,0.5,1.01", "not inside the frame"),
        ("0,0,0.00001,1", "must lie inside"),
        ("0,0,1", "expected a region X,Y,W,H"),
        ("a,b,c,d", "expected a region"),
        ("nan,0,1,1", "expected a region"),
    ],
)
def test_a_region_outside_the_frame_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        parse_region(text, 640, 480)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.5, 2.6, 3.9, 5.5])
def test_a_part_is_laid_across_whichever_way_it_lies(angle: float) -> None:
    view = View(find_part=True)
    straight = view.photo(frame_with_part(), 96, 96)[:, :, 0] < 120
    turned = view.photo(frame_with_part(angle, x=260, y=250), 96, 96)[:, :, 0] < 120
    near = np.ones((7, 5), np.uint8)  # a border of two of the frame's pixels: a long part is drawn to twice its height
    inside, around = (np.asarray(change(straight.astype(np.uint8), near), bool) for change in (cv2.erode, cv2.dilate))
    assert turned[inside].all() and not turned[~around].any()
    columns = straight.sum(axis=0)
    assert columns[15] > 2 * columns[80] > 0  # the thick end is on the left


def test_a_part_is_drawn_to_at_most_twice_its_height() -> None:
    view = View(find_part=True)
    dark = [view.photo(frame_with_part(broad=broad), 96, 96)[:, :, 0] < 120 for broad in (1, 2)]
    lengths, heights = ([int(each.any(axis=axis).sum()) for each in dark] for axis in (0, 1))
    assert heights[0] / lengths[0] == pytest.approx(2 * 60 / 200, abs=0.05)  # twice, and less would fill the photo
    assert heights[1] == pytest.approx(lengths[1], abs=3)  # both fill it, but for the margin


def test_a_part_fills_the_photo_whatever_its_size() -> None:
    view = View(find_part=True)
    for scale in (0.5, 1.0, 1.4):
        dark = (view.photo(frame_with_part(0.3, scale=scale), 96, 96)[:, :, 0] < 120).any(axis=0)
        assert 82 <= np.flatnonzero(dark)[-1] - np.flatnonzero(dark)[0] <= 92


def test_where_nothing_stands_out_there_is_no_part() -> None:
    empty = np.random.default_rng(0).normal(180, 3, (240, 320, 3)).clip(0, 255).astype(np.uint8)
    dirt = empty.copy()
    dirt[100:104, 100:104] = 0
    for frame in (empty, dirt, np.zeros((5, 5, 3), np.uint8)):
        with pytest.raises(PhotoError, match="no part stands out"):
            View(find_part=True).photo(frame, 32, 32)


def test_a_part_at_the_edge_of_a_frame_of_any_shape_is_found() -> None:
    for height, width in ((40, 900), (900, 40), (1, 300), (3000, 64)):
        frame = np.full((height, width, 3), 200, np.uint8)
        frame[: max(1, height // 3), : max(1, width // 3)] = 20
        assert View(find_part=True).photo(frame, 32, 32).shape == (32, 32, 3)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=12))
@settings(max_examples=50, deadline=None)
def test_the_threshold_is_the_one_with_the_largest_variance_between(counts: list[int]) -> None:
    values = np.repeat(np.arange(len(counts)), counts)
    best = otsu(np.array(counts))

    def between(level: int) -> float:
        low, high = values[values <= level], values[values > level]
        return len(low) * len(high) * (low.mean() - high.mean()) ** 2 if len(low) and len(high) else -1.0

    assert between(best) == pytest.approx(max(between(level) for level in range(len(counts))), abs=1e-6)


def test_turns_are_the_eight_of_a_square_and_the_four_of_another() -> None:
    photo = coloured(8, 8)
    assert len({sha(each) for each in View(turned=True).turns(photo)}) == 8
    assert len({sha(each) for each in View(turned=True).turns(coloured(8, 6))}) == 4
    assert {each.shape for each in View(turned=True).turns(coloured(8, 6))} == {(8, 6, 3)}
    (only,) = View().turns(photo)
    assert only is photo and (View(turned=True).turns(photo)[0] == photo).all()


def test_a_view_is_kept_and_its_digest_tells_views_apart() -> None:
    views = [View(), View((0, 0, UNIT, UNIT)), View(find_part=True), View(turned=True), View((1, 2, 3, 4), True, True)]
    assert [View.from_json(view.to_json()) for view in views] == views
    assert len({view.digest for view in views}) == len(views)
    assert View().digest == "14f24d2942cf6f4be25d62b68ac76fc1a95cbe44b1a74b88fa338cb86a528b57"


@pytest.mark.parametrize(
    "change",
    [{"version": 2}, {"region": [0, 0, 1]}, {"region": [True, 0, 1, 1]}, {"turned": 1}, {"more": 1}, {"region": "x"}],
)
def test_what_is_no_view_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        View.from_json(View().to_json() | change)


def test_every_machine_gives_these_very_bytes() -> None:
    frame, part = coloured(480, 640), golden_part()
    pose = pose_of(part)
    found = [
        sha(View().photo(frame, 224, 224)),
        sha(View((1234, 2345, 4567, 5678)).photo(frame, 96, 96)),
        sha(View(find_part=True).photo(part, 224, 224)),
        sha(View(find_part=True).photo(part, 96, 96)),
        sha(View(find_part=True).photo(part[::-1, ::-1], 48, 64)),
    ]
    assert (pose.x, pose.y, pose.length, pose.breadth, pose.cosine, pose.sine) == (260, 170, 309, 154, 13100, 9841)
    assert found == ["0b2ac68df032a69d", "0dad8a8b3d8b9c50", "cdef78d4d00eb2ad", "93e0d26f15025779", "97712f13e67f0585"]
