"""What both command-line programs share: exit codes, one-line errors, ``--json``, tables, progress.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a check said no, 2 wrong usage or bad input,
130 interrupted.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO, TypeVar

import click

from .addresses import without_arguments, without_secrets
from .errors import NO_MEMORY, EdgetlError, InputError
from .printable import PrintableFormatter, printable, printable_lines
from .progress_bar import paused, shown

log = logging.getLogger("edgetl")

T = TypeVar("T")

INTERRUPTED = 130
_WIDTH = 80  # characters of a line for a person, where words allow it
_NARROWEST = 20  # characters of a column that is broken into lines
_GLUE = "\0"  # for a blank where no line may end


class _Formatter(PrintableFormatter):
    """What foreign code raises may name the address that it was given."""

    def formatException(self, ei: object) -> str:
        """The traceback, without passwords."""
        return without_secrets(super().formatException(ei))


def run(program: click.Group, name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a click program and return its exit code; a user's mistake is one line on stderr, never a traceback."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by who called
            setattr(sys, stream, _nowhere())
    try:
        code = program.main(arguments, prog_name=name, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:  # a program or a group without a command
        click.echo(error.format_message(), err=True)
        return 2
    except EdgetlError as error:
        _error(f"error: {printable(error)}")  # one line: what it quotes of a file may hold line breaks
        return error.exit_code
    except click.ClickException as error:
        message = without_arguments(error.format_message(), sys.argv[1:] if arguments is None else arguments)
        _error(f"error: {' '.join(message.split())}{_hint(error)}")
        return 2
    except (click.Abort, KeyboardInterrupt):  # an Abort is a RuntimeError too
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except OSError as error:
        if not _is_of_printing(error):
            raise
        sys.stdout = _nowhere()  # what still waits could not be written at the exit either
        _error(f"error: cannot write to standard output: {error.strerror or error}")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "can't start new thread" not in str(error):
            raise
        _error(f"error: {NO_MEMORY}")
        return 2
    except SystemExit:  # click's answer to a closed stdout, as in `edgetl … | head`
        return 0
    return code if isinstance(code, int) else 0


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def _is_of_printing(error: OSError) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code is click.echo.__code__ for frame, _ in frames)


def _hint(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f" (see `{context.command_path} --help`)" if context is not None else ""


def reports(function: Callable[..., dict[str, Any] | None]) -> Callable[..., int]:
    """Decorate a command that returns its result as a dict: adds ``--json`` and ``-v``, and prints JSON if asked.

    The function gets ``as_json`` removed; it must print its own human-readable output through :func:`say`, which is
    silent under ``--json``. A key ``exit_code`` of the result is taken out and becomes the exit code.
    """

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
    @click.option("-v", "--verbose", is_flag=True, help="Print more detail on stderr.")
    @functools.wraps(function)
    def command(*args: Any, as_json: bool, verbose: bool, **options: Any) -> int:
        context = click.get_current_context()
        as_json = context.meta["edgetl.json"] = as_json or context.meta.get("edgetl.json", False)
        verbose = context.meta["edgetl.verbose"] = verbose or context.meta.get("edgetl.verbose", False)
        with _log_to_stderr(verbose):
            result = function(*args, **options) or {}
        code = int(result.pop("exit_code", 0))
        if as_json:
            text = json.dumps(result, ensure_ascii=False, allow_nan=False)
            click.echo(text.encode(errors="backslashreplace").decode())  # names that are not Unicode stay valid JSON
        return code

    return command


def shared_options(program: Callable[..., None]) -> Callable[..., None]:
    """Decorate a program, whose commands :func:`reports` decorates: their options may stand before the command too."""

    def keep(context: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            context.meta[f"edgetl.{parameter.name}"] = True

    common: dict[str, Any] = {"is_flag": True, "expose_value": False, "callback": keep}
    as_json = click.option("--json", "json", help="Print one JSON object on stdout.", **common)
    return as_json(click.option("-v", "--verbose", help="Print more detail on stderr.", **common)(program))


@contextmanager
def _log_to_stderr(verbose: bool) -> Iterator[None]:
    """While a command runs: warnings as bare lines, or with ``-v`` everything, with the name of who says so."""
    lines = _LogLines(logging.INFO if verbose else logging.WARNING)
    lines.setFormatter(_Formatter("%(name)s: %(message)s" if verbose else "%(message)s"))
    root = logging.getLogger()
    level, handlers, last_resort = root.level, root.handlers[:], logging.lastResort
    if verbose:
        root.handlers[:] = [lines]
        root.setLevel(logging.INFO)
    else:
        logging.lastResort = lines  # type: ignore[assignment,unused-ignore]
    try:
        yield
    finally:
        logging.lastResort = last_resort
        root.handlers[:] = handlers
        root.setLevel(level)


def refuse_existing(path: Path, force: bool) -> None:
    """Raise InputError if an output exists and may not be overwritten."""
    if path.exists() and not force:
        raise InputError(f"{path} exists: choose another name, or --force to overwrite it")


def is_verbose() -> bool:
    """Whether ``-v`` was given to the running command."""
    return bool(click.get_current_context().meta.get("edgetl.verbose"))


def say(text: str = "", *, mark: str = "") -> None:
    """A line of the human-readable result on stdout; nothing under ``--json``.

    Args:
        text: what is not meant for reading in it is escaped: labels and names come from elsewhere.
        mark: stands before it and is printed as it is, for :func:`click.style`.
    """
    if not click.get_current_context().meta.get("edgetl.json"):
        with paused() if sys.stdout.isatty() else nullcontext():
            click.echo(mark + printable_lines(text))


def is_program() -> bool:
    """Whether a command runs; otherwise a program of someone else's calls, which is nobody to talk to."""
    return click.get_current_context(silent=True) is not None


