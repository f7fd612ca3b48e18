"""The Python API: the verbs of the command line."""

from .device import Device
from .group_verbs import DeviceGroups
from .inspection_verbs import DeviceInspection
from .results import Forgotten, Installed, Learned, Relabelled, Settled

__all__ = ["Device", "DeviceGroups", "DeviceInspection", "Forgotten", "Installed", "Learned", "Relabelled", "Settled"]
