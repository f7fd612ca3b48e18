"""What this installation has and where it keeps its state: packages that may be missing, and the home folder.

It needs only the standard library, so that `doctor` can ask where nothing else loads.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

from .errors import RuntimeMissingError

RUNTIMES = {
    "litert": ("ai_edge_litert.interpreter", "ai-edge-litert"),
    "tflite": ("tflite_runtime.interpreter", "tflite-runtime"),
}
"""Name → module and distribution, in order of preference."""

BUILT_S = 1_760_000_000  # October 2025: a clock that shows an earlier time has never been set

WEB_MODULES = ("starlette", "uvicorn", "websockets", "prometheus_client")
"""What the page needs; whoever installs without dependencies may go without, with ``--no-web``."""


def available_runtimes() -> tuple[str, ...]:
    """The installed runtimes by short name, preferred first."""
    return tuple(name for name, (_, distribution) in RUNTIMES.items() if installed_version(distribution) is not None)


def runtime_name(name: str) -> str:
    """``litert`` → ``litert-2.3.0``; what statistics and store record."""
    return f"{name}-{installed_version(RUNTIMES[name][1])}"


def choose_runtime(runtime: str = "auto") -> str:
    """``auto`` → ``EDGETL_RUNTIME`` or the preferred installed one; raises RuntimeMissingError where there is none."""
    if runtime == "auto":
        runtime = os.environ.get("EDGETL_RUNTIME", "auto")
    if runtime != "auto" and runtime not in RUNTIMES:
        raise RuntimeMissingError(f"unknown runtime {runtime!r}: expected auto, {', '.join(RUNTIMES)}")
    for name in available_runtimes():
        if runtime in ("auto", name):
            return name
    wanted = "ai-edge-litert" if runtime == "auto" else RUNTIMES[runtime][1]
    raise RuntimeMissingError(f"no TFLite runtime: pip install {wanted}")


def installed_version(distribution: str) -> str | None:
    """Of a distribution by its name on PyPI; None where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def default_home() -> Path:
    """``EDGETL_HOME``, or the user's data folder."""
    return Path(os.environ.get("EDGETL_HOME") or Path.home() / ".local" / "share" / "edgetl")
