import pytest

from edgetl_device.errors import InputError
from edgetl_device.labels import check_label


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
