"""What a running app records: which events there are, how they come to the disk, and what happens where it takes none."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import chain, cycle, repeat
from pathlib import Path

import pytest
from conftest import draw
from full_disk import limited
from recognitions import recognition
from test_app import showing, until

from edgetl_device.app import history as module
from edgetl_device.app.app import App
from edgetl_device.app.history import HistorySettings, HistoryWriter
from edgetl_device.app.recorder import Recorder, region_in
from edgetl_device.app.subscription import Recognition
from edgetl_device.camera import FakeCamera
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Prediction
from edgetl_device.store import history_file
from edgetl_device.store.history import History
from edgetl_device.store.history_event import ANY, ENDED, OPEN, Event
from edgetl_device.view_names import ViewName

JPEG = b"\xff\xd8 a picture"


class Quiet:
    """A pipeline that delivers nothing by itself."""

    def subscribe(self, **_):
        from edgetl_device.app.subscription import Subscription

        return Subscription(lambda _: None, None)


def writer_at(folder: Path, **settings: float) -> HistoryWriter:
    return HistoryWriter(folder / "history.sqlite", HistorySettings(**{"flush_s": 3600.0, **settings}))


def recorder_of(writer: HistoryWriter, **others: object) -> Recorder:
    return Recorder(Quiet(), writer, lambda _: JPEG, **others)


def shown(recorder: Recorder, labels: str | list, start_s: float | None = None, step_s: float = 0.25) -> float:
    """Labels of frames a quarter of a second apart, ``?`` for an unknown thing, ending now; → the time of the last."""
    begin_s = time.monotonic() - step_s * len(labels) if start_s is None else start_s
    for number, label in enumerate(labels):
        told = recognition("a" if label == "?" else label, begin_s + number * step_s, label == "?", number)
        recorder.see(told)
    return begin_s + (len(labels) - 1) * step_s


def recorded(writer: HistoryWriter) -> list[Event]:
    """Oldest first."""
    assert writer.flush()
    return writer.events(ANY, None, 1000)[::-1]


@pytest.fixture
def writer(tmp_path: Path):
    made = writer_at(tmp_path)
    yield made
    assert made.stop()


# which events there are ------------------------------------------------------------------------------------------


def test_each_label_that_lasts_is_an_event_with_its_time(writer: HistoryWriter) -> None:
    shown(recorder_of(writer), "aaaaabbbbb????")
    first, second, third = recorded(writer)
    assert [(each.label, each.state) for each in (first, second, third)] == [
        ("a", ENDED),
        ("b", ENDED),
        ("unknown", OPEN),
    ]
    assert (
        first.duration_s == pytest.approx(1.0, abs=0.002) and first.probability == 0.875
    )  # from its first to its last
    assert third.probability is None and first.camera == "camera" and first.picture
    begins = [datetime.fromisoformat(each.start) for each in (first, second, third)]
    assert (begins[1] - begins[0]).total_seconds() == pytest.approx(1.25, abs=0.003)
    assert abs(datetime.now(timezone.utc) - begins[0] - timedelta(seconds=3.5)) < timedelta(seconds=60)


def test_what_a_region_showed_ends_with_the_region(writer: HistoryWriter) -> None:
    recorder, begin_s = recorder_of(writer), time.monotonic() - 3
    for number in range(12):
        for name in (ViewName("gate", "left"), ViewName("gate", "right")):
            recorder.see(replace(recognition("a", begin_s + number / 4), name=name))
    recorder.keep_only({ViewName("gate", "left")})
    assert {each.region: each.state for each in recorded(writer)} == {"left": OPEN, "right": ENDED}


def test_a_flicker_is_no_event(writer: HistoryWriter) -> None:
    shown(recorder_of(writer), "aaaabaaaab?aaaa")
    (only,) = recorded(writer)
    assert only.label == "a" and only.duration_s == pytest.approx(3.5, abs=0.01)


def test_where_no_head_knows_a_label_nothing_happens(writer: HistoryWriter) -> None:
    shown(recorder_of(writer), [None] * 20)
    assert recorded(writer) == []


def test_each_group_has_events_of_its_own(writer: HistoryWriter) -> None:
    recorder, begin_s = recorder_of(writer), time.monotonic() - 3
    for number in range(12):
        said = recognition("cup", begin_s + number / 4)
        worn = "worn" if number < 6 else "fine"
        groups = {"condition": Prediction(worn, 0.5, False, ((worn, 0.5),))} if number < 11 else {}
        recorder.see(Recognition(said.frame, said.raw, said.prediction, said.instant, 3, "digest", groups=groups))
    found = {(each.group, each.label): each.state for each in recorded(writer)}
    assert found == {(None, "cup"): OPEN, ("condition", "worn"): ENDED, ("condition", "fine"): ENDED}


def test_each_camera_and_region_has_events_of_its_own(writer: HistoryWriter) -> None:
    recorder, begin_s = recorder_of(writer), time.monotonic() - 3
    for number in range(12):
        for name, label, group in (
            (ViewName("porch"), "cat", None),
            (ViewName("gate", "left"), "open" if number < 6 else "shut", "door"),
        ):
            said = recognition(label, begin_s + number / 4, number=number)
            said = Recognition(said.frame, said.raw, said.prediction, said.instant, 3, "digest", name=name, group=group)
            recorder.see(said)
    found = [(each.camera, each.region, each.group, each.label, each.picture) for each in recorded(writer)]
    assert sorted(found, key=str) == [
        ("gate", "left", "door", "open", True),
        ("gate", "left", "door", "shut", True),
        ("porch", None, None, "cat", True),
    ]


def test_a_camera_that_was_away_ends_what_it_saw(writer: HistoryWriter) -> None:
    recorder = recorder_of(writer)
    last_s = shown(recorder, "aaaaa", time.monotonic() - 120)
    shown(recorder, "aaaaa", last_s + 60)
    assert [each.duration_s for each in recorded(writer)] == [pytest.approx(1.0, abs=0.01)] * 2


def test_what_nobody_sees_any_more_ends_although_no_frame_comes(writer: HistoryWriter) -> None:
    shown(recorder_of(writer), "aaaaa", time.monotonic() - 60)
    (only,) = recorded(writer)
    assert only.state == ENDED and only.duration_s == pytest.approx(1.0, abs=0.01)


def test_pictures_are_taken_once_a_second_at_most(writer: HistoryWriter) -> None:
    shown(recorder_of(writer, hold_s=0.0), "ab" * 20, step_s=0.125)
    found = recorded(writer)
    assert len(found) == 40 and sum(each.picture for each in found) == 5


def test_the_region_is_told_as_options_take_it() -> None:
    assert region_in('{"find_part":false,"region":[2500,0,5000,10000],"turned":false}') == "0.25,0,0.5,1"
    assert region_in('{"region":null}') is None


# how they come to the disk ---------------------------------------------------------------------------------------


def test_events_are_written_in_batches_and_an_open_one_is_not_written_again_and_again(writer, monkeypatch) -> None:
    writes = []
    write = writer._history.write
    monkeypatch.setattr(writer._history, "write", lambda *batch: writes.append(batch) or write(*batch))
    recorder = recorder_of(writer)
    last_s = shown(recorder, "aaaaabbbbb")
    assert not writes
    assert [each.label for each in recorded(writer)] == ["a", "b"] and len(writes) == 1
    shown(recorder, "bbbb", last_s + 0.25)
    assert writer.flush() and len(writes) == 1  # nothing but a longer duration
    shown(recorder, "cccc", last_s + 1.5)
    assert [(each.label, each.state) for each in recorded(writer)] == [("a", ENDED), ("b", ENDED), ("c", OPEN)]
    assert recorded(writer)[1].duration_s == pytest.approx(2.0, abs=0.01) and len(writes) == 2


def test_the_duration_of_a_long_event_is_written_now_and_then(writer: HistoryWriter, monkeypatch) -> None:
    recorder = recorder_of(writer)
    last_s = shown(recorder, "aaaaa")
    assert recorded(writer)[0].duration_s == pytest.approx(1.0, abs=0.01)
    shown(recorder, "aaaa", last_s + 0.25)
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    assert recorded(writer)[0].duration_s == pytest.approx(2.0, abs=0.01)


def test_a_clock_that_is_set_before_the_batch_is_written_gives_the_right_time(writer, monkeypatch) -> None:
    shown(recorder_of(writer), "aaaaa")

    class Later(datetime):
        @classmethod
        def now(cls, zone=None):
            return datetime(2031, 1, 1, tzinfo=timezone.utc)

    monkeypatch.setattr(module, "datetime", Later)
    assert recorded(writer)[0].start.startswith("2030-12-31T23:59:5")


def test_the_end_of_the_program_ends_and_writes_what_goes_on(tmp_path: Path) -> None:
    writer = writer_at(tmp_path)
    writer.start()
    shown(recorder_of(writer), "aaaaa")
    assert writer.stop()
    (only,) = History(tmp_path / "history.sqlite").events()
    assert (only.label, only.state) == ("a", ENDED)


@pytest.mark.parametrize("records", [True, False])
def test_a_kill_leaves_what_was_written_and_says_that_it_was_cut_off(tmp_path: Path, records: bool) -> None:
    script = f"""
