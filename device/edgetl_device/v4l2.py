"""Which V4L2 devices are cameras? A Raspberry Pi has a dozen ``/dev/video*`` that are codecs and image processors.

A file of its own that needs only the standard library, so that `doctor` can ask where nothing else loads.
"""

from __future__ import annotations

import struct
from pathlib import Path

_QUERYCAP = 0x80685600  # VIDIOC_QUERYCAP of linux/videodev2.h: _IOR('V', 0, struct v4l2_capability)
_CAPABILITY = struct.Struct("<16s32s32s6I")  # driver, card, bus, version, capabilities, device_caps, reserved
_VIDEO_CAPTURE = 0x1
_MEMORY_TO_MEMORY = 0x4000 | 0x8000
_NOT_WEBCAMS = ("unicam", "rp1-cfe", "bcm2835-isp", "bcm2835-codec", "pispbe", "rpi")  # CSI: picamera2 serves those


def v4l2_cameras() -> list[tuple[Path, str]]:
    """(device, model) of every camera, links of ``/dev/v4l/by-id`` where there are, by number."""
    cameras = []
    links = {link.resolve(): link for link in sorted(Path("/dev/v4l/by-id").glob("*"))}
    nodes = sorted(Path("/dev").glob("video[0-9]*"), key=lambda node: int(node.name[5:]))
    for node in nodes:
        answer = capabilities(node)
        model = camera_model(answer) if answer is not None else None
        if model is not None:
            cameras.append((links.get(node, node), model))
    return cameras


def capabilities(node: Path) -> bytes | None:
    """What a node answers to VIDIOC_QUERYCAP; None where it cannot be asked."""
    import fcntl

    answer = bytearray(_CAPABILITY.size)
    try:
        with node.open("rb", buffering=0) as device:
            fcntl.ioctl(device, _QUERYCAP, answer)
    except OSError:
        return None
    return bytes(answer)


def camera_model(answer: bytes) -> str | None:
    """What VIDIOC_QUERYCAP answered → the model, or None where this is no webcam."""
    driver, card, _, _, _, can, *_ = _CAPABILITY.unpack(answer)
    if not can & _VIDEO_CAPTURE or can & _MEMORY_TO_MEMORY or not may_be_webcam(_text(driver)):
        return None
    return _text(card)


def may_be_webcam(driver: str) -> bool:
    """Whether a driver is not one of those of the Raspberry Pi that make no pictures, or only with picamera2's help."""
    return not driver.startswith(_NOT_WEBCAMS)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode(errors="replace")
