"""``edgetl-device view``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..console import reports, say, say_wrapped
from ..errors import InputError
from .looking_options import asked_view, choose, looking_options
from .options import in_home, runtime_option
from .starting import start_if_empty

if TYPE_CHECKING:
    from ..home import Home


@click.command(short_help="Choose which part of the frame counts")
@looking_options
@click.option(
    "--empty",
    type=click.Path(path_type=Path),
    metavar="PHOTO",
    help="Remember the empty scene: a photo of what the camera sees where nothing is there.",
)
@click.option("--reset", is_flag=True, help="Look at frames as the bundle does again.")
@runtime_option
@in_home
@reports
def view(
    region: str | None, find: bool | None, empty: Path | None, reset: bool, runtime: str, home: Home
) -> dict[str, Any]:
    """Show or choose which part of the frame counts, for recognition: a region, or what differs from the empty scene.

    It is remembered, and so is the view that each sample was taught with. A running app takes it over.
    """
    from ..home_view import warning
    from ..open_home import OpenHome
    from ..photos import read_photo

    if reset and (region is not None or find is not None):
        raise InputError("choose one: --reset, or --region and --find")
    picture = None if empty is None else read_photo(empty)
    start_if_empty(home, runtime)
    with OpenHome(home, runtime) as opened:
        if picture is not None:
            opened.view.remember_empty(picture)
            say(f"remembered the empty scene: {picture.shape[1]} x {picture.shape[0]} pixels")
        asked, wanted = asked_view(opened.view, region, find, [] if empty is None else [empty])
        others = None
        if asked or reset:
            choose(opened.view, None if reset else wanted)
        else:
            say_wrapped(f"looks at {opened.view.describe()}", 0)
            others = warning(opened.view.others(wanted))
        if others is not None:
            say_wrapped(f"warning: {others}", 0)
        return opened.view.to_json()
