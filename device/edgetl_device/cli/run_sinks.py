"""What ``edgetl-device run`` tells recognitions to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError

if TYPE_CHECKING:
    from ..app.app import App
    from ..app.sinks import ChangeLines, JsonLines, Sink


def line_sink(jsonl: bool) -> type[JsonLines] | type[ChangeLines] | None:
    """What prints recognitions on stdout, if anything does."""
    from ..app.sinks import ChangeLines, JsonLines

    as_json = click.get_current_context().meta["edgetl.json"]
    if jsonl and as_json:
        raise InputError("--json prints one object at the end, --jsonl one for every frame: choose one of them")
    return JsonLines if jsonl else None if as_json else ChangeLines


def listen(app: App, lines: Sink | None, specs: list[tuple[str, str]], stack: ExitStack) -> None:
    """Give each sink a thread that calls it; they end with the stack."""
    from ..app.background import Listener, Taker
    from ..app.sinks import Attached, RemembersViews, TakesParts, open_sink

    for name, sink in [("lines", lines), *((name, open_sink(spec)) for name, spec in specs)]:
        if sink is not None:
            if isinstance(sink, Attached):
                sink.attach(app)
            keep_only = sink.keep_only if isinstance(sink, RemembersViews) else None
            listener = Listener(name, app.pipeline, sink, keep_only=keep_only)
            if isinstance(sink, TakesParts):
                taker = Taker(f"{name} (parts)", app.inspecting.listen(), sink.part)
                stack.callback(taker.stop)
                taker.start()
            stack.callback(listener.stop)
            stack.callback(sink.close)
            listener.start()


def sink_specs(params: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and spec of each ``--on-label`` and ``--sink``, and of what their files hold.

    Raises:
        InputError: a file cannot be used, there are two commands, or an address on the command line holds a password.
    """
    from ..app.sinks import refuse_password
    from ..secret_file import read_secret_text

    for sink in params["sinks"]:
        refuse_password(sink)
    command, file = params["command"], params["command_file"]
    if command is not None and file is not None:
        raise InputError("--on-label and --on-label-file both name a command: choose one of them")
    if file is not None:
        command = read_secret_text(file, "command file")
    specs = [*params["sinks"], *(read_secret_text(file, "sink file") for file in params["sink_files"])]
    named = [(spec.partition(":")[0], spec) for spec in specs]
    return named if command is None else [("on-label", f"command:{command}"), *named]
