"""What may be a label: one rule for folders, the device and the web."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from .errors import InputError

MAX_LENGTH = 64  # characters
_LONGEST = 16 * MAX_LENGTH  # with blanks around it, and letters taken apart: at most four make one
MAX_GROUP_LENGTH = 32
MAX_GROUPS = 8  # each has a head of its own in memory
MAX_LABELS = 2000  # one more sample then takes a second to learn on a desktop core; work grows with labels times labels
NOTHING = "(nothing)"
"""Label of background samples: learned, exported and forgotten like those of a class, never predicted as one."""
RESERVED = frozenset({"unknown", NOTHING})  # what is said of a thing that was not seen; never a class by accident

_SHORTEST = 4  # characters of labels in which any slip counts: "nut" and "cut" are two things
_LONG = 8  # characters of labels in which two slips are likelier than two things

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
    if len(label) > _LONGEST:  # to normalise takes time that grows with the square of its accents
        raise InputError(f"a label must have at most {MAX_LENGTH} characters, got {len(label)}: {label[:20]!r}…")
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


def check_unicode(what: str, text: str | None) -> None:
    """Raise InputError where a text cannot be written as UTF-8: it came from a command line in another encoding."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        raise InputError(f"{what} {text!r:.60} is not valid UTF-8: nothing has such a name") from None


class SimilarLabelError(InputError):
    """A new label that may be a slip of a known one: whoever means it says so.

    Args:
        message: one line.
        meant: the known label.
    """

    def __init__(self, message: str, meant: str) -> None:
        super().__init__(message)
        self.meant = meant


def refuse_similar(label: str, known: Iterable[str], insist: str) -> None:
    """Raise SimilarLabelError if a label is not known and may be a slip of one that is.

    Args:
        insist: how to say that it is meant, for the message.
    """
    known = tuple(known)
    meant = similar_label(label, known) if label not in known else None
    if meant is not None:
        raise SimilarLabelError(f"{label} would be a new label: did you mean {meant}? {insist} if it is new", meant)


def check_group(name: str) -> str:
    """The name of a group of labels, such as ``condition``: what may be a label, but shorter.

    Raises:
        InputError: it may not be one.
    """
    try:
        clean = check_label(name)
    except InputError as error:
        raise InputError(f"the name of a group: {error}") from None
    if len(clean) > MAX_GROUP_LENGTH:
        raise InputError(
            f"the name of a group must have at most {MAX_GROUP_LENGTH} characters, got {len(clean)}: {clean!r}"
        )
    return clean


def check_sample_label(label: str) -> str:
    """As :func:`check_label`, of what samples are labelled with: that may be :data:`NOTHING` too."""
    return NOTHING if label.strip() == NOTHING else check_label(label)


def similar_label(label: str, known: Iterable[str]) -> str | None:
    """The known label that a new one may be a slip of, or None.

    It differs only in case, width, blanks, hyphens or underscores, is its plural, or differs in one letter, from eight
    letters on in two: the distance of Damerau (Commun. ACM 1964), where two letters that changed places are one slip.
    Words of three letters have many neighbours that are other things: there only letters that changed places, a doubled
    letter, or one left out of the three is a slip.

    >>> similar_label("gera", ["bolt", "gear"]), similar_label("Bolt", ["bolt"]), similar_label("nut", ["bolt"])
    ('gear', 'bolt', None)
    >>> similar_label("blue-cup", ["blue cup"])
    'blue cup'
    >>> similar_label("pump 2", ["pump 1"]), similar_label("bin a", ["bin b"])  # these are meant
    (None, None)
    >>> similar_label("nuts", ["nut"]), similar_label("ct", ["cat"]), similar_label("car", ["cat"])
    ('nut', 'cat', None)
    """
    others = sorted(other for other in known if other != label)
    typed = _folded(label)
    for other in others:
        if _folded(other) == typed:
            return other
    found = []
    for other in others:
        meant = _folded(other)
        shorter = min(len(typed), len(meant))
        most = 0 if shorter < _SHORTEST else 1 if shorter < _LONG else 2
        distance = _slips(typed, meant, most)
        if (distance <= most or _is_short_slip(typed, meant)) and _words(label) != _words(other):
            found.append((distance, other))
    return min(found)[1] if found else None


def _folded(label: str) -> str:
    """What is left of a label without case, width, blanks and signs between words."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return "".join(character for character in text if not character.isspace() and character not in "-_.")


def _is_short_slip(typed: str, meant: str) -> bool:
    """Whether one is the plural of the other, or a short one typed wrongly."""
    shorter, longer = sorted((typed, meant), key=len)
    if len(shorter) > 1 and longer in (shorter + "s", shorter + "es"):
        return True
    if not 1 < len(shorter) < _SHORTEST or _slips(typed, meant, 1) != 1:
        return False
    if len(shorter) == len(longer):  # the same letters in another order; one replaced by another is another thing
        return sorted(typed) == sorted(meant)
    doubled = any(longer == shorter[:at] + shorter[at - 1] + shorter[at:] for at in range(1, len(shorter) + 1))
    return doubled or (len(meant) == 3 and len(typed) == 2)


def _words(label: str) -> list[str]:
    """The words of a label without what counts: digits, and single letters."""
    text = unicodedata.normalize("NFKC", label).casefold()
    words = "".join(" " if character in "-_." or character.isdigit() else character for character in text).split()
    return [word for word in words if len(word) > 1]


def _slips(a: str, b: str, most: int) -> int:
    """Letters to insert, remove, replace or swap with the next, so that a becomes b; ``most`` + 1 where more."""
    if abs(len(a) - len(b)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return min(last[-1], most + 1)


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
