"""The view History, as a visitor uses it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from conftest import draw
from test_web_accessibility import grave
from test_web_history import HARM
from web_site import Site, running, until

from edgetl_device.app.history import HistorySettings
from edgetl_device.home import Home
from edgetl_device.photos import thumbnail
from edgetl_device.store.history import History
from edgetl_device.store.history_event import ANY, CUT_OFF, Event

pytestmark = pytest.mark.slow


def event(label: str, days: int = 0, minutes: float = 0, **others: object) -> Event:
    """Half past midnight and so many minutes: it is today's, whenever the test runs."""
    early = datetime.now().astimezone().replace(hour=0, minute=30, second=0, microsecond=0)
    start = (early - timedelta(days=days) + timedelta(minutes=minutes)).astimezone(timezone.utc)
    return replace(Event(label, start.isoformat(timespec="milliseconds"), 75.0, 0.75, "camera"), **others)


def filled(home: Home, *events: Event) -> None:
    history = History(home.history_path)
    history.write(
        [(each, thumbnail(draw("ball" if number % 2 else "box", number, 160))) for number, each in enumerate(events)]
    )
    history.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def names(visitor: Visitor) -> list[str]:
    return visitor.page.locator("#history .events strong").all_inner_texts()


def opened(browser: Any, site: Site, **options: Any) -> Visitor:
    return Visitor(browser, site.url, path="/#/history", **options)


def test_a_day_is_listed_newest_first_and_other_days_and_labels_are_a_choice_away(browser, home) -> None:
    filled(home, event("cat", days=1), event("unknown", probability=None), event("mug", minutes=1, state=CUT_OFF))
    with running(home) as site, opened(browser, site) as visitor:
        page = visitor.page
        page.locator("#history .events li").nth(1).wait_for()
        assert names(visitor) == ["mug", "unknown"]
        assert "00:31 · 1:15\u00a0min · 75\u00a0% · cut off" in page.locator("#history .events li").first.inner_text()
        assert page.locator("#history figcaption").inner_text() == "2 events, most of them 00:00–01:00: 2"
        assert page.locator("#history svg rect").count() in (23, 24, 25)
        assert page.locator("#history figure table tbody tr").count() == 1  # the same for who sees no bars
        page.get_by_role("button", name="The day before").click()
        page.locator("#history .events strong", has_text="cat").wait_for()
        assert names(visitor) == ["cat"]
        page.get_by_label("All days").check()
        page.locator("#history .events li").nth(2).wait_for()
        assert names(visitor) == ["mug", "unknown", "cat"] and page.get_by_label("Day", exact=True).is_disabled()
        page.get_by_label("Label", exact=True).select_option("cat")
        page.locator("#history .events li").nth(1).wait_for(state="detached")
        assert names(visitor) == ["cat"]


def test_what_is_seen_now_comes_by_itself(browser, home, monkeypatch) -> None:
    with running(home, history=HistorySettings(flush_s=0.1)) as site:
        until(lambda: site.app.history.events(ANY, None, 1))
        with opened(browser, site) as visitor:
            visitor.page.locator("#history .events strong", has_text="ball").wait_for()
            line = visitor.page.locator("#history .events li").first.inner_text()
            assert re.search(r"since \d\d:\d\d, still there", line) and " s ·" not in line.replace("\xa0", " ")
            assert visitor.page.locator("#history .events img").first.evaluate(
                "i => i.decode().then(() => i.naturalWidth)"
            )
            site.scene.kind = "box"
            visitor.page.locator("#history .events strong", has_text="box").wait_for()


def test_where_nothing_is_recorded_the_page_says_why(browser, home) -> None:
    with running(home) as site, opened(browser, site) as visitor:
        visitor.page.locator("#history [data-part=problem]", has_text="--no-history").wait_for()
        assert "Nothing was recorded yet" in visitor.page.locator("#history-empty").inner_text()
        assert (
            visitor.page.locator("#history figure").is_hidden() and visitor.page.locator(".files a").first.is_hidden()
        )


