"""Where it looks, chosen on the page: by mouse, finger and keyboard, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from web_site import laid_part, running, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def drag(page: Any, *places: tuple[float, float]) -> None:
    """With the mouse, along places of the picture, as shares."""
    box = page.locator("#picture").bounding_box()
    side = min(box["width"], box["height"])  # the camera's picture is square
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    page.mouse.move(left + places[0][0] * side, top + places[0][1] * side)
    page.mouse.down()
    for x, y in places[1:]:
        page.mouse.move(left + x * side, top + y * side)
    page.mouse.up()


def test_where_it_looks_is_said_in_the_language_of_the_page(browser, home) -> None:
    with running(home, size=240) as site, Visitor(browser, site.url, locale="de-DE") as visitor:
        visitor.page.locator("#looking-at", has_text="Voreinstellung (das größte Quadrat in der Bildmitte)").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_a_region_is_drawn_what_is_new_is_found_and_both_are_taken_back(browser, home, width, scheme) -> None:
    with running(home, fps=20, size=240) as site, Visitor(browser, site.url, width, scheme) as visitor:
        page, app = visitor.page, site.app
        visitor.sees("ball")
        page.locator("#looking-at", has_text="At the largest square in the middle of the frame").wait_for()
        page.get_by_role("button", name="Draw a region").click()
        page.locator("#looking-message", has_text="Draw a frame round what counts").wait_for()
        drag(page, (0.25, 0.25), (0.5, 0.5), (0.75, 0.65))
        page.locator("#looking-at", has_text="At the region that was drawn").wait_for()
        assert app.view()["region"] == pytest.approx([0.25, 0.25, 0.5, 0.4], abs=0.02)
        until(lambda: app.pipeline.latest().part[2] < 0.6)
        page.wait_for_timeout(300)
        visitor.shoot(f"looking-region-{width}-{scheme}")

        assert page.locator("#find").is_disabled()
        page.get_by_role("button", name="Remember the empty scene").click()
        page.locator("#looking-message", has_text="The empty scene is remembered.").wait_for()
        page.get_by_label("Find what is new in the scene").check()
        page.locator("#looking-at", has_text="At what is new in the scene, in the region").wait_for()
        assert app.view()["find"] and app.view()["region"] is not None
        app.teach("ring", [app.pipeline.latest()])
        page.get_by_role("button", name="Reset").click()
        page.locator(
            "#looking-message", has_text="1 sample (1 of ring) was taught looking at something else"
        ).wait_for()
        until(lambda: app.pipeline.latest().part[2] == 1)
        assert not app.view()["chosen"] and page.evaluate("document.documentElement.scrollWidth") == width
        page.locator("#forget-others", has_text="Forget 1 sample taught looking at something else").wait_for()
        visitor.shoot(f"looking-{width}-{scheme}", whole=True)
        page.locator("#forget-others").click()
        page.locator("#confirm-yes").click()
        page.locator("#looking-message", has_text="Forgot 1 sample.").wait_for()
        assert page.locator("#forget-others").is_hidden() and app.view()["others"] == {}


def test_a_region_is_drawn_with_the_keyboard_alone_on_both_pages(browser, home) -> None:
    with running(home, fps=20) as site:
        with Visitor(browser, site.url) as visitor:
            page = visitor.page
            visitor.sees("ball")
            page.locator("#draw-region").focus()
            page.keyboard.press("Enter")
            for key in ("ArrowLeft", "ArrowUp", "Shift+ArrowRight", "Shift+ArrowDown", "Enter"):
                page.keyboard.press(key)
            page.locator("#looking-at", has_text="At the region that was drawn").wait_for()
            page.locator("#draw-region").focus()
            for key in ("Enter", "ArrowLeft", "Escape"):
                page.keyboard.press(key)
            assert site.app.view()["region"] == [0.23, 0.23, 0.52, 0.52]
        with Visitor(browser, site.url, path="/inspect") as visitor:
            page = visitor.page
            page.locator("#strictness:enabled").wait_for()
            page.locator("[name=look][value=whole]").focus()
            page.keyboard.press("ArrowDown")
            page.locator("#region:focus").wait_for()
            for key in ("ArrowRight", "Enter"):
                page.keyboard.press(key)
            page.locator("#redraw").wait_for()
            region = site.app.inspecting.locked(lambda inspection: inspection.view.region)
            assert region == (2700, 2500, 5000, 5000)
            site.app.inspecting.teach("good", [laid_part(seed) for seed in range(900, 905)])
            page.locator("#redraw").wait_for(state="hidden")


def test_settings_wait_for_the_program_that_they_set(browser, home) -> None:
    """What is chosen before a slow network brought the program would be shown, and done by nobody."""
    with running(home, fps=20) as site:
        visitor = Visitor(browser, site.url, path="/inspect")
        page, before = visitor.page, []
        find = page.locator("[name=look][value=find]")

        def bring(route: Any) -> None:
            before.extend([page.locator("#strictness").is_disabled(), find.is_disabled()])
            route.continue_()

        page.route("**/inspect.js", bring)
        with visitor:
            find.check()
            until(lambda: site.app.inspecting.locked(lambda inspection: inspection.view.find_part))
        assert before == [True, True]
