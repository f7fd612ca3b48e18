"""``--region`` and ``--find``: which part of a frame counts, for the commands that look at frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import say_wrapped
from ..errors import PhotoError

if TYPE_CHECKING:
    from ..home_view import HomeView
    from ..view import View

Command = Callable[..., Any]


def looking_options(command: Command) -> Command:
    """Add both options to a command."""
    return click.option(
        "--region",
        metavar="X,Y,W,H",
        help="Look at this part of the frame: shares of it such as 0.25,0,0.5,1, or pixels of photos that are given.",
    )(find_option(command))


def find_option(command: Command) -> Command:
    """Add ``--find``."""
    return click.option(
        "--find/--no-find", "find", default=None, help="Find what differs from the empty scene, and enlarge it."
    )(command)


def asked_view(
    looks: HomeView, region: str | None, find: bool | None, photos: Sequence[Path] = ()
) -> tuple[bool, View | None]:
    """Whether options ask for a view, and which: what is not asked for stays as it was chosen before.

    Args:
        photos: of whose first one the region may give pixels.

    Raises:
        InputError: no such region, or nothing to find by.
    """
    from ..view import View

    chosen = looks.chosen
    if region is None and find is None:
        return False, chosen
    before = chosen or View(looks.bundle.preprocessing.region)
    area = before.region if region is None else _region(region, photos)
    view = View(area, before.find_part, before.turned, before.zoom if find is None else find)
    looks.check(view)
    return True, view


def choose(looks: HomeView, view: View | None, tell: Callable[[str], None] | None = None) -> None:
    """Remember a view; says so where it is another one, and what was taught with others."""
    from ..home_view import warning

    told = tell or (lambda line: say_wrapped(line, 0))
    if view != looks.chosen:
        looks.choose(view)
        told(f"looks at {looks.describe()} from now on")
        others = warning(looks.others(view))
        if others is not None:
            told(f"warning: {others}")


def _region(text: str, photos: Sequence[Path]) -> tuple[int, int, int, int]:
    from ..photos import read_photo
    from ..region import parse_region

    for path in photos:
        try:
            height, width = read_photo(path).shape[:2]
        except PhotoError:
            continue
        return parse_region(text, width, height)
    return parse_region(text)
