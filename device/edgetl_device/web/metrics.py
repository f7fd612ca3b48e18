"""``/metrics`` for Prometheus: base units, ``edgetl_`` first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from .. import __version__
from ..printable import printable

if TYPE_CHECKING:
    from ..app.app import App


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
        yield _counter("frames", "Frames recognised.", health.frames)
        yield _counter("frames_dropped", "Frames that were never recognised: a newer one had come.", health.dropped)
        yield _counter("camera_reconnects", "How often the camera went away.", health.reconnects)
        yield _gauge("camera_up", "Whether the camera delivers.", health.error is None)
        yield _gauge("frame_age_seconds", "Since the newest frame.", health.last_frame_age_s)
        yield _gauge("inference_age_seconds", "Since the newest inference.", health.last_inference_age_s)
        yield _gauge("inference_duration_seconds", "Median of recent inferences.", _seconds(health.inference_ms))
        yield _gauge("frames_per_second", "Frames recognised a second, recently.", health.fps)
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


def registry(app: App, viewers: Callable[[], int]) -> CollectorRegistry:
    """Everything ``/metrics`` shows: the app and its process."""
    collectors = CollectorRegistry()
    collectors.register(AppCollector(app, viewers))
    ProcessCollector(registry=collectors)
    return collectors


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"edgetl_{name}", text, value=value)


def _gauge(name: str, text: str, value: float | None) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"edgetl_{name}", text, value=float("nan") if value is None else value)


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1e3
