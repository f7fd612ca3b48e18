"""A home without a bundle starts with the one that the package carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..console import Stages, say

if TYPE_CHECKING:
    from ..home import Home


def start_if_empty(home: Home, runtime: str = "auto", tell: Callable[[str], None] = say) -> None:
    """Install the starter bundle where there is none, and say so."""
    from ..starter import install_starter

    if home.has_bundle():
        return
    with Stages(1) as stage:
        stage("trying the built-in bundle")
        done = install_starter(home, runtime)
    if done:
        tell(f"no bundle in {home.folder} yet: starting with the built-in one")
