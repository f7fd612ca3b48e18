"""What a person sees in a terminal: bars, lines printed around them, options before and after a command."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, time, click
from edgetl_device import console

@click.group()
@console.shared_options
def program(): pass

@program.command()
@console.reports
def work():
    for number in console.progress(range(9), 9, "counting"):
        time.sleep(0.02)
        console.say(f"line {number}")
        if number == 4:
            console.note("a note")
            logging.getLogger("edgetl.x").warning("a warning")
            logging.getLogger("edgetl.x").info("a detail")
    with console.Stages(2) as stage:
        stage("reading")
        time.sleep(0.3)
        stage("quantizing")
        for _ in console.progress(range(8), 8, "embedding"):
            time.sleep(0.05)
    return {"done": True}

sys.exit(console.run(program, "x"))
"""


def in_terminal(*arguments: str, out_is_terminal: bool = True) -> tuple[str, str]:
    """Run the program with stderr, and perhaps stdout, on a terminal: what it wrote there, what it wrote to a pipe."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, *arguments]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80"}
    out = follower if out_is_terminal else subprocess.PIPE
    with subprocess.Popen(command, stdin=follower, stdout=out, stderr=follower, env=environment) as process:
        os.close(follower)
        raw = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the program has ended
                break
            if not piece:
                break
            raw += piece
        piped = process.stdout.read().decode() if process.stdout else ""
        assert process.wait(30) == 0, raw
    os.close(leader)
    return raw.decode(), piped


def screen(raw: str) -> list[str]:
    """The lines that are left: what a terminal makes of carriage returns, line feeds and the erasing of a line."""
    lines, row, column = [""], 0, 0
    for token in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", raw):
        if token == "\r":
            column = 0
        elif token == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif re.fullmatch(r"\x1b\[\d*A", token):
            row -= int(token[2:-1] or 1)
        elif not token.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + len(token) :]
            column += len(token)
    return [line.rstrip() for line in lines if line.strip()]


@pytest.mark.slow
def test_lines_notes_and_warnings_are_printed_around_the_bar() -> None:
    raw, _ = in_terminal("work")
    numbered = [f"line {number}" for number in range(9)]
    assert screen(raw) == [*numbered[:5], "a note", "a warning", *numbered[5:]]
    assert "counting" in raw and "1/2 reading" in raw and "2/2 embedding" in raw
    assert max(len(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line)) for line in re.split(r"[\r\n]", raw)) <= 80


@pytest.mark.slow
def test_results_go_to_stdout_while_the_bar_is_on_stderr() -> None:
    raw, piped = in_terminal("work", out_is_terminal=False)
    assert piped.splitlines() == [f"line {number}" for number in range(9)]
    assert screen(raw) == ["a note", "a warning"] and "counting" in raw


@pytest.mark.slow
@pytest.mark.parametrize("order", [("-v", "--json", "work"), ("work", "-v", "--json"), ("--json", "work", "-v")])
def test_v_and_json_may_stand_before_and_after_the_command(order: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *order], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == '{"done": true}\n'
    assert "edgetl.x: a detail" in done.stderr.splitlines() and "edgetl: 1/2 reading" in done.stderr.splitlines()


def test_a_program_without_a_command_prints_its_help() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("Usage: x [OPTIONS] COMMAND [ARGS]...\n") and "error" not in done.stderr
