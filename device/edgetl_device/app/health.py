"""How a pipeline is doing."""

from __future__ import annotations

from dataclasses import dataclass

from ..camera import STALL_S


@dataclass(frozen=True)
class Health:
    """How a pipeline is doing.

    Args:
        camera: its name.
        running: started, and neither stopped nor at the end of a file.
        fps: recognised frames a second, over the last ones.
        frames: recognised since the start.
        dropped: captured, but replaced by a newer one before the backbone was free.
        reconnects: how often the camera was connected again.
        last_frame_age_s, last_inference_age_s: seconds since the newest frame and embedding; None before the first.
        inference_ms: median of the backbone's last times; None before the first.
        seconds: from the first recognised frame to the newest.
        error: why the camera is away, or None.
    """

    camera: str
    running: bool
    fps: float
    frames: int
    dropped: int
    reconnects: int
    last_frame_age_s: float | None
    last_inference_age_s: float | None
    inference_ms: float | None
    seconds: float
    error: str | None


def rate(times_s: list[float], now_s: float) -> float:
    """Events a second over the last ones; falls when they stop."""
    if len(times_s) < 2:
        return 0.0
    return (len(times_s) - 1) / max(times_s[-1] - times_s[0], now_s - times_s[0] - STALL_S, 1e-9)
