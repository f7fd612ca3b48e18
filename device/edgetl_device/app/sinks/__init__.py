"""Where recognitions go besides the page, one kind a file: commands, lines, MQTT, webhooks, and what packages add.

Each sink is called with the newest recognition by a :class:`~edgetl_device.app.background.Listener`, so it may take its
time. A package of your own adds one through the entry point group ``edgetl.sinks`` (:mod:`edgetl_device.extensions`).
"""

from .command import LabelCommand, PartCommand
from .lines import ChangeLines, JsonLines
from .opening import BUILT_IN, COMMANDS, open_sink, refuse_password
from .sink import Attached, Changes, RemembersViews, Sink, TakesParts

__all__ = [
    "BUILT_IN",
    "COMMANDS",
    "Attached",
    "ChangeLines",
    "Changes",
    "JsonLines",
    "LabelCommand",
    "PartCommand",
    "RemembersViews",
    "Sink",
    "TakesParts",
    "open_sink",
    "refuse_password",
]
