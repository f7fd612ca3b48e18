"""What may be a label: one rule for folders, the device and the web."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from .errors import InputError

MAX_LENGTH = 64  # characters
MAX_LABELS = 2000  # one more sample then takes a second to learn on a desktop core; work grows with labels times labels
RESERVED = frozenset({"unknown"})  # what the classifier says of a thing it has not seen; never a class by accident

_SHORTEST = 4  # characters of labels whose likeness means something: "nut" and "cut" are two things

_JOINERS = "\u200c\u200d"  # ZWNJ and ZWJ: Persian, the scripts of India and emoji are written with them
_SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u08e2\U000110bd\U000110cd"  # of numbers, visible


def check_label_count(count: int, remedy: str) -> None:
    """Raise InputError if these are more labels than can be told apart in time; the remedy ends the message."""
    if count > MAX_LABELS:
        raise InputError(
            f"expected at most {MAX_LABELS} labels, got {count}: with more, learning a sample is too slow; {remedy}"
        )


def check_label(label: str) -> str:
    """The label, NFC-normalised and stripped of surrounding blanks.

    Raises:
        InputError: empty, longer than 64 characters, reserved, or with control characters, characters that turn the
            direction of text or cannot be seen, or path separators.
    """
    clean = unicodedata.normalize("NFC", label).strip()
    if not clean:
        raise InputError("a label must not be empty")
    if len(clean) > MAX_LENGTH:
        raise InputError(f"a label must have at most {MAX_LENGTH} characters, got {len(clean)}: {clean[:20]!r}…")
    odd = sorted({c for at, c in enumerate(clean) if not _is_allowed(c, clean[at - 1] if at else "")})
    if odd or clean.startswith("."):
        what = ", ".join(repr(c) for c in odd) or "a leading dot"
        raise InputError(
            f"label {clean!r} holds {what}; use letters, digits, blanks and punctuation other than / and \\"
        )
    if clean.casefold() in RESERVED:
        raise InputError(f"{clean!r} is reserved for things the device does not recognise; choose another label")
    return clean


def similar_label(label: str, known: Iterable[str]) -> str | None:
    """The known label that a new one may be a slip of: it differs in case, or in a letter or two.

    >>> similar_label("gera", ["bolt", "gear"]), similar_label("Bolt", ["bolt"]), similar_label("nut", ["bolt"])
    ('gear', 'bolt', None)
    >>> similar_label("pump 2", ["pump 1"])  # numbers are meant
    """
    folded = {other.casefold(): other for other in known if other != label}
    typed = label.casefold()
    if typed in folded:
        return folded[typed]
    letters = _letters(typed)
    for match in difflib.get_close_matches(typed, folded, n=3, cutoff=0.75):
        if (
            min(len(typed), len(match)) >= _SHORTEST
            and abs(len(typed) - len(match)) <= 2
            and letters != _letters(match)
        ):
            return folded[match]
    return None


def _letters(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())


def _is_allowed(character: str, before: str) -> bool:
    """Whether a character may follow another in a label.

    A joiner shapes what stands before it: a letter without case, one of its marks, or a picture. Behind anything else,
    such as a Latin letter, it would make two labels that look the same.
    """
    if character in _JOINERS:
        return before != "" and unicodedata.category(before) in ("Lo", "Lm", "Mn", "Mc", "So", "Sk")
    if character in _SIGNS:
        return True
    return character not in "/\\" and unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
