import pytest

from edgetl_device.errors import InputError
from edgetl_device.labels import check_label, similar_label


@pytest.mark.parametrize("label", ["cat", "hot dog", "M6 × 20", "Öl-Filter (neu)", "猫", "a" * 64])
def test_ordinary_labels_are_kept(label: str) -> None:
    assert check_label(label) == label


def test_blanks_around_and_unicode_forms_do_not_make_two_classes() -> None:
    assert check_label("  cafe\u0301 ") == check_label("caf\u00e9")


@pytest.mark.parametrize(
    "label", ["", "   ", "a/b", "a\\b", "..", ".hidden", "a\nb", "a\x00b", "a\u202eb", "a" * 65, "unknown", "Unknown"]
)
def test_odd_labels_are_refused(label: str) -> None:
    with pytest.raises(InputError):
        check_label(label)


def test_a_label_of_accents_without_end_is_refused_before_it_is_normalised() -> None:
    assert check_label("\u1112\u1161\u11ab" * 64 + " " * 200) == "한" * 64
    with pytest.raises(InputError, match="at most 64"):
        check_label("e" + "\u0301\u0327" * 200_000)  # would take minutes


@pytest.mark.parametrize("label", ["می\u200cشکفد", "👩\u200d🌾", "ശ്രീ\u200d", "क्\u200dष", "👩🏽\u200d🚀", "\u0601 ٢"])
def test_characters_that_languages_and_emoji_are_written_with_are_kept(label: str) -> None:
    assert check_label(label) == label


@pytest.mark.parametrize(
    "label",
    ["cat\u200d", "c\u200cat", "\u200dcat", "می\u200c\u200cشکفد", "a\u200bb", "a\u2066b", "a\u200eb", "a\u00adb", "a\ufeffb",
     "a\x1b[31mb", "a\x9b31mb", "a\ud800b", "a\ue000b", "a\u2028b", "a\U000e0041b"],
)  # fmt: skip
def test_characters_that_hide_turn_or_command_are_refused(label: str) -> None:
    with pytest.raises(InputError, match="holds"):
        check_label(label)


@pytest.mark.parametrize(
    ("label", "meant"),
    [("gera", "gear"), ("Gear", "gear"), ("gears", "gear"), ("hinge 2", None), ("nit", None), ("washer", None),
     ("pump 2", None), ("gear", None), ("HINGE", "hinge"), ("hi nge", "hinge"), ("\uff47ear", "gear"), ("gear a", None),
     ("pump_1", "pump 1"), ("rear", "gear")],
)  # fmt: skip
def test_a_slip_of_a_known_label_is_noticed_and_another_thing_is_not(label: str, meant: str | None) -> None:
    assert similar_label(label, ["gear", "hinge", "nut", "pump 1"]) == meant


@pytest.mark.parametrize(
    ("label", "meant"),
    [("cats", "cat"), ("Cat", "cat"), ("ca t", "cat"), ("ct", "cat"), ("cta", "cat"), ("catt", "cat"), ("nuts", "nut"),
     ("boxes", "box"), ("bus", "buses"), ("watches", "watch"), ("car", None), ("cut", None), ("hut", None), ("at", "cat"),
     ("cart", None), ("coat", None), ("tv", None), ("fox", None)],
)  # fmt: skip
def test_a_slip_of_a_short_label_is_noticed_and_another_short_word_is_not(label: str, meant: str | None) -> None:
    assert similar_label(label, ["box", "buses", "cat", "nut", "watch"]) == meant
