"""``edgetl-device history`` as a user types it."""

from __future__ import annotations

import csv
import io
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from test_device_cli import run, told

from edgetl_device.console import moment
from edgetl_device.store.history import History
from edgetl_device.store.history_event import KEYS, Event

NOW = datetime.now(timezone.utc)
EVENT = Event("mug", "", 3.5, 0.75, "camera")


def event(label: str, hours: float, **others: object) -> Event:
    start = (NOW - timedelta(hours=hours)).isoformat(timespec="milliseconds")
    return replace(EVENT, label=label, start=start, **others)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    kept = History(tmp_path / "history.sqlite")
    ids = kept.write(
        [
            (event("cat", 30, duration_s=7384.0), None),
            (event("unknown", 3, probability=None), None),
            (event("worn", 1, group="condition", camera="gate", state="cut off", duration_s=75.0), b"\xff\xd8"),
        ]
    )
    assert ids == [1, 2, 3]
    kept.close()
    return tmp_path


def test_a_table_in_eighty_columns_the_newest_first(home: Path) -> None:
    lines = run(home, "history").stdout.splitlines()
    assert lines[0].split() == ["id", "began", "for", "label", "prob.", "camera"]
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]
    assert "1:15 min" in lines[1] and "condition: worn" in lines[1] and lines[1].endswith("gate    cut off")
    assert "2:03 h" in lines[3] and "0.75" in lines[3] and max(map(len, lines)) <= 80


def test_what_is_still_there_has_a_beginning_and_no_length(tmp_path: Path) -> None:
    kept = History(tmp_path / "history.sqlite")
    kept.write([(event("cat", 2, camera="gate"), None), (event("x" * 64, 1, state="open", camera="y" * 40), None)])
    kept.close()
    lines = run(tmp_path, "history").stdout.splitlines()
    began = moment(event("x", 1).start)[11:16]
    assert f"since {began} " in lines[1] and lines[1].endswith(" open") and max(map(len, lines)) <= 80


def test_long_and_hostile_labels_stay_in_their_column(tmp_path: Path) -> None:
    kept = History(tmp_path / "history.sqlite")
    kept.write([(event("x" * 64, 1, camera="y" * 40), None), (event("<b>\x1b[2Ja\u202eb", 1), None)])
    kept.close()
    out = run(tmp_path, "history").stdout
    assert max(map(len, out.splitlines())) <= 80 and "\x1b" not in out and "\u202e" not in out and "\\x1b[2J" in out


def test_events_are_selected(home: Path) -> None:
    assert [each["id"] for each in told(home, "history", "--since", "2h")["events"]] == [3]
    assert [each["id"] for each in told(home, "history", "--until", "2h")["events"]] == [2, 1]
    assert [each["id"] for each in told(home, "history", "--label", "unknown")["events"]] == [2]
    assert [each["id"] for each in told(home, "history", "--camera", "gate")["events"]] == [3]
    short = told(home, "history", "--limit", "1")
    assert [each["id"] for each in short["events"]] == [3] and short["total"] == 3
    assert "… and 2 more" in run(home, "history", "--limit", "1").stdout
    assert run(home, "history", "--label", "dog").stdout == "nothing recorded of that\n"


def test_csv_has_every_event_and_json_the_same_keys(home: Path, monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["edgetl_device.cli.history"], "_PAGE", 2)
    rows = list(csv.DictReader(io.StringIO(run(home, "history", "--csv").stdout, newline="")))
    assert [row["id"] for row in rows] == ["3", "2", "1"] and tuple(rows[0]) == KEYS
    assert rows[0]["picture"] == "yes" and rows[1]["probability"] == ""
    assert len(run(home, "history", "--csv", "--limit", "2").stdout.splitlines()) == 3
    assert [tuple(each) for each in told(home, "history")["events"]] == [KEYS] * 3


def test_what_is_selected_is_deleted_or_all(home: Path) -> None:
    assert told(home, "history", "--clear", "--label", "cat") == {"deleted": 1}
    assert run(home, "history", "--clear", "--until", "2h").stdout == "deleted 1 event\n"
    assert run(home, "history", "--clear").stdout == "deleted 1 event\n"
    assert run(home, "history", "--clear", "--label", "cat").stdout == "nothing recorded of that\n"
    assert run(home, "history", "--clear").stdout == "nothing recorded\n"
    assert run(home, "history").stdout == "nothing recorded\n" and told(home, "history")["total"] == 0


def test_a_home_without_a_history_needs_no_bundle_and_stays_as_it_is(tmp_path: Path) -> None:
    assert told(tmp_path / "none", "history") == {"events": [], "total": 0}
    assert told(tmp_path / "none", "history", "--clear") == {"deleted": 0}
    assert told(tmp_path / "none", "history", "--check") == {"events": 0}
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--since", "tomorrow"], "--since must be a day"),
        (["--until", "99999999h"], "--until must be a day"),
        (["--csv", "--json"], "do not go together"),
        (["--csv", "--clear"], "choose one of"),
        (["--clear", "--limit", "3"], "--limit is for listing"),
        (["--check", "--label", "cat"], "--check reads all"),
        (["--limit", "0"], "--limit"),
        (["--label", "\udcff"], r"label '\udcff' is not valid UTF-8"),
        (["--camera", "a\udcff", "--clear"], r"camera 'a\udcff' is not valid UTF-8"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(home: Path, arguments: list[str], says: str) -> None:
    failed = run(home, "history", *arguments, code=2)
    assert says in failed.stderr and failed.stderr.count("\n") == 1
    assert told(home, "history")["total"] == 3


def test_the_bounds_of_run_are_checked_before_anything_starts(tmp_path: Path) -> None:
    failed = run(tmp_path, "run", "--camera", "parts", "--no-history", "--history-days", "3", code=2)
    assert "--no-history records nothing" in failed.stderr and not (tmp_path / "device.sqlite").exists()
    assert "--history-mb" in run(tmp_path, "run", "--camera", "parts", "--history-mb", "0.1", code=2).stderr


@pytest.mark.slow
def test_run_records_and_the_status_says_since_when(tmp_path: Path, bundle_path: Path) -> None:
    home = tmp_path / "home"
    told(home, "install", bundle_path)
    assert told(home, "status")["history"] == {"bytes": 0, "since": None, "problem": None}
    arguments = ["run", "--camera", "parts", "--no-web", "--max-frames"]
    told(home, *arguments, "3", "--no-history")
    assert not (home / "history.sqlite").exists()
    told(home, *arguments, "40")
    assert told(home, "history")["total"] >= 1 and told(home, "status")["history"]["since"]
    assert "edgetl-device history" in run(home, "status").stdout
