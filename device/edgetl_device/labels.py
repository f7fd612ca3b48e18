"""What may be a label: one rule for folders, the device and the web."""

from __future__ import annotations

import unicodedata

from .errors import InputError

MAX_LENGTH = 64  # characters
RESERVED = frozenset({"unknown"})  # what the classifier says of a thing it has not seen; never a class by accident


def check_label(label: str) -> str:
    """The label, NFC-normalised and stripped of surrounding blanks.

    Raises:
        InputError: empty, longer than 64 characters, reserved, or with control characters or path separators.
    """
    clean = unicodedata.normalize("NFC", label).strip()
    if not clean:
        raise InputError("a label must not be empty")
    if len(clean) > MAX_LENGTH:
        raise InputError(f"a label must have at most {MAX_LENGTH} characters, got {len(clean)}: {clean[:20]!r}…")
    odd = sorted({c for c in clean if c in "/\\" or unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")})
    if odd or clean.startswith("."):
        what = ", ".join(repr(c) for c in odd) or "a leading dot"
        raise InputError(
            f"label {clean!r} holds {what}; use letters, digits, blanks and punctuation other than / and \\"
        )
    if clean.casefold() in RESERVED:
        raise InputError(f"{clean!r} is what the classifier says of things it does not know; choose another label")
    return clean
