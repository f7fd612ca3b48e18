"""Every view of the page against axe-core's rules, in a real browser: light and dark, phone and desktop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed (a [dev] extra)")

from browser import Visitor, chromium
from conftest import draw, embeddings
from web_site import PASSWORD_HASH, Site, laid_part, running

from edgetl_device.home import Home
from edgetl_device.photos import thumbnail
from edgetl_device.store.review import ReviewFrame

pytestmark = pytest.mark.slow

VIEWS = ("watch", "teach", "review", "things", "history", "settings")
GRAVE = ("serious", "critical")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def taught(home: Home) -> Iterator[Site]:
    """A device that was taught, has something set aside, and frames to review."""
    with running(home, fps=20, size=240) as site:
        site.app.reviewing.stop()
        learner, whys = site.app._learner, itertools.cycle(("unknown", "uncertain", "differs"))
        for kind, count in (("kite", 8), ("ring", 6)):
            site.app.teach_photos(kind, [draw(kind, number) for number in range(count)])
        site.app.retrain()
        site.app.teach_photos("ball", [draw("box", number) for number in range(700, 712)])
        site.app.retrain()
        for number, raw in enumerate(embeddings("ring", 7, start=40)):
            jpeg = thumbnail(draw("ring", 100 + number))
            frame = ReviewFrame(learner.bundle.backbone_digest, "", "", next(whys), "ball", 0.55, raw, jpeg)
            learner.store.review.keep(frame, learner.runtime)
        yield site


def grave(page: Any) -> list[tuple[str, str, str]]:
    """What axe-core finds that is serious or critical: rule, element, and why."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(Path(str(files("axe_playwright_python") / "axe.min.js")).read_text())
    found = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    return [
        (rule["id"], node["html"][:200], node["failureSummary"])
        for rule in found
        for node in rule["nodes"]
        if rule["impact"] in GRAVE
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_view_has_a_serious_fault_for_people_with_a_disability(browser, taught, width: int, scheme: str) -> None:
    with Visitor(browser, taught.url, width, scheme, path="/#/watch") as visitor:
        visitor.sees("ball")
        faults = {}
        for view in VIEWS:
            visitor.go(view)
            visitor.page.wait_for_timeout(500)  # what it shows is fetched
            faults[view] = grave(visitor.page)
            assert visitor.page.evaluate("document.documentElement.scrollWidth") == width, view
            visitor.shoot(f"{view}-{width}-{scheme}", whole=view not in ("watch", "teach"))
        assert faults == {view: [] for view in VIEWS}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_opens_on_a_view_has_no_serious_fault_either(browser, taught, scheme: str) -> None:
    with Visitor(browser, taught.url, 360, scheme, path="/#/things") as visitor:
        page = visitor.page
        page.get_by_role("button", name="Check what was taught").click()
        page.locator("#taught-classes tr").first.wait_for()
        page.locator("#samples-grid .sample").first.click()
        assert grave(page) == []
        page.locator("#samples-forget").click()
        page.locator("#confirm[open]").wait_for()
        assert grave(page) == []
        page.locator("#confirm [value=no]").click()
        visitor.go("review")
        page.locator("#review-grid .sample").first.click()
        visitor.go("teach")
        page.locator("#shutter").click()
        page.locator("#result", has_text="Type a name first.").wait_for()
        assert grave(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_inspecting_and_logging_in_have_no_serious_fault(browser, home: Home, width: int, scheme: str) -> None:
    with running(home, PASSWORD_HASH) as site:
        site.app.inspecting.teach("good", [laid_part(seed) for seed in range(12)])
        with Visitor(browser, site.url, width, scheme, expected=(401,), path="/inspect") as visitor:
            page = visitor.page
            page.locator("#login button:enabled", has_text="Log in").wait_for()
            assert grave(page) == []
            page.fill("#password", "correct horse battery")
            page.keyboard.press("Enter")
            page.locator("#corrections").wait_for()
            assert grave(page) == []
            visitor.shoot(f"inspect-{width}-{scheme}")
