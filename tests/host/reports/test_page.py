import numpy as np

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
