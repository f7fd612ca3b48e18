"""Groups of labels by REST, in metrics and events, and on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from conftest import draw, tiny_backbone
from web_site import Client, Site, running, until

from edgetl_device.home import Home
from edgetl_device.learning.groups import Groups


@pytest.fixture
def taught(home: Home) -> Home:
    """Balls are worn, boxes are fine."""
    backbone, learner = tiny_backbone(), home.learner()
    for label, kind in (("worn", "ball"), ("fine", "box")):
        Groups(learner).add({"condition": label}, np.stack([backbone.embed(draw(kind, 100 + n)) for n in range(8)]))
    Groups(learner)["condition"].retrain()
    learner.store.close()
    return home


@pytest.fixture
def site(taught: Home) -> Iterator[Site]:
    with running(taught) as site:
        yield site


def test_groups_are_taught_asked_and_forgotten_by_rest(site: Site) -> None:
    client = Client(site.url)
    until(lambda: client.get("/api/v1/prediction").json["groups"]["condition"]["label"] == "worn")
    photo = cv2.imencode(".png", draw("box", 900))[1].tobytes()
    told = client.ask("POST", "/api/v1/classify", photo, Content_Type="image/png").json
    assert told["label"] == "box" and told["groups"]["condition"]["label"] == "fine"
    ids = client.post("/api/v1/learn", {"label": "left", "group": "side", "frames": 3, "interval_ms": 0}).json
    assert ids["label"] == "left" and ids["stored"] == 3 and ids["groups"]["side"]["promoted"]
    both = client.post("/api/v1/learn", {"label": "kite", "groups": {"side": "right"}, "retrain": False}).json
    assert client.get("/api/v1/samples?group=side").json["samples"][0]["id"] == both["ids"][0]
    query = "/api/v1/learn?group=side&label=right"
    assert client.ask("POST", query, photo, Content_Type="image/png").json["label"] == "right"
    status = client.get("/api/v1/status").json
    assert status["groups"]["side"]["samples"] == {"left": 3, "right": 2} and status["samples"] == {"kite": 1}
    assert client.get("/metrics").body.decode().count('edgetl_group_samples{group="side"') == 2
    active = [row for row in client.get("/api/v1/versions?group=side").json["versions"] if row["active"]]
    assert active[0]["version"] == status["groups"]["side"]["version"]
    assert client.post("/api/v1/rollback", {"group": "side"}).json["version"] < active[0]["version"]
    moved = client.post("/api/v1/relabel", {"label": "left", "ids": both["ids"], "group": "side"}).json
    assert moved["moved"] == 1
    gone = client.post("/api/v1/forget", {"all": True, "group": "side"}).json
    assert gone["removed"] == 5 and gone["reason"] == "side has no labels left"
    assert client.get("/api/v1/samples").json["total"] == 1


def test_what_is_labelled_in_groups_alone_makes_no_version_without_one(site: Site) -> None:
    client = Client(site.url)
    version = client.get("/api/v1/status").json["version"]
    told = client.post("/api/v1/learn", {"groups": {"side": "left", "light": "dim"}}).json
    assert told["version"] == version and not told["promoted"] and told["reason"] == "labelled in side, light alone"
    assert client.get("/api/v1/status").json["version"] == version


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("learn", {"group": "a/b", "label": "x"}, "the name of a group: label 'a/b' holds '/'"),
        ("learn", {"groups": {"side": 5}, "label": "x"}, '"groups" must hold labels'),
        ("learn", {"groups": {}}, '"label" is missing'),
        ("learn", {"label": "x", "group": "side", "groups": {"side ": "y"}}, "a group is named twice"),
        ("learn", {"groups": {f"g{number}": "x" for number in range(900)}}, "at most 8 groups, got 900"),
        ("learn", {"group": "conditoin", "label": "worn"}, "did you mean condition?"),
        ("retrain", {"group": "side"}, "no group 'side': known groups: condition"),
        ("pending/use", {"group": "condition", "batch": 7}, "no pending batch 7"),
    ],
)
def test_what_is_no_group_is_refused_in_one_line(site: Site, path: str, body: dict, message: str) -> None:
    answer = Client(site.url).ask("POST", f"/api/v1/{path}", json.dumps(body), Content_Type="application/json")
    assert answer.status == 400 and message in answer.json["error"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_shows_a_line_for_each_group_and_teaches_another(taught: Home, width: int) -> None:
    with (
        chromium() as browser,
        running(taught) as site,
        Visitor(browser, site.url, width=width, path="/#/teach") as visitor,
    ):
        page = visitor.page
        visitor.sees("ball")
        page.locator("#answers .name", has_text="worn").wait_for()
        page.select_option("#teach-group", "condition")
        assert page.locator("#chips button").all_inner_texts() == ["fine", "worn"]
        page.select_option("#teach-group", label="Another question…")
        page.click("#shutter")
        page.locator("#result", has_text="Name the question first.").wait_for()
        page.fill("#teach-group-name", "side")
        page.fill("#teach-label", "left")
        page.click("#shutter")
        page.locator("#result[data-state=promoted]").wait_for()
        page.locator("#answers dt", has_text="side").wait_for()
        until(lambda: page.locator("#teach-group").input_value() == "side")
        assert not page.is_visible("#teach-group-name")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        visitor.go("things")
        assert page.locator("#samples-filter option").all_inner_texts()[1] == "condition: all"
        option = page.locator("#samples-filter option", has_text="side: left (")
        page.select_option("#samples-filter", option.get_attribute("value"))
        stored = int(option.inner_text().partition("(")[2].rstrip(")"))  # five, or more where the click was a hold
        page.locator("#samples-grid .sample").nth(stored - 1).wait_for()
        visitor.shoot(f"groups-{width}", whole=True)
    assert Groups(taught.learner())["side"].known_labels() == ("left",)
