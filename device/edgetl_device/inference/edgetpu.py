"""The Edge TPU: found, tried out in a process of its own, and explained where it does not work.

libedgetpu is built against one TFLite; beside another one it may crash instead of failing. So before this process
loads it, a child does: opens the library, lists devices, makes the delegate and runs the compiled backbone once. How
far the child came says what is wrong.
"""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LIBRARY = "libedgetpu.so.1"
TWIN = "backbone_edgetpu.tflite"
TIMEOUT_S = 60.0  # opening a USB device loads its firmware, which takes a few seconds
_CHOICE = re.compile(r"(auto|off|(usb|pci)(:\d+)?|:\d+)")
_MACHINES = {3: "i386", 40: "armhf", 62: "x86_64", 183: "aarch64"}  # ELF e_machine
_NAMES = {"i386": 3, "i686": 3, "armv6l": 40, "armv7l": 40, "x86_64": 62, "aarch64": 183, "arm64": 183}


@dataclass(frozen=True)
class EdgeTpu:
    """What a trial led to.

    Args:
        ok: whether the Edge TPU computes; else ``detail`` and ``fix`` say why not and what to do.
        library: name or path that was opened.
        device: the option for libedgetpu: ``usb:0``, ``pci:0`` or "" for the first.
        devices: what is attached, by the same names.
        runtime_version: of libedgetpu, which the compiled backbone must not exceed; None where unknown.
    """

    ok: bool
    detail: str
    fix: str = ""
    library: str = LIBRARY
    device: str = ""
    devices: tuple[str, ...] = ()
    runtime_version: int | None = None


def choice() -> tuple[str, str] | None:
    """``EDGETL_EDGETPU`` (auto, off, usb, usb:0, pci:0, :0) and ``EDGETL_EDGETPU_LIBRARY`` → library and device.

    None where it is off. An unknown choice is passed on: the trial says that there is no such device.
    """
    wanted = os.environ.get("EDGETL_EDGETPU", "auto").strip().lower() or "auto"
    if wanted == "off":
        return None
    return os.environ.get("EDGETL_EDGETPU_LIBRARY") or LIBRARY, "" if wanted == "auto" else wanted


