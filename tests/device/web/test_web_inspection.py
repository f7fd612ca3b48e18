"""Inspection by REST, on a running camera: taught, flagged, corrected, counted, forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette")

from conftest import build_bundle
from web_site import Client, Site, laid_part, running, until

from edgetl_device.home import Home

PATH = "/api/v1/inspection"


@pytest.fixture
def site(home) -> Iterator[Site]:
    with running(home) as site:
        yield site


def part(seed: int, *, scratched: bool = False) -> bytes:
    return cv2.imencode(".png", laid_part(seed, scratched=scratched))[1].tobytes()


def teach(client: Client, seeds: range, verdict: str = "good", *, scratched: bool = False) -> list[int]:
    answers = [
        client.post(f"{PATH}/learn?verdict={verdict}", part(seed, scratched=scratched), Content_Type="image/png")
        for seed in seeds
    ]
    assert {answer.status for answer in answers} == {200}
    return [number for answer in answers for number in answer.json["ids"]]


def test_good_parts_are_taught_bad_ones_flagged_and_both_counted(site) -> None:
    client = Client(site.url)
    assert client.get(PATH).json["ready"] is False
    teach(client, range(900, 912))
    state = client.get(PATH).json
    assert (state["ready"], state["good"], len(state["curve"])) == (True, 12, 5)
    good = client.post(f"{PATH}/check", part(950), Content_Type="image/png").json
    bad = client.post(f"{PATH}/check", part(951, scratched=True), Content_Type="image/png").json
    assert (good["verdict"], bad["verdict"]) == ("good", "bad")
    assert bad["score"] > bad["threshold"] > good["score"]
    assert len(bad["where"]) == 4
    assert good["where"] is None
    shift = client.get(PATH).json["shift"]
    assert (shift["good"], shift["bad"]) == (1, 1)
    metrics = client.get("/metrics").body.decode()
    assert 'edgetl_parts_total{verdict="bad"} 1.0' in metrics
    assert client.post(f"{PATH}/shift").json["shift"]["bad"] == 0
    assert 'edgetl_parts_total{verdict="bad"} 1.0' in client.get("/metrics").body.decode()


def test_a_part_taught_as_good_that_would_have_been_flagged_is_asked_about(site) -> None:
    site.app.inspecting.teach("good", [laid_part(seed) for seed in range(900, 920)])
    client = Client(site.url)
    odd = client.post(f"{PATH}/learn", part(951, scratched=True), Content_Type="image/png").json
    assert odd["odd"] == odd["ids"] and len(odd["ids"]) == 1
    assert (
        client.post(f"{PATH}/learn?verdict=bad", part(952, scratched=True), Content_Type="image/png").json["odd"] == []
    )


def test_a_lesson_is_set_aside_decided_about_and_gone_back_from_by_rest(site) -> None:
    client = Client(site.url)
    teach(client, range(900, 912))
    site.app.inspecting.teach("bad", [laid_part(seed, scratched=True) for seed in range(951, 955)])
    site.app.inspecting.teach("good", [laid_part(seed, scratched=True) for seed in range(960, 968)])
    state = client.get(PATH).json
    assert (state["good"], state["aside"], state["bad"]) == (12, 8, 4)
    listed = client.get(f"{PATH}/versions").json["versions"]
    assert [(each["state"], each["active"]) for each in listed[-2:]] == [("promoted", True), ("rejected", False)]
    ids = [row.id for row in site.app.inspecting.locked(lambda each: each.samples()) if row.verdict == "aside"]
    decided = client.post(f"{PATH}/judge", {"ids": ids, "verdict": "bad"}).json
    assert decided["judged"] == 8 and not set(decided["ids"]) & set(ids)
    assert client.get(PATH).json["bad"] == 12
    assert client.post(f"{PATH}/rollback", {}).json == {"version": state["version"]}
    assert (client.get(PATH).json["bad"], client.get(PATH).json["unused"]) == (4, 8)
    assert client.post(f"{PATH}/rollback", {"version": 999}).status == 400


def test_what_is_forgotten_leaves_inspection_as_if_it_had_never_been_taught(site) -> None:
    client = Client(site.url)
    teach(client, range(900, 908))
    before = client.get(PATH).json
    ids = teach(client, range(980, 983), "fine", scratched=True)
    changed = client.get(PATH).json
    assert (changed["fine"], changed["threshold"] != before["threshold"]) == (3, True)
    assert client.post(f"{PATH}/judge", {"ids": ids[:1], "verdict": "bad"}).json == {"judged": 1, "ids": ids[:1]}
    assert client.post(f"{PATH}/forget", {"ids": ids}).json == {"removed": 3}
    after = client.get(PATH).json
    assert after["threshold"] == before["threshold"]
    assert client.post(f"{PATH}/forget", {"all": True}).json == {"removed": 8}
    assert client.get(PATH).json["ready"] is False


def test_the_live_picture_brings_findings_to_those_who_ask(site) -> None:
    client = Client(site.url)
    assert client.post(f"{PATH}/learn", {"frames": 8, "interval_ms": 0}).json["good"] == 8
    until(lambda: site.app.inspecting.latest is not None)
    with client.watch() as socket:
        message = json.loads(socket.recv())
        assert "inspection" not in message
        while message["picture"] is False or "inspection" not in message:
            if message["picture"]:
                socket.recv()
            socket.send(json.dumps({"ack": 1, "inspect": True}))
            message = json.loads(socket.recv())
    finding = message["inspection"]["finding"]
    assert finding["heat"]["rows"] * finding["heat"]["columns"] > 0
    assert finding["region"] == [0, 0, 1, 1]
    assert finding["verdict"] in ("good", "bad")


def test_a_part_that_comes_to_rest_is_counted_once(site) -> None:
    client = Client(site.url)
    teach(client, range(900, 908))
    still = laid_part(960)
    site.scene._drawn["still"] = [still] * 24
    site.scene.kind = "still"
    until(lambda: client.get(PATH).json["shift"]["good"] + client.get(PATH).json["shift"]["bad"] == 1)
    frames = site.app.pipeline.health().frames
    until(lambda: site.app.pipeline.health().frames > frames + 20)
    shift = client.get(PATH).json["shift"]
    assert shift["good"] + shift["bad"] == 1
    assert client.post(f"{PATH}/settings", {"trigger": "frame"}).json["trigger"] == "frame"
    until(lambda: client.get(PATH).json["shift"]["good"] + client.get(PATH).json["shift"]["bad"] > 10)


def test_the_view_is_chosen_before_teaching_and_kept_after(site) -> None:
    client = Client(site.url)
    view = {"region": [0.25, 0.25, 0.5, 0.5], "find_part": False, "turned": True}
    assert client.post(f"{PATH}/settings", {"view": view, "false_alarms": 0.1}).json["view"] == view
    teach(client, range(900, 904))
    answer = client.post(f"{PATH}/settings", {"view": {"region": None}})
    assert answer.status == 400
    assert "taught with" in answer.json["error"]
    state = client.get(PATH).json
    assert (state["view"], state["false_alarms"]) == (view, 0.1)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("learn", {"verdict": "splendid"}, "a verdict is one of"),
        ("learn", {"frames": 0}, "frames must be 1 to 50"),
        ("check", {}, "teach"),
        ("judge", {"ids": [1]}, '"ids" and "verdict" are needed'),
        ("judge", {"ids": [7], "verdict": "fine"}, "no photo 7 was taught"),
        ("forget", {}, "choose what to forget"),
        ("forget", {"ids": [7]}, "no photo 7 was taught"),
        ("settings", {"trigger": "noon"}, "trigger must be one of"),
        ("settings", {"false_alarms": 7.5}, "0.0001 to 0.9999"),
        ("settings", {"view": {"zoom": 2}}, "is not expected"),
        ("settings", {"view": {"region": [0, 0, 2, 1]}}, "shares of the frame"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(site, path, body, said) -> None:
    answer = Client(site.url).post(f"{PATH}/{path}", body)
    assert answer.status == 400
    assert said in answer.json["error"]
    assert "\n" not in answer.json["error"]


def test_a_bundle_without_inner_maps_says_that_it_cannot_inspect(tmp_path) -> None:
    home = Home(tmp_path / "home")
    build_bundle(tmp_path / "plain.edgetl", maps=False)
    home.install(tmp_path / "plain.edgetl")
    with running(home) as site:
        client = Client(site.url)
        assert client.get(PATH).json["available"] is False
        answer = client.post(f"{PATH}/learn", part(900), Content_Type="image/png")
        assert answer.status == 400
        assert "--inspectable" in answer.json["error"]


def test_sinks_are_told_of_each_part(site) -> None:
    slot = site.app.inspecting.listen()
    client = Client(site.url)
    teach(client, range(900, 908))
    client.post(f"{PATH}/check", part(951, scratched=True), Content_Type="image/png")
    verdict = slot.get(5)
    assert verdict is not None
    assert verdict.to_json()["verdict"] == "bad"
    assert np.isclose(
        verdict.score, client.post(f"{PATH}/check", part(951, scratched=True), Content_Type="image/png").json["score"]
    )


def test_frames_that_would_fill_the_memory_are_refused(site, monkeypatch) -> None:
    from edgetl_device.web import inspection_api

    monkeypatch.setattr(inspection_api, "MAX_FRAMES_SIZE", 3 * 64 * 64 * 3)
    client = Client(site.url)
    answer = client.post(f"{PATH}/learn", {"frames": 4, "interval_ms": 0})
    assert answer.status == 400 and "4 frames of 64 x 64 pixels are too much at once: ask for 3" in answer.json["error"]
    assert client.post(f"{PATH}/learn", {"frames": 3, "interval_ms": 0}).json["good"] == 3


def test_counts_of_a_shift_go_on_after_a_restart_and_totals_begin_anew(home) -> None:
    since = ""
    for restart in (1, 2):
        with running(home) as site:
            client = Client(site.url)
            if restart == 1:
                teach(client, range(900, 906))
            client.post(f"{PATH}/check", part(951, scratched=True), Content_Type="image/png")
            shift = client.get(PATH).json["shift"]
            assert shift["bad"] == restart and site.app.inspecting.totals()["bad"] == 1
            assert since in ("", shift["since"])
            since = shift["since"]
    with running(home) as site:
        assert Client(site.url).post(f"{PATH}/shift").json["shift"]["bad"] == 0
    with running(home) as site:
        assert Client(site.url).get(PATH).json["shift"]["bad"] == 0
