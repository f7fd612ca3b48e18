"""The page in a real browser: what a person does with it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from conftest import draw, embeddings, unconfirmed
from web_site import PASSWORD, PASSWORD_HASH, Scene, Site, laid_part, running, until

import edgetl_device.web
from edgetl_device.app.app import App
from edgetl_device.camera import open_camera
from edgetl_device.home import Home
from edgetl_device.photos import thumbnail
from edgetl_device.store.review import ReviewFrame
from edgetl_device.web import serve

pytestmark = pytest.mark.slow

STATIC = Path(edgetl_device.web.__file__).parent / "static"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(home) -> Iterator[Site]:
    with running(home, fps=20) as site:
        yield site


def shown(visitor: Visitor, site: Site, kind: str) -> None:
    """Hold another thing before the camera, and wait until its picture is on the page."""
    site.scene.kind = kind
    number = site.app.pipeline.health().frames
    until(lambda: site.app.pipeline.health().frames > number + 12)
    visitor.page.wait_for_timeout(300)


def hold(visitor: Visitor, frames: int) -> None:
    """Hold the button down with the mouse until so many frames are stored."""
    visitor.page.locator("#shutter").hover()
    visitor.page.mouse.down()
    visitor.page.locator(f"#film li[data-state=stored]:nth-child({frames})").wait_for()
    visitor.page.mouse.up()


def test_a_person_watches_teaches_a_new_thing_sees_it_recognised_and_rolls_back(browser, site) -> None:
    with Visitor(browser, site.url) as visitor:
        page = visitor.page
        visitor.sees("ball")
        assert page.locator("#bars li").first.inner_text().startswith("ball")
        site.scene.kind = "box"
        visitor.sees("box")

        visitor.go("teach")
        shown(visitor, site, "ring")
        page.fill("#teach-label", "ring")
        hold(visitor, 10)
        page.locator("#result[data-state=promoted]").wait_for()
        assert "samples of ring, learned in" in page.locator("#result").inner_text()
        visitor.sees("ring")
        visitor.go("things")
        page.locator("#samples-grid .sample", has_text="ring").nth(9).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 1280
        visitor.shoot("taught", whole=True)

        visitor.go("settings")
        page.get_by_role("button", name="Use version 1").click()
        page.locator("#result", has_text="Version 1 is in use.").wait_for()
        visitor.go("watch")
        page.locator("#bars li", has_text="ring").wait_for(state="detached")
        until(lambda: site.app.pipeline.version == 1)


def test_an_unknown_thing_is_shown_as_unknown_with_what_is_nearest(browser, site) -> None:
    with Visitor(browser, site.url, scheme="dark") as visitor:
        visitor.sees("ball")
        site.scene.kind = "kite"
        visitor.sees("Unknown")
        assert re.fullmatch("closest: (ball|box)", visitor.page.locator("#hint").inner_text())
        visitor.shoot("unknown")


def test_samples_are_relabelled_and_forgotten_by_hand(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        shown(visitor, site, "kite")
        page.fill("#teach-label", "kite")
        hold(visitor, 4)
        page.locator("#result[data-state=promoted]").wait_for()
        visitor.go("things")
        tiles = page.locator("#samples-grid .sample")
        before = len(site.app.samples())
        tiles.nth(0).click()
        tiles.nth(1).click()
        page.fill("#samples-label", "ring")
        page.get_by_role("button", name="Relabel").click()
        page.locator("#result", has_text="Moved 2 samples to ring.").wait_for()
        page.locator("#samples-grid .sample", has_text="ring").nth(1).wait_for()
        page.select_option("#samples-filter", "ring")
        page.get_by_role("button", name="Forget all of ring").click()
        page.get_by_role("button", name="Keep").click()
        page.get_by_role("button", name="Forget all of ring").click()
        page.locator("#confirm-yes").click()
        page.locator("#result", has_text="Forgot 2 samples.").wait_for()
        until(lambda: len(site.app.samples()) == before - 2)


def test_what_was_just_taught_can_be_forgotten_at_once(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        visitor.sees("ball")
        shown(visitor, site, "kite")  # a ball under another name would be questioned
        visitor.page.fill("#teach-label", "mistake")
        visitor.page.locator("#shutter").click()  # a tap
        visitor.page.get_by_role("button", name="Forget these").click()
        visitor.page.locator("#result", has_text="Forgotten.").wait_for()
        assert site.app.samples() == []


def test_a_tap_is_a_burst_of_five(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        visitor.sees("ball")
        shown(visitor, site, "kite")
        visitor.page.fill("#teach-label", "kite")
        visitor.page.locator("#shutter").click()
        visitor.page.locator("#result[data-state=promoted]").wait_for()
        assert len(site.app.samples()) == 5


def test_background_is_taught_with_a_button_and_is_no_name(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        visitor.sees("ball")
        shown(visitor, site, "kite")
        visitor.page.get_by_role("button", name="nothing there").click()
        visitor.page.locator("#shutter").click()
        visitor.page.locator("#result[data-state=promoted]").wait_for()
        assert {row.label for row in site.app.samples()} == {"(nothing)"}
        assert visitor.page.locator("#chips button", has_text="(nothing)").count() == 0
        visitor.sees("Unknown")


def test_everything_is_done_with_the_keyboard_alone(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        shown(visitor, site, "kite")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("kite")
        page.keyboard.press("Enter")  # on to the button
        page.keyboard.down(" ")
        page.locator("#film li[data-state=stored]:nth-child(7)").wait_for()
        page.keyboard.up(" ")
        page.locator("#result[data-state=promoted]").wait_for()
        assert len(site.app.samples()) >= 7
        assert page.evaluate("document.activeElement.id") == "shutter"


def teach_boxes_as_balls(site) -> None:
    site.app.teach_photos("ball", [draw("box", number) for number in range(700, 712)])
    assert not site.app.retrain().promoted


def test_what_is_set_aside_is_said_in_words_and_can_be_used(browser, site) -> None:
    with Visitor(browser, site.url, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.fill("#teach-label", "box")
        page.locator("#shutter").click()
        page.locator("#result[data-state=rejected]", has_text="new photos of box look like ball").wait_for()
        visitor.shoot("rejected")
        page.locator("#places .waiting", has_text="1 waits").wait_for()
        visitor.go("review")
        page.locator("#pending .batch", has_text="taught as box").wait_for()
        assert page.locator("#result").is_hidden()  # its choices are here too
        page.locator("#pending .batch").get_by_role("button", name="They are box: use them").click()
        page.locator("#result[data-state=promoted]").wait_for()
        page.locator("#pending .batch").wait_for(state="detached")
        assert site.app.pipeline.version > 1 and not site.app.pending()


def test_what_classes_gained_and_lost_is_told_after_learning(browser, site) -> None:
    with Visitor(browser, site.url, 360, path="/#/teach") as visitor:
        page = visitor.page
        answer = site.app.retrain()
        changes = [
            {"label": "ball", "before": 0.9, "after": 0.95, "photos": 20, "held_out": True},
            {"label": "kite", "before": 1.0, "after": 0.5, "photos": 2, "held_out": False},
        ]
        told = {"version": 2, "promoted": True, "reason": answer.reason, "retrain_ms": 5.0, "changes": changes}
        page.route("**/api/v1/retrain", lambda route: route.fulfill(json=told))
        visitor.sees("ball")
        page.fill("#teach-label", "ball")
        page.locator("#shutter").click()
        page.locator("#result .changes li", has_text="kite lost: 100 % → 50 % of its 2 samples").wait_for()
        page.locator("#result .changes li", has_text="ball gained: 90 % → 95 % of 20 photos").wait_for()
        visitor.shoot("changes-360")


@pytest.mark.parametrize("width", [360, 1280])
def test_how_far_percentages_hold_is_told_and_told_again_after_learning(browser, site, width: int) -> None:
    with Visitor(browser, site.url, width, path="/#/settings") as visitor:
        page = visitor.page
        told = page.locator("#reliability-summary")
        told.filter(
            has_text=re.compile(r"When it says \d+\s%, as for \d+ of \d+ photos, it is right in \d+\s% of cases")
        ).wait_for()
        assert page.locator("#reliability-bands tr").count() >= 1
        site.app.teach_photos("kite", [draw("kite", number) for number in range(6)])
        assert site.app.retrain().promoted
        page.locator("#reliability-source", has_text="and 6 samples").wait_for()
        page.locator("#reliability").scroll_into_view_if_needed()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        visitor.shoot(f"reliability-{width}")


@pytest.mark.parametrize("width", [360, 1280])
def test_pending_batches_are_decided_one_by_one(browser, site, width: int) -> None:
    for _ in range(2):
        teach_boxes_as_balls(site)
    site.app.teach_photos("kite", [draw("kite", number) for number in range(6)])
    assert site.app.retrain().promoted  # nothing waits for them
    with Visitor(browser, site.url, width, path="/#/review") as visitor:
        page = visitor.page
        page.locator("#pending .batch").nth(1).wait_for()
        visitor.shoot(f"pending-{width}", whole=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator("#pending .batch").first.get_by_role("button", name="They are box", exact=True).focus()
        page.keyboard.press("Enter")
        page.locator("#result", has_text="Moved 12 samples to box").wait_for()
        until(lambda: page.locator("#pending .batch").count() == 1)
        assert page.evaluate("document.activeElement.id") == "title"
        page.locator("#pending .batch").get_by_role("button", name="Forget them").click()
        page.locator("#result", has_text="Forgot 12 samples.").wait_for()
        until(lambda: page.locator("#pending .batch").count() == 0)
        assert site.app.status()["samples"] == {"box": 12, "kite": 6}


def test_a_slip_of_a_known_label_is_asked_about(browser, site, photo_file) -> None:
    with Visitor(browser, site.url, 360, expected=(409,), path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.fill("#teach-label", "Ball")
        page.set_input_files("#photos", photo_file("ball", 5))
        page.locator("#result", has_text="Did you mean ball?").wait_for()
        visitor.shoot("slip-360")
        assert site.app.samples() == []
        page.get_by_role("button", name="Yes, ball").click()
        page.locator("#result[data-state=promoted]").wait_for()
        assert [row.label for row in site.app.samples()] == ["ball"]
        page.fill("#teach-label", "balls")
        page.locator("#shutter").click()
        page.get_by_role("button", name="No, balls is new").click()
        page.locator("#shutter").click()
        until(lambda: site.app.samples("balls"))


def test_a_version_that_failed_in_use_is_shown_as_such_and_not_offered(browser, site) -> None:
    site.app.teach_photos("ring", [draw("ring", number) for number in range(6)])
    assert site.app.retrain().version == 2
    with site.app._lock:
        site.app._learner.store.versions.fail(site.app.bundle.digest, 2, 1, "failed: it never ran well")
    until(lambda: site.app.pipeline.version == 1)
    with Visitor(browser, site.url, path="/#/settings") as visitor:
        visitor.page.locator("#versions-list .badge[data-state=failed]", has_text="failed").wait_for()
        assert visitor.page.get_by_role("button", name="Use version").count() == 0


def test_the_label_is_asked_for_and_a_bad_one_is_explained(browser, site) -> None:
    with Visitor(browser, site.url, expected=(400,), path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.locator("#shutter").click()
        page.locator("#result", has_text="Type a name first.").wait_for()
        until(lambda: page.evaluate("document.activeElement.id") == "teach-label")
        page.fill("#teach-label", "a/b")
        page.locator("#shutter").click()
        page.locator("#result", has_text="holds '/'").wait_for()
        assert site.app.samples() == []


def test_photos_are_taught_from_files_and_what_is_none_is_named(browser, site, photo_file, tmp_path) -> None:
    (tmp_path / "note.png").write_text("not a photo")
    files = [photo_file("ring", seed) for seed in range(3)]
    with Visitor(browser, site.url, expected=(400,), path="/#/teach") as visitor:
        visitor.sees("ball")
        visitor.page.fill("#teach-label", "ring")
        visitor.page.set_input_files("#photos", [*files, tmp_path / "note.png"])
        visitor.page.locator("#result", has_text="3 samples of ring").wait_for()
        visitor.page.locator("#result", has_text="note.png: not a photo").wait_for()
        assert len(site.app.samples()) == 3


def test_one_logs_in_and_out(browser, home) -> None:
    with running(home, PASSWORD_HASH) as site, Visitor(browser, site.url, expected=(401,)) as visitor:
        page = visitor.page
        page.fill("#password", "a wrong guess")
        page.get_by_role("button", name="Log in").click()
        page.locator("#problem", has_text="Wrong password.").wait_for()
        visitor.shoot("login")
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        visitor.sees("ball")
        page.get_by_role("button", name="Sign out").click()
        page.locator("#password").wait_for()
        assert page.evaluate("document.cookie") == ""


def test_a_password_that_is_entered_before_the_program_has_arrived_is_still_there(browser, home) -> None:
    def bring(route: Any) -> None:
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        route.continue_()

    with running(home, PASSWORD_HASH) as site:
        visitor = Visitor(browser, site.url, expected=(401,))
        page = visitor.page
        page.route("**/login.js", bring)
        with visitor:
            page.locator("#login button:enabled").wait_for()
            assert page.url == f"{site.url}/" and page.locator("#password").input_value() == PASSWORD
            page.keyboard.press("Enter")
            visitor.sees("ball")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1000, 1280])
def test_nothing_is_cut_off_at_any_width(browser, site, width, scheme) -> None:
    with Visitor(browser, site.url, width, scheme) as visitor:
        visitor.sees("ball")
        page = visitor.page
        assert page.evaluate("document.documentElement.scrollWidth") == width
        targets = page.evaluate(
            "[...document.querySelectorAll('button, input:not(.unseen), select')].filter(e => e.offsetParent)"
            ".map(e => [e.id || e.textContent, e.getBoundingClientRect()]).filter(([, r]) => r.height < 24 || r.width < 24)"
        )
        assert not targets, "smaller than WCAG 2.2 asks of targets"
        visitor.shoot(f"{width}-{scheme}")


def test_on_a_phone_a_finger_holds_the_button_and_the_picture_stays_in_sight(browser, site) -> None:
    with Visitor(browser, site.url, 360, path="/#/teach") as visitor:
        page = visitor.page
        visitor.sees("ball")
        shown(visitor, site, "kite")
        page.fill("#teach-label", "kite")
        page.locator("#shutter").tap()
        page.locator("#result[data-state=promoted]").wait_for()
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        picture, button = page.locator("#view").bounding_box(), page.locator("#shutter").bounding_box()
        assert picture["y"] >= -1 and picture["y"] + picture["height"] <= button["y"]
        visitor.shoot("phone-taught")


def test_every_control_has_a_name_and_every_announcement_is_polite_and_rare(browser, site) -> None:
    with Visitor(browser, site.url) as visitor:
        page = visitor.page
        visitor.sees("ball")
        named = page.locator("body").aria_snapshot()
        assert not re.findall(
            r"^\s*- (button|textbox|combobox|img|checkbox|link)\s*(\[.*\])?:?$", named, re.MULTILINE
        ), named
        assert page.locator("#announcer").get_attribute("aria-live") == "polite"
        page.evaluate(
            "window.said = []; new MutationObserver(() => said.push(performance.now()))"
            ".observe(document.getElementById('announcer'), {childList: true, characterData: true, subtree: true})"
        )
        for kind in ("box", "ball", "box", "ball"):
            site.scene.kind = kind
            page.wait_for_timeout(400)
        said = page.evaluate("said")
        assert all(later - earlier >= 4000 for earlier, later in itertools.pairwise(said)) and len(said) <= 1


def test_the_page_comes_back_by_itself_after_the_app_was_away(browser, home) -> None:
    with running(home) as site:
        port = int(site.url.rpartition(":")[2])
        with ExitStack() as later, Visitor(browser, site.url) as visitor:  # which leaves before the server does
            visitor.sees("ball")
            assert site.server.stop(5)
            visitor.page.locator("#pulse-text", has_text="reconnecting").wait_for()
            later.enter_context(serve(site.app, "127.0.0.1", port))
            visitor.page.locator("#pulse[data-state=live]").wait_for()
            visitor.problems.clear()  # failed attempts to connect are told in the console


def test_activations_are_shown_to_who_asks_why(browser, site) -> None:
    import numpy as np

    grid = np.zeros((4, 4), np.uint8)
    grid[1:3, 1:3] = 255
    site.app.activation = lambda recognition: grid
    with Visitor(browser, site.url) as visitor:
        visitor.sees("ball")
        visitor.page.get_by_role("button", name="Show why").click()
        until(lambda: visitor.page.evaluate("overlay.width") == 4)
        assert visitor.page.get_by_role("button", name="Show why").get_attribute("aria-pressed") == "true"
        visitor.shoot("why")


def test_the_parts_stream_is_watched_and_taught_to_a_bundle_that_knows_nothing(
    browser, tmp_path, empty_bundle_path
) -> None:
    home = Home(tmp_path / "home")
    home.install(empty_bundle_path)
    with (
        App(home, open_camera("parts")) as app,
        serve(app, port=0) as server,
        Visitor(browser, server.url, scheme="dark", path="/#/teach") as visitor,
    ):
        page = visitor.page
        visitor.sees("Teach me the first thing")
        for label in ("left", "right"):
            page.fill("#teach-label", label)
            page.locator("#shutter").click()
            page.locator("#result[data-state=promoted]", has_text=f"5 samples of {label}").wait_for()
        page.locator("#bars li").nth(1).wait_for()
        assert set(page.locator("#bars .name").all_inner_texts()) == {"left", "right"}


def test_the_next_thing_is_taught_before_the_lists_of_the_last_one_are_there(browser, home) -> None:
    with running(home, fps=20) as site, Visitor(browser, site.url, path="/#/teach") as visitor:
        page, held = visitor.page, []
        visitor.sees("ball")
        page.route("**/api/v1/status", lambda route: held.append(route))
        for label in ("left", "right"):
            page.fill("#teach-label", label)
            page.locator("#shutter").click()
            page.locator("#result", has_text=label).wait_for()
            until(lambda label=label: page.wait_for_timeout(20) or site.app.status()["samples"].get(label) == 5)
            page.locator("#result:not([data-state=working])").wait_for()
        assert held


def test_a_video_is_watched_and_taught(browser, tmp_path, empty_bundle_path, shared) -> None:
    home = Home(tmp_path / "home")
    home.install(empty_bundle_path)
    camera = open_camera(str(shared / "data" / "video" / "bottle-detection.mp4"), loop=True)
    with (
        App(home, camera) as app,
        serve(app, port=0) as server,
        Visitor(browser, server.url, path="/#/teach") as visitor,
    ):
        visitor.sees("Teach me the first thing")
        visitor.page.fill("#teach-label", "bottle")
        hold(visitor, 6)
        visitor.page.locator("#result[data-state=promoted]").wait_for()
        visitor.page.locator("#bars li", has_text="bottle").wait_for()
        assert visitor.page.evaluate("[picture.width, picture.height]") == [640, 360]
        visitor.shoot("video")


def test_text_stands_out_from_its_ground_in_both_schemes() -> None:
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", (STATIC / "base.css").read_text(), re.DOTALL)
    )
    pairs = [("text", "ground"), ("text", "surface"), ("muted", "ground"), ("muted", "surface"), ("muted", "raised")]
    pairs += [("accent", "surface"), ("accent", "tint"), ("on-accent", "accent"), ("danger", "surface")]
    pairs += [
        ("text", "tint"),
        ("text", "danger-tint"),
        ("muted", "tint"),
        ("muted", "danger-tint"),
        ("surface", "danger"),
    ]
    for scheme in (light, dark):
        assert {
            pair: contrast(*(scheme[name] for name in pair))
            for pair in pairs
            if contrast(*(scheme[n] for n in pair)) < 4.5
        } == {}
        assert contrast(scheme["edge"], scheme["surface"]) >= 3  # borders of fields


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two sRGB colours, 1 … 21."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_the_page_s_files_hold_no_inline_code_or_style_and_no_address_of_others() -> None:
    for path in (each for each in STATIC.rglob("*") if each.is_file()):
        text = path.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=\"|innerHTML|eval\(", text), path


def test_a_scene_shows_what_it_is_told_to() -> None:
    scene = Scene("ball")
    frames = iter(scene)
    first = next(frames)
    scene.kind = "box"
    assert (next(frames) != first).any()


def steadily_good(page: Any) -> bool:
    """For half a second: what was just taught is in use, and the part before this one is gone."""
    view = page.locator("#view")
    return all(page.wait_for_timeout(50) or view.get_attribute("data-state") == "good" for _ in range(10))


def test_a_person_teaches_good_parts_and_sees_the_scratch_on_a_bad_one_marked(browser, site) -> None:
    drawn = site.scene._drawn
    drawn["taught"] = [laid_part(seed) for seed in range(24)]  # another one in each frame
    drawn["good"] = [laid_part(960)] * 24
    drawn["bad"] = [laid_part(961, scratched=True)] * 24
    site.scene.kind = "taught"
    with Visitor(browser, site.url, path="/inspect") as visitor:
        page = visitor.page
        visitor.sees("Show it twenty good parts")
        page.locator("#shutter").hover()
        page.mouse.down()
        page.locator("#film li[data-state=stored]:nth-child(12)").wait_for()
        page.mouse.up()
        page.locator("#result", has_text="of good parts learned").wait_for()
        site.scene.kind = "good"
        until(lambda: steadily_good(page))
        site.scene.kind = "bad"
        page.locator("#view[data-state=bad]").wait_for()
        page.locator("#where").wait_for()
        page.locator("#bad-parts", has_text="1").wait_for()
        visitor.shoot("inspected", whole=True)

        page.get_by_label("however it is turned").click()
        page.locator("#look-message", has_text="Forget all parts first").wait_for()
        assert page.get_by_label("the whole picture").is_checked()

        page.get_by_role("button", name="This is bad").click()
        page.locator("#progress-text", has_text="1 bad part").wait_for()
        page.get_by_role("button", name="Take it back").click()
        page.locator("#result", has_text="Forgotten.").wait_for()
        page.locator("#progress-text", has_text="bad").wait_for(state="detached")
        page.get_by_role("button", name="Start a new one").click()
        page.locator("#bad-parts", has_text="0").wait_for()

        site.app.inspecting.teach("good", [laid_part(seed) for seed in range(30, 42)])
        site.scene.kind = "bad"
        page.locator("#view[data-state=bad]").wait_for()
        page.locator("#shutter").click()
        page.locator("#result", has_text="would have been flagged").wait_for()
        visitor.shoot("inspected-odd", whole=True)
        page.get_by_role("button", name="bad", exact=False).and_(page.locator("#result button")).click()
        page.locator("#progress-text", has_text="bad part").wait_for()


def test_a_bad_part_taught_as_good_is_set_aside_and_decided_about(browser, site) -> None:
    site.app.inspecting.teach("good", [laid_part(seed) for seed in range(12)])
    site.app.inspecting.teach("bad", [laid_part(961, scratched=True)])
    site.scene._drawn["bad"] = [laid_part(961, scratched=True)] * 24
    site.scene.kind = "bad"
    with Visitor(browser, site.url, width=360, path="/inspect") as visitor:
        page = visitor.page
        page.locator("#view[data-state=bad]").wait_for()
        page.locator("#shutter").click()
        page.locator("#result", has_text="Set aside: is it really good?").wait_for()
        page.locator("#result", has_text="1 of 1 photos known as not good would be missed, 0 before.").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        visitor.shoot("inspected-aside-360", whole=True)
        page.get_by_role("button", name="No, it is bad").click()
        page.locator("#progress-text", has_text="2 bad parts").wait_for()
        page.get_by_role("button", name="Take it back").click()
        page.locator("#result", has_text="Forgotten.").wait_for()
        page.locator("#progress-text", has_text="1 bad part").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_inspection_fits_a_phone(browser, site, scheme) -> None:
    site.app.inspecting.teach("good", [laid_part(seed) for seed in range(8)])
    with Visitor(browser, site.url, width=360, scheme=scheme, path="/inspect") as visitor:
        visitor.page.locator("#corrections").wait_for()
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == 360
        box = visitor.page.locator("#shutter").bounding_box()
        assert box["y"] + box["height"] <= 740  # the button that matters is on the first screen
        visitor.shoot(f"inspected-360-{scheme}", whole=True)


@pytest.mark.parametrize("width", [1280, 360])
def test_a_wrong_label_is_found_and_put_right_on_the_page(browser, site, width) -> None:
    learner = site.app._learner
    learner.add("kite", embeddings("kite", 20))
    wrong = learner.add("kite", embeddings("box", 2, start=900))
    site.app.retrain(accept_scene_change=True)
    unconfirmed(learner.store)
    with Visitor(browser, site.url, width=width, path="/#/things") as visitor:
        page = visitor.page
        page.get_by_role("button", name="Check what was taught").click()
        cards = page.locator("#taught-list .batch", has_text="Taught as kite, looks like box")
        cards.nth(1).wait_for()
        assert "look mislabelled" in page.locator("#taught-message").inner_text()
        row = page.locator("#taught-classes tr", has_text="kite")
        assert "of 22" in row.inner_text()
        lines = "e => { const text = document.createRange(); text.selectNodeContents(e); return text.getClientRects().length }"
        assert [cell.evaluate(lines) for cell in row.locator("td:not(.note)").all()] == [1, 1]  # no figure is broken
        page.locator("#taught-title").scroll_into_view_if_needed()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        visitor.shoot(f"mislabelled-{width}", whole=True)
        before = cards.count()
        cards.first.get_by_role("button", name="It is box").click()
        page.locator("#taught-message", has_text="Moved to box.").wait_for()
        cards.first.get_by_role("button", name="It is kite").click()
        page.locator("#taught-message", has_text="Kept as kite").wait_for()
        assert cards.count() == before - 2
        until(lambda: len(site.app.samples("kite")) == 21)
    assert len(wrong) == 2


def test_a_device_without_frames_to_review_says_so(browser, site) -> None:
    site.app.reviewing.stop()
    site.app.reviewing.drop()
    with Visitor(browser, site.url, path="/#/review") as visitor:
        visitor.page.locator("#review-empty", has_text="Nothing to review").wait_for()
        assert visitor.page.locator("#review-help").is_hidden() and visitor.page.locator("#review-all").is_hidden()


def test_the_table_of_what_was_taught_breaks_no_word_on_a_german_phone(browser, site) -> None:
    site.app._learner.add("Gänseblümchen", embeddings("kite", 3))
    site.app._learner.add("box", embeddings("box", 2, start=900))
    site.app.retrain(accept_scene_change=True)
    with Visitor(browser, site.url, 360, path="/#/things", locale="de-DE") as visitor:
        visitor.page.get_by_role("button", name="Angelerntes prüfen").click()
        names = visitor.page.locator("#taught-classes th")
        names.first.wait_for()
        assert all(name.bounding_box()["height"] < 30 for name in names.all())  # one line each
        notes = visitor.page.locator("#taught-classes .note:not(:empty)").all()
        assert notes and all(note.bounding_box()["width"] > 200 for note in notes)
        assert visitor.page.evaluate("document.documentElement.scrollWidth") == 360
        visitor.shoot("taught-360-de", whole=True)


@pytest.mark.parametrize("width", [1280, 360])
def test_frames_it_was_unsure_of_are_labelled_and_dropped_many_at_once(browser, site, width) -> None:
    site.app.reviewing.stop()  # so that the frames are those of this test
    site.app.reviewing.drop()
    learner, whys = site.app._learner, itertools.cycle(("unknown", "uncertain", "differs"))
    for kind, count in (("kite", 8), ("ring", 3)):
        for number, raw in enumerate(embeddings(kind, count)):
            jpeg = thumbnail(draw(kind, 100 + number))
            frame = ReviewFrame(learner.bundle.backbone_digest, "", "", next(whys), "ball", 0.55, raw, jpeg)
            assert learner.store.review.keep(frame, learner.runtime)
    frames = site.app.reviewing.frames()
    kites = {frame.jpeg for frame in frames if frame.id <= 8}
    with Visitor(browser, site.url, width=width, expected=(409,), path="/#/review") as visitor:
        page = visitor.page
        tiles = page.locator("#review-grid .sample")
        tiles.nth(10).wait_for()
        assert [int(tile.get_attribute("value")) for tile in tiles.all()] == [frame.id for frame in frames]
        for number in range(1, 9):  # the kites
            page.locator(f"#review-grid .sample[value='{number}']").click()
        assert page.locator("#review-selected").inner_text() == "8 selected"
        page.locator("#review-tools").scroll_into_view_if_needed()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        visitor.shoot(f"review-{width}")
        page.fill("#review-label", "bal")  # a slip
        page.keyboard.press("Enter")
        page.locator("#confirm-text", has_text="Did you mean ball?").wait_for()
        page.locator("#confirm [value=no]").click()
        assert len(site.app.reviewing.frames()) == 11
        page.fill("#review-label", "kite")
        page.get_by_role("button", name="Teach", exact=True).click()
        page.locator("#result", has_text="Labelled 8 frames as kite.").wait_for()
        visitor.shoot(f"review-labelled-{width}")
        page.get_by_role("button", name="Undo").click()
        page.locator("#result", has_text="Undone: 8 frames are back in review.").wait_for()
        until(lambda: tiles.count() == 11)
        assert not site.app.samples("kite")
        for frame in site.app.reviewing.frames():
            if frame.jpeg in kites:
                page.locator(f"#review-grid .sample[value='{frame.id}']").click()
        page.fill("#review-label", "kite")
        page.keyboard.press("Enter")
        page.locator("#result", has_text="Labelled 8 frames as kite.").wait_for()
        assert page.evaluate("document.activeElement.id") == "review"
        visitor.go("things")
        page.locator("#samples-grid .sample", has_text="kite").nth(7).wait_for()
        visitor.go("review")
        page.get_by_role("button", name="Select all shown").click()
        page.get_by_role("button", name="None of these").click()
        page.locator("#confirm-text", has_text="Forget 3 frames?").wait_for()
        page.locator("#confirm [value=no]").click()
        assert len(site.app.reviewing.frames()) == 3
        page.get_by_role("button", name="None of these").click()
        page.locator("#confirm-yes").click()
        page.locator("#result", has_text="3 frames forgotten.").wait_for()
        until(lambda: tiles.count() == 0 and not site.app.reviewing.frames())
        assert len(site.app.samples("kite")) == 8


def test_a_frame_that_went_elsewhere_leaves_the_selection(browser, site) -> None:
    site.app.reviewing.stop()
    site.app.reviewing.drop()
    learner = site.app._learner
    for number, raw in enumerate(embeddings("kite", 4)):
        jpeg = thumbnail(draw("kite", 100 + number))
        frame = ReviewFrame(learner.bundle.backbone_digest, "", "", "unknown", "ball", 0.55, raw, jpeg)
        assert learner.store.review.keep(frame, learner.runtime)
    with Visitor(browser, site.url, expected=(400,), path="/#/review") as visitor:
        page = visitor.page
        tiles = page.locator("#review-grid .sample")
        tiles.nth(3).wait_for()
        for number in (0, 1, 2):
            tiles.nth(number).click()
        gone = int(tiles.nth(1).get_attribute("value"))
        tiles.nth(2).focus()
        site.app.reviewing.drop([gone])  # by another page, or a command
        page.fill("#review-label", "kite")
        page.get_by_role("button", name="Teach", exact=True).click()
        page.locator("#result[data-state=failed]", has_text="is kept for review").wait_for()
        page.locator("#review-selected", has_text="2 selected").wait_for()
        assert tiles.count() == 3
        page.locator("#places [data-place=review] .waiting", has_text="3").wait_for()
        page.get_by_role("button", name="Teach", exact=True).click()
        page.locator("#result", has_text="Labelled 2 frames as kite.").wait_for()


def test_review_is_done_with_the_keyboard_alone(browser, site) -> None:
    site.app.reviewing.stop()
    site.app.reviewing.drop()
    learner = site.app._learner
    (raw,) = embeddings("kite", 1)
    frame = ReviewFrame(
        learner.bundle.backbone_digest, "", "", "unknown", "ball", 0.5, raw, thumbnail(draw("kite", 100))
    )
    assert learner.store.review.keep(frame, learner.runtime)
    # The browser may ask for the frame's picture only when the frame is a sample already.
    with Visitor(browser, site.url, path="/#/review", expected=(404,)) as visitor:
        page = visitor.page
        page.locator("#review-grid .sample").focus()
        page.keyboard.press("Space")
        page.locator("#review-label").focus()
        page.keyboard.type("kite")
        page.keyboard.press("Enter")
        page.locator("#result", has_text="Labelled 1 frame as kite.").wait_for()
        assert len(site.app.samples("kite")) == 1
