"""Sinks: commands at changes of label, and lines."""

import io
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from recognitions import BAD_PART, recognition

from edgetl_device.app.sinks import ChangeLines, Changes, JsonLines, LabelCommand, PartCommand
from edgetl_device.errors import InputError

SCRIPT = "import os, sys; open(sys.argv[1], 'a').write(os.environ['EDGETL_LABEL'] + ' ' + os.environ['EDGETL_PROBABILITY'] + chr(10))"


def test_a_part_command_gets_the_verdict_and_ignores_labels(tmp_path) -> None:
    target = tmp_path / "parts"
    names = "EDGETL_VERDICT EDGETL_SCORE EDGETL_THRESHOLD EDGETL_GOOD_PARTS EDGETL_BAD_PARTS"
    shown = " ".join(f"${name}" for name in names.split())
    command = PartCommand(f"sh -c 'echo {shown} >> {target}'")
    command(recognition("cat", 1.0))
    command.part(BAD_PART)
    assert target.read_text() == "bad 4.25 2.0 3 1\n"


def test_lines_tell_of_parts() -> None:
    for_people, for_programs = io.StringIO(), io.StringIO()
    ChangeLines(lambda: None, for_people).part(BAD_PART)
    JsonLines(lambda: None, for_programs).part(BAD_PART)
    assert for_people.getvalue()[10:] == "BAD part, 4.2 of 2.0 allowed (3 good, 1 bad so far)\n"
    told = json.loads(for_programs.getvalue())
    assert (told["verdict"], told["where"], "good" in told) == ("bad", [0.1, 0.2, 0.3, 0.4], False)


def test_a_change_counts_once_and_only_when_it_lasts() -> None:
    changes = Changes(0.5)
    shown = ["cat"] * 8 + ["dog"] * 2 + ["cat"] * 8 + ["dog"] * 8
    told = [changes(recognition(label, number / 8)) for number, label in enumerate(shown)]
    assert [(number, label) for number, label in enumerate(told) if label] == [(4, "cat"), (22, "dog")]


def test_unknown_is_where_it_begins_and_a_change_like_any_other() -> None:
    changes = Changes(0.0)
    shown = [
        recognition("cat", 0.0, unknown=True),
        recognition("cat", 0.1),
        recognition(None, 0.2),
        recognition("cat", 0.3),
    ]
    assert [changes(one) for one in shown] == [None, "cat", "unknown", "cat"]


def test_the_command_gets_label_and_probability_and_no_shell_sees_them(tmp_path) -> None:
    target = tmp_path / "a file; touch injected"
    command = LabelCommand(f'{sys.executable} -c "{SCRIPT}" "{target}"', hold_s=0.0)
    command(recognition("$(touch injected); `touch injected`", 1.0))
    command(recognition("cat", 2.0))
    command(recognition("cat", 3.0))
    assert target.read_text() == "$(touch injected); `touch injected` 0.8750\ncat 0.8750\n"
    assert list(tmp_path.iterdir()) == [target] and not Path("injected").exists()


def test_a_command_that_fails_is_told_and_the_next_change_runs_it_again(caplog) -> None:
    command = LabelCommand("false", hold_s=0.0)
    command(recognition("cat", 1.0))
    command(recognition("dog", 2.0))
    assert caplog.text.count("false failed for label") == 2


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path, caplog) -> None:
    child = tmp_path / "child"
    command = LabelCommand(f"sh -c 'sleep 60 & echo $! > {child}; wait'", hold_s=0.0, timeout_s=3.0)
    command(recognition("cat", 1.0))
    assert "was still running after 3 s" in caplog.text and _is_gone(int(child.read_text()))


def test_closing_ends_a_running_command_and_starts_no_other(tmp_path) -> None:
    child = tmp_path / "child"
    command = LabelCommand(f"sh -c 'echo $$ > {child}; sleep 60'", hold_s=0.0)
    running = threading.Thread(target=command, args=(recognition("cat", 1.0),))
    running.start()
    while not child.exists() or not child.read_text().strip():
        time.sleep(0.005)
    command.close()
    running.join(10)
    assert not running.is_alive() and _is_gone(int(child.read_text()))
    child.unlink()
    command(recognition("dog", 2.0))
    assert not child.exists()


@pytest.mark.parametrize("command", ["", "  ", "no-such-program --x", "echo 'unclosed"])
def test_a_command_that_cannot_run_is_refused_before_anything_starts(command: str) -> None:
    with pytest.raises(InputError, match="--on-label"):
        LabelCommand(command)


def test_json_lines_are_one_object_for_every_moment() -> None:
    stream = io.StringIO()
    lines = JsonLines(lambda: None, stream)
    lines(recognition("Käfer", 1.0, number=5))
    lines(recognition(None, 1.1, number=6))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {"frame": 5, "label": "Käfer", "probability": 0.875, "unknown": False, "version": 3}
    assert second["label"] is None and second["unknown"]


@pytest.mark.parametrize("sink", [JsonLines, ChangeLines])
def test_a_reader_that_goes_away_asks_for_the_end(sink: type[JsonLines] | type[ChangeLines]) -> None:
    read, write = os.pipe()
    gone = []
    with os.fdopen(write, "w") as stream:
        lines = sink(lambda: gone.append(1), stream)
        lines(recognition("cat", 1.0))
        os.close(read)
        lines(recognition("dog", 1.1))
        lines(recognition("cat", 1.2))
    assert gone == [1]


def test_people_get_a_line_for_each_change() -> None:
    stream = io.StringIO()
    lines = ChangeLines(lambda: None, stream)
    shown = (
        recognition(None, 0.0),
        recognition("cat", 0.1),
        recognition("cat", 0.2),
        recognition("cat", 0.3, unknown=True),
    )
    for one in shown:
        lines(one)
    assert [line.split("  ")[1] for line in stream.getvalue().splitlines()] == ["unknown", "cat 0.88", "unknown"]


def _is_gone(process: int) -> bool:
    for _ in range(500):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{process}/stat").exists() and ") Z" in Path(f"/proc/{process}/stat").read_text():
            return True  # ended; whoever adopted it has not asked yet
        time.sleep(0.01)
    return False
