"""Python, its packages and the TFLite runtime."""

from __future__ import annotations

import importlib.util
import platform
import signal
import struct
import sys
from pathlib import Path

from ..environment import RUNTIMES, WEB_MODULES, choose_runtime, installed_version
from ..errors import RuntimeMissingError
from .check import Check, System

_SQLITE = (3, 51, 3)  # before it: the WAL-reset bug, https://sqlite.org/wal.html
_MACHINES = ("x86_64", "AMD64", "aarch64", "arm64", "armv7l")


def python(_system: System, _home: Path) -> Check:
    """Is this Python one that wheels exist for?"""
    version = platform.python_version()
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        return Check("", False, f"{version}: edgetl-device needs 3.10 to 3.13", "make a venv with python3.11 or newer")
    return Check("", True, f"{version} in {sys.prefix}")


def architecture(system: System, _home: Path) -> Check:
    """Is this a machine that wheels exist for, and is Python as wide as its kernel?"""
    machine, bits = platform.machine(), struct.calcsize("P") * 8
    model = system.text("/proc/device-tree/model")
    detail = f"{machine}, {bits} bit" + (f", {model}" if model else "")
    if machine not in _MACHINES:
        return Check("", False, detail, "there are no wheels for it: use 64-bit Raspberry Pi OS, or x86-64")
    if machine in ("aarch64", "x86_64") and bits == 32:
        return Check("", False, f"{detail}: 32-bit Python on a 64-bit kernel", "install 64-bit Raspberry Pi OS")
    if machine == "armv7l":
        fix = "64-bit Raspberry Pi OS has LiteRT, several times faster; otherwise: pip install 'edgetl-device[tflite]'"
        return Check("", False, detail, fix, needed=False)
    return Check("", True, detail)


def numpy(system: System, _home: Path) -> Check:
    """Does NumPy load, and does the installed runtime work with its version?"""
    code, output = system.python("import numpy; print(numpy.__version__)")
    if code:
        return Check("", False, f"does not load: {_why(code, output)}", "pip install --force-reinstall numpy")
    if installed_version("tflite-runtime") and not output.startswith("1."):
        fix = "pip install 'numpy<2' 'opencv-python-headless<4.12', or pip uninstall tflite-runtime"
        return Check("", False, f"{output}, but tflite-runtime crashes with NumPy 2", fix)
    return Check("", True, output)


def opencv(system: System, _home: Path) -> Check:
    """Does OpenCV load? The one with windows needs libGL, which headless devices lack."""
    code, output = system.python("import cv2; print(cv2.__version__)")
    if code and "libGL" in output:
        fix = "pip uninstall -y opencv-python && pip install --force-reinstall opencv-python-headless"
        return Check("", False, f"does not load: {output}", fix)
    if code:
        return Check(
            "", False, f"does not load: {_why(code, output)}", "pip install --force-reinstall opencv-python-headless"
        )
    return Check("", True, output)


def runtime(system: System, _home: Path) -> Check:
    """Is there a TFLite runtime, and does each one that is installed load?"""
    known = {name: (module, installed_version(name)) for module, name in RUNTIMES.values()}
    installed = {name: (module, version) for name, (module, version) in known.items() if version}
    if not installed:
        return Check("", False, "no TFLite runtime is installed", "pip install ai-edge-litert")
    for name, (module, _) in installed.items():
        code, output = system.python(f"import {module}")
        if code:
            other = f"pip install --force-reinstall {name}, or pip uninstall {name}"
            return Check("", False, f"{name} does not load: {_why(code, output)}", other)
    return Check("", True, ", ".join(f"{name} {version}" for name, (_, version) in installed.items()))


