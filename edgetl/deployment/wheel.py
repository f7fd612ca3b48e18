"""The wheel of ``edgetl-device`` from the very files that run here: what is deployed is what was tested.

No build tool is needed on the workstation, and the same files give the same bytes
(https://packaging.python.org/specifications/binary-distribution-format/).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import zipfile
from importlib import metadata
from pathlib import Path

import edgetl_device
from edgetl_device.arrays import EPOCH
from edgetl_device.errors import InputError

_NAME = "edgetl_device"
_TAG = "py3-none-any"


def device_wheel() -> tuple[str, bytes]:
    """File name and bytes of the wheel; raises InputError where ``edgetl-device`` was not installed by an installer."""
    try:
        distribution = metadata.distribution("edgetl-device")
    except metadata.PackageNotFoundError:
        raise InputError("edgetl-device is not installed here: pip install -e device") from None
    version = distribution.version
    info = f"{_NAME}-{version}.dist-info"
    files = _package_files(Path(edgetl_device.__file__).parent)
    for name in ("METADATA", "entry_points.txt", "licenses/LICENSE"):
        text = distribution.read_text(name)
        if text is not None:
            files[f"{info}/{name}"] = text.encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: edgetl\nRoot-Is-Purelib: true\nTag: {_TAG}\n".encode()
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(member, content, compresslevel=9)
    return f"{_NAME}-{version}-{_TAG}.whl", buffer.getvalue()


def _package_files(folder: Path) -> dict[str, bytes]:
    """Every file of the package but what Python compiled, by its name in the wheel, sorted."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {f"{_NAME}/{path.relative_to(folder).as_posix()}": _content(path) for path in paths}


def _content(path: Path) -> bytes:
    """Of a file; JSON without the blanks that people need to read it, a sixth less even when it is compressed."""
    if path.suffix != ".json":
        return path.read_bytes()
    return json.dumps(json.loads(path.read_text("utf-8")), ensure_ascii=False, separators=(",", ":")).encode()


def _record(files: dict[str, bytes], itself: str) -> bytes:
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        writer.writerow((name, f"sha256={digest}", len(content)))
    writer.writerow((itself, "", ""))
    return rows.getvalue().encode()