import sys, time
sys.path[:0] = {sys.path!r}
from test_history_recording import recorder_of, shown, writer_at
from pathlib import Path
writer = writer_at(Path({str(tmp_path)!r}))
recorder = recorder_of(writer)
last_s = shown(recorder, "aaaaabbbbb")
writer.flush()
shown(recorder, "cccc", last_s + 0.25)
print("written", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parent) as child:
        assert child.stdout.readline() == b"written\n"
        child.send_signal(signal.SIGKILL)
    again = HistoryWriter(tmp_path / "history.sqlite", HistorySettings(), records=records)
    again.start()
    until(lambda: [each.state for each in again.events(ANY, None, 9)] == ["cut off", "ended"])
    assert [each.label for each in again.events(ANY, None, 9)] == ["b", "a"]
    assert again.stop()


def test_another_program_that_deletes_all_deletes_what_waits_too(writer: HistoryWriter) -> None:
    recorder = recorder_of(writer)
    last_s = shown(recorder, "aaaaa")
    assert len(recorded(writer)) == 1
    last_s = shown(recorder, "bbbbb", last_s + 0.25)
    other = History(writer._history.path)
    assert other.delete("all") == 1
    time.sleep(0.01)
    assert recorded(writer) == []
    shown(recorder, "ccccc", time.monotonic())
    assert [each.label for each in recorded(writer)] == ["c"]