def test_events_are_saved_as_files(browser, home, tmp_path: Path) -> None:
    filled(home, *(event(label, minutes=number) for number, label in enumerate(HARM)))
    with running(home) as site, opened(browser, site) as visitor:
        for kind in ("CSV", "JSON"):
            with visitor.page.expect_download() as saved:
                visitor.page.get_by_role("link", name=f"Save these events as {kind}").click()
            assert saved.value.suggested_filename == f"history.{kind.lower()}"
            saved.value.save_as(tmp_path / kind)
        with (tmp_path / "CSV").open(newline="", encoding="utf-8") as rows:
            assert [row["label"].lstrip("'") for row in csv.DictReader(rows)] == HARM[::-1]
        assert [each["label"] for each in json.loads((tmp_path / "JSON").read_bytes())["events"]] == HARM[::-1]


def test_labels_that_mean_harm_are_text(browser, home) -> None:
    filled(home, *(event(label, minutes=number, camera=label) for number, label in enumerate(HARM)))
    with running(home) as site, opened(browser, site, width=360) as visitor:
        visitor.page.locator("#history .events li").nth(len(HARM) - 1).wait_for()
        assert [name.replace("\n", "") for name in names(visitor)] == HARM[::-1]
        assert visitor.page.evaluate("document.querySelectorAll('#history img[src=\"x\"]').length") == 0
        visitor.page.get_by_label("Label", exact=True).select_option(HARM[0])
        visitor.page.locator("#history .events li").nth(1).wait_for(state="detached")
        assert names(visitor) == [HARM[0]]


def test_more_than_a_page_and_one_is_deleted_and_then_all_shown(browser, home) -> None:
    filled(home, *(event(f"thing {n}", minutes=n / 10) for n in range(60)), event("cat", days=1))
    with running(home) as site, opened(browser, site, expected=(404,)) as visitor:
        page = visitor.page
        page.locator("#history .events li").nth(47).wait_for()
        page.get_by_role("button", name="Show more").click()
        page.locator("#history .events li").nth(59).wait_for()
        assert page.evaluate("document.activeElement.ariaLabel").startswith("Delete thing 11")
        page.get_by_role("button", name="Delete thing 59").click()
        page.locator("#confirm-text", has_text="Delete thing 59, ").wait_for()
        page.locator("#confirm [value=no]").click()
        assert site.app.history.count(ANY) == 61
        page.get_by_role("button", name="Delete thing 59").click()
        page.locator("#confirm-yes").click()
        page.locator("#history .events strong", has_text="thing 59").wait_for(state="detached")
        assert site.app.history.count(ANY) == 60
        page.get_by_role("button", name="Delete these").click()
        dialog = page.locator("#confirm")
        assert dialog.locator("p").inner_text().startswith("Delete 60 events, ") or "59 events" in dialog.inner_text()
        dialog.get_by_role("button", name="Delete").click()
        page.locator("#history-empty", has_text="Nothing was recorded of that").wait_for()
        assert [each.label for each in site.app.history.events(ANY, None, 9)] == ["cat"]  # of another day


def test_a_look_that_is_under_way_takes_no_older_events_away(browser, home) -> None:
    filled(home, *(event(f"thing {n}", minutes=n / 10) for n in range(60)))
    held: list[Any] = []
    with running(home) as site, opened(browser, site, expected=(404,)) as visitor:
        page = visitor.page
        page.locator("#history .events li").nth(47).wait_for()
        page.route("**/api/v1/history/hours*", lambda route: route.continue_() if held else held.append(route))
        until(lambda: page.wait_for_timeout(20) or held)
        page.get_by_role("button", name="Show more").click()
        page.locator("#history .events li").nth(59).wait_for()
        held[0].continue_()
        page.wait_for_timeout(500)
        assert page.locator("#history .events li").count() == 60


