from __future__ import annotations

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from edgetl.reports.axes import limits, ticks
from edgetl.reports.curves import Line, curves
from edgetl.reports.plots import NARROW, WIDE, Point, scatter

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("seed", range(5))
def test_labels_cover_neither_each_other_nor_the_edge_however_near_the_points(width: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    names = [f"int8+{extra}" for extra in ("qat", "prune=0.5", "cluster=16")] + [f"mode-{n}" for n in range(11)]
    spread = 10.0 ** -random.integers(1, 5)
    points = [Point(2 + spread * random.random(), 0.97 + 0.03 * random.random() * spread, name) for name in names]
    texts = list(ElementTree.fromstring(scatter(points, "ms", "share", None, width)).iter(f"{SVG}text"))
    boxes = []
    for text in texts:
        if text.text in names:
            left, base = float(text.get("x", "")), float(text.get("y", ""))
            boxes.append((left, base - 11, left + 7 * len(text.text), base + 3))
            assert left >= 64 and boxes[-1][2] <= width
    assert len(boxes) == len(names)
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_curves_fall_where_values_fall_and_mark_the_epoch_that_was_kept() -> None:
    svg = curves([Line("trained on", [3.0, 2.0, 0.5]), Line("stopping part", [2.5, 2.0, 2.2], True)], "loss", best=2)
    root = ElementTree.fromstring(svg)
    first, second = (
        [tuple(map(float, place.split(","))) for place in (line.get("points") or "").split()]
        for line in root.iter(f"{SVG}polyline")
    )
    assert [x for x, _ in first] == [x for x, _ in second] == sorted(x for x, _ in first)
    assert [y for _, y in first] == sorted(y for _, y in first)  # downwards is larger
    assert second[1][1] == first[1][1]  # the same value is as high
    (mark,) = [path.get("d") for path in root.iter(f"{SVG}path") if path.get("class") == "ideal"]
    assert mark is not None and mark.startswith(f"M{second[1][0]:.1f} ")


def test_an_axis_of_shares_ends_at_one_and_large_losses_have_few_ticks() -> None:
    low, high = limits([0.98, 1.0], 0.02, 1.0)
    assert low < 0.98 and high == 1.0 and max(ticks(low, high)) == pytest.approx(1.0)
    assert len(ticks(0.0, 37.0)) <= 9