def try_out(library: str, device: str, module: str, model: bytes | None = None) -> EdgeTpu:
    """Load the delegate in a child process and, with a compiled backbone, run that once.

    Args:
        library: file name or path of libedgetpu.
        device: ``usb:0``, ``pci:0``, ``:0`` or "" for the first.
        module: the TFLite runtime's module, as in :data:`~edgetl_device.environment.RUNTIMES`.
        model: a ``_edgetpu.tflite``; None stops at the delegate.
    """
    if device and not _CHOICE.fullmatch(device):
        return EdgeTpu(
            False, f"EDGETL_EDGETPU is {device!r}", "set it to auto, off, usb, usb:0, pci or pci:0", library, device
        )
    command = [sys.executable, "-m", "edgetl_device.inference.edgetpu_trial", library, device, module]
    try:
        done = subprocess.run(command, input=model or b"", capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        fix = "unplug it, plug it in again, and use a powered USB 3 port"
        return EdgeTpu(False, f"the Edge TPU did not answer within {TIMEOUT_S:.0f} s", fix, library, device)
    return _explained(list(_stages(done.stdout)), done.returncode, library, device, module)


def library_files(library: str = LIBRARY) -> list[Path]:
    """Where a library of this name lies, whether or not it can be loaded."""
    if "/" in library:
        return [Path(library)] if Path(library).exists() else []
    folders = [Path(name) for name in ("/usr/local/lib", "/usr/lib", "/lib")]
    folders += sorted(Path("/usr/lib").glob("*-linux-gnu*"))
    return [folder / library for folder in folders if (folder / library).exists()]


def machine_of(library: Path) -> str:
    """Architecture of a shared library by its ELF header; "" where it is none."""
    try:
        with library.open("rb") as stream:
            head = stream.read(20)
    except OSError:
        return ""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return ""
    (machine,) = struct.unpack_from("<H" if head[5] == 1 else ">H", head, 18)
    return _MACHINES.get(machine, f"ELF machine {machine}")


def _stages(output: bytes) -> Iterator[dict[str, object]]:
    for line in output.splitlines():
        try:
            stage = json.loads(line)
        except ValueError:  # native code writes to stdout too
            continue
        if isinstance(stage, dict) and "stage" in stage:
            yield stage


def _explained(stages: list[dict[str, object]], code: int, library: str, device: str, module: str) -> EdgeTpu:
    """The trial's report → what it means."""
    facts: dict[str, object] = {}
    for stage in stages:
        facts |= stage
    attached = [str(name) for name in _list(facts.get("devices"))]
    version = facts.get("runtime_version")
    runtime_version = version if isinstance(version, int) else None

    def result(ok: bool, detail: str, fix: str = "") -> EdgeTpu:
        return EdgeTpu(ok, detail, fix, library, device, tuple(attached), runtime_version)

    last, error = str(facts.get("stage", "start")), str(facts.get("error", ""))
    if code == 0 and last == "done":
        label = f" (runtime version {runtime_version})" if runtime_version else ""
        return result(True, f"{device or attached[0]} of {', '.join(attached)}, by {library}{label}")
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return result(
            False,
            f"{library} crashes ({name}) beside {module.split('.')[0]} while it should {_DOING.get(last, last)}",
            "use the runtime that matches it: pip install 'edgetl-device[tflite]' and EDGETL_RUNTIME=tflite, or "
            "install a libedgetpu that was built for this runtime",
        )
    if last == "library":
        return result(False, *_library_problem(library, error))
    if last == "devices":
        return result(False, *_device_problem(error))
    if last == "choose":
        return result(
            False, f"there is no Edge TPU {device}; attached: {', '.join(attached)}", f"EDGETL_EDGETPU={attached[0]}"
        )
    if newer := re.search(r"requires runtime version \((\d+)\).*this runtime version \((\d+)\)", error):
        return result(
            False,
            f"the backbone was compiled for Edge TPU runtime {newer[1]}, but {library} is {newer[2]}",
            f"update libedgetpu, or compile again with `edgetpu_compiler --min_runtime_version {newer[2]}`",
        )
    if last == "delegate":
        why = f": {error}" if error else ", and libedgetpu does not say why"
        busy = "another program uses it, or this user may not: stop the other, or `sudo usermod -aG plugdev $USER`"
        return result(False, f"the Edge TPU cannot be opened{why}", busy)
    return result(False, f"the Edge TPU cannot run this backbone: {error or f'exit code {code}'}", "convert it again")


_DOING = {
    "start": "start",
    "library": "load",
    "devices": "list the devices",
    "choose": "list the devices",
    "delegate": "open the device",
    "model": "prepare or run the backbone",
}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _library_problem(library: str, error: str) -> tuple[str, str]:
    here = platform.machine()
    files = library_files(library)
    for path in files:
        machine = machine_of(path)
        if not machine:
            return f"{path} is not a shared library", "install libedgetpu again"
        if _NAMES.get(here) != _NAMES.get(machine.replace("armhf", "armv7l")):
            return f"{path} is for {machine}, this machine is {here}", f"install libedgetpu for {here}"
    missing = re.match(r"(\S+?): cannot open shared object file", error)
    if missing and missing[1] != library and files:
        package = "libusb-1.0-0" if "libusb" in missing[1] else f"the package with {missing[1]}"
        return f"{library} needs {missing[1]}, which is missing", f"sudo apt install {package}"
    if "undefined symbol" in error:
        return f"{library} is not libedgetpu: {error}", "point EDGETL_EDGETPU_LIBRARY at libedgetpu.so.1"
    if files:
        return f"{library} does not load: {error}", "install libedgetpu again"
    fix = "install Coral's libedgetpu1-std (https://coral.ai/software), or EDGETL_EDGETPU_LIBRARY=/path/to/it"
    return f"{library} is not installed", fix


def _device_problem(error: str) -> tuple[str, str]:
    if error:
        return f"the library does not list devices: {error}", "point EDGETL_EDGETPU_LIBRARY at libedgetpu.so.1"
    ids = {_text(path) for path in Path("/sys/bus/usb/devices").glob("*/idVendor")}
    products = {_text(path) for path in Path("/sys/bus/usb/devices").glob("*/idProduct")}
    if ids & {"1a6e", "18d1"} and products & {"089a", "9302"}:
        fix = "sudo usermod -aG plugdev $USER, log in again, and plug it out and in"
        return "an Edge TPU is on the USB bus, but this user may not use it", fix
    if any(Path("/dev").glob("apex_*")):
        return "there is /dev/apex_0, but this user may not use it", "sudo usermod -aG apex $USER and log in again"
    fix = "plug it into a USB 3 port (`lsusb` shows 1a6e:089a or 18d1:9302); a PCIe card needs the gasket driver"
    return "no Edge TPU is attached", fix


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
