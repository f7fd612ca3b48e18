"""The history over REST: who asks for it, pages, exports, counts, deletion, and labels that mean harm."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

pytest.importorskip("starlette")

from full_disk import limited
from recognitions import recognition
from web_site import PASSWORD, PASSWORD_HASH, Client, running, until

from edgetl_device.app.history import HistorySettings, Running
from edgetl_device.home import Home
from edgetl_device.inference.classifier import Prediction
from edgetl_device.store.history import History
from edgetl_device.store.history_event import KEYS, Event
from edgetl_device.web import history_api

PICTURE = b"\xff\xd8 a picture"
NOW = datetime.now(timezone.utc)
HARM = [
    "<img src=x onerror=alert(1)>",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@x",
    "a\x1b[2Jb",
    "a\u202eb",
    'quote"\\',
    "Łódź 🐈",
]


def event(label: str, hours: float = 0.0, **others: object) -> Event:
    start = (NOW - timedelta(hours=hours)).isoformat(timespec="milliseconds")
    return replace(Event(label, start, 3.5, 0.75, "camera"), **others)


def kept(home: Home, *events: Event, picture: bytes | None = None) -> list[int]:
    history = History(home.history_path)
    try:
        return history.write([(each, picture) for each in events])
    finally:
        history.close()


def test_events_come_newest_first_page_by_page(home: Home) -> None:
    kept(home, *(event(f"thing {n}") for n in range(7)), picture=PICTURE)
    with running(home) as site:
        client = Client(site.url)
        first = client.get("/api/v1/history?limit=3").json
        assert [each["id"] for each in first["events"]] == [7, 6, 5] and (first["total"], first["next"]) == (7, 5)
        assert tuple(first["events"][0]) == KEYS
        last = client.get(f"/api/v1/history?limit=9&before={first['next']}").json
        assert [each["id"] for each in last["events"]] == [4, 3, 2, 1] and last["next"] is None
        picture = client.get("/api/v1/history/7/snapshot")
        assert picture.body == PICTURE and picture.headers["Cache-Control"] != "public"
        assert client.get("/api/v1/history/99/snapshot").status == 404
        assert client.get(f"/api/v1/history/{'9' * 30}/snapshot").status == 404
        assert client.get("/api/v1/history/x/snapshot").status == 404


def test_what_the_camera_sees_is_recorded_and_told_in_the_status(home: Home) -> None:
    with running(home, history=HistorySettings(flush_s=0.1)) as site:
        client = Client(site.url)
        until(lambda: client.get("/api/v1/history?label=ball").json["events"])
        told = client.get("/api/v1/status").json["history"]
        assert told["recording"] and told["problem"] is None and told["bytes"] > 0
    with running(home) as site:
        client = Client(site.url)
        assert client.get("/api/v1/history?label=ball").json["total"] >= 1  # read without being recorded
        assert not client.get("/api/v1/status").json["history"]["recording"]


def test_selection_and_counts(home: Home) -> None:
    kept(home, event("cat", 30), event("mug", 3, camera="gate"), event("mug", 1))
    with running(home) as site:
        client = Client(site.url)

        def ids(query: str) -> list[int]:
            return [each["id"] for each in client.get(f"/api/v1/history?{query}").json["events"]]

        assert ids("label=mug") == [3, 2] and ids("camera=gate") == [2] and ids("since=2h") == [3]
        moment = (NOW - timedelta(hours=2)).isoformat()  # its plus sign is a blank where nobody escapes it
        assert ids(f"since={moment}") == [3] and ids(f"until={moment}") == [2, 1]
        told = client.get("/api/v1/history/hours?since=4h&label=mug").json
        assert sum(hour["events"] for hour in told["hours"]) == 2 and told["cameras"] == {"camera": 1, "gate": 1}
        for query in ("since=tomorrow", "until=1e9", "limit=x", "before=-1"):
            refused = client.get(f"/api/v1/history?{query}")
            assert refused.status == 400 and "must be" in refused.json["error"]


def test_damaged_rows_end_no_page_and_no_export_and_hours_are_told(home: Home, monkeypatch) -> None:
    monkeypatch.setattr(history_api, "_AT_ONCE", 2)
    kept(home, *(event("mug", 1) for _ in range(7)))
    history = History(home.history_path)
    history._file.changing(lambda db: db.execute("UPDATE history SET start = 'xx' WHERE id IN (2, 6)"))
    history.close()
    with running(home) as site:
        client = Client(site.url)
        told = client.get("/api/v1/history?limit=2").json
        assert [each["id"] for each in told["events"]] == [7, 5] and told["next"] == 5 and told["total"] == 5
        assert [each["id"] for each in client.get("/api/v1/history.json").json["events"]] == [7, 5, 4, 3, 1]
        assert [hour["events"] for hour in client.get("/api/v1/history/hours").json["hours"]] == [5]
        refused = client.post("/api/v1/history/delete", {"label": "\ud800"})
        assert refused.status == 400 and "surrogate" in refused.json["error"]


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_exports_hold_every_event_once_whatever_labels_hold(home: Home, monkeypatch, count: int) -> None:
    monkeypatch.setattr(history_api, "_AT_ONCE", 2)
    labels = HARM[:count] if count < 5 else HARM
    if labels:
        kept(home, *(event(label, camera=label) for label in labels))
    with running(home) as site:
        client = Client(site.url)
        answer = client.get("/api/v1/history.csv")
        assert answer.headers["Content-Disposition"] == 'attachment; filename="history.csv"'
        assert answer.headers.get_content_type() == "text/csv"
        rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
        assert [row["label"].lstrip("'") for row in rows] == labels[::-1]
        assert not any(row["label"].startswith(("=", "+", "-", "@")) for row in rows)
        assert [each["label"] for each in client.get("/api/v1/history.json").json["events"]] == labels[::-1]
        assert [each["label"] for each in client.get("/api/v1/history").json["events"]] == labels[::-1]


def test_deletion_by_number_selection_and_all(home: Home) -> None:
    kept(home, event("cat", 30), event("mug", 3), event("mug", 1), event("cup", 1), picture=PICTURE)
    with running(home) as site:
        client = Client(site.url)
        assert client.post("/api/v1/history/delete", {"ids": [4]}).json == {"deleted": 1}
        assert client.get("/api/v1/history/4/snapshot").status == 404
        assert client.post("/api/v1/history/delete", {"label": "mug", "since": "2h"}).json == {"deleted": 1}
        assert client.post("/api/v1/history/delete", {"until": "10h"}).json == {"deleted": 1}
        assert [each["id"] for each in client.get("/api/v1/history").json["events"]] == [2]
        for body in (
            {},
            {"ids": []},
            {"all": False},
            {"all": True, "ids": [1]},
            {"ids": [1], "label": "x"},
            {"label": ""},
        ):
            assert client.post("/api/v1/history/delete", body).status == 400, body
        assert client.post("/api/v1/history/delete", {"all": True}).json == {"deleted": 1}


def test_what_was_recorded_after_one_was_asked_is_not_deleted(home: Home) -> None:
    kept(home, *(event("mug", n) for n in range(4)), event("cup"), picture=PICTURE)
    with running(home) as site:
        client = Client(site.url)
        assert client.post("/api/v1/history/delete", {"label": "mug", "before": 3}).json == {"deleted": 2}
        assert client.post("/api/v1/history/delete", {"all": True, "before": 5}).json == {"deleted": 2}
        assert [each["id"] for each in client.get("/api/v1/history").json["events"]] == [5]
        for body in ({"before": 3}, {"ids": [5], "before": 9}, {"all": True, "before": 0}):
            assert client.post("/api/v1/history/delete", body).status == 400, body


def test_nothing_is_told_and_nothing_deleted_without_the_password(home: Home) -> None:
    kept(home, event("mug"), picture=PICTURE)
    with running(home, PASSWORD_HASH) as site:
        client = Client(site.url)
        for path in ("", ".csv", ".json", "/hours", "/1/snapshot"):
            assert client.get(f"/api/v1/history{path}").status == 401
        assert client.post("/api/v1/history/delete", {"all": True}).status == 401
        client.log_in(PASSWORD)
        assert client.get("/api/v1/history").json["total"] == 1
        foreign = client.post("/api/v1/history/delete", {"all": True}, Origin="http://evil.example")
        assert foreign.status == 403 and client.get("/api/v1/history").json["total"] == 1


def test_a_full_disk_is_told_and_recognition_goes_on(home: Home) -> None:
    kept(home, event("mug"))
    with running(home, history=HistorySettings(flush_s=0.05)) as site:
        client = Client(site.url)
        with limited(home.folder, 0):
            site.scene.kind = "box"
            until(lambda: client.get("/api/v1/status").json["history"]["problem"])
            assert "free some disk space" in client.get("/api/v1/status").json["history"]["problem"]
            refused = client.post("/api/v1/history/delete", {"label": "mug"})
            assert refused.status == 507 and "to delete all of the history needs no room" in refused.json["error"]
            assert client.get("/api/v1/history").json["total"] >= 1
            assert client.post("/api/v1/history/delete", {"all": True}).json["deleted"] >= 1
            assert client.get("/api/v1/history").json["total"] == 0
            seen = site.app.pipeline.health().frames
            until(lambda: site.app.pipeline.health().frames > seen + 5)
        site.scene.kind = "ball"
        until(lambda: client.get("/api/v1/status").json["history"]["problem"] is None)


def test_exports_have_few_places(home: Home, monkeypatch) -> None:
    monkeypatch.setattr(history_api, "MAX_EXPORTS", 0)
    with running(home) as site:
        assert Client(site.url).get("/api/v1/history.csv").status == 503


def test_labels_that_mean_harm_come_through_recording_as_they_are(home: Home) -> None:
    """From a bundle that a stranger made: through the recorder, the file and JSON, byte for byte."""
    with running(home) as site:
        writer = site.app.history
        for number, label in enumerate(HARM):
            running_ = Running(label, None, "camera", None, number / 10, number / 10, PICTURE)
            running_.see(Prediction(label, 0.5, False, ((label, 0.5),)), number / 10)
            writer.begin(running_)
        assert writer.flush()
        client = Client(site.url)
        assert [each["label"] for each in client.get("/api/v1/history").json["events"]] == HARM[::-1]
        assert json.loads(client.get("/api/v1/history/hours").body)["labels"] == dict.fromkeys(sorted(HARM), 1)


def test_server_sent_events_and_sinks_hold_harmful_labels_as_json() -> None:
    from edgetl_device.app.sinks.sink import change

    for label in HARM:
        text = json.dumps(change(label, None, recognition(label, 0.0)))
        assert "\n" not in text and "\x1b" not in text and json.loads(text)["label"] == label