def test_what_is_deleted_here_does_not_come_back_with_its_end(writer: HistoryWriter) -> None:
    recorder = recorder_of(writer)
    last_s = shown(recorder, "aaaaabbbbb")
    assert writer.delete("all") == 2
    shown(recorder, "ccccc", last_s + 0.25)
    assert [each.label for each in recorded(writer)] == ["c"]


def test_what_is_too_old_goes_although_nothing_new_comes(tmp_path: Path) -> None:
    old = (datetime.now(timezone.utc) - timedelta(days=8)).isoformat(timespec="milliseconds")
    History(tmp_path / "history.sqlite").write([(Event("a", old, 1.0, 0.5, "camera"), None)])
    now_s = [1000.0]
    settings = HistorySettings(flush_s=3600.0, days=7)
    writer = HistoryWriter(tmp_path / "history.sqlite", settings, clock=lambda: now_s[0])
    assert writer.count(ANY) == 1 and writer.flush() and writer.count(ANY) == 0
    History(tmp_path / "history.sqlite").write([(Event("a", old, 1.0, 0.5, "camera"), None)])
    assert writer.flush() and writer.count(ANY) == 1  # a look an hour is enough
    now_s[0] += 3601
    assert writer.flush() and writer.count(ANY) == 0 and writer.stop()


# faults ----------------------------------------------------------------------------------------------------------


def test_ten_thousand_events_a_minute_keep_to_their_bounds_and_drops_are_counted(writer: HistoryWriter) -> None:
    recorder = recorder_of(writer, hold_s=0.0)
    shown(recorder, "ab" * 5000, step_s=0.006)
    status = writer.status()
    assert status["waiting"] == module.MOST_WAITING and status["dropped"] == 10_000 - module.MOST_WAITING
    assert len(recorded(writer)) == module.MOST_WAITING and writer.status()["waiting"] == 0
    assert all(each.state == ENDED for each in recorded(writer))
    shown(recorder, "cccc")
    assert recorded(writer)[-1].label == "c"  # it goes on


