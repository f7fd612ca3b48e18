"""What reaches a terminal or a pipe: names of files hold anything."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest

from edgetl_device import console
from edgetl_device.errors import InputError
from edgetl_device.printable import printable_lines

PROGRAM = """
import sys, click
from edgetl_device import console
from edgetl_device.errors import InputError

@click.group()
def program(): pass

@program.command()
@click.argument("name")
@console.reports
def show(name):
    console.say(name)
    console.note(name)
    return {"name": name}

sys.exit(console.run(program, "x"))
"""


def show(name: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONUTF8": "1"}
    command = [os.fsencode(sys.executable), b"-c", PROGRAM.encode(), b"show", name, *map(str.encode, options)]
    return subprocess.run(command, capture_output=True, env=environment, check=True)


def test_a_name_that_is_not_utf8_is_printed_escaped() -> None:
    done = show(b"fleur \xe9t\xe9.jpg")
    assert done.stdout == done.stderr == b"fleur \\udce9t\\udce9.jpg\n"


def test_json_of_a_name_that_is_not_utf8_is_valid_and_gives_the_name_back(tmp_path: Path) -> None:
    done = show(b"fleur \xe9t\xe9.jpg", "--json")
    value = json.loads(done.stdout.decode("utf-8"))
    assert os.fsencode(value["name"]) == b"fleur \xe9t\xe9.jpg"


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b31m", "\x07", "a\u202eb", "a\u2066b", "\x7f", "\r"])
def test_what_commands_a_terminal_is_escaped(text: str) -> None:
    shown = printable_lines(text)
    assert shown.isprintable() and "\\" in shown


@pytest.mark.parametrize("text", ["plain", "Öl-Filter", "猫 👩\u200d🌾", "two\nlines"])
def test_other_text_is_printed_as_it_is(text: str) -> None:
    assert printable_lines(text) == text


def test_a_password_with_blanks_is_not_shown_where_an_address_is_no_option() -> None:
    address = "rtsp://admin:hun  t'er2 b@host/x?pwd=a b c"
    command = [sys.executable, "-c", PROGRAM, "show", "name", address]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 2 and "unexpected extra argument (rtsp://host/x)" in done.stderr


def test_a_traceback_in_the_log_shows_no_password() -> None:
    try:
        raise ConnectionError("cannot reach mqtt://admin:hunt/er2@broker/x")
    except ConnectionError:
        record = logging.LogRecord("x", logging.INFO, "", 0, "failed", (), sys.exc_info())
    text = console._Formatter("%(message)s").format(record)
    assert text.splitlines()[-1] == "ConnectionError: cannot reach mqtt://broker/x"


def test_lines_for_a_person_are_broken_between_words_and_never_within_a_command(capsys) -> None:
    @click.command()
    def show() -> None:
        console.say_wrapped("drift    " + "it has changed " * 3 + "`edgetl-device learn LABEL PHOTO`", 9)
        console.table(("version", "why"), [(1, "learned something new " * 6), (2, "installed")], wrap=True)

    show.main([], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80 and lines[1] == "         `edgetl-device learn LABEL PHOTO`"
    assert lines[2] == "version  why" and lines[4].startswith(" " * 9 + "learned") and lines[-1] == "      2  installed"


@pytest.mark.slow
def test_an_error_ends_its_lines_between_words_on_a_terminal_and_is_one_line_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgetl_device", "--home", str(tmp_path), "status"]
    piped = subprocess.run(command, capture_output=True, text=True, check=False)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(command, stdout=theirs, stderr=theirs, stdin=theirs, env=environment, check=False)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert piped.returncode == done.returncode == 2 and len(piped.stderr.splitlines()) == 1
    assert " ".join(line.strip() for line in shown) == piped.stderr.strip() and len(shown) > 1
    assert all(len(line) <= 60 or "`" in line or len(line.split()) == 1 for line in shown), shown


def test_a_verbose_command_leaves_the_log_of_its_process_as_it_was(capsys) -> None:
    @click.command()
    @console.reports
    def speak() -> None:
        logging.getLogger("edgetl").info("heard")

    program = click.Group(commands=[speak])
    before = (logging.root.level, logging.root.handlers[:], logging.lastResort)
    assert console.run(program, "speaker", ["speak", "-v"]) == 0
    assert capsys.readouterr().err == "edgetl: heard\n"
    assert (logging.root.level, logging.root.handlers, logging.lastResort) == before


def test_an_error_stays_one_line_whatever_it_quotes(capsys) -> None:
    @click.group()
    def program() -> None: ...

    @program.command()
    @console.reports
    def read() -> None:
        raise InputError("the list names a\r\nerror: nothing is wrong\x1b[2J")

    assert console.run(program, "x", ["read"]) == 2
    assert capsys.readouterr().err.splitlines() == [r"error: the list names a\r\nerror: nothing is wrong\x1b[2J"]


@pytest.mark.parametrize("arguments", [["show", "a"], ["show", "a", "--json"], ["--help"]])
def test_output_that_cannot_be_written_is_one_line_and_exit_code_2(arguments: list[str]) -> None:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr.removeprefix("a\n") == "error: cannot write to standard output: No space left on device\n"
    assert done.returncode == 2


def test_an_error_of_a_file_is_not_taken_for_one_of_the_output() -> None:
    @click.command()
    def broken() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        console.run(click.Group("x", [broken]), "x", ["broken"])


def test_a_closed_output_is_nobody_to_talk_to() -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" show a >&- 2>&-', sys.executable, PROGRAM]
    assert subprocess.run(command, check=False).returncode == 0