@pytest.mark.parametrize("everything", [False, True])
def test_what_comes_while_the_question_is_open_is_not_deleted(browser, home, everything: bool) -> None:
    filled(home, *(event("mug", minutes=n) for n in range(3)))
    with running(home) as site, opened(browser, site) as visitor:
        page = visitor.page
        page.locator("#history .events li").nth(2).wait_for()
        if everything:
            page.get_by_label("All days").check()
            page.wait_for_timeout(500)
        page.get_by_role("button", name="Delete these").click()
        question = page.locator("#confirm-text").inner_text()
        assert question.startswith("Delete 3 events, ") and ("all days" in question) is everything
        filled(home, event("cup", minutes=9))
        page.locator("#confirm-yes").click()
        page.locator("#result", has_text="Deleted 3 events.").wait_for()
        page.locator("#history .events strong", has_text="cup").wait_for()
        assert [each.label for each in site.app.history.events(ANY, None, 9)] == ["cup"]


def test_the_arrows_stay_where_they_are_and_lead_no_further_than_today(browser, home) -> None:
    filled(
        home, *(event("mug", days=n // 3, camera="porch" if n % 2 else "a camera with a long name") for n in range(12))
    )
    with running(home) as site, opened(browser, site, locale="en-US") as visitor:
        page = visitor.page
        page.locator("#history .events li").nth(2).wait_for()
        later, earlier = (
            page.get_by_role("button", name="The day after"),
            page.get_by_role("button", name="The day before"),
        )
        assert later.is_disabled()
        earlier.click()
        page.locator("#history [data-part=camera-field]").wait_for()
        place = earlier.bounding_box()
        for _ in range(5):
            assert earlier.bounding_box() == place
            earlier.click()
            page.wait_for_timeout(150)
        assert "Nothing was recorded of that" in page.locator("#history-empty").inner_text()
        for _ in range(6):
            later.click()
            page.wait_for_timeout(100)
        assert later.is_disabled() and page.evaluate("document.activeElement.id") == "history-day"
        assert "00:00–01:00" in page.locator("#history figcaption").inner_text()  # as the axis has it, not 12:00 AM


def test_keyboard_alone_chooses_and_deletes(browser, home) -> None:
    filled(home, event("mug"), event("cat", minutes=1))
    with running(home) as site, opened(browser, site) as visitor:
        page = visitor.page
        page.locator("#history .events li").nth(1).wait_for()
        page.locator("#history-label").focus()
        page.keyboard.type("mug")
        page.locator("#history .events li").nth(1).wait_for(state="detached")
        page.get_by_role("button", name="Delete mug").focus()
        page.keyboard.press("Enter")
        page.locator("#confirm-yes").focus()
        page.keyboard.press("Enter")
        until(lambda: site.app.history.count(ANY) == 1)
        page.locator("#title:focus").wait_for()  # the button is gone


@pytest.mark.parametrize(
    ("width", "scheme", "locale"),
    [(360, "light", "en-GB"), (360, "dark", "de-DE"), (1280, "light", "en-GB"), (1280, "dark", "de-DE")],
)
def test_it_fits_and_is_shot(browser, home, width: int, scheme: str, locale: str) -> None:
    labels = ["mug", "cat", "unknown", "a thing with quite a long name indeed", "condition"]
    events = [
        event(labels[n % 5], minutes=n, group="condition" if n % 7 == 0 else None, camera="porch" if n % 3 else "gate",
              probability=None if n % 5 == 2 else 0.9)
        for n in range(20)
    ]  # fmt: skip
    filled(home, *events, *(event("mug", days=n) for n in range(1, 9)))
    with running(home) as site, opened(browser, site, width=width, scheme=scheme, locale=locale) as visitor:
        visitor.page.locator("#history .events li").nth(19).wait_for()
        visitor.page.evaluate(
            "Promise.all([...document.querySelectorAll('#history .events img')].slice(0, 4).map((image) => image.decode()))"
        )
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        visitor.shoot(f"history-{width}-{scheme}")
        assert grave(visitor.page) == []
        visitor.page.locator("#history [data-part=all-days]").check()
        visitor.page.locator("#history .events li").nth(27).wait_for()
        visitor.shoot(f"history-all-{width}-{scheme}")
