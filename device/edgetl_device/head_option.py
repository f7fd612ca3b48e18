"""``--head``, as both programs offer it: every head that is installed, found when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from .heads.registry import DEFAULT, head_names

if TYPE_CHECKING:
    _Base = click.ParamType[str]
else:  # which is generic only in newer releases of click
    _Base = click.ParamType


class HeadName(_Base):
    """The name of an installed head; looked up late, so that other commands do not pay for it."""

    name = "head"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """Shown in the help."""
        return f"[{'|'.join(head_names())}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """A usage error where no such head is installed."""
        if value not in head_names():
            known = ", ".join(head_names())
            self.fail(f"expected one of {known}, got {value!r} (another package can add heads)", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """For the shells that click supports."""
        return [CompletionItem(name) for name in head_names() if name.startswith(incomplete)]


def head_option(*, as_before: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add ``--head`` to a command; without it the default head, or None where that means: as before."""
    if as_before:
        return click.option("--head", type=HeadName(), help="Learning rule.  [default: as before]")
    return click.option("--head", type=HeadName(), default=DEFAULT, show_default=True, help="Learning rule.")
