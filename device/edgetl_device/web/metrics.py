"""``/metrics`` for Prometheus: base units, ``edgetl_`` first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from .. import __version__
from ..app.health import Health
from ..printable import printable

if TYPE_CHECKING:
    from ..app.app import App

__all__ = ["CONTENT_TYPE_LATEST", "AppCollector", "registry", "scraped"]


class AppCollector(Collector):
    """The app's state, read at every scrape.

    Args:
        app: the running app.
        viewers: how many watch now.
    """

    def __init__(self, app: App, viewers: Callable[[], int]) -> None:
        self._app, self._viewers = app, viewers

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not need a camera."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """One family after the other."""
        health, status = self._app.pipeline.health(), self._app.status()
        cameras = [(name, self._app.pipeline.health(name)) for name in self._app.cameras]
        yield _counter("frames", "Frames recognised.", cameras, lambda each: each.frames)
        text = "Frames that were never recognised: a newer one had come."
        yield _counter("frames_dropped", text, cameras, lambda each: each.dropped)
        yield _counter("camera_reconnects", "How often the camera went away.", cameras, lambda each: each.reconnects)
        yield _of_cameras("camera_up", "Whether the camera delivers.", cameras, lambda each: each.error is None)
        yield _of_cameras("frame_age_seconds", "Since the newest frame.", cameras, lambda each: each.last_frame_age_s)
        yield _gauge("inference_age_seconds", "Since the newest inference.", health.last_inference_age_s)
        yield _gauge("inference_duration_seconds", "Median of recent inferences.", _seconds(health.inference_ms))
        yield _of_cameras("frames_per_second", "Frames recognised a second, recently.", cameras, lambda each: each.fps)
        yield _gauge("viewers", "Live pictures being watched.", self._viewers())
        yield _gauge("head_version", "The active head version.", status["version"])
        drift = status["drift"]
        drifts = drift["state"] == "drifting"
        yield _gauge("scene_drifting", "Whether the scene drifted away from what the head knows.", drifts)
        yield _gauge("familiarity_rank", "Of recent frames among known ones: 0.5 is alike, 0 strange.", drift["rank"])
        yield _gauge("store_bytes", "Size of the store.", status.get("store_bytes"))
        yield _gauge("disk_free_bytes", "Free space where the store is.", status.get("free_bytes"))
        parts = CounterMetricFamily("edgetl_parts", "Inspected parts.", labels=["verdict"])
        for verdict, count in self._app.inspecting.totals().items():
            parts.add_metric([verdict], count)
        yield parts
        samples = GaugeMetricFamily("edgetl_samples", "Stored samples.", labels=["label"])
        for label, count in status["samples"].items():
            samples.add_metric([printable(label)], count)
        yield samples
        grouped = GaugeMetricFamily("edgetl_group_samples", "Samples labelled in a group.", labels=["group", "label"])
        versions = GaugeMetricFamily("edgetl_group_head_version", "The active version of a group.", labels=["group"])
        for name, group in status["groups"].items():
            versions.add_metric([printable(name)], group["version"])
            for label, count in group["samples"].items():
                grouped.add_metric([printable(name), printable(label)], count)
        yield grouped
        yield versions
        facts = {"version": __version__, "bundle": printable(status["bundle"]["name"]), "runtime": status["runtime"]}
        yield InfoMetricFamily("edgetl", "Version, bundle and runtime.", value=facts)


def scraped(app: App, viewers: Callable[[], int]) -> bytes:
    """What a scrape gets."""
    return generate_latest(registry(app, viewers))


def registry(app: App, viewers: Callable[[], int]) -> CollectorRegistry:
    """Everything ``/metrics`` shows: the app and its process."""
    collectors = CollectorRegistry()
    collectors.register(AppCollector(app, viewers))
    ProcessCollector(registry=collectors)
    return collectors


Cameras = Sequence[tuple[str, Health]]
"""Name, empty of an only one, and how it is doing."""


def _counter(name: str, text: str, cameras: Cameras, value: Callable[[Health], float]) -> CounterMetricFamily:
    if not any(camera for camera, _ in cameras):
        return CounterMetricFamily(f"edgetl_{name}", text, value=value(cameras[0][1]))
    family = CounterMetricFamily(f"edgetl_{name}", text, labels=["camera"])
    for camera, health in cameras:
        family.add_metric([printable(camera)], value(health))
    return family


def _of_cameras(name: str, text: str, cameras: Cameras, value: Callable[[Health], float | None]) -> GaugeMetricFamily:
    if not any(camera for camera, _ in cameras):
        return _gauge(name, text, value(cameras[0][1]))
    family = GaugeMetricFamily(f"edgetl_{name}", text, labels=["camera"])
    for camera, health in cameras:
        found = value(health)
        family.add_metric([printable(camera)], float("nan") if found is None else found)
    return family


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"edgetl_{name}", text, value=float("nan") if value is None else value)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1e3