def note(text: str) -> None:
    """A line for a person on stderr, what was skipped, assumed or will take long; of the log where no command runs."""
    if is_program():
        _error(text)
    else:
        log.info("%s", text)


def say_wrapped(text: str, indent: int) -> None:
    """As :func:`say`, in lines of at most 80 characters where words allow it; commands in backquotes stay whole.

    Args:
        indent: blanks before all lines but the first.
    """
    for line in _wrapped(text, _WIDTH, " " * indent):
        say(line)


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Lines of at most so many characters, unless a word or a command is longer."""
    whole = re.sub(r"`[^`]*`", lambda command: command[0].replace(" ", _GLUE), text)
    lines = textwrap.wrap(whole, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines] or [""]


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, wrap: bool = False) -> None:
    """An aligned table on stdout: numbers to the right, text to the left; nothing under ``--json``.

    Args:
        wrap: break the last column between words, so that lines have at most 80 characters.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(_is_number(row[column]) for row in cells) and bool(cells) for column in range(len(header))]
    widths = [max(len(name), *(len(row[i]) for row in cells), 0) for i, name in enumerate(header)]
    if wrap:
        room = max(_WIDTH - sum(widths[:-1]) - 2 * (len(widths) - 1), _NARROWEST)
        broken = [(row, _wrapped(row[-1], room)) for row in cells]
        blank = [""] * (len(header) - 1)
        cells = [[*(blank if n else row[:-1]), line] for row, lines in broken for n, line in enumerate(lines)]
    for row in ([*header], *cells):
        aligned = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(row, widths, numeric, strict=True)
        )
        say("  ".join(aligned).rstrip())


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The same items, with a progress bar on stderr where that is a terminal and a command runs."""
    if total < 8 or not is_program():
        yield from items
        return
    with shown(what, total) as advance:
        for item in items:
            yield item
            advance()


class Stages:
    """The named stages of work that takes long: ``2/5 quantizing``, a spinner on stderr where a command runs.

    A bar of :func:`progress` inside a stage takes the spinner's place, with the stage's number.

        >>> with Stages(2) as stage:
        ...     stage("reading photos")
        ...     stage("quantizing")

    Args:
        total: how many there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._current = ExitStack()

    def __call__(self, what: str) -> None:
        """The next stage begins."""
        self._current.close()
        self._number += 1
        number = f"{self._number}/{self._total} " if self._total > 1 else ""
        log.info("%s%s", number, what)
        if is_program():
            self._current.enter_context(shown(what, prefix=number))

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        self._current.close()


class _LogLines(logging.Handler):
    """Log records as lines on stderr, above whatever bar is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _error(self.format(record))
        except Exception:  # as every handler: a log must not end the program
            self.handleError(record)


def _error(text: str) -> None:
    """One line on stderr; a terminal shows it in lines that end between words."""
    if sys.stderr.isatty() and "\n" not in text:
        text = "\n".join(_wrapped(text, max(_NARROWEST, shutil.get_terminal_size().columns), "  "))
    with paused():
        click.echo(printable_lines(text), err=True)


def moment(time: str) -> str:
    """An ISO 8601 time, as the store keeps it in UTC → how a person reads it here.

    Example:
        >>> re.sub("[0-9]", "0", moment("2026-11-27T14:02:09.417+00:00"))
        '0000-00-00 00:00:00'
    """
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return time  # of a store that somebody else wrote


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).replace("+", "", 1).replace("%", "", 1).isdigit() or text == "-"
