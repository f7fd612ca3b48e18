"""REST on a running app: the verbs of the command line, their answers and their refusals."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import ANY

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette")

from conftest import build_bundle, draw, embeddings, unconfirmed
from prometheus_client.parser import text_string_to_metric_families
from web_site import Client, Site, running, until

from edgetl_device.app.captured import CapturedSample
from edgetl_device.learning import retraining
from edgetl_device.photos import decode_photo, thumbnail
from edgetl_device.store.review import ReviewFrame
from edgetl_device.web import work
from edgetl_device.web.api import MAX_BUNDLE, Api
from edgetl_device.web.work import MAX_PHOTO


@pytest.fixture
def site(home) -> Iterator[Site]:
    with running(home) as site:
        yield site


@pytest.fixture
def client(site) -> Client:
    return Client(site.url)


def photo(kind: str, seed: int = 900) -> bytes:
    return cv2.imencode(".png", draw(kind, seed))[1].tobytes()


def teach_rings(client: Client, count: int = 6) -> list[int]:
    ids: list[int] = []
    for seed in range(count):
        wish = "/api/v1/learn?label=ring&retrain=false"
        ids += client.ask("POST", wish, photo("ring", seed), Content_Type="image/png").json["ids"]
    return ids


def test_status_says_what_the_command_says_and_how_the_camera_is(client) -> None:
    found = client.get("/api/v1/status").json
    assert found["bundle"]["name"] == "toys" and found["version"] == 1 and found["samples"] == {}
    assert found["camera"]["camera"] == "fake camera" and found["camera"]["error"] is None


def test_at_most_two_decoded_photos_are_in_memory_until_they_are_classified_or_taught(
    site, client, monkeypatch
) -> None:
    decoded: list[int] = []
    go_on = threading.Event()

    def counted(data: bytes, max_pixels: int) -> np.ndarray:
        decoded.append(len(data))
        return decode_photo(data, max_pixels)

    def held_up(work):
        return lambda *arguments: go_on.wait(20) and work(*arguments)

    monkeypatch.setattr(work, "decode_photo", counted)
    monkeypatch.setattr(site.app, "classify_in_groups", held_up(site.app.classify_in_groups))
    monkeypatch.setattr(site.app, "teach_photos", held_up(site.app.teach_photos))
    paths = ["/api/v1/classify", "/api/v1/learn?label=ring&retrain=false"] * 4
    with ThreadPoolExecutor(len(paths)) as pool:
        asked = [
            pool.submit(Client(site.url).ask, "POST", path, photo("ring", seed), Content_Type="image/png")
            for seed, path in enumerate(paths)
        ]
        rest = _api_of(site)._work._decoded
        until(lambda: rest.statistics().tasks_waiting == len(paths) - work.MAX_DECODED)
        assert len(decoded) == work.MAX_DECODED == 2
        assert client.get("/api/v1/status").status == 200  # the rest of the page does not wait for them
        go_on.set()
        assert [each.result().status for each in asked] == [200] * len(paths)
    assert len(decoded) == len(paths)


def _api_of(site: Site) -> Api:
    route = next(route for route in site.server.site.routes if getattr(route, "path", "") == "/api/v1")
    return route.routes[0].endpoint.__self__


def test_a_photo_is_classified_as_the_classifier_does_it(site, client) -> None:
    found = client.ask("POST", "/api/v1/classify", photo("box"), Content_Type="image/png").json
    expected = site.app.classify(draw("box", 900))
    assert found["label"] == expected.label == "box" and found["probability"] == pytest.approx(expected.probability)
    assert [entry["label"] for entry in found["top"]] == ["box", "ball"]


def test_the_newest_prediction_is_of_the_live_picture(client) -> None:
    found = client.get("/api/v1/prediction").json
    assert found["label"] == "ball" and found["version"] == 1 and found["age_s"] < 5


def test_frames_of_the_live_picture_are_taught_and_then_recognised(site, client) -> None:
    site.scene.kind = "ring"
    until(lambda: site.app.pipeline.latest().prediction.label != "ball" or site.app.pipeline.latest().frame.number > 60)
    answer = client.post("/api/v1/learn", {"label": "ring", "frames": 8, "interval_ms": 40}).json
    assert answer["stored"] == len(answer["ids"]) == 8 and answer["promoted"] and answer["version"] == 2
    assert answer["retrain_ms"] > 0 and answer["reason"].startswith("learned ring (8 samples)")
    assert client.get("/api/v1/status").json["samples"] == {"ring": 8}
    until(lambda: client.get("/api/v1/prediction").json["label"] == "ring")


def test_where_no_head_can_be_computed_the_samples_stay_and_an_answer_says_so(client, monkeypatch) -> None:
    def failing(*_arguments: object) -> None:
        raise np.linalg.LinAlgError("Singular matrix")

    monkeypatch.setattr(retraining, "fit_head", failing)
    sent = client.ask("POST", "/api/v1/learn?label=ring", photo("ring"), Content_Type="image/png")
    assert sent.status == 200 and sent.json["stored"] == 1 and not sent.json["promoted"]
    assert "no head can be computed" in sent.json["reason"] and sent.json["version"] == 1
    refused = client.post("/api/v1/retrain")
    assert refused.status == 409 and "Singular matrix" in refused.json["error"]
    assert client.get("/api/v1/status").json["samples"] == {"ring": 1}


def test_background_is_taught_as_nothing(client) -> None:
    answer = client.post("/api/v1/learn", {"label": "(nothing)", "frames": 4, "interval_ms": 20}).json
    assert answer["stored"] == 4
    sent = client.ask("POST", "/api/v1/learn?label=(nothing)", photo("ring"), Content_Type="image/png")
    assert sent.json["stored"] == 1
    status = client.get("/api/v1/status").json
    assert status["samples"] == {"(nothing)": 5} and "(nothing)" not in status["labels"]
    assert status["strangers"] == {"recognised": True, "reason": ""}


def test_samples_come_in_pages_newest_first(client) -> None:
    ids = teach_rings(client)
    first = client.get("/api/v1/samples?limit=4").json
    second = client.get(f"/api/v1/samples?limit=4&before={first['next']}").json
    assert [row["id"] for row in first["samples"] + second["samples"]] == ids[::-1]
    assert first["total"] == 6 and second["next"] is None
    assert client.get("/api/v1/samples?label=ring&limit=6").json == {**second, "samples": ANY}
    assert client.get("/api/v1/samples?label=ball").json == {"samples": [], "total": 0, "next": None}


def test_relabelling_forgetting_and_rolling_back_do_as_the_commands_do(site, client) -> None:
    ids = teach_rings(client)
    assert client.post("/api/v1/retrain").json["version"] == 2
    moved = client.post("/api/v1/relabel", {"label": "kite", "ids": ids[:2]}).json
    assert moved["moved"] == 2 and moved["version"] == 3
    nothing = client.post("/api/v1/relabel", {"label": "kite", "ids": ids[:1]}).json
    assert (nothing["moved"], nothing["version"]) == (0, 3) and nothing["reason"].startswith(
        "the sample is kite already"
    )
    assert client.get("/api/v1/status").json["samples"] == {"kite": 2, "ring": 4}
    assert client.post("/api/v1/forget", {"label": "kite"}).json["removed"] == 2
    assert client.post("/api/v1/forget", {"ids": ids[2:4]}).json["removed"] == 2
    assert client.post("/api/v1/forget", {"all": True}).json["removed"] == 2
    assert site.app.samples() == []
    assert client.post("/api/v1/rollback", {"version": 1}).json == {"version": 1}
    versions = client.get("/api/v1/versions").json["versions"]
    assert [row["version"] for row in versions] == [1, 2, 3, 4, 5, 6]
    assert [row["version"] for row in versions if row["active"]] == [1]


def test_wrong_labels_are_told_and_confirmed(site, client) -> None:
    learner = site.app._learner
    learner.add("kite", embeddings("kite", 20))
    wrong = learner.add("kite", embeddings("box", 2, start=900))
    site.app.retrain(accept_scene_change=True)
    unconfirmed(learner.store)
    told = client.get("/api/v1/health").json
    assert {each["id"] for each in told["doubtful"]} >= set(wrong) and told["samples"] == 22
    assert {each["looks_like"] for each in told["doubtful"] if each["id"] in wrong} == {"box"}
    assert client.post("/api/v1/samples/confirm", {"ids": wrong}).json == {"confirmed": 2}
    assert not {each["id"] for each in client.get("/api/v1/health").json["doubtful"]} & set(wrong)
    assert client.post("/api/v1/samples/confirm", {"ids": [999]}).status == 400
    assert client.post("/api/v1/samples/confirm", {}).status == 400


def test_wrong_labels_of_a_group_are_confirmed_there_alone(site, client) -> None:
    learner = site.app._opened.groups.known_or_new("condition")
    learner.add("worn", embeddings("box", 20))
    learner.add("fine", embeddings("ball", 20))
    wrong = learner.add("fine", embeddings("box", 2, start=900))
    site.app.retrain(accept_scene_change=True, group="condition")
    unconfirmed(learner.store)

    def doubtful() -> set[int]:
        return {each["id"] for each in client.get("/api/v1/health?group=condition").json["doubtful"]}

    assert doubtful() >= set(wrong)
    assert client.post("/api/v1/samples/confirm", {"ids": wrong}).status == 400  # they have no label but in the group
    body = {"ids": wrong, "group": "condition"}
    assert client.post("/api/v1/samples/confirm", body).json == {"confirmed": 2}
    assert not doubtful() & set(wrong)
    assert client.post("/api/v1/samples/confirm", body | {"group": "side"}).status == 400


def test_frames_for_review_are_listed_labelled_and_dropped(site, client) -> None:
    until(lambda: site.app.pipeline.latest() is not None)
    site.app.reviewing.stop()  # so that the frames are those of this test
    site.app.reviewing.drop()
    learner = site.app._learner
    for number, raw in enumerate(embeddings("kite", 8)):
        jpeg = thumbnail(draw("kite", 100 + number))
        frame = ReviewFrame(learner.bundle.backbone_digest, "", "", "unknown", "ball", 0.5, raw, jpeg)
        assert learner.store.review.keep(frame, learner.runtime)
    frames = client.get("/api/v1/review").json["frames"]
    ids = [frame["id"] for frame in frames]
    assert len(frames) == 8 and {frame["why"] for frame in frames} == {"unknown"}
    picture = client.ask("GET", f"/api/v1/review/{ids[0]}/thumbnail")
    assert picture.status == 200 and picture.body[:2] == b"\xff\xd8"
    for strange in ("0", "x", "9" * 40):
        assert client.ask("GET", f"/api/v1/review/{strange}/thumbnail").status == 404
    assert client.post("/api/v1/review/drop", {"ids": [999_999]}).status == 400
    assert client.post("/api/v1/review/label", {"label": "kite", "ids": [999_999]}).status == 400
    assert client.post("/api/v1/review/label", {"label": "bal", "ids": ids}).json["did_you_mean"] == "ball"
    assert client.post("/api/v1/review/drop", {"ids": ids[:1]}).json == {"dropped": 1}
    assert client.ask("GET", f"/api/v1/review/{ids[0]}/thumbnail").status == 404
    labelled = client.post("/api/v1/review/label", {"label": "kite", "ids": ids[1:]}).json
    assert labelled["promoted"] and [row.id for row in site.app.samples("kite")] == labelled["ids"]
    assert client.get("/api/v1/review").json == {"frames": []}
    wrong = client.post("/api/v1/review/undo", {"ids": labelled["ids"][:-1]})
    assert wrong.status == 400 and "none of the last labellings" in wrong.json["error"]
    assert client.post("/api/v1/review/undo", {"ids": labelled["ids"]}).json["undone"] == len(ids) - 1
    assert client.post("/api/v1/review/undo", {"ids": labelled["ids"]}).status == 400  # once
    again = [frame["id"] for frame in client.get("/api/v1/review").json["frames"]]
    assert len(again) == len(ids) - 1 and not site.app.samples("kite")
    assert client.post("/api/v1/review/label", {"label": "kite", "ids": again}).status == 200
    assert client.post("/api/v1/review/drop", {"all": True}).json == {"dropped": 0}


def test_frames_for_review_are_labelled_in_a_group_and_that_is_undone(site, client) -> None:
    site.app.reviewing.stop()
    site.app.reviewing.drop()
    learner = site.app._learner
    for number, raw in enumerate(embeddings("kite", 6)):
        frame = ReviewFrame(
            learner.bundle.backbone_digest, "", "", "unknown", "ball", 0.5, raw, thumbnail(draw("kite", number))
        )
        assert learner.store.review.keep(frame, learner.runtime)
    ids = [frame["id"] for frame in client.get("/api/v1/review").json["frames"]]
    body = {"label": "worn", "ids": ids[:3], "group": "condition"}
    labelled = client.post("/api/v1/review/label", body).json
    assert client.post("/api/v1/review/label", body | {"label": "fine", "ids": ids[3:]}).status == 200
    assert client.get("/api/v1/review").json == {"frames": []}
    assert [row.id for row in site.app.samples("worn", "condition")] == labelled["ids"] and not site.app.samples()
    assert client.post("/api/v1/review/undo", {"ids": labelled["ids"]}).json["undone"] == 3
    assert len(client.get("/api/v1/review").json["frames"]) == 3
    assert [row.label for row in site.app.samples(group="condition")] == ["fine"] * 3


def test_how_far_probabilities_hold_is_told_of_the_head_in_use(site, client) -> None:
    before = client.get("/api/v1/reliability").json
    assert before["held_out"] > 0 and sum(band["photos"] for band in before["bands"]) == before["held_out"]
    assert before["summary"].startswith("when it says ") or before["summary"].startswith("not known yet: ")
    teach_rings(client)
    assert client.get("/api/v1/reliability").json == before  # what is stored is not learned yet
    assert client.post("/api/v1/retrain").json["promoted"]
    assert client.get("/api/v1/reliability").json["samples"] == 6


def test_pending_batches_are_listed_moved_used_and_forgotten(site, client) -> None:
    for start in (700, 720, 740):
        site.app.teach_photos("ball", [draw("box", start + number) for number in range(12)])
        rejected = client.post("/api/v1/retrain").json
        assert not rejected["promoted"] and [batch["label"] for batch in rejected["set_aside"]] == ["ball"]
    pending = client.get("/api/v1/pending").json["pending"]
    assert client.get("/api/v1/status").json["pending"] == pending and [batch["id"] for batch in pending] == [1, 13, 25]
    assert pending[0]["looks_like"] == "box" and pending[0]["samples"] == len(pending[0]["ids"]) == 12
    assert client.get("/api/v1/samples?limit=1").json["samples"][0]["pending"]
    moved = client.post("/api/v1/pending/move", {"batch": 1}).json
    assert moved["label"] == "box" and moved["moved"] == 12 and moved["promoted"]
    used = client.post("/api/v1/pending/use", {"batch": 13}).json
    assert used["moved"] == 12 and used["promoted"] and used["ids"] == list(range(49, 61))
    assert client.post("/api/v1/pending/forget", {"batch": 25}).json == {"removed": 12, "version": used["version"]}
    assert client.get("/api/v1/pending").json == {"pending": []}
    for action in ("move", "use", "forget"):
        refused = client.ask("POST", f"/api/v1/pending/{action}", '{"batch": 25}', Content_Type="application/json")
        assert refused.status == 400 and refused.json["error"] == "no pending batch 25: nothing is pending"


def test_a_new_label_that_looks_like_a_slip_is_refused_until_it_is_insisted_on(site, client) -> None:
    wishes: list[tuple[str, dict | None]] = [("learn", {"label": "Ball"}), ("learn?label=balls", None)]
    ids = teach_rings(client, 2)
    for path, body in [*wishes, ("relabel", {"label": "rings", "ids": ids})]:
        sent = photo("ring") if body is None else json.dumps(body)
        kind = "image/png" if body is None else "application/json"
        refused = client.ask("POST", f"/api/v1/{path}", sent, Content_Type=kind)
        meant = "ring" if path == "relabel" else "ball"
        assert refused.status == 409 and refused.json["did_you_mean"] == meant
        how = "`&new_label=true`" if body is None else '`"new_label": true`'
        assert f"did you mean {meant}? {how} if it is new" in refused.json["error"]
    assert client.get("/api/v1/status").json["samples"] == {"ring": 2}
    assert client.post("/api/v1/learn", {"label": "Ball", "new_label": True}).json["stored"] == 1
    wish = "/api/v1/learn?label=balls&new_label=true"
    assert client.ask("POST", wish, photo("ring"), Content_Type="image/png").json["stored"] == 1
    assert client.post("/api/v1/relabel", {"label": "rings", "ids": ids, "new_label": True}).json["moved"] == 2


def test_another_bundle_is_installed_and_used_without_a_trace_of_the_upload(site, client, tmp_path) -> None:
    bundle = build_bundle(tmp_path / "more.edgetl", ("ball", "box", "kite"))
    answer = client.ask("POST", "/api/v1/install", bundle.read_bytes(), Content_Type="application/octet-stream")
    assert answer.json["name"] == "more" and answer.json["labels"] == ["ball", "box", "kite"]
    until(lambda: len(client.get("/api/v1/prediction").json["top"]) == 3)
    assert not [path for path in site.app.home.folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "learn", {"label": ""}, 400, "a label must not be empty"),
        ("POST", "learn", {"label": "../etc"}, 400, "label '../etc' holds"),
        ("POST", "learn", {"label": "unknown"}, 400, "choose another label"),
        ("POST", "learn", {"frames": 3}, 400, '"label" is missing'),
        ("POST", "learn", {"label": "x", "frames": 51}, 400, "frames must be 1 to 50"),
        ("POST", "learn", {"label": "x", "frames": True}, 400, "frames must be of type int, got true"),
        ("POST", "learn", {"lable": "x"}, 400, "unknown key 'lable': expected label, frames"),
        ("POST", "retrain", {"head": "perceptron"}, 400, "no head 'perceptron' is installed: expected one of"),
        ("POST", "relabel", {"label": "x", "ids": [99]}, 400, "no sample 99"),
        ("POST", "relabel", {"label": "x", "ids": ["1"]}, 400, "ids must be a list of sample numbers"),
        ("POST", "relabel", {"label": "x"}, 400, '"ids" is missing'),
        ("POST", "forget", {}, 400, "choose what to forget"),
        ("POST", "forget", {"all": True, "label": "x"}, 400, "choose what to forget"),
        ("POST", "rollback", {"version": 7}, 400, "no version 7 to roll back to"),
        ("POST", "rollback", {}, 400, "there is nothing to roll back to"),
        ("POST", "rollback", "[1]", 400, "expected a JSON object"),
        ("POST", "rollback", "{", 400, "the body is not valid JSON"),
        ("POST", "rollback", "[" * 60000, 400, "the body is not valid JSON"),
        ("POST", "install", b"not a bundle", 400, "not a bundle"),
        ("GET", "samples?before=x", None, 400, "before must be a whole number"),
        ("GET", "samples/x/thumbnail", None, 404, "Not Found"),
        ("GET", "nowhere", None, 404, "Not Found: GET /api/v1/nowhere"),
        ("GET", "forget", None, 405, "Method Not Allowed"),
    ],
)
def test_a_refusal_is_one_line_of_json_and_changes_nothing(site, client, method, path, body, status, message) -> None:
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    answer = client.ask(method, f"/api/v1/{path}", body, Content_Type=kind)
    assert (answer.status, list(answer.json)) == (status, ["error"]), answer.body
    assert message in answer.json["error"] and "\n" not in answer.json["error"]
    assert not site.app.samples() and len(site.app.versions()) == 1
    assert str(site.app.home.folder) not in answer.json["error"]


def test_json_must_be_called_json(client) -> None:
    answer = client.ask("POST", "/api/v1/rollback", '{"version": 1}', Content_Type="text/plain")
    assert answer.status == 415 and "Content-Type" in answer.json["error"]
    assert client.ask("POST", "/api/v1/learn", "x", Content_Type="text/plain").json["error"].endswith("image/jpeg`")


def test_what_is_no_photo_is_refused(site, client) -> None:
    bomb = bytearray(photo("ball"))
    bomb[16:24] = (30_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    whole = cv2.imencode(".jpg", draw("ball", 1))[1].tobytes()
    for data, message in (
        (b"GIF89a", "expected JPEG, PNG, BMP, WebP"),
        (b"", "the file is empty"),
        (bytes(bomb), "over the limit of 25 megapixels"),
        (whole[: len(whole) // 2], "truncated"),
    ):
        answer = client.ask("POST", "/api/v1/learn?label=x", data, Content_Type="image/png")
        assert answer.status == 400 and message in answer.json["error"]
    assert not site.app.samples()


@pytest.mark.parametrize(
    ("path", "kind", "limit"),
    [("learn?label=x", "image/png", MAX_PHOTO), ("classify", "image/png", MAX_PHOTO), ("install", "x/y", MAX_BUNDLE)],
)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(site, path, kind, limit) -> None:
    connection = http.client.HTTPConnection(Client(site.url).host, timeout=10)
    connection.putrequest("POST", f"/api/v1/{path}")
    connection.putheader("Content-Type", kind)
    connection.putheader("Content-Length", str(limit + 1))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413 and b"too large: the limit here is" in response.read()
    connection.close()


def test_a_body_that_does_not_say_how_large_it_is_is_cut_off_at_the_limit(site) -> None:
    connection = http.client.HTTPConnection(Client(site.url).host, timeout=10)
    connection.putrequest("POST", "/api/v1/classify")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    piece = b"\0" * (1 << 20)
    with pytest.raises((BrokenPipeError, ConnectionResetError, AssertionError)):
        for _ in range(200):
            connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        raise AssertionError("200 MB were taken")
    connection.close()
    assert not list(site.app.home.folder.glob(".uploading*"))


def test_an_upload_that_breaks_off_leaves_nothing_behind(site, client) -> None:
    name, port = client.host.split(":")
    with socket.create_connection((name, int(port))) as broken:
        head = f"POST /api/v1/install HTTP/1.1\r\nHost: {client.host}\r\nContent-Length: 1000000\r\n\r\n"
        broken.sendall(head.encode() + b"x" * 5000)
        until(lambda: list(site.app.home.folder.glob(".uploading*")))
    until(lambda: not list(site.app.home.folder.glob(".uploading*")))
    assert client.get("/api/v1/status").status == 200


@pytest.mark.parametrize("pages", [0, 16])
def test_an_upload_that_meets_a_full_disk_is_told_so_and_leaves_nothing_behind(site, client, caplog, pages) -> None:
    pytest.importorskip("resource")
    from full_disk import limited

    body = b"x" * (1 << 20)
    with limited(site.app.home.folder, pages):
        answer = client.ask("POST", "/api/v1/install", body, Content_Type="application/octet-stream")
    assert answer.status == 507 and "check the disk" in answer.json["error"]
    assert not list(site.app.home.folder.glob(".uploading*"))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def no_room_for_versions(site: Site) -> None:
    """Let SQLite meet the end of the disk when a version is recorded, and not before."""
    with site.app._lock:
        database = site.app._learner.store.database._db
        database.pragma("max_page_count", database.pragma("page_count") + 200)
        database.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON main.versions BEGIN"
            " INSERT INTO events (time, kind, detail) VALUES ('', '', zeroblob(5000000)); END"
        )


def test_what_was_changed_is_told_where_the_disk_has_no_room_for_the_new_head(site, client) -> None:
    no_room_for_versions(site)
    learned = client.ask("POST", "/api/v1/learn?label=ring", photo("ring"), Content_Type="image/png")
    moved = client.post("/api/v1/relabel", {"label": "kite", "ids": learned.json.get("ids")})
    removed = client.post("/api/v1/forget", {"label": "kite"})
    assert (learned.json["stored"], moved.json["moved"], removed.json["removed"]) == (1, 1, 1)
    for answer in (learned, moved, removed):
        assert (answer.status, answer.json["version"], answer.json["promoted"]) == (200, 1, False)
        assert "free some disk space" in answer.json["reason"] and "retrain once there is room" in answer.json["reason"]
    assert client.post("/api/v1/retrain").status == 507


def test_a_body_that_trickles_in_is_given_up(site, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.web.bodies.RECEIVE_S", 0.3)
    connection = http.client.HTTPConnection(Client(site.url).host, timeout=10)
    connection.putrequest("POST", "/api/v1/classify")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"x")
    assert connection.getresponse().status == 408
    connection.close()


def test_an_upload_cut_short_by_a_power_cut_is_cleared_away_at_the_next_start(home) -> None:
    left = home.folder / ".uploading-abc.edgetl"
    left.write_bytes(b"half a bundle")
    with running(home):
        assert not left.exists()


@pytest.mark.parametrize(
    "path",
    [
        "/static/../api.py",
        "/static/%2e%2e/api.py",
        "/static/..%2fapi.py",
        "/static//etc/passwd",
        "/static/",
        "/..%2f..%2fetc/passwd",
    ],
)
def test_no_path_leads_out_of_the_static_files(client, path) -> None:
    assert client.get(path).status == 404


def test_a_picture_of_each_sample_is_served_until_it_is_forgotten_and_no_browser_keeps_it(site, client) -> None:
    (sample,) = teach_rings(client, 1)
    answer = client.get(f"/api/v1/samples/{sample}/thumbnail")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert answer.headers["Cache-Control"] == "no-store"
    shown = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(shown.astype(int) - draw("ring", 0)).mean() < 12
    client.post("/api/v1/forget", {"ids": [sample]})
    assert client.get(f"/api/v1/samples/{sample}/thumbnail").status == 204


def test_metrics_are_in_base_units_and_count_what_happened(site, client) -> None:
    teach_rings(client, 3)
    text = client.get("/metrics").body.decode()
    found = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert found["edgetl_frames_total"].value > 0 and found["edgetl_camera_up"].value == 1
    assert found["edgetl_inference_duration_seconds"].value > 0
    assert (found["edgetl_samples"].labels, found["edgetl_samples"].value) == ({"label": "ring"}, 3)
    assert found["edgetl_info"].labels["bundle"] == "toys" and found["edgetl_scene_drifting"].value == 0
    assert found["process_resident_memory_bytes"].value > 1e7
    names = [name for name in found if name.startswith("edgetl_")]
    assert not [name for name in names if name.endswith(("_ms", "_mb", "_percent"))]


@pytest.mark.slow
def test_what_another_process_learns_is_told(site, client, photo_file) -> None:
    import os
    import subprocess
    import sys

    command = [
        sys.executable,
        "-m",
        "edgetl_device",
        "learn",
        "kite",
        str(photo_file("kite", 1)),
        str(photo_file("kite", 2)),
    ]
    subprocess.run(
        [*command, "--home", str(site.app.home.folder)], check=True, capture_output=True, env=dict(os.environ)
    )
    until(lambda: "kite" in client.get("/api/v1/status").json["labels"])


def test_a_dead_camera_is_said_and_nothing_waits_for_ever(home, monkeypatch) -> None:
    monkeypatch.setattr("edgetl_device.web.work.PATIENCE_S", 0.2)
    with running(home) as site:
        site.app.pipeline.stop()
        answer = Client(site.url).post("/api/v1/learn", {"label": "x"})
        assert answer.status == 503 and "no frame from the camera" in answer.json["error"]


def test_a_burst_keeps_no_frame_while_it_captures(site, client, monkeypatch) -> None:
    taught, teach = [], site.app.teach
    monkeypatch.setattr(
        site.app, "teach", lambda label, captured, groups: taught.extend(captured) or teach(label, captured)
    )
    answer = client.post("/api/v1/learn", {"label": "ball", "frames": 5, "interval_ms": 0, "retrain": False})
    assert answer.json["stored"] == 5 and all(isinstance(each, CapturedSample) for each in taught)


def test_more_bursts_than_places_are_refused(site, client) -> None:
    from concurrent.futures import ThreadPoolExecutor

    slow = {"label": "ball", "frames": 10, "interval_ms": 700, "retrain": False}
    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(lambda _: client.post("/api/v1/learn", slow).status, range(6)))
    assert sorted(statuses) == [200] * 4 + [503] * 2


def test_an_error_of_ours_has_a_reference_that_the_log_knows(site, client, monkeypatch, caplog) -> None:
    def fail() -> None:
        raise RuntimeError("cannot reach rtsp://u:hunter2@cam/s")

    monkeypatch.setattr(site.app, "status", fail)
    answer = client.get("/api/v1/status")
    reference = answer.json["error"].removeprefix("internal error ").partition(":")[0]
    assert answer.status == 500 and len(reference) == 8 and "cam" not in answer.json["error"]
    (line,) = [record.getMessage() for record in caplog.records if reference in record.getMessage()]
    assert line.endswith("GET /api/v1/status: RuntimeError: cannot reach rtsp://cam/s")


def test_a_view_is_chosen_by_rest_and_the_empty_scene_remembered(home) -> None:
    with running(home) as site:
        client = Client(site.url)
        before = client.get("/api/v1/view").json
        assert (before["chosen"], before["region"], before["others"]) == (False, None, {})
        assert client.get("/api/v1/prediction").json["part"] == [0, 0, 1, 1]
        refused = client.post("/api/v1/view", {"find": True})
        assert refused.status == 400 and "no empty scene is remembered" in refused.json["error"]
        assert client.post("/api/v1/view", {"region": [0.5, 0, 0.6, 1]}).status == 400
        assert client.post("/api/v1/view/empty").json["empty_scene"] == [64, 64]
        chosen = client.post("/api/v1/view", {"region": [0.25, 0.25, 0.5, 0.5]}).json
        assert chosen["region"] == [0.25, 0.25, 0.5, 0.5] and chosen["problem"] is None
        until(lambda: client.get("/api/v1/prediction").json["part"] == [0.25, 0.25, 0.5, 0.5])
        assert client.post("/api/v1/learn", {"label": "thing", "frames": 1}).status == 200
        assert client.post("/api/v1/view", {"reset": True}).json["others"] == {"thing": 1}
