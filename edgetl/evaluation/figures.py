"""Figures in words: a share never without how many photos it was measured on and how sure it is."""

from __future__ import annotations

from .evaluate import Evaluation, Outcomes


def headline(result: Evaluation) -> list[str]:
    """What a person would count; first on photos that the bundle was not trained on, where there are any."""
    unseen = result.outcomes_unseen
    if unseen is None:
        return [counted(result.outcomes), "It was trained on all of them: new photos will do worse."]
    if unseen.samples == result.samples:
        return [counted(unseen)]
    share = f"{100 * (result.outcomes.share('right') or 0.0):.1f} % right of {result.samples} photos"
    return [counted(unseen, "new photos"), f"With those it was trained on, which flatters: {share}"]


def counted(outcomes: Outcomes, photos: str = "photos") -> str:
    """Right, unknown and wrong.

    >>> counted(Outcomes(30, 6, 4))
    '75.0 % right (60 … 86), 15.0 % unknown, 10.0 % wrong of 40 photos'
    """
    low, high = outcomes.interval("right")
    shares = [f"{100 * (outcomes.share(name) or 0.0):.1f} % {name}" for name in ("right", "unknown", "wrong")]
    shares[0] += f" ({100 * low:.0f} … {100 * high:.0f})"
    return f"{', '.join(shares)} of {outcomes.samples} {photos}"
