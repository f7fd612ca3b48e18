"""The Python API: the verbs of the command line."""

from .device import Device
from .results import Forgotten, Installed, Learned, Relabelled, Settled

__all__ = ["Device", "Forgotten", "Installed", "Learned", "Relabelled", "Settled"]
