"""Text from elsewhere on a terminal, in a log."""

import logging
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from edgetl_device.printable import PrintableFormatter, printable


def test_what_is_not_meant_for_reading_becomes_its_escape() -> None:
    assert printable("red \x1b[2J\n\u202eevil\ud800\u2028") == r"red \x1b[2J\n\u202eevil\ud800\u2028"
    assert printable("x" * 5000, 10) == "x" * 10 + "…"


def test_letters_of_all_languages_and_what_joins_them_stay() -> None:
    for text in ("Rosenblüte", "گل‌ها", "ക്‍ഷ", "玫瑰", "👩‍🌾", "blé d’or – 5 €"):
        assert printable(text) == text


@settings(deadline=None)
@given(st.text(st.characters(), max_size=50))
def test_the_result_is_one_encodable_line_without_commands(text: str) -> None:
    shown = printable(text)
    shown.encode()
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"} and len(shown.splitlines()) <= 1


def test_a_log_record_cannot_begin_another_line() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "label %s", ("a\nCRITICAL: b\x1b[0m",), None)
    assert PrintableFormatter("%(message)s").format(record) == r"label a\nCRITICAL: b\x1b[0m"
