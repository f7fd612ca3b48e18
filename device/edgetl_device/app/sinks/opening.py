"""``--sink NAME[:ARGUMENT]`` → the sink."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import cast
from urllib.parse import unquote, urlsplit

from ...addresses import filled_in, is_variable, openable
from ...errors import InputError
from ...extensions import SINKS, call_factory, extension_names, load_extension
from .command import LabelCommand, PartCommand
from .gpio import GpioSink
from .mqtt import MqttSink
from .sink import Sink
from .sink_options import sink_options
from .webhook import OPTIONS, WebhookSink

BUILT_IN: dict[str, Callable[[str], Sink]] = {
    "command": LabelCommand,
    "gpio": GpioSink,
    "mqtt": MqttSink,
    "part-command": PartCommand,
    "webhook": WebhookSink,
}
"""The sinks that ``--sink`` knows without any further package."""
COMMANDS = ("command", "part-command")


def refuse_password(spec: str) -> None:
    """Raise InputError where a spec on the command line holds a password: others can read the list of processes.

    Of a sink of another package nobody here knows what in its argument is secret.
    """
    name, _, argument = spec.partition(":")
    if name not in BUILT_IN or name in COMMANDS:
        return
    try:
        url = urlsplit(openable(argument))
    except ValueError:  # the sink itself says what is wrong with it
        return
    found = [unquote(url.password or "")]
    with suppress(InputError):
        found.append(sink_options(url.fragment, OPTIONS, "").get("secret", ""))
    if any(secret and not is_variable(secret) for secret in found):
        raise InputError(
            f"--sink {name}: others can read a password in the list of processes: write ${{NAME}} in its place, which "
            "comes from the environment, or put all of it into a file for --sink-file"
        )


def open_sink(spec: str) -> Sink:
    """``NAME`` or ``NAME:ARGUMENT``, as for ``--sink`` → the sink.

    ``${NAME}`` in an argument comes from the environment; in a command it is left to the shell that the command starts.

    Raises:
        InputError: there is no such sink, or it refuses its argument.
    """
    name, _, argument = spec.partition(":")
    factory = BUILT_IN.get(name) or load_extension(SINKS, name)
    if factory is None:
        names = ", ".join([*BUILT_IN, *extension_names(SINKS)])
        raise InputError(f"no sink {name!r}: expected {names}; a package adds one by the entry point group {SINKS}")
    sink = call_factory(factory, SINKS, name, argument if name in COMMANDS else filled_in(argument))
    if not callable(sink) or not callable(getattr(sink, "close", None)):
        raise InputError(f"{name!r} ({SINKS}) returned {type(sink).__name__}, which cannot be called or has no close()")
    return cast(Sink, sink)
