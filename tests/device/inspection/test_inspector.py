"""Inspection: what is not good is flagged, where it is, and sums and left-out photos are exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgetl_device.errors import InputError, MismatchError
from edgetl_device.inspection.bursts import alike
from edgetl_device.inspection.inspector import InspectionSample, Inspector, solve_inspector
from edgetl_device.inspection.place_codes import place_codes
from edgetl_device.inspection.place_gaussians import solve_gaussians
from edgetl_device.inspection.place_statistics import place_statistics_of
from edgetl_device.inspection.threshold import choose_threshold, student_quantile
from edgetl_device.inspection.unusual import either, fused, local

SHAPES = ((8, 8, 6), (4, 4, 8), (2, 2, 100))


def photos(count: int, seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    """Parts that differ as good ones do: noise and light of their own around one picture."""
    picture = [np.random.default_rng(99).integers(-40, 40, shape) for shape in SHAPES]
    rng = np.random.default_rng(seed)
    return [tuple((part + rng.normal(0, 6, part.shape) + rng.normal(0, 5)).astype(np.int8) for part in picture)
            for _ in range(count)]  # fmt: skip


def taught(maps: list[tuple[np.ndarray, ...]], kind: str = "good") -> list[InspectionSample]:
    return [InspectionSample(tuple(part[None] for part in each), kind=kind) for each in maps]


@pytest.fixture(scope="module")
def inspector() -> Inspector:
    return solve_inspector(taught(photos(24)))


def test_a_defect_is_flagged_where_it_is_and_new_good_parts_are_not(inspector: Inspector) -> None:
    fine = [inspector.check(each) for each in photos(60, seed=1)]
    assert np.mean([finding.is_good for finding in fine]) >= 0.85
    (broken,) = photos(1, seed=2)
    broken[0][5:7, 1:3] = -100
    finding = inspector.check(broken)
    assert not finding.is_good and finding.score > finding.threshold == inspector.threshold
    assert finding.heat.shape == (8, 8) and finding.heat.dtype == np.float32
    top, left, bottom, right = finding.where or (0, 0, 0, 0)
    assert top <= 5.5 / 8 <= bottom and left <= 1.5 / 8 <= right and (bottom - top) * (right - left) < 0.5
    assert finding.heat.argmax() in (5 * 8 + 1, 5 * 8 + 2, 6 * 8 + 1, 6 * 8 + 2) and finding.heat.max() >= 1


def test_light_over_the_whole_photo_changes_no_code() -> None:
    maps = np.random.default_rng(0).integers(-60, 60, (3, 4, 4, 5)).astype(np.int8)
    brighter = (maps + np.int8(7)).astype(np.int8)
    assert (place_codes(maps) == place_codes(brighter)).all()
    assert place_codes(maps).shape == (3, 4, 4, 5)
    with pytest.raises(MismatchError, match="expected a feature map"):
        place_codes(np.zeros((4, 4), np.int8))


def test_contrast_over_the_whole_photo_hardly_changes_a_code_and_a_blank_one_is_not_drawn_out() -> None:
    maps = np.random.default_rng(0).integers(-60, 60, (8, 8, 5)).astype(np.int8)
    flatter = (maps // np.int8(2)).astype(np.int8)
    strong, weak = (place_codes(each).astype(int) - 128 for each in (maps, flatter))
    assert np.abs(strong - weak).max() <= 2 and np.abs(weak).max() > 30
    assert np.sqrt((strong**2).mean()) == pytest.approx(20, rel=0.05)
    blank = place_codes((maps > 0).astype(np.int8)).astype(int) - 128
    assert np.abs(blank).max() <= 20
    assert (place_codes(np.full((8, 8, 5), 9, np.int8)) == 128).all()


def test_codes_are_what_their_formula_says() -> None:
    maps = np.random.default_rng(1).normal(3, 45, (2, 6, 4, 7)).clip(-128, 127).astype(np.int8)
    for photo, codes in zip(maps, place_codes(maps), strict=True):
        sums = photo.sum(axis=(0, 1), dtype=int)
        away = photo.astype(int) - [(2 * int(total) + 24) // 48 for total in sums]
        gain = np.float32(20 / ((int((away**2).sum()) / away.size) ** 0.5 + 1))
        wanted = [min(max(round(float(np.float32(value) * gain)), -128), 127) + 128 for value in away.ravel().tolist()]
        assert codes.ravel().tolist() == wanted


@pytest.mark.parametrize("shape", [*SHAPES, (18, 20, 5)])
def test_a_distance_is_that_of_the_covariance_of_a_place_and_its_neighbour(shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    grid = place_codes(np.random.default_rng(3).normal(0, 20, (30, *shape)).astype(np.int8))
    (gaussians,) = solve_gaussians(place_statistics_of([grid], "", "", ["map"]))
    codes = grid.reshape(30, -1, channels)
    mean = grid.mean(axis=0)
    away = grid - mean
    everywhere = np.einsum("nhwi,nhwj->ij", away, away) / (29 * height * width)
    ridge = 0.01 * np.trace(everywhere) / channels * np.eye(channels)
    if channels > 96:
        near, pseudo = away, 0
    elif height * width > 64:
        near, pseudo = away[:, :1, 4:6], (10 + 0.5 * 30) * 2
    else:
        near, pseudo = away[:, :1, 5 % width : 5 % width + 1], 10 + 0.5 * 30
    scatter = np.einsum("nhwi,nhwj->ij", near, near)
    rows = 29 * near[0, :, :, 0].size
    covariance = everywhere + ridge if not pseudo else (scatter + pseudo * (everywhere + ridge)) / (rows + pseudo)
    place = 5 % width
    row = away[:, 0, place]
    wanted = np.einsum("ni,ij,nj->n", row, np.linalg.inv(covariance), row)
    np.testing.assert_allclose(gaussians.distances(codes)[:, place], wanted, rtol=1e-3)


def test_one_photo_is_judged_as_many_together_are() -> None:
    rng = np.random.default_rng(6)
    shapes = ((18, 20, 5), *SHAPES[1:])
    maps = [tuple(rng.normal(9, 50, shape).clip(-128, 127).astype(np.int8) for shape in shapes) for _ in range(12)]
    inspector = solve_inspector(taught(maps))
    together = inspector._unusual([np.stack(each) for each in zip(*maps, strict=True)])
    for number, each in enumerate(maps):
        for one, many in zip(inspector._one.unusual(each)[0], together, strict=True):
            np.testing.assert_allclose(one[0], many[number], atol=1e-4)


@pytest.mark.parametrize("size", [1, 3, 6])
@pytest.mark.parametrize("shape", [*SHAPES, (18, 20, 5), (18, 5, 5), (9, 9, 5)])
def test_leaving_out_by_formula_is_as_if_it_had_never_been_taught(shape: tuple[int, int, int], size: int) -> None:
    grid = place_codes(np.random.default_rng(3).normal(0, 20, (40, *shape)).astype(np.int8))
    (all_of_them,) = solve_gaussians(place_statistics_of([grid], "", "", ["map"]))
    (fewer,) = solve_gaussians(place_statistics_of([grid[size:]], "", "", ["map"]))
    codes = grid.reshape(40, -1, shape[2])
    first = np.arange(size)
    out = all_of_them.left_out(codes, first, [first] * size)
    fewer_distances = fewer.distances(codes[:size])
    np.testing.assert_allclose(out, fewer_distances, rtol=max(0.03, 0.02 * size))  # what all places share stays
    assert out.mean() > 1.05 * all_of_them.distances(codes[:size]).mean()


def test_the_order_of_photos_does_not_matter(inspector: Inspector) -> None:
    samples = taught(photos(24))
    other = solve_inspector(samples[::-1])
    (photo,) = photos(1, seed=5)
    assert other.threshold == pytest.approx(inspector.threshold, abs=1e-3)
    assert other.check(photo).score == pytest.approx(inspector.check(photo).score, abs=1e-3)


def test_near_copies_and_bursts_are_left_out_together_and_said() -> None:
    different = np.stack([maps[-1] for maps in photos(6)])
    copies = np.repeat(different, 4, axis=0)
    found = alike([""] * 24, copies)
    assert (found.near == (np.arange(24)[:, None] // 4 == np.arange(24) // 4)).all() and found.independent == 6
    assert found.warnings == ("24 good photos are worth about 6: many are near-copies, teach different parts",)
    named = alike(["a", "a", "", "b", "b", ""], different)
    assert named.near.sum(axis=1).tolist() == [2, 2, 1, 2, 2, 1] and named.independent == 4
    whole_burst = alike(["a"] * 6, different)
    assert whole_burst.independent == 6 and "one burst" in whole_burst.warnings[0]
    same = solve_inspector(taught(photos(1) * 5))
    assert "near-copies of each other" in same.warnings[0] and same.check(photos(1)[0]).is_good
    few = solve_inspector(taught(photos(8)))
    assert any("8 good photos are few" in warning for warning in few.warnings)


def test_fewer_independent_photos_raise_the_threshold() -> None:
    scores = np.random.default_rng(0).normal(size=20)
    alone, _ = choose_threshold(scores, 20)
    bursts, expected = choose_threshold(scores, 4)
    assert bursts > alone and 0 <= expected.low <= expected.rate <= expected.high <= 1
    assert student_quantile(0.95, 10) == pytest.approx(1.8125, abs=1e-3)


def test_bad_photos_are_never_learned_as_good(inspector: Inspector) -> None:
    (bad,) = photos(1, seed=2)
    bad[0][2:4] = 90
    both = solve_inspector([*taught(photos(24)), *taught([bad], "bad")])
    assert both.threshold == pytest.approx(inspector.threshold)
    corrected = solve_inspector([*taught(photos(24)), *taught(photos(3, seed=5), "fine")])
    by_target = {row.target: row.threshold for row in corrected.sensitivity()}
    assert by_target[0.05] == corrected.threshold  # what is offered is what would be used
    rows = both.sensitivity()
    assert [row.found for row in rows] == [1.0] * len(rows)
    assert [row.threshold for row in rows] == sorted(row.threshold for row in rows)
    assert all(row.found is None for row in inspector.sensitivity())


def test_what_cannot_be_inspected_is_said(inspector: Inspector) -> None:
    with pytest.raises(InputError, match="at least 2 good photos, got 1"):
        solve_inspector(taught(photos(1)))
    with pytest.raises(MismatchError, match="expected feature maps"):
        inspector.check((*photos(1)[0][:2], np.zeros((3, 2, 100), np.int8)))
    samples = taught(photos(3))
    samples[1] = replace(samples[1], maps=(samples[1].maps[0][:, :4], *samples[1].maps[1:]))
    with pytest.raises(MismatchError, match="different views"):
        solve_inspector(samples)
    with pytest.raises(InputError, match="one of good, fine, bad"):
        taught(photos(1), "broken")


def tinted(count: int, seed: int) -> list[tuple[np.ndarray, ...]]:
    """Parts with a subtle fault all over: two channels of the finest map differ a little."""
    rng = np.random.default_rng(seed)
    return [
        ((each[0] + np.array([9, 0, 0, -9, 0, 0]) * rng.uniform(0.6, 1.4)).astype(np.int8), *each[1:])
        for each in photos(count, seed)
    ]


def found(inspector: Inspector, maps: list[tuple[np.ndarray, ...]]) -> float:
    return float(np.mean([not inspector.check(each).is_good for each in maps]))


def test_a_few_bad_photos_teach_what_is_bad_and_two_teach_nothing(inspector: Inspector) -> None:
    taught_bad = taught(tinted(8, seed=3), "bad")
    two = solve_inspector([*taught(photos(24)), *taught_bad[:2]])
    assert two.direction is None and two.threshold == inspector.threshold and len(two.bad) == 2
    corrected = solve_inspector([*taught(photos(24)), *taught_bad])
    unseen, good = tinted(40, seed=4), photos(60, seed=1)
    assert corrected.direction is not None
    assert found(corrected, unseen) >= found(inspector, unseen) + 0.3
    assert found(corrected, good) <= 0.1


def test_bad_photos_that_look_good_add_no_direction() -> None:
    mistaken = [solve_inspector([*taught(photos(24)), *taught(photos(5, seed), "bad")]) for seed in (20, 21, 22)]
    good = photos(40, seed=1)
    assert np.mean([found(each, good) for each in mistaken]) <= 0.12


def test_fine_is_one_more_good_photo(inspector: Inspector) -> None:
    (odd,) = photos(1, seed=2)
    odd[0][5:7, 1:3] = -60
    alarm = inspector.check(odd)
    samples = [*taught(photos(24)), *taught([odd], "fine")]
    again = solve_inspector(samples).check(odd)
    assert not alarm.is_good and again.score < alarm.score / 2
    assert solve_inspector(samples[:-1]).check(odd).score == alarm.score


def test_what_is_odd_all_over_is_less_of_a_local_defect_than_one_odd_place() -> None:
    rng = np.random.default_rng(0)
    one, everywhere = rng.normal(size=(2, 1, 400)).astype(np.float32)
    one[0, 7:11] += 6
    assert local(one)[0] > local(everywhere + 4)[0] > local(everywhere)[0]
    assert local(everywhere + 4)[0] - local(everywhere)[0] == pytest.approx(2, abs=1e-3)


def test_a_place_is_judged_by_all_maps_and_twice_by_the_finest() -> None:
    fine = np.arange(16, dtype=np.float32).reshape(1, 16)
    coarse = np.array([[10, 20, 30, 40]], np.float32)
    together = fused([fine, coarse, np.array([[100]], np.float32)], ((4, 4), (2, 2), (1, 1)))
    below = coarse[0][[0, 0, 1, 1] * 2 + [2, 2, 3, 3] * 2]
    np.testing.assert_allclose(together[0], (2 * fine[0] + below + 100) / 4, rtol=1e-6)
    np.testing.assert_allclose(fused([fine], ((4, 4),)), fine, rtol=1e-6)


def test_both_questions_count_and_the_larger_most() -> None:
    place, part = np.array([6.0, 0.0, 2.0]), np.array([0.0, 6.0, 2.5])
    np.testing.assert_allclose(either(place, part), [6.0, 5.5, 2 + np.log(2)], atol=0.01)
