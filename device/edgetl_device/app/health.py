"""How a pipeline is doing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..camera import STALL_S
from .feed import Feed

RECENT = 64  # frames over which rates and medians are taken


@dataclass(frozen=True)
class Health:
    """How a pipeline is doing, or one of its cameras. Of several together: the sums, and what the best one does.

    Args:
        camera: its name, or theirs.
        running: started, and neither stopped nor at the end of a file.
        fps: recognised frames a second, over the last ones; of several regions, the mean of theirs.
        frames: recognised since the start, a frame once for each of its regions.
        dropped: captured, but replaced by a newer one before the backbone was free.
        reconnects: how often the camera was connected again.
        last_frame_age_s, last_inference_age_s: seconds since the newest frame and embedding; None before the first.
        inference_ms: median of the backbone's last times; None before the first.
        seconds: from the first recognised frame to the newest.
        error: why the camera is away, or all of them are, or None.
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


def health_json(name: str, health: Health) -> dict[str, Any]:
    """Of one camera among several: ``camera`` is what a person calls it, ``device`` what it is."""
    fields = asdict(health)
    return {"camera": name or None, "device": fields.pop("camera"), **fields}


@dataclass(eq=False)
class Tally:
    """What was recognised of one view.

    Args:
        frames: how many.
        times_s: when the last ones were, by the monotonic clock.
        first_s: when the first one was.
    """

    frames: int = 0
    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    first_s: float = 0.0

    def note(self, now_s: float) -> None:
        """One more."""
        if not self.frames:
            self.first_s = now_s
        self.frames += 1
        self.times_s.append(now_s)

    def add(self, other: Tally) -> None:
        """What was recognised of another view, too."""
        if other.frames:
            self.first_s = min(self.first_s, other.first_s) if self.frames else other.first_s
            self.frames += other.frames
            times_s = sorted((*self.times_s, *other.times_s))
            self.times_s = deque(times_s, maxlen=RECENT)

    def copy(self) -> Tally:
        """As of now."""
        return Tally(self.frames, self.times_s.copy(), self.first_s)


def health_of(
    feeds: Sequence[tuple[Feed, Sequence[Tally], Tally]],
    *,
    running: bool,
    inference_ms: float | None,
    inference_age_s: float | None,
    now_s: float,
) -> Health:
    """Cameras, each with the tallies of its views and that of the views it had → how they are doing."""
    tallies = [tally for _, views, gone in feeds for tally in (*views, gone) if tally.frames]
    cameras = [feed for feed, _, _ in feeds]
    captured = [feed.captured_s for feed in cameras if feed.captured_s is not None]
    problems = [feed.problem if running else feed.error for feed in cameras]
    first_s, last_s = min((t.first_s for t in tallies), default=0.0), max((t.times_s[-1] for t in tallies), default=0.0)
    return Health(
        camera=", ".join(feed.camera.name for feed in cameras),
        running=running,
        fps=sum(_rate([tally for tally in views if tally.frames], now_s) for _, views, _ in feeds),
        frames=sum(tally.frames for tally in tallies),
        dropped=sum(feed.dropped for feed in cameras),
        reconnects=sum(feed.reconnects for feed in cameras),
        last_frame_age_s=now_s - max(captured) if captured else None,
        last_inference_age_s=inference_age_s,
        inference_ms=inference_ms,
        seconds=last_s - first_s,
        error=problems[0] if None not in problems else None,
    )


def _rate(tallies: Sequence[Tally], now_s: float) -> float:
    """Of the views of one camera: their mean."""
    return sum(rate(list(tally.times_s), now_s) for tally in tallies) / len(tallies) if tallies else 0.0


def rate(times_s: list[float], now_s: float) -> float:
    """Events a second over the last ones; falls when they stop."""
    if len(times_s) < 2:
        return 0.0
    return (len(times_s) - 1) / max(times_s[-1] - times_s[0], now_s - times_s[0] - STALL_S, 1e-9)
