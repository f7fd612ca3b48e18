"""Where a device keeps its state. A file of its own, so that `doctor` can ask where nothing else loads."""

from __future__ import annotations

import os
from pathlib import Path


def default_home() -> Path:
    """``EDGETL_HOME``, or the user's data folder."""
    return Path(os.environ.get("EDGETL_HOME") or Path.home() / ".local" / "share" / "edgetl")
