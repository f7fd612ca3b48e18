"""Samples on the command line: an id, or a range of ids such as ``1-60``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import click

from ..errors import InputError

if TYPE_CHECKING:
    from ..learning.learner import Learner


class SampleIds(click.ParamType):  # type: ignore[type-arg, unused-ignore]
    """``7`` or ``1-60`` → a range of ids."""

    name = "id"

    def __init__(self, what: str = "sample") -> None:
        self._what = what

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> range:
        """Both ends of a range belong to it."""
        found = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", value)
        if found is None:
            self.fail(f"{value!r} is no {self._what}: expected an id such as 7, or a range such as 1-60", param, ctx)
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            self.fail(f"{value!r} ends before it begins: did you mean {last}-{first}?", param, ctx)
        return range(first, last + 1)


def stored_ids(learner: Learner, chosen: Sequence[range], *, labelled: bool = True) -> list[int]:
    """The ids of a choice, each once: one that stands alone as it is, of a range those that are stored.

    Args:
        labelled: only those with a label that this learner learns; else also those labelled in groups alone.

    Raises:
        InputError: a range holds none.
    """
    known: list[int] = []
    if any(len(ids) > 1 for ids in chosen):
        known = sorted(row.id for row in learner.samples()) if labelled else learner.photo_ids()
    found = []
    for ids in chosen:
        inside = list(ids) if len(ids) == 1 else [number for number in known if number in ids]
        if not inside:
            raise InputError(f"no samples {ids[0]}-{ids[-1]}: `edgetl-device samples` lists them")
        found.append(inside)
    return list(dict.fromkeys(chain.from_iterable(found)))


def as_ranges(ids: Iterable[int]) -> list[str]:
    """Ids as a person would type them.

    >>> as_ranges([4, 5, 6, 9])
    ['4-6', '9']
    """
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
