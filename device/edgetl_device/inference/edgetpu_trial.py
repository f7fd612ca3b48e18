"""The child process of :func:`edgetl_device.inference.edgetpu.try_out`: it may crash.

    python -m edgetl_device.inference.edgetpu_trial LIBRARY DEVICE MODULE < compiled.tflite

Before each step it prints one JSON line, so that its parent knows how far it came.
"""

from __future__ import annotations

import ctypes
import json
import re
import sys
from typing import Any

from ..child_process import end_with
from .edgetpu import EdgeTpu
from .interpreter import run_once, try_delegate

_KINDS = {0: "pci", 1: "usb"}


class _Device(ctypes.Structure):
    """``struct edgetpu_device`` of libedgetpu's C interface (edgetpu_c.h)."""

    _fields_ = (("kind", ctypes.c_int), ("path", ctypes.c_char_p))


def _report(stage: str, **facts: object) -> None:
    print(json.dumps({"stage": stage, **facts}), flush=True)


def _attached(library: Any) -> list[str]:
    """Names of the attached devices, ``usb:0`` and so on, in libedgetpu's order."""
    count = ctypes.c_size_t(0)
    library.edgetpu_list_devices.restype = ctypes.POINTER(_Device)
    library.edgetpu_list_devices.argtypes = [ctypes.POINTER(ctypes.c_size_t)]
    library.edgetpu_free_devices.argtypes = [ctypes.POINTER(_Device)]
    library.edgetpu_free_devices.restype = None
    listed = library.edgetpu_list_devices(ctypes.byref(count))
    kinds = [_KINDS.get(listed[index].kind, "other") for index in range(count.value)]
    if listed:
        library.edgetpu_free_devices(listed)
    return [f"{kind}:{kinds[:index].count(kind)}" for index, kind in enumerate(kinds)]


def _runtime_version(library: Any) -> int | None:
    library.edgetpu_version.restype = ctypes.c_char_p
    text = (library.edgetpu_version() or b"").decode(errors="replace")
    number = re.search(r"RuntimeVersion\((\d+)\)", text)
    return int(number[1]) if number else None


def _is_attached(device: str, devices: list[str]) -> bool:
    if device.startswith(":"):
        return int(device[1:]) < len(devices)
    return device in devices or f"{device}:0" in devices


def main(name: str, device: str, module: str) -> int:
    """Run the steps; 0 if all went well."""
    end_with(0)
    stage = "library"
    facts: dict[str, object] = {}
    try:
        _report(stage)
        library = ctypes.CDLL(name)
        library.tflite_plugin_create_delegate  # noqa: B018  an AttributeError tells that this is not libedgetpu
        stage = "devices"
        _report(stage)
        devices = _attached(library)
        facts = {"devices": devices, "runtime_version": _runtime_version(library)}
        if not devices:
            _report(stage, error="", **facts)
            return 1
        stage = "choose"
        _report(stage, **facts)
        if device and not _is_attached(device, devices):
            return 1
        stage = "delegate"
        _report(stage, **facts)
        accelerator = EdgeTpu(True, "", library=name, device=device)
        try_delegate(module, accelerator)
        model = sys.stdin.buffer.read()
        if model:
            stage = "model"
            _report(stage, **facts)
            run_once(module, model, accelerator)
    except (OSError, ValueError, RuntimeError, AttributeError, ImportError) as error:
        reason = " ".join(str(error).split())
        if stage == "delegate":  # the runtime's own words say nothing: "Failed to load delegate from … "
            reason = re.sub(r"^Failed to load delegate from \S+\s*", "", reason)
        _report(stage, error=reason, **facts)
        return 1
    _report("done", **facts)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