def test_many_events_are_written_before_it_is_time(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "EARLY_S", 0.01)
    writer = writer_at(tmp_path)
    writer.start()
    shown(recorder_of(writer, hold_s=0.0), "ab" * (module.MOST_WAITING // 4 + 1), step_s=0.01)
    until(lambda: writer.count(ANY) >= module.MOST_WAITING // 2)
    assert writer.stop() and writer.status()["dropped"] == 0


def test_on_a_full_disk_recording_pauses_with_one_line_and_goes_on_when_there_is_room(tmp_path, caplog) -> None:
    caplog.set_level(logging.WARNING)
    writer = writer_at(tmp_path)
    recorder = recorder_of(writer)
    last_s = shown(recorder, "aaaaabbbbb")
    with limited(tmp_path, 0):
        assert not writer.flush()
        assert "free some disk space" in writer.status()["problem"] and "\n" not in writer.status()["problem"]
        shown(recorder, "cccc", last_s + 0.25)
        assert not writer.flush() and not writer.flush()
    lines = [each.message for each in caplog.records if "nothing is recorded" in each.message]
    assert len(lines) == 1 and "recognising goes on" in lines[0]
    assert [each.label for each in recorded(writer)] == ["a", "b", "c"] and writer.status()["problem"] is None
    assert "recorded again" in caplog.text and writer.stop()


def test_a_read_only_disk_is_told_and_what_was_recorded_can_be_read(tmp_path: Path, monkeypatch) -> None:
    History(tmp_path / "history.sqlite").write(
        [(Event("a", "2026-11-27T00:00:00.000+00:00", 1.0, 0.5, "camera"), None)]
    )
    monkeypatch.setattr(history_file, "is_read_only", lambda _: True)
    writer = writer_at(tmp_path, days=36500)
    shown(recorder_of(writer), "bbbb")
    assert not writer.flush() and "cannot be written" in writer.status()["problem"]
    assert [each.label for each in writer.events(ANY, None, 9)] == ["a"]
    monkeypatch.undo()
    assert [each.label for each in recorded(writer)] == ["a", "b"] and writer.stop()


# the app ---------------------------------------------------------------------------------------------------------


def test_an_app_records_what_its_camera_saw_with_its_picture(home: Home) -> None:
    scenes = cycle(chain(repeat(draw("ball", 3), 100), repeat(draw("box", 3), 100)))
    with App(home, FakeCamera(scenes, fps=100.0, finite=False), history=HistorySettings(flush_s=0.2)) as app:
        until(lambda: len({each.label for each in app.history.events(ANY, None, 99)}) >= 2)
        told = app.status()["history"]
        assert told["recording"] and told["problem"] is None and told["bytes"] and told["since"]
        event = app.history.events(ANY, None, 1)[0]
        assert app.history.snapshot(event.id)[:2] == b"\xff\xd8"
    kept = History(home.history_path).events()
    assert {each.label for each in kept} >= {"ball", "box"} and all(each.state == ENDED for each in kept)


def test_an_app_that_is_not_asked_to_records_nothing(home: Home) -> None:
    with App(home, showing("ball")) as app:
        seen = app.pipeline.health().frames
        until(lambda: app.pipeline.health().frames > seen + 100)
        assert not app.status()["history"]["recording"]
    assert not home.history_path.exists()


def test_without_pictures_an_app_records_all_the_same(home: Home) -> None:
    with App(home, showing("ball"), thumbnails=False, history=HistorySettings(flush_s=0.2)) as app:
        until(lambda: app.history.events(ANY, None, 1))
        assert not app.history.events(ANY, None, 1)[0].picture


def test_a_disk_that_hangs_slows_no_recognition(home: Home, monkeypatch) -> None:
    hung, free = threading.Event(), threading.Event()
    with App(home, showing("ball"), history=HistorySettings(flush_s=0.05)) as app:
        monkeypatch.setattr(app.history._history, "write", lambda *_: hung.set() or free.wait(20) or [1])
        until(hung.is_set)
        seen = app.pipeline.health().frames
        until(lambda: app.pipeline.health().frames > seen + 50)
        free.set()
        monkeypatch.undo()


def test_history_is_in_no_export_and_no_backup(home: Home, tmp_path: Path) -> None:
    label = "a secret guest"
    History(home.history_path).write([(Event(label, "2026-11-27T00:00:00.000+00:00", 1.0, 0.5, "camera"), None)])
    learner = home.learner()
    learner.store.backup(tmp_path / "copy.sqlite")
    learner.store.backup_if_due()
    learner.store.close()
    others = [path for path in home.folder.iterdir() if not path.name.startswith("history.")]
    assert len(others) > 2
    for path in (tmp_path / "copy.sqlite", *others):
        assert not path.is_file() or label.encode() not in path.read_bytes(), path
    assert home.history_path.exists()


def test_two_cameras_of_one_app_have_events_of_their_own(home: Home) -> None:
    cameras = {"gate": showing("ball"), "porch": showing("box")}
    with App(home, cameras, history=HistorySettings(flush_s=0.2)) as app:
        until(lambda: {(each.camera, each.label) for each in app.history.events(ANY, None, 99)} >= {("gate", "ball")})
        until(lambda: {(each.camera, each.label) for each in app.history.events(ANY, None, 99)} >= {("porch", "box")})
        assert app.history.counts(ANY).cameras.keys() == {"gate", "porch"}
    assert all(each.state == ENDED for each in History(home.history_path).events())
