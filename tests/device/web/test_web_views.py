"""The views of the page: their addresses, a phone's screen, and every way in which a picture comes to be taught."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from conftest import draw
from web_site import Site, running, until

pytestmark = pytest.mark.slow

VIEWS = ("watch", "teach", "review", "things", "history", "settings")
ACTIVE = "document.activeElement.id"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(home) -> Iterator[Site]:
    with running(home, fps=20) as site:
        yield site


def photo_of(kind: str, seed: int) -> bytes:
    return cv2.imencode(".jpg", draw(kind, seed))[1].tobytes()


def folder_of(parent: Path, kind: str, count: int) -> Path:
    folder = parent / kind
    folder.mkdir(parents=True)
    for seed in range(count):
        (folder / f"{seed}.jpg").write_bytes(photo_of(kind, seed))
    (folder / "notes.txt").write_text("no photo")
    return folder


def drop(visitor: Visitor, onto: str, *paths: Path) -> None:
    """Drop files or folders from the desktop on an element."""
    box, before = visitor.page.locator(onto).bounding_box(), None
    while box != before:  # names that were just learned move others
        visitor.page.wait_for_timeout(200)
        box, before = visitor.page.locator(onto).bounding_box(), box
    dragged = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    session = visitor.context.new_cdp_session(visitor.page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": dragged})


def labels(site: Site) -> list[str]:
    return sorted(row.label for row in site.app.samples())


def test_every_view_has_an_address_a_title_and_a_heading_and_back_leads_back(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/review") as visitor:
        page = visitor.page
        page.locator("#review-title").wait_for()  # a link leads there
        page.locator("#bundle", has_text="toys").wait_for()  # its name is in the title
        for view in VIEWS:
            visitor.go(view)
            assert page.url == f"{site.url}/#/{view}"
            heading = page.locator("h1").inner_text() if view not in ("watch", "teach") else view.title()
            assert page.title() == f"{heading} · toys · edgetl" and heading == view.title()
            assert page.locator("#places [aria-current=page]").inner_text().startswith(heading)
            assert page.evaluate(ACTIVE) == "title" or view == "review"  # a screen reader says where it is
        page.go_back()
        page.locator("body[data-view=history]").wait_for()
        page.go_back()
        page.locator("body[data-view=things]").wait_for()
        page.go_forward()
        page.locator("body[data-view=history]").wait_for()
        page.goto(f"{site.url}/#/nowhere")
        page.locator("body[data-view=watch]").wait_for()


def test_the_places_are_gone_through_with_the_keyboard(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/watch") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.locator("#places [data-place=review]").focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.dataset.place") == "things"
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        assert page.evaluate(ring) == "solid"
        page.keyboard.press("Enter")
        page.locator("body[data-view=things]").wait_for()
        assert page.evaluate(ACTIVE) == "title"


# A page that is hidden in the moment in which its connection is made, before that opens.
HIDDEN_WHILE_CONNECTING = """
() => {
  let early = 0;
  let hides = true;
  Object.defineProperty(document, "hidden", { get: () => hides && window.connecting !== undefined });
  window.WebSocket = class extends WebSocket {
    constructor(...address) {
      super(...address);
      window.connecting = this;
      if (hides) queueMicrotask(() => document.dispatchEvent(new Event("visibilitychange")));
    }
    close() {
      if (this.readyState === WebSocket.CONNECTING) early++;
      super.close();
    }
  };
  window.closedEarly = () => early;
  window.comeBack = () => {
    hides = false;
    document.dispatchEvent(new Event("visibilitychange"));
  };
}
"""


def test_a_connection_that_is_not_wanted_any_more_is_left_once_it_is_open(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/review") as visitor:
        page = visitor.page
        page.locator("#review-title").wait_for()
        page.evaluate(HIDDEN_WHILE_CONNECTING)
        visitor.go("watch")
        until(lambda: page.evaluate("window.connecting?.readyState === WebSocket.CLOSED"))
        assert page.evaluate("closedEarly()") == 0
        until(lambda: site.server.site.live.viewers == 0)
        page.evaluate("comeBack()")
        visitor.sees("ball")


def test_pictures_are_asked_for_only_where_they_are_shown(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/watch") as visitor:
        visitor.sees("ball")
        assert site.server.site.live.viewers == 1
        visitor.go("things")
        until(lambda: site.server.site.live.viewers == 0)
        visitor.page.locator("#pulse[data-state=live]").wait_for()  # the head still tells how the camera is
        visitor.go("teach")
        until(lambda: site.server.site.live.viewers == 1)
        site.scene.kind = "box"
        visitor.sees("box")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_picture_name_button_and_result_at_once(browser, site, scheme: str) -> None:
    site.app.teach_photos("kite", [draw("kite", number) for number in range(6)])
    site.app.retrain()
    with Visitor(browser, site.url, 360, scheme, path="/#/teach") as visitor:
        page = visitor.page
        page.locator("#chips button", has_text="kite").tap()
        site.scene.kind = "kite"
        visitor.sees("kite")
        page.locator("#shutter").tap()
        page.locator("#result[data-state=promoted]").wait_for()
        boxes = {name: page.locator(name).bounding_box() for name in ("#view", "#shutter", "#result", "#places")}
        for box in boxes.values():
            assert box["y"] >= 0 and box["y"] + box["height"] <= 740
        assert boxes["#result"]["y"] + boxes["#result"]["height"] <= boxes["#shutter"]["y"]
        assert boxes["#shutter"]["y"] + boxes["#shutter"]["height"] <= boxes["#places"]["y"]
        visitor.shoot(f"phone-result-{scheme}")
        page.get_by_role("button", name="Close this message").tap()
        field = page.locator("#teach-label").bounding_box()
        assert field["y"] + field["height"] <= boxes["#shutter"]["y"]


def test_photos_and_folders_are_dropped_on_a_class_or_bring_their_own(browser, site, tmp_path: Path) -> None:
    kites, rings = folder_of(tmp_path, "kite", 4), folder_of(tmp_path, "ring", 3)
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        drop(visitor, "#teach", kites, rings)
        page.locator("#result", has_text="3 samples of ring").wait_for()
        until(lambda: labels(site) == ["kite"] * 4 + ["ring"] * 3)
        for name in ("kite", "ring"):
            page.locator("#chips button", has_text=name).wait_for()
        (tmp_path / "one.jpg").write_bytes(photo_of("kite", 30))
        drop(visitor, "#chips button[value=kite]", tmp_path / "one.jpg")
        page.locator("#result", has_text="1 sample of kite").wait_for()
        assert page.locator("#teach-label").input_value() == "kite"
        drop(visitor, "#teach", tmp_path / "kite" / "notes.txt")
        page.locator("#result[data-state=failed]", has_text="There was no photo in it.").wait_for()
        assert labels(site) == ["kite"] * 5 + ["ring"] * 3


def test_a_picture_is_pasted(browser, site) -> None:
    paste = """data => {
        const clipboard = new DataTransfer();
        const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
        clipboard.items.add(new File([bytes], "image.png", { type: "image/jpeg" }));
        document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: clipboard, bubbles: true, cancelable: true }));
    }"""
    data = base64.b64encode(photo_of("ring", 1)).decode()
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.evaluate(paste, data)
        page.locator("#result", has_text="Type a name first.").wait_for()
        page.fill("#teach-label", "ring")
        page.evaluate(paste, data)
        page.locator("#result", has_text="1 sample of ring").wait_for()
        visitor.go("things")
        page.evaluate(paste, data)  # nothing is taught where nobody sees a name
        page.wait_for_timeout(300)
        assert labels(site) == ["ring"]


def test_the_camera_of_who_looks_at_the_page_teaches_too(browser, site) -> None:
    with Visitor(browser, site.url, 360, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.get_by_role("button", name="Use this device’s camera").tap()
        until(lambda: page.evaluate("own.videoWidth > 0 && !own.hidden"))
        page.fill("#teach-label", "disc")
        page.locator("#shutter").tap()
        page.locator("#result", has_text="5 samples of disc").wait_for()
        visitor.shoot("own-camera-360")
        sizes = [cv2.imdecode(_bytes(site.app.thumbnail(row.id)), 1).shape for row in site.app.samples("disc")]
        assert len(sizes) == 5
        visitor.go("watch")  # the camera is let go of
        assert page.evaluate("own.srcObject === null && own.hidden")
        visitor.sees("ball")


def _bytes(jpeg: bytes | None) -> Any:
    import numpy as np

    assert jpeg is not None
    return np.frombuffer(jpeg, np.uint8)


def test_why_a_page_gets_no_camera_is_said_with_what_helps(browser, site) -> None:
    with Visitor(browser, site.url, 360, path="/#/watch") as visitor:
        page = visitor.page
        page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")  # as without HTTPS
        visitor.go("teach")
        page.get_by_role("button", name="Use this device’s camera").tap()
        page.locator("#own-help", has_text="only over HTTPS").wait_for()
        assert page.get_by_text("Take a photo", exact=True).is_visible()
        page.fill("#teach-label", "ring")
        photo = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo_of("ring", 2)}
        page.set_input_files("#photo-taken", photo)
        page.locator("#result", has_text="1 sample of ring").wait_for()


@pytest.mark.parametrize(
    "label",
    ["W" * 64, "<img src=x onerror=alert(1)>", "العربية في نص طويل جدا بلا نهاية قريبة", "a" + "🐈" * 40],
)
def test_any_label_fits_every_view_of_a_phone_as_text(browser, site, label: str) -> None:
    site.app.teach_photos(label, [draw("kite", number) for number in range(6)])
    site.app.retrain()
    site.app.teach_photos(label, [draw("box", number) for number in range(700, 712)])
    site.app.retrain()
    site.scene.kind = "kite"
    with Visitor(browser, site.url, 360, path="/#/watch") as visitor:
        page = visitor.page
        until(lambda: page.locator("#label").inner_text() == label)
        for view in VIEWS:
            visitor.go(view)
            page.wait_for_timeout(200)
            assert page.evaluate("document.documentElement.scrollWidth") == 360, view
        visitor.go("teach")
        page.locator("#chips button").filter(has_not_text="ball").first.tap()
        page.locator("#shutter").tap()
        page.locator("#result[data-state=promoted], #result[data-state=rejected]").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator("main img[src=x], .toasts img").count() == 0


def test_a_message_goes_with_the_view_that_it_is_about(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.locator("#shutter").click()
        page.locator("#result[data-state=failed]", has_text="Type a name first.").wait_for()
        visitor.go("things")
        assert page.locator("#result").is_hidden()


def test_a_failure_goes_by_itself_after_a_while(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.clock.install()
        page.locator("#shutter").click()
        page.locator("#result[data-state=failed]", has_text="Type a name first.").wait_for()
        page.clock.fast_forward(9_000)
        assert page.locator("#result").is_visible()
        page.clock.fast_forward(9_000)
        page.clock.fast_forward(9_000)
        page.locator("#result").wait_for(state="hidden")


def test_who_answers_a_message_with_the_keyboard_is_not_lost(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.fill("#teach-label", "ring")
        photo = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo_of("ring", 2)}
        page.set_input_files("#photos", photo)
        page.get_by_role("button", name="Forget these").focus()
        page.keyboard.press("Enter")
        page.locator("#result", has_text="Forgotten.").wait_for()
        assert page.evaluate(ACTIVE) == "result"
        page.keyboard.press("Escape")
        assert page.locator("#result").is_hidden() and page.evaluate(ACTIVE) == "title"
