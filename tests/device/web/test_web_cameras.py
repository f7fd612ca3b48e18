"""Several cameras and named regions on the page: tiles, the one that is taught, and regions drawn, named and removed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from conftest import draw
from web_site import Scene, running, until

from edgetl_device.app.app import App
from edgetl_device.camera import FakeCamera
from edgetl_device.errors import CameraError
from edgetl_device.home_regions import NamedRegion
from edgetl_device.view import View
from edgetl_device.view_names import ViewName
from edgetl_device.web.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(home) -> Iterator[tuple[App, str, Scene]]:
    """A ball on the porch; whatever the scene shows before the gate, 240 pixels wide; a third that is away."""
    gate = Scene("box", 240)
    cameras = {
        "porch": FakeCamera(cycle([draw("ball", 700 + n, 240) for n in range(10)]), fps=15, finite=False),
        "gate": FakeCamera(gate, fps=15, finite=False),
        "yard 2": FakeCamera(*[[CameraError("no route to it")]] * 10_000, finite=False),
    }
    with App(home, cameras) as app:
        server = Server(app, "127.0.0.1", 0, None, (), ())
        server.start()
        try:
            until(lambda: len(app.pipeline.latest_of_each()) == 2)
            yield app, server.url, gate
        finally:
            assert server.stop(5.0)


def drag(page: Any, *places: tuple[float, float]) -> None:
    box = page.locator("#picture").bounding_box()
    side = min(box["width"], box["height"])
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    page.mouse.move(left + places[0][0] * side, top + places[0][1] * side)
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(left + x * side, top + y * side)
    page.mouse.up()


def test_settings_tell_of_each_camera_by_its_name(site, browser) -> None:
    _, url, _ = site
    with Visitor(browser, url, path="/#/settings") as visitor:
        facts = visitor.page.locator("#facts")
        facts.locator("dt", has_text="Camera yard 2").wait_for()
        names = [name for name in facts.locator("dt").all_inner_texts() if name.startswith("Camera")]
        assert names == ["Camera porch", "Camera gate", "Camera yard 2"]
        assert "no route to it" in facts.locator("dd[data-state=failed]").inner_text()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_tiles_show_all_cameras_and_the_chosen_one_is_watched_and_taught(browser, site, width, scheme) -> None:
    app, url, gate = site
    with Visitor(browser, url, width, scheme) as visitor:
        page = visitor.page
        tiles = page.locator("#cameras .tile")
        tiles.nth(1).locator(".says", has_text="box").wait_for()
        tiles.nth(0).locator(".says", has_text="ball").wait_for()
        tiles.nth(2).locator(".says", has_text="No picture").wait_for()
        assert tiles.locator(".called").all_text_contents() == ["porch", "gate", "yard 2"]
        assert tiles.nth(2).get_attribute("title") == "no route to it"
        visitor.sees("ball")
        page.wait_for_timeout(500)
        visitor.shoot(f"cameras-watch-{width}-{scheme}")

        tiles.nth(1).focus()
        page.keyboard.press("Enter")
        assert [tiles.nth(n).get_attribute("aria-pressed") for n in range(3)] == ["false", "true", "false"]
        visitor.sees("box")

        gate.kind = "kite"
        page.goto(f"{url}/#/teach")
        page.locator("#teach-label").fill("kite")
        until(lambda: app.pipeline.latest(ViewName("gate")).frame.number > 0)
        page.wait_for_timeout(500)
        page.locator("#shutter").hover()
        page.mouse.down()
        page.locator("#film li[data-state=stored]:nth-child(5)").wait_for()
        page.mouse.up()
        visitor.sees("kite")
        ids = [row.id for row in app.samples("kite")]
        assert set(app._learner.store.views.place_of(ids)) == {("gate", "")}
        tiles.nth(0).locator(".says", has_text="ball").wait_for()
        visitor.shoot(f"cameras-teach-{width}-{scheme}")


@pytest.fixture
def four(home) -> Iterator[str]:
    """Four cameras whose pictures are four to three."""
    frames = [draw("ball", 700 + number, 320)[40:280] for number in range(10)]
    names = ("porch", "gate", "the yard behind the house", "cellar")
    with App(home, {name: FakeCamera(cycle(frames), fps=5, finite=False) for name in names}) as app:
        server = Server(app, "127.0.0.1", 0, None, (), ())
        server.start()
        try:
            until(lambda: len(app.pipeline.latest_of_each()) == 4)
            yield server.url
        finally:
            assert server.stop(5.0)


def test_four_cameras_leave_a_phone_room_for_the_name_of_a_thing(browser, four) -> None:
    with Visitor(browser, four, 360, path="/#/teach") as visitor:
        page = visitor.page
        tiles = page.locator("#cameras .tile")
        tiles.nth(3).locator(".says", has_text="ball").wait_for()
        visitor.sees("ball")
        field, shutter = page.locator("#teach-label").bounding_box(), page.locator("#shutter").bounding_box()
        visitor.shoot("cameras-four-teach-360")
        assert field["y"] + field["height"] <= shutter["y"]
        assert len({tiles.nth(number).bounding_box()["y"] for number in range(4)}) == 1, "one row"
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        tiles.nth(3).tap()
        until(lambda: (box := tiles.nth(3).bounding_box())["x"] >= 0 and box["x"] + box["width"] <= 360)


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_the_verdict_is_in_sight_below_the_tiles(browser, four, width) -> None:
    with Visitor(browser, four, width) as visitor:
        page = visitor.page
        page.locator("#cameras .tile").nth(3).locator(".says", has_text="ball").wait_for()
        visitor.sees("ball")
        page.wait_for_timeout(500)
        visitor.shoot(f"cameras-four-watch-{width}")
        box = page.locator(".verdict").bounding_box()
        assert box["y"] + box["height"] <= page.viewport_size["height"]


@pytest.mark.parametrize("width", [1280, 360])
def test_what_is_drawn_on_one_camera_is_not_kept_for_another(browser, four, width) -> None:
    with Visitor(browser, four, width) as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.locator("#draw-region").click()
        page.locator("#drawing").wait_for()
        page.wait_for_timeout(300)
        for element in ("#view", "#drawing"):
            box = page.locator(element).bounding_box()
            assert box["y"] >= 0 and box["y"] + box["height"] <= page.viewport_size["height"]
        visitor.shoot(f"cameras-four-drawing-{width}")
        page.locator("#cameras .tile").nth(1).click()
        page.locator("#drawing").wait_for(state="hidden")
        assert page.locator("#region").is_hidden()


@pytest.mark.parametrize("width", [1280, 360])
def test_the_picture_stays_where_it_is_whatever_the_tiles_say(browser, four, width) -> None:
    with Visitor(browser, four, width) as visitor:
        visitor.page.locator("#cameras .tile").nth(3).locator(".says", has_text="ball").wait_for()
        moved = """(label) => {
            const top = () => document.getElementById("view").getBoundingClientRect().top;
            const before = top();
            for (const says of document.querySelectorAll(".tile .says")) says.textContent = label;
            return top() - before;
        }"""
        assert visitor.page.evaluate(moved, "a thing with a long name 100 %") == 0


def test_two_cameras_with_named_regions_are_tiles_from_the_first_moment_on(browser, site) -> None:
    app, url, _ = site
    for name, area in (("left", (0, 0, 5000, 10000)), ("right", (5000, 0, 5000, 10000))):
        app.choose_region(NamedRegion(ViewName("gate", name), View(area)))
    until(lambda: len(app.pipeline.views) == 4)
    with Visitor(browser, url) as visitor:  # nothing that it asks for is refused
        called = visitor.page.locator("#cameras .tile .called")
        called.nth(3).wait_for()
        assert sorted(called.all_text_contents()) == ["gate / left", "gate / right", "porch", "yard 2"]
        visitor.page.locator("#cameras .tile[aria-pressed=true]").wait_for()
        visitor.sees("ball")
        visitor.page.reload()
        visitor.sees("ball")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (360, "light")])
def test_a_region_is_named_drawn_bound_renamed_and_removed(browser, home, width, scheme) -> None:
    with (
        running(home, fps=15, size=240) as site,
        Visitor(browser, site.url, width, scheme, expected=(400,)) as visitor,  # of a name that is none
    ):
        page, app = visitor.page, site.app
        visitor.sees("ball")
        assert page.locator("#cameras").is_hidden()
        page.get_by_label("Name of a new region").fill("left <i>")
        page.get_by_role("button", name="Draw it").click()
        page.locator("#drawing", has_text="Draw a frame round what counts").wait_for()
        drag(page, (0.05, 0.1), (0.3, 0.5), (0.5, 0.9))
        page.get_by_role("button", name="Use this region").click()
        page.locator("#looking-message", has_text="must not hold").wait_for()
        assert app.regions() == []

        for name, place in (("left", ((0.05, 0.1), (0.3, 0.5), (0.5, 0.9))), ("right", None)):
            page.get_by_label("Name of a new region").fill(name)
            page.get_by_label("Name of a new region").press("Enter")
            page.locator("#region[aria-hidden=false]").wait_for()
            if place:
                drag(page, *place)
                page.get_by_role("button", name="Use this region").click()
            else:  # with the keyboard
                page.keyboard.press("ArrowRight")
                page.keyboard.press("Enter")
            page.get_by_label(f"Name of the region {name}", exact=True).wait_for()
        until(lambda: [each.name.region for each in app.pipeline.views] == ["left", "right"])
        page.locator("#looking-at", has_text="At the named regions below").wait_for()
        tiles = page.locator("#cameras .tile")
        tiles.nth(1).wait_for()
        assert tiles.locator(".called").all_text_contents() == ["left", "right"]
        page.get_by_role("button", name="Show the region right").click()
        assert tiles.nth(1).get_attribute("aria-pressed") == "true"
        page.wait_for_timeout(800)
        visitor.shoot(f"regions-{width}-{scheme}", whole=True)

        field = page.get_by_label("Name of the region right", exact=True)
        field.fill("door")
        field.press("Tab")
        page.get_by_label("Name of the region door", exact=True).wait_for()
        until(lambda: app.pipeline.latest(ViewName("", "door")))

        where = page.locator("#region-question", has_text="teach these first: Teach, Question, “Another question…”.")
        where.wait_for()
        assert page.locator(".region-asks span").all_inner_texts() == ["Question"] * 2
        app.teach("", [app.pipeline.latest(ViewName("", "door"))], {"state": "shut"})
        where.wait_for(state="hidden")
        choice = page.get_by_label("Which question the region door answers")
        choice.locator("option", has_text="state?").wait_for(state="attached", timeout=30_000)
        choice.select_option("state")
        until(lambda: app.pipeline.views[1].group == "state")

        for name in ("left", "door"):
            page.get_by_role("button", name=f"Remove the region {name}").click()
            page.locator("#confirm-yes").click()
            page.get_by_label(f"Name of the region {name}", exact=True).wait_for(state="detached")
        until(lambda: [each.name for each in app.pipeline.views] == [ViewName()])
        page.locator("#cameras").wait_for(state="hidden")
        visitor.sees("ball")


def test_regions_can_be_drawn_with_a_finger(browser, home) -> None:
    with running(home, fps=15, size=240) as site, Visitor(browser, site.url, 360) as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.get_by_label("Name of a new region").fill("bowl")
        page.get_by_role("button", name="Draw it").tap()
        page.locator("#region[aria-hidden=false]").wait_for()
        box = page.locator("#picture").bounding_box()
        session = page.context.new_cdp_session(page)
        at = lambda x, y: [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}]  # noqa: E731
        session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": at(0.2, 0.1)})
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": at(0.6, 0.7)})
        session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        page.get_by_role("button", name="Use this region").tap()
        page.get_by_label("Name of the region bowl", exact=True).wait_for()
        until(lambda: [each.name.region for each in site.app.pipeline.views] == ["bowl"])
