"""Cameras, clock, power and heat."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import time
from pathlib import Path

from ..environment import BUILT_S
from ..v4l2 import camera_model, may_be_webcam
from .check import Check, System

_HOT_CELSIUS = 80.0  # a Raspberry Pi slows itself down from here on
_THROTTLED = {0: "too little voltage", 1: "clock capped", 2: "throttled", 3: "too hot"}


def cameras(system: System, _home: Path) -> Check:
    """Which cameras does the kernel offer, and may this user open them?"""
    usable, closed = [], []
    for entry in sorted(system.path("/sys/class/video4linux").glob("video*"), key=lambda entry: int(entry.name[5:])):
        node = f"/dev/{entry.name}"
        if os.access(system.path(node), os.R_OK | os.W_OK):
            answer = system.video_device(node)
            model = camera_model(answer) if answer is not None else None
            usable += [f"{node} ({model})"] if model is not None else []
        elif _looks_like_webcam(system, entry.name):
            closed.append(node)
    if closed:
        fix = "sudo usermod -aG video $USER, then log in again"
        return Check("", False, f"this user may not open {', '.join(closed)}", fix, needed=False)
    if usable:
        return Check("", True, ", ".join(usable))
    fix = "plug in a USB camera; for a ribbon camera see picamera2 below (videos, URLs and `parts` need no camera)"
    return Check("", False, "no USB camera", fix, needed=False)


def _looks_like_webcam(system: System, node: str) -> bool:
    """Of a node that this user may not ask: by what the kernel tells everybody."""
    folder = f"/sys/class/video4linux/{node}"
    driver = system.path(f"{folder}/device/driver")
    name = driver.resolve().name if driver.exists() else system.text(f"{folder}/name")
    return may_be_webcam(name) and system.text(f"{folder}/index") in ("", "0")  # a webcam's second node holds metadata


def picamera2(system: System, _home: Path) -> Check:
    """Can this environment see picamera2, which comes by apt and not by pip?"""
    if not system.text("/proc/device-tree/model").startswith("Raspberry Pi"):
        return Check("", True, "not a Raspberry Pi: not needed", needed=False)
    module = importlib.util.find_spec("picamera2")
    libcamera = importlib.util.find_spec("libcamera")
    if libcamera is not None and libcamera.origin and libcamera.origin.startswith(sys.prefix) and _in_venv():
        fix = "pip uninstall -y rpi-libcamera libcamera; the one that apt installs fits the system"
        return Check("", False, "libcamera was installed by pip: the next system upgrade breaks it", fix, needed=False)
    if module is not None and libcamera is not None:
        return Check("", True, f"{module.origin}")
    if not system.path("/usr/lib/python3/dist-packages/picamera2").exists():
        fix = "sudo apt install -y --no-install-recommends python3-picamera2"
        return Check("", False, "not installed: ribbon cameras cannot be used", fix, needed=False)
    minor = system.path("/usr/bin/python3").resolve().name.removeprefix("python")
    if "." in minor and minor != f"{sys.version_info[0]}.{sys.version_info[1]}":
        fix = f"make the venv with /usr/bin/python{minor} -m venv --system-site-packages"
        return Check(
            "", False, f"it is for the system's Python {minor}, this is {sys.version.split()[0]}", fix, needed=False
        )
    fix = f"python3 -m venv --upgrade --system-site-packages {sys.prefix}"
    return Check("", False, "installed, but this venv does not see it", fix, needed=False)


def clock(system: System, _home: Path) -> Check:
    """Is it about now? Without it, times of samples and signatures are wrong."""
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < BUILT_S:
        return Check(
            "",
            False,
            f"{now}: the clock was never set",
            "sudo timedatectl set-ntp true, or an RTC module",
            needed=False,
        )
    synchronised = system.command("timedatectl", "show", "--property=NTPSynchronized", "--value")
    if synchronised == "no":
        return Check("", False, f"{now}, not synchronised", "sudo timedatectl set-ntp true", needed=False)
    return Check("", True, now + (", synchronised" if synchronised == "yes" else ""))


def power(system: System, _home: Path) -> Check:
    """Does the firmware hold the machine back? Raspberry Pi only."""
    output = system.command("vcgencmd", "get_throttled")
    match = re.fullmatch(r"throttled=0x([0-9a-fA-F]+)", output or "")
    if match is None:
        return Check("", True, "not a Raspberry Pi: not checked", needed=False)
    bits = int(match[1], 16)
    now = [text for bit, text in _THROTTLED.items() if bits >> bit & 1]
    before = [text for bit, text in _THROTTLED.items() if bits >> (bit + 16) & 1]
    if not now and not before:
        return Check("", True, "not throttled since boot")
    detail = f"now: {', '.join(now)}" if now else f"since boot: {', '.join(before)}"
    volts = "a 5 V supply of 3 A (Pi 5: 5 A) and a short cable"
    fix = volts if "too little voltage" in (*now, *before) else "a heat sink or a fan"
    return Check("", False, detail, fix, needed=False)


def temperature(system: System, _home: Path) -> Check:
    """How hot is the processor?"""
    celsius = processor_temperature(system)
    if celsius is None:
        return Check("", True, "no sensor", needed=False)
    if celsius >= _HOT_CELSIUS:
        return Check("", False, f"{celsius:.0f} °C: the processor slows down", "a heat sink or a fan", needed=False)
    return Check("", True, f"{celsius:.0f} °C")


def processor_temperature(system: System) -> float | None:
    """Degrees Celsius, or None without a sensor."""
    text = system.text("/sys/class/thermal/thermal_zone0/temp")
    try:
        return int(text) / 1000
    except ValueError:
        return None


CHECKS = (
    ("cameras", cameras),
    ("picamera2", picamera2),
    ("clock", clock),
    ("power", power),
    ("temperature", temperature),
)


def _in_venv() -> bool:
    return sys.prefix != sys.base_prefix
