from pathlib import Path

import numpy as np
import pytest
from browser import chromium

from edgetl.reports.page import Gallery, Heading, Picture, Table, Text, page


def test_a_page_is_self_contained_and_escapes_what_it_shows() -> None:
    picture = Picture(np.zeros((8, 8, 3), np.uint8), "<b>a bolt</b>")
    parts = [
        Heading("H & M"),
        Text("5 < 6"),
        Table(("class", "recall"), [("<script>", 0.5)], shade=(1,)),
        picture,
        Gallery([picture]),
    ]
    text = page("a & b", parts).decode()
    assert "<script>" not in text and "&lt;script&gt;" in text and "H &amp; M" in text
    assert text.count("data:image/jpeg;base64,") == 2 and 'alt="&lt;b&gt;a bolt&lt;/b&gt;"' in text
    assert 'src="http' not in text and "default-src 'none'" in text and "--share:0.500" in text


@pytest.mark.slow
def test_on_a_phone_remarks_go_under_their_rows_and_pictures_two_by_two(tmp_path: Path) -> None:
    remark = "25 of 25 hinge photos flagged unknown, and 6 of 100 photos of known kinds"
    picture = Picture(np.zeros((160, 160, 3), np.uint8), "a bolt")
    table = Table(
        ("step", "accuracy", "time", "what happened"), [("learn", 0.5, "0.1 s", remark)] * 2, (1,), remarks=True
    )
    path = tmp_path / "page.html"
    path.write_bytes(page("a camera that learns on the spot", [table, Gallery([picture] * 3)]))
    boxes = """() => [...document.querySelectorAll('td:first-child, td:last-child, img')].map(e => {
        const box = e.getBoundingClientRect(); return [box.left, box.top, box.right, box.bottom] })"""
    with chromium() as browser:
        seen = {}
        for width in (360, 1280):
            tab = browser.new_page(viewport={"width": width, "height": 780})
            tab.goto(path.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") == width
            assert tab.evaluate("(e => e.scrollWidth <= e.clientWidth)(document.querySelector('.scroll'))")
            seen[width] = tab.evaluate(boxes)
    step, told, following, _, first, second, third = seen[360]
    assert told[1] >= step[3] and told[3] <= following[1] and told[2] <= 360  # under its row, and whole
    assert first[1] == second[1] < third[1] and second[0] > first[2]
    step, told, *_ = seen[1280]
    assert told[1] == step[1] and told[0] > step[2]