def xnnpack(system: System, home: Path) -> Check:
    """Does XNNPACK compute the installed backbone? Without it int8 is many times slower."""
    path = home / "bundle.edgetl"
    if not path.exists():
        return Check("", True, "checked once a bundle is installed", needed=False)
    code, output = system.python(
        "import sys, pathlib\n"
        "from edgetl_device.bundle.bundle import open_bundle\n"
        "from edgetl_device.inference.interpreter import TFLiteInterpreter\n"
        f"bundle = open_bundle(pathlib.Path({str(path)!r}))\n"
        "interpreter = TFLiteInterpreter(bundle.members['backbone.tflite'])\n"
        "print(interpreter.runtime, int(interpreter.xnnpack))"
    )
    if code:
        fix = "see the runtime and bundle checks"
        return Check("", False, f"the backbone does not run: {_why(code, output)}", fix)
    name, used = output.split()
    if used == "1":
        return Check("", True, f"used by {name}")
    fix = "pip install ai-edge-litert" if name.startswith("tflite") else "is /proc/cpuinfo readable here?"
    return Check("", False, f"not used by {name}: many times slower", fix, needed=False)


def edge_tpu(_system: System, home: Path) -> Check:
    """Does the Edge TPU work, where somebody wants one?"""
    from ..inference import edgetpu

    wanted = edgetpu.choice()
    if wanted is None:
        return Check("", True, "switched off by EDGETL_EDGETPU=off", needed=False)
    library, device = wanted
    model = _twin(home)
    if not device and not model and not edgetpu.library_files(library):
        return Check(
            "", True, "not used: the bundle has no Edge TPU model, and libedgetpu is not installed", needed=False
        )
    try:
        module, _ = RUNTIMES[choose_runtime()]
    except RuntimeMissingError as error:
        return Check("", False, str(error), "see the runtime check; EDGETL_RUNTIME selects one", needed=False)
    trial = edgetpu.try_out(library, device, module, model)
    return Check("", trial.ok, trial.detail, trial.fix, needed=False)


def sqlite(system: System, _home: Path) -> Check:
    """Is SQLite new enough to keep what it acknowledged?"""
    code, output = system.python("import apsw; print(apsw.sqlite_lib_version())")
    if code:
        return Check("", False, f"apsw does not load: {_why(code, output)}", "pip install --force-reinstall apsw")
    if tuple(int(part) for part in output.split(".")[:3]) < _SQLITE:
        return Check("", False, f"{output} can lose a write-ahead log", "pip install --upgrade apsw", needed=False)
    return Check("", True, f"{output} (apsw {installed_version('apsw')})")


def web(_system: System, _home: Path) -> Check:
    """Is everything there that the web page needs?"""
    missing = [name for name in WEB_MODULES if importlib.util.find_spec(name) is None]
    if missing:
        fix = "pip install --upgrade edgetl-device, or run with --no-web"
        return Check("", False, f"the web page needs {', '.join(missing)}", fix, needed=False)
    return Check("", True, ", ".join(WEB_MODULES))


def signatures(_system: System, home: Path) -> Check:
    """Can signatures be verified, where a key is trusted?"""
    trusts = (home / "trusted.pub").exists()
    if importlib.util.find_spec("cryptography") is None:
        if not trusts:
            return Check("", True, "cryptography is not installed, and not needed: no key is trusted", needed=False)
        detail = "cryptography is missing, and this device trusts a key: it refuses every bundle"
        return Check("", False, detail, "pip install 'edgetl-device[sign]'")
    if not trusts:
        return Check("", True, "no key is trusted: any bundle may be installed", needed=False)
    from ..bundle.signing import read_public_key

    return Check("", True, f"only what {read_public_key(home / 'trusted.pub').fingerprint} signed")


CHECKS = (
    ("python", python),
    ("architecture", architecture),
    ("numpy", numpy),
    ("opencv", opencv),
    ("runtime", runtime),
    ("xnnpack", xnnpack),
    ("edge tpu", edge_tpu),
    ("sqlite", sqlite),
    ("page", web),
    ("signatures", signatures),
)


def _twin(home: Path) -> bytes | None:
    """The compiled backbone of the installed bundle, if it has one and can be read."""
    from ..errors import EdgetlError
    from ..inference.edgetpu import TWIN

    try:
        from ..bundle.bundle import open_bundle

        return open_bundle(home / "bundle.edgetl").members.get(TWIN)
    except (EdgetlError, ImportError):  # other checks report it
        return None


def _why(code: int, output: str) -> str:
    if code >= 0:
        return output or f"exit status {code}"
    return f"it crashes ({signal.Signals(-code).name})"
