"""The command that is printed as the next step: whole, so that it does what was measured."""

from __future__ import annotations

import click
from click.core import ParameterSource


def given_options(*names: str) -> list[str]:
    """Those of the running command's options, by parameter name, that were given to it, as they would be typed."""
    context = click.get_current_context()
    return [
        word
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
        for word in (parameter.opts[0], str(context.params[parameter.name]))
    ]
