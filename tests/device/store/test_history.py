"""The history's file: bounds, order, deletion, damage, full and read-only disks."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import apsw
import pytest
from full_disk import limited

from edgetl_device.errors import InputError, StorageError
from edgetl_device.store import history as module
from edgetl_device.store import history_csv, history_file
from edgetl_device.store.history import History
from edgetl_device.store.history_event import CUT_OFF, OPEN, Event, Selection
from edgetl_device.store.history_moments import parse_moment

PICTURE = b"\xff\xd8" + bytes(range(256)) * 16


def at(moment_: datetime) -> str:
    return moment_.isoformat(timespec="milliseconds")


NOW = datetime.now(timezone.utc)
EVENT = Event("mug", at(NOW), 3.5, 0.75, "camera")


def event(label: str = "mug", *, days: float = 0.0, **others: object) -> Event:
    """One that began so many days ago."""
    return replace(EVENT, label=label, start=at(NOW - timedelta(days=days)), **others)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


@pytest.fixture
def history(path: Path):
    made = History(path)
    yield made
    made.close()


def test_what_was_written_is_read_newest_first_page_by_page(history: History) -> None:
    ids = history.write([(event(f"thing {n}"), None) for n in range(7)])
    assert ids == list(range(1, 8))
    first = history.events(limit=3)
    assert [each.id for each in first] == [7, 6, 5] and first[0].label == "thing 6"
    assert [each.id for each in history.events(before=5, limit=9)] == [4, 3, 2, 1]
    assert first[0].duration_s == 3.5 and first[0].probability == 0.75 and not first[0].picture


def test_nothing_is_made_before_something_is_recorded(history: History, path: Path) -> None:
    assert history.events() == [] and history.count() == 0 and history.delete("all") == 0 and history.size_bytes() == 0
    assert history.since() is None and history.snapshot(1) is None and not list(path.parent.iterdir())


def test_events_are_selected_by_label_camera_and_time(history: History) -> None:
    history.write(
        [(event("mug", days=3, camera="gate"), None), (event("cat", days=2), None), (event("mug", days=1), None)]
    )
    assert [each.id for each in history.events(Selection(label="mug"))] == [3, 1]
    assert [each.id for each in history.events(Selection(camera="gate"))] == [1]
    since, until = at(NOW - timedelta(days=2.5)), at(NOW - timedelta(days=1))
    assert [each.id for each in history.events(Selection(since=since, until=until))] == [2]  # until is not part of it
    assert history.count(Selection("mug", "gate", None, until)) == 1


def test_a_picture_goes_with_its_event(history: History, path: Path) -> None:
    first, second = history.write([(event(), PICTURE), (event(), None)])
    assert history.snapshot(first) == PICTURE and history.snapshot(second) is None
    assert [each.picture for each in history.events()] == [False, True]
    assert history.delete([first]) == 1 and history.snapshot(first) is None
    for file in path.parent.iterdir():
        assert file.name.endswith("-shm") or PICTURE[2:] not in file.read_bytes(), file


def test_numbers_are_never_used_again(history: History, path: Path) -> None:
    history.write([(event(), None)] * 5)
    assert history.delete([4, 5]) == 2 and history.write([(event(), None)]) == [6]
    assert history.delete("all") == 4 and history.write([(event(), None)]) == [7]
    history.close()
    assert History(path).write([(event(), None)]) == [8]


def test_what_is_deleted_by_selection_is_that_and_no_more(history: History) -> None:
    history.write([(event("mug", days=2), None), (event("cat", days=2), None), (event("mug"), None)])
    assert history.delete(Selection("mug", until=at(NOW - timedelta(days=1)))) == 1
    assert [each.id for each in history.events()] == [3, 2]
    assert history.last_clearing() is None
    assert history.delete("all") == 2 and history.last_clearing()[0] == 1


def test_an_event_is_changed_and_one_that_was_deleted_does_not_come_back(history: History) -> None:
    first, second = history.write([(event(state=OPEN), PICTURE), (event(state=OPEN), None)])
    history.delete([second])
    history.write((), [event(id=first, duration_s=60.0, probability=0.5), event(id=second, duration_s=60.0)])
    (kept,) = history.events()
    assert (kept.id, kept.duration_s, kept.probability, kept.state, kept.picture) == (first, 60.0, 0.5, "ended", True)


def test_what_an_earlier_run_left_open_says_that_it_was_cut_off(history: History) -> None:
    history.write([(event(state=OPEN), None), (event(), None)])
    assert history.cut_off_open() == 1 and history.cut_off_open() == 0
    assert [each.state for each in history.events()] == ["ended", CUT_OFF]


# bounds ----------------------------------------------------------------------------------------------------------


def test_events_beyond_the_days_go(path: Path) -> None:
    history = History(path, days=10)
    history.write([(event(days=11), PICTURE), (event(days=9), None), (event(), None)])
    assert [each.id for each in history.events()] == [3, 2]


def test_the_oldest_give_way_where_there_are_too_many_bytes(path: Path) -> None:
    history = History(path, max_bytes=1 << 20)
    for _ in range(10):
        history.write([(event(), PICTURE)] * 50)
    assert history.size_bytes() <= 1 << 20 and path.stat().st_size < 2 << 20
    ids = [each.id for each in history.events(limit=1000)]
    assert ids == list(range(500, 500 - len(ids), -1)) and len(ids) > 100
    lower = History(path, max_bytes=1 << 18)
    history.close()
    lower.write([(event(), None)])
    assert lower.size_bytes() <= 1 << 18 and path.stat().st_size < 1 << 19  # the room is given back


def test_a_clock_that_was_behind_for_a_while_takes_nothing_away(path: Path) -> None:
    """As of a Raspberry Pi that starts without a network: its events say January, and stand between those of March."""
    history = History(path, days=10)
    history.write([(event(days=5), None), (event(days=300), None), (event(days=4), None)])
    assert [each.id for each in history.events()] == [3, 2, 1]
    history.write([(event(days=-3), None)])  # and this one is of the future
    assert [each.id for each in history.events()] == [4, 3, 2, 1]


def test_a_clock_that_is_behind_now_takes_nothing_away(path: Path) -> None:
    history = History(path, days=10)
    history.write([(event(days=-20), None), (event(days=-19), None)])
    history.write([(event(), None)])
    assert [each.id for each in history.events()] == [3, 2, 1]


def test_what_a_wrong_clock_stamped_goes_with_what_was_recorded_around_it(path: Path) -> None:
    patient = History(path, days=1000)
    patient.write([(event(days=days), None) for days in (30, -900, 300, 25, 5)])
    patient.close()
    history = History(path, days=10)
    history.write([(event(), None)])
    assert [each.id for each in history.events()] == [6, 5]


# counts ----------------------------------------------------------------------------------------------------------


def test_counts_begin_with_the_hour_that_is_asked_for(history: History) -> None:
    """A day of India begins at half past six in the evening, UTC."""
    starts = [
        "2026-11-27T18:29:59.999",
        "2026-11-27T18:30:00.000",
        "2026-11-27T19:29:59.999",
        "2026-11-27T20:30:00.000",
    ]
    patient = History(history.path, days=36500)
    patient.write(
        [(replace(EVENT, label=f"cup {n % 2}", start=f"{each}+00:00"), None) for n, each in enumerate(starts)]
    )
    found = patient.counts(Selection(since="2026-11-27T18:30:00.000+00:00", until="2026-11-28T18:30:00.000+00:00"))
    assert found.to_json() == {
        "hours": [
            {"start": "2026-11-27T18:30:00.000+00:00", "events": 2, "labels": {"cup 0": 1, "cup 1": 1}},
            {"start": "2026-11-27T20:30:00.000+00:00", "events": 1, "labels": {"cup 1": 1}},
        ],
        "labels": {"cup 0": 1, "cup 1": 2},
        "cameras": {"camera": 3},
    }


def test_counts_of_a_label_still_name_the_others(history: History) -> None:
    history.write([(event("mug"), None), (event("cat"), None)])
    found = history.counts(Selection(label="cat"))
    assert [sum(each.values()) for each in found.hours.values()] == [1] and found.labels == {"cat": 1, "mug": 1}


# faults ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_refuses_in_one_line_and_nothing_is_half_written(history: History, path: Path) -> None:
    history.write([(event(), PICTURE)])
    for pages in range(0, 40, 4):
        with limited(path.parent, pages), pytest.raises(StorageError, match="free some disk space") as refused:
            history.write([(event(), PICTURE * 40)])
        assert "\n" not in str(refused.value)
        with limited(path.parent, pages):
            assert [each.id for each in history.events()] == [1]
    assert history.write([(event(), PICTURE)]) == [2]


def test_a_full_disk_keeps_no_other_process_out(history: History, path: Path) -> None:
    history.write([(event(), None)])
    history.close()
    with limited(path.parent, 0):
        assert history.count() == 1
    code = "import sys; from pathlib import Path; from edgetl_device.store.history import History; "
    code += "h = History(Path(sys.argv[1])); print(h.delete('all'))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr


def test_a_read_only_history_is_read_and_not_written(history: History, path: Path, monkeypatch) -> None:
    history.write([(event(), PICTURE)])
    before = {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")}
    monkeypatch.setattr(history_file, "is_read_only", lambda _: True)
    reader = History(path)
    assert [each.id for each in reader.events()] == [1] and reader.snapshot(1) == PICTURE
    for change in (lambda: reader.write([(event(), None)]), lambda: reader.delete("all")):
        with pytest.raises(StorageError, match="cannot be written"):
            change()
    assert {file.name: file.read_bytes() for file in path.parent.iterdir() if not file.name.endswith("-shm")} == before
    monkeypatch.undo()
    assert reader.write([(event(), None)]) == [2]  # the disk can be written again


def test_a_damaged_history_gives_what_can_be_saved_and_its_numbers(history: History, path: Path, caplog) -> None:
    history.write([(event(f"thing {n} {'x' * 200}"), None) for n in range(400)])
    history.delete(list(range(381, 401)))
    (page,) = history._rows("SELECT pageno FROM dbstat WHERE name = 'history' AND path LIKE '/0%' LIMIT 1 OFFSET 5")
    history.close()
    with path.open("r+b") as file:
        file.seek((page[0] - 1) * 4096)
        file.write(os.urandom(4096))
    left = History(path)
    ids = [each.id for each in left.events(limit=1000)]
    assert "was damaged" in caplog.text and len(list(path.parent.glob("history.sqlite.damaged-*"))) == 1
    assert 340 < len(ids) < 380 and ids == sorted(ids, reverse=True)  # of a page's rows nothing can be read
    assert left.write([(event(), None)]) == [401]
    left.close()


def test_who_opens_a_history_while_it_is_repaired_goes_on_with_the_new_one(path: Path, monkeypatch) -> None:
    other = History(path.with_name("other.sqlite"))
    other.write([(event("new"), None)])
    other.close()
    old, opened = History(path), history_file._open

    def repaired(file: Path) -> tuple[apsw.Connection, bool]:
        monkeypatch.setattr(history_file, "_open", opened)
        found = opened(file)
        history_file.put_in_place(other.path, file, "damaged")  # by another process
        return found

    monkeypatch.setattr(history_file, "_open", repaired)
    old.write([(event("old"), None)])
    assert [each.label for each in old.events()] == ["new"]


def test_a_file_of_garbage_is_put_aside_and_recording_goes_on(path: Path, caplog) -> None:
    path.write_bytes(os.urandom(20_000))
    history = History(path)
    assert history.write([(event(), None)]) == [1] and history.count() == 1
    assert len(list(path.parent.glob("history.sqlite.damaged-*"))) == 1 and "0 events were saved" in caplog.text
    history.delete("all")
    assert not list(path.parent.glob("history.sqlite.damaged-*"))


def test_a_row_that_was_changed_on_the_disk_is_left_out(history: History) -> None:
    history.write([(event("mug"), PICTURE), (event("cat"), PICTURE)])
    history._file.changing(lambda db: db.execute("UPDATE history SET label = 'dog' WHERE id = 1"))
    history._file.changing(lambda db: db.execute("UPDATE snapshots SET jpeg = x'00' WHERE event = 2"))
    assert [each.label for each in history.events()] == ["cat"] and history.snapshot(2) is None


@pytest.mark.parametrize(
    "damage",
    [
        "start = 'xx'",
        "start = 'now'",
        "start = '0000-01-01T00:00:00.000+00:00'",
        "start = x'00'",
        "label = x'00'",
        "camera = x'00'",
        "probability = 'x'",
        "state = 'x'",
    ],
)
def test_damaged_rows_are_in_no_list_no_page_and_no_count_by_hour(history: History, caplog, damage: str) -> None:
    history.write([(event(f"thing {n}"), None) for n in range(9)])
    history._file.changing(lambda db: db.execute(f"UPDATE history SET {damage} WHERE id IN (1, 8, 9)"))
    assert [each.id for each in history.events(limit=3)] == [7, 6, 5]
    assert history.since() == EVENT.start
    hours = [sum(labels.values()) for labels in history.counts().hours.values()]
    told = damage.startswith(
        ("probability", "state")
    )  # where nothing of that is damaged they are counted until a check
    assert hours == [9 if told else 6] and history.count() == (9 if told else 6)
    assert history.check() == 6 and "6 events were saved" in caplog.text and history.count() == 6


@pytest.mark.parametrize("table", ["cleared", "snapshots", "history"])
def test_a_table_that_is_missing_is_made_again(history: History, path: Path, table: str) -> None:
    history.write([(event(), None)] * 2)
    history._file.changing(lambda db: (db.pragma("foreign_keys"), db.execute(f"DROP TABLE {table}")))
    history.close()
    assert history.last_clearing() is None
    assert history.delete("all") == (0 if table == "history" else 2) and history.last_clearing()[0] == 1
    assert len(history.write([(event(), PICTURE)])) == 1


def fill_up(path: Path, monkeypatch) -> None:
    """Changes of the file that is there now fail as on a full disk, and not those of one that is begun anew."""
    there, before = history_file._file_at(path), history_file.HistoryFile._change

    def change(file, work):
        if history_file._file_at(path) == there:
            raise apsw.FullError("database or disk is full")
        return before(file, work)

    monkeypatch.setattr(history_file.HistoryFile, "_change", change)


def test_all_can_be_deleted_from_a_full_disk_and_nothing_of_it_stays(history: History, path: Path, monkeypatch) -> None:
    history.write([(event("secret"), PICTURE)] * 3)
    other = History(path)
    assert other.count() == 3
    os.link(path, path.with_name("what was there"))
    fill_up(path, monkeypatch)
    with pytest.raises(StorageError, match="to delete all of the history needs no room"):
        history.delete(Selection("secret"))
    assert history.count() == 3 and history.delete("all") == 3
    assert path.with_name("what was there").stat().st_size == 0
    assert history.events() == [] == other.events() and other.last_clearing()[0] == 1
    assert other.write([(event(), None)]) == [4] and history.count() == 1


@pytest.mark.parametrize("size", [0, 1, (1 << 20) + 5])
def test_what_is_removed_was_overwritten_in_place(path: Path, size: int) -> None:
    index = path.with_name("history.sqlite-shm")
    index.write_bytes(b"x" * size)
    history_file._overwrite(index)
    assert index.read_bytes() == bytes(size)  # others have it mapped: it keeps its size
    path.write_bytes(b"x" * size)
    history_file._overwrite(path)
    assert path.read_bytes() == b""


def test_all_can_be_deleted_where_not_even_an_empty_history_finds_room(history: History, path: Path) -> None:
    history.write([(event(), PICTURE)] * 3)
    with limited(path.parent, 0):
        assert history.delete("all") == 3 and history.count() == 0
    assert history.count() == 0 and len(history.write([(event(), None)])) == 1


def test_a_file_that_vanished_is_made_again(history: History, path: Path) -> None:
    history.write([(event(), None)])
    for file in path.parent.iterdir():
        file.unlink()
    assert history.events() == [] and history.write([(event(), None)]) == [1] and path.exists()


def test_nobody_else_may_read_it(history: History, path: Path) -> None:
    before = os.umask(0)
    try:
        history.write([(event(), None)])
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o077 for file in path.parent.iterdir()} == {0}


# words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "label", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", 'a"b,c', "<b>&\x1b[2J", "Łódź"]
)
def test_a_cell_of_csv_is_text_whatever_a_label_holds(label: str) -> None:
    text = history_csv.header() + history_csv.lines([event(label, camera=label, group=label, id=7)])
    (read,) = csv.DictReader(io.StringIO(text, newline=""))
    for column in ("label", "camera", "group"):
        assert read[column].lstrip("'") == label and not read[column].startswith(("=", "+", "-", "@", "\t", "\r", "＝"))
    assert read["id"] == "7" and read["duration_s"] == "3.5"


def test_moments_are_read_as_people_write_them() -> None:
    local = datetime(2026, 11, 27).astimezone().astimezone(timezone.utc)
    assert parse_moment("2026-11-27", "x") == at(local)
    assert parse_moment("2026-11-27", "x", end=True) == at(
        (datetime(2026, 11, 28)).astimezone().astimezone(timezone.utc)
    )
    assert (
        parse_moment("2026-11-27T10:00:00 02:00", "x") == "2026-11-27T08:00:00.000+00:00"
    )  # a plus sign nobody escaped
    assert parse_moment("9999-12-31", "x", end=True) == "9999-12-31T23:59:59.999+00:00"
    ago = datetime.fromisoformat(parse_moment("2h", "x"))
    assert timedelta(hours=2) <= datetime.now(timezone.utc) - ago < timedelta(hours=2, minutes=5)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01", "5", "-2h", "99999999999h", "999999w", "0001-01-01", "2h\n\n3"]
)
def test_what_is_no_moment_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match="--since must be") as refused:
        parse_moment(text, "--since")
    assert "\n" not in str(refused.value)


def test_the_bounds_of_the_command_line_are_those_of_the_store() -> None:
    from edgetl_device.cli import history_options

    assert (history_options._DAYS, history_options._MB << 20) == (module.DAYS, module.MAX_BYTES)
