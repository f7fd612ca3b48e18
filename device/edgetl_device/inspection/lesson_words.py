"""What is said of a lesson of inspection: what was done, and what became worse."""

from __future__ import annotations

from collections.abc import Sequence

_DONE = {
    "good": "taught {} as good",
    "fine": "corrected {} to good",
    "bad": "called {} not good",
    "merged": "added {} of other devices",
}


def done(verdict: str, photos: int) -> str:
    """What a version is called by.

    >>> done("fine", 1)
    'corrected 1 photo to good'
    """
    return _DONE[verdict].format(f"{photos} photo{'s' if photos != 1 else ''}")


def aside(why: str | None, ids: Sequence[int]) -> str:
    """That a lesson was set aside, and what to do: ids ascend without a gap."""
    some = str(ids[0]) if len(ids) == 1 else f"{ids[0]}-{ids[-1]}"
    return (
        f"set aside: with {'it' if len(ids) == 1 else 'them'} {why}; if {_THESE[len(ids) == 1]} good, "
        f"`edgetl-device inspect fine {some}`, if not, `edgetl-device inspect bad {some}`"
    )


_THESE = {True: "it is", False: "they are"}


def worse(why: str | None) -> str:
    """That a correction counts, and what it does harm to."""
    return f"with this {why}: `edgetl-device inspect rollback` goes back"
