"""Film the page while it is taught: real Chromium, the running app and the rendered parts.

Writes ``teaching.webp``, and ``_static/page-on-a-phone.jpg`` with three of its tabs.

    python docs/make_teaching_animation.py

A bundle that knows four kinds of machine parts watches gears; then hinges come, which it has never seen. Somebody types
a name, holds the button for a second, and the device recognises hinges. The README shows the result.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "docs" / "teaching.webp"
VIEWS = ROOT / "docs" / "_static" / "page-on-a-phone.jpg"
PHONE = {"width": 360, "height": 740}
GAP = 24  # pixels between two tabs
KNOWN = ("bolt", "gear", "nut", "spring")
SIZE = {"width": 1040, "height": 790}  # of the browser's window, pixels
WIDTH = 760  # of the film, pixels
FRAME_MS = 125
QUALITY = 60


class Belt:
    """Parts of one kind sliding by, until another kind is put on."""

    def __init__(self) -> None:
        self.kind = "gear"

    def __iter__(self) -> Iterator[Any]:
        from edgetl_device import parts

        streams = {kind: parts.stream(kinds=(kind,), seed=3) for kind in (*KNOWN, "hinge")}
        while True:
            picture, label = next(streams[self.kind])
            if label is not None:  # skip the empty bench
                yield picture


class Film:
    """Screenshots of a page, each with the milliseconds that it is shown."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.pictures: list[Any] = []
        self.durations: list[int] = []

    def shoot(self, times: int = 1, ms: int = FRAME_MS) -> None:
        for _ in range(times):
            data = np.frombuffer(self.page.screenshot(type="png"), np.uint8)
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
            height = round(picture.shape[0] * WIDTH / picture.shape[1])
            self.pictures.append(cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA))
            self.durations.append(ms)
            self.page.wait_for_timeout(ms // 2)

    def write(self, path: Path) -> None:
        film = cv2.Animation()
        film.frames, film.durations, film.loop_count = self.pictures, np.array(self.durations, np.int32), 0
        if not cv2.imwriteanimation(str(path), film, [cv2.IMWRITE_WEBP_QUALITY, QUALITY]):
            raise SystemExit(f"cannot write {path}")


def make_bundle(folder: Path) -> Path:
    """A bundle that knows :data:`KNOWN`, as `edgetl demo` makes it."""
    from click.testing import CliRunner

    from edgetl.cli import program
    from edgetl_device import parts

    parts.write_photos(folder / "photos", kinds=KNOWN, per_class=60)
    for command in (
        ["train", folder / "photos", "-o", folder / "run", "--weights", "builtin"],
        ["convert", folder / "run", "-o", folder / "parts.edgetl"],
    ):
        done = CliRunner().invoke(program, [str(word) for word in command], standalone_mode=False)
        if done.exception is not None:
            raise done.exception
    return folder / "parts.edgetl"


def teach(page: Any, belt: Belt, film: Film) -> None:
    """The story that the film tells."""
    page.locator("#label", has_text="gear").wait_for()
    film.shoot(10)
    belt.kind = "hinge"
    page.wait_for_timeout(700)
    film.shoot(12)
    page.locator("#teach-label").click()
    for letter in "hinge":
        page.keyboard.type(letter)
        film.shoot()
    page.locator("#shutter").hover()
    page.mouse.down()
    while page.locator("#film li[data-state=stored]").count() < 20:
        film.shoot()
    page.mouse.up()
    film.shoot()
    page.locator("#result[data-state=promoted]").wait_for()
    page.locator("#label", has_text="hinge").wait_for()
    film.shoot(8)
    belt.kind = "gear"
    page.locator("#label", has_text="gear").wait_for()
    film.shoot(12)
    film.shoot(1, 1500)


def shoot_tabs(browser: Any, url: str, path: Path) -> None:
    """Three tabs as a phone shows them, side by side."""
    pictures = []
    for view, ready, scheme in (
        ("watch", "#bars li", "light"),
        ("teach", "#chips button", "light"),
        ("review", "#review-grid img", "dark"),
    ):
        context = browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True)
        page = context.new_page()
        page.goto(f"{url}/#/{view}")
        page.locator(ready).first.wait_for()
        page.wait_for_timeout(1500)
        if view == "teach":
            page.locator("#chips button", has_text="hinge").tap()
        data = np.frombuffer(page.screenshot(type="png"), np.uint8)
        pictures += [cv2.imdecode(data, cv2.IMREAD_COLOR), np.full((PHONE["height"], GAP, 3), 255, np.uint8)]
        context.close()
    cv2.imwrite(str(path), np.hstack(pictures[:-1]), [cv2.IMWRITE_JPEG_QUALITY, 80])


def main() -> None:
    from playwright.sync_api import sync_playwright

    from edgetl_device.app.app import App
    from edgetl_device.camera import FakeCamera
    from edgetl_device.home import Home
    from edgetl_device.web import serve

    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("Chromium is not installed: apt install chromium")
    belt = Belt()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        home = Home(folder / "home")
        home.install(make_bundle(folder))
        # Chromium's own sandbox does not run as root, as in containers.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        with App(home, FakeCamera(belt, fps=8, finite=False)) as app, serve(app, port=0) as server:
            page = browser.new_page(viewport=SIZE, color_scheme="light")
            page.goto(server.url + "/#/teach")
            film = Film(page)
            teach(page, belt, film)
            shoot_tabs(browser, server.url, VIEWS)
        browser.close()
        film.write(OUTPUT)
    seconds = sum(film.durations) / 1e3
    print(
        f"{OUTPUT}: {len(film.pictures)} pictures, {seconds:.0f} s, {OUTPUT.stat().st_size / 1e6:.2f} MB",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
