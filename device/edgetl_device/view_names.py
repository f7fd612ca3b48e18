"""What cameras, and the regions of their frames that are recognised by themselves, are called."""

from __future__ import annotations

from typing import NamedTuple

from .errors import InputError
from .labels import check_label

MAX_REGIONS = 32  # of all cameras together: each one costs an inference for every frame
MAX_NAME_LENGTH = 32  # characters of a camera's or a region's name
_SIGNS = '=:,;@#+$*?"<>|{}'  # they mean something in addresses, options, topics or a shell


class ViewName(NamedTuple):
    """Which view of a device: a camera, and a region of its frames; both are empty where there is one of them only.

    >>> ViewName("porch", "feeder").shown, ViewName("porch").shown, ViewName(region="feeder").shown
    ('porch/feeder', 'porch', 'feeder')
    """

    camera: str = ""
    region: str = ""

    @property
    def shown(self) -> str:
        """For a person; empty where nothing has a name."""
        return "/".join(filter(None, self))

    def to_json(self) -> dict[str, str | None]:
        """``camera`` and ``region`` (None is all that is looked at of the camera); no key where nothing has a name."""
        if not any(self):
            return {}
        return {**({"camera": self.camera} if self.camera else {}), "region": self.region or None}


UNNAMED = ViewName()
"""The only view of an only camera."""


def check_name(name: str, what: str) -> str:
    """The name of a camera or a region, normalised as labels are.

    Args:
        what: it names, for the message, such as ``camera``.

    Raises:
        InputError: it may not be one.
    """
    try:
        clean = check_label(name)
    except InputError as error:
        raise InputError(f"the name of a {what}: {error}") from None
    odd = sorted(set(_SIGNS) & set(clean))
    if odd:
        raise InputError(f"the name of a {what} must not hold any of {_SIGNS}, got {clean!r}")
    if len(clean) > MAX_NAME_LENGTH:
        raise InputError(f"the name of a {what} must have at most {MAX_NAME_LENGTH} characters, got {clean!r}")
    return clean
