"""edgetl-device: a camera that recognises your things offline and learns a new one on the spot.

What a program needs of it is here, and is loaded when it is first used::

    from edgetl_device import Device

    device = Device()
    device.install("pets.edgetl")
    print(device.classify("photo.jpg").label)
    device.learn("hamster", ["hamster-1.jpg", "hamster-2.jpg"])
    device.rollback()
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# OpenCV reads these once, when it is loaded: the limit is that of .photos.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # its warnings about photos name no file

if TYPE_CHECKING:
    from .app.app import App
    from .app.sinks import Sink
    from .app.subscription import Recognition
    from .bundle.bundle import Bundle, open_bundle
    from .camera import Camera, open_camera
    from .device import Device, DeviceGroups, DeviceInspection, Forgotten, Installed, Learned, Relabelled, Settled
    from .errors import EdgetlError
    from .heads.evidence import Evidence
    from .heads.scorer import Scorer
    from .inference.classifier import Prediction
    from .inspection.results import Finding, InspectionStatus, Taught
    from .learning.retraining import Outcome
    from .store.pending import PendingBatch
    from .store.schema import SampleRow, VersionRow

__version__ = "0.2.0"

__all__ = [
    "App",
    "Bundle",
    "Camera",
    "Device",
    "DeviceGroups",
    "DeviceInspection",
    "EdgetlError",
    "Evidence",
    "Finding",
    "Forgotten",
    "InspectionStatus",
    "Installed",
    "Learned",
    "Outcome",
    "PendingBatch",
    "Prediction",
    "Recognition",
    "Relabelled",
    "SampleRow",
    "Scorer",
    "Settled",
    "Sink",
    "Taught",
    "VersionRow",
    "__version__",
    "open_bundle",
    "open_camera",
]

_MODULES = {
    "App": "app.app",
    "Bundle": "bundle.bundle",
    "Camera": "camera",
    "Device": "device",
    "DeviceGroups": "device",
    "DeviceInspection": "device",
    "EdgetlError": "errors",
    "Evidence": "heads.evidence",
    "Finding": "inspection.results",
    "Forgotten": "device",
    "InspectionStatus": "inspection.results",
    "Installed": "device",
    "Learned": "device",
    "Outcome": "learning.retraining",
    "PendingBatch": "store.pending",
    "Prediction": "inference.classifier",
    "Recognition": "app.subscription",
    "Relabelled": "device",
    "SampleRow": "store.schema",
    "Scorer": "heads.scorer",
    "Settled": "device",
    "Sink": "app.sinks",
    "Taught": "inspection.results",
    "VersionRow": "store.schema",
    "open_bundle": "bundle.bundle",
    "open_camera": "camera",
}
"""Where each public name is defined."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562): NumPy, OpenCV and a runtime take a while to load."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
