"""Extension points: heads, cameras and sinks that other installed packages add by entry points.

A package declares them in its ``pyproject.toml``::

    [project.entry-points."edgetl.cameras"]
    microscope = "my_package:open_microscope"

It needs only the standard library, and loads an extension only when its name is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .addresses import without_arguments
from .errors import EdgetlError, InputError

HEADS = "edgetl.heads"
"""``--head NAME`` → a :class:`~edgetl_device.heads.scorer.Scorer`."""

CAMERAS = "edgetl.cameras"
"""``--camera NAME[:ARGUMENT]`` → ``factory(argument)``, which returns a :class:`~edgetl_device.camera.Camera`."""

SINKS = "edgetl.sinks"
"""``--sink NAME[:ARGUMENT]`` → ``factory(argument)``, which returns a :class:`~edgetl_device.app.sinks.Sink`."""


def extension_names(group: str) -> tuple[str, ...]:
    """Names of the installed extensions of a group, sorted."""
    return tuple(sorted({point.name for point in entry_points(group=group)}))


def load_extension(group: str, name: str) -> Any | None:
    """What an extension's entry point refers to; None where no installed package has one of that name.

    Raises:
        InputError: it cannot be imported, or two packages use the same name.
    """
    points = list(entry_points(group=group, name=name))
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        packages = " and ".join(sorted(_package(point) for point in points))
        raise InputError(f"{packages} both add {name!r} to {group}: uninstall one of them")
    try:
        return points[0].load()
    except Exception as error:  # whatever a foreign module raises when it is imported
        raise InputError(
            f"{name!r} of the package {_package(points[0])} cannot be loaded ({type(error).__name__}: {error}): "
            "install what it needs, or uninstall it"
        ) from error


def call_factory(factory: Callable[[str], Any], group: str, name: str, argument: str) -> Any:
    """Call an extension's factory; what it raises becomes an InputError that names the extension.

    Raises:
        EdgetlError: the extension's own refusal.
        InputError: anything else that it raised.
    """
    try:
        return factory(argument)
    except EdgetlError as error:
        shown = without_arguments(str(error), [argument])
        if shown == str(error):
            raise
        raise InputError(shown) from None
    except Exception as error:
        reason = without_arguments(str(error), [argument])
        raise InputError(f"{name!r} ({group}) failed: {type(error).__name__}: {reason}") from error


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
