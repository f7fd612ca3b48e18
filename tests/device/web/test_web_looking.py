"""Where it looks, chosen on the page: by mouse, finger and keyboard, on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from web_site import laid_part, running, until

from edgetl_device.home_regions import NamedRegion
from edgetl_device.view import View
from edgetl_device.view_names import ViewName

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
        page.locator("#drawing", has_text="Draw a frame round what counts").wait_for()
        drag(page, (0.1, 0.1), (0.5, 0.5), (0.6, 0.5))
        page.get_by_role("button", name="Use this region").click()
        page.locator("#looking-at", has_text="At the region that was drawn").wait_for()
        assert app.view()["region"] == pytest.approx([0.1, 0.1, 0.5, 0.4], abs=0.02)
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
        page.locator("#forget-others").wait_for(state="hidden")
        assert app.view()["others"] == {}


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


def in_sight(page: Any, element: str) -> bool:
    """Whether all of it is in the window, above what a phone has along its bottom edge."""
    box, bar = page.locator(element).bounding_box(), page.locator("#places").bounding_box()
    bottom = bar["y"] if bar["y"] > box["height"] else page.viewport_size["height"]
    return box["y"] >= 0 and box["y"] + box["height"] <= bottom


def focused(page: Any) -> str:
    return page.evaluate("document.activeElement.id || document.activeElement.getAttribute('aria-label')")


@pytest.mark.parametrize("width", [1280, 360])
def test_the_frame_that_is_there_is_moved_sized_and_taken_only_when_a_person_says_so(browser, home, width) -> None:
    with running(home, fps=20, size=240) as site, Visitor(browser, site.url, width) as visitor:
        page, app = visitor.page, site.app
        visitor.sees("ball")
        page.locator("#draw-region").click()
        page.locator("#drawing").wait_for()
        assert in_sight(page, "#drawing") and in_sight(page, "#view"), "what to do and the picture are seen at once"
        visitor.shoot(f"drawing-{width}")
        drag(page, (0.5, 0.5), (0.55, 0.6), (0.6, 0.65))  # in it
        drag(page, (0.35, 0.4), (0.3, 0.2), (0.25, 0.3))  # a corner
        drag(page, (0.95, 0.05), (0.96, 0.06))  # elsewhere, too small for one
        assert not app.view()["chosen"], "nothing was taken yet"
        page.get_by_role("button", name="Use this region").click()
        page.locator("#looking-at", has_text="At the region that was drawn").wait_for()
        assert app.view()["region"] == pytest.approx([0.25, 0.3, 0.6, 0.6], abs=0.02)
        assert page.locator("#drawing").is_hidden() and focused(page) == "draw-region"


@pytest.mark.parametrize("width", [1280, 360])
def test_drawing_is_left_by_a_button_by_escape_and_by_another_view(browser, home, width) -> None:
    with running(home, fps=20, size=240) as site, Visitor(browser, site.url, width) as visitor:
        page, app = visitor.page, site.app
        ways = {
            "button": lambda: page.get_by_role("button", name="Stop drawing").click(),
            "Escape": lambda: page.keyboard.press("Escape"),
            "Escape at a button": lambda: page.locator("#drawing-take").press("Escape"),
        }

        def left_from(begins: Any, called: str) -> None:
            for name, leave in ways.items():
                begins.click()
                page.locator("#region:focus").wait_for()
                leave()
                assert page.locator("#drawing").is_hidden() and page.locator("#region").is_hidden(), name
                assert focused(page) == called, name
                assert not page.locator("#looking-message").inner_text(), name
            begins.click()
            visitor.go("teach")
            page.locator("#view[data-drawing=false]").wait_for()
            assert page.locator("#label").is_visible() and page.locator("#region").is_hidden()
            assert focused(page) == "title"
            visitor.go("watch")

        visitor.sees("ball")
        left_from(page.locator("#draw-region"), "draw-region")
        app.choose_region(NamedRegion(ViewName("", "left"), View((0, 0, 5000, 10000))))
        page.reload()
        left_from(page.get_by_role("button", name="Redraw the region left"), "Redraw the region left")

        page.get_by_role("button", name="Redraw the region left").click()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        until(lambda: app.regions()[0].view.region[0] == 200)
        page.wait_for_function("document.activeElement.getAttribute('aria-label') === 'Redraw the region left'")


@pytest.mark.parametrize("width", [1280, 360])
def test_drawing_is_the_same_where_it_inspects(browser, home, width) -> None:
    with running(home, fps=20, size=240) as site, Visitor(browser, site.url, width, path="/inspect") as visitor:
        page = visitor.page
        look = lambda: site.app.inspecting.locked(lambda inspection: inspection.view and inspection.view.region)  # noqa: E731
        page.locator("#strictness:enabled").wait_for()
        for leave in ("click", "Escape"):
            page.locator("[name=look][value=region]").click()
            page.locator("#drawing").wait_for()
            assert in_sight(page, "#drawing") and in_sight(page, "#view")
            page.locator("#drawing-stop").click() if leave == "click" else page.keyboard.press("Escape")
            page.locator("#drawing").wait_for(state="hidden")
            assert page.locator("[name=look][value=whole]").is_checked() and look() is None
            assert page.evaluate("document.activeElement.value") == "whole"
        page.locator("[name=look][value=region]").click()
        visitor.shoot(f"drawing-inspect-{width}")
        drag(page, (0.5, 0.5), (0.55, 0.6), (0.6, 0.65))
        page.get_by_role("button", name="Use this region").click()
        page.locator("#redraw").wait_for()
        assert look() == pytest.approx((3500, 4000, 5000, 5000), abs=200)
        page.locator("#redraw").click()
        page.keyboard.press("Escape")
        assert focused(page) == "redraw" and look() is not None


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
            until(lambda: site.app.inspecting.locked(lambda inspection: inspection.view and inspection.view.find_part))
        assert before == [True, True]


NOTE_WHEN_UNCHECKED = """(choice) => {
  const { get, set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "checked");
  Object.defineProperty(choice, "checked", {
    get,
    set(value) {
      if (!value) window.wasUnchecked = true;
      set.call(this, value);
    },
  });
}"""


@pytest.mark.parametrize(
    ("path", "asked", "choice"),
    [("", "view", "#find"), ("", "regions", "#find"), ("/inspect", "inspection", "[name=look][value=find]")],
)
def test_an_answer_that_a_choice_overtook_does_not_take_it_back(browser, home, path, asked, choice) -> None:
    held: list[tuple[Any, Any]] = []

    def hold(route: Any) -> None:
        if route.request.method == "GET" and not held:
            held.append((route, route.fetch()))
        else:
            route.continue_()

    with running(home, fps=20) as site, Visitor(browser, site.url, path=path) as visitor:
        page = visitor.page
        site.app.remember_empty(np.zeros((240, 240, 3), np.uint8))
        page.locator(f"{choice}:enabled").wait_for()
        page.route(f"**/api/v1/{asked}*", hold)
        until(lambda: page.wait_for_timeout(20) or held)
        page.locator(choice).check()
        page.wait_for_timeout(500)
        page.locator(choice).evaluate(NOTE_WHEN_UNCHECKED)
        route, before = held[0]
        route.fulfill(response=before)
        page.wait_for_timeout(300)
        assert page.locator(choice).is_checked() and not page.evaluate("window.wasUnchecked")
