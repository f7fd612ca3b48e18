"""Debian's Chromium, driven by Playwright, for tests that are a visitor of the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SHOTS = Path(__file__).parents[2] / "build" / "browser"
PATIENCE_MS = 30_000  # a loaded machine of two cores


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (a [dev] extra)")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        # Chromium's own sandbox does not run as root, as in containers.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        # A camera of the browser's own, a turning disc, that nobody has to allow.
        options += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


class Visitor:
    """One page in one browser context; at the end nothing may have gone wrong in it.

    Args:
        browser: of :func:`chromium`.
        url: of the site; every request must go there.
        width: of the window, pixels.
        scheme: ``light`` or ``dark``.
        expected: statuses that are answers to what the test does, such as a wrong password's 401.
        path: of the page, such as ``/#/teach``.
        locale: of the browser.
        options: more of the browser context.
    """

    def __init__(
        self,
        browser: Any,
        url: str,
        width: int = 1280,
        scheme: str = "light",
        expected: tuple[int, ...] = (),
        path: str = "",
        locale: str = "en-GB",
        **options: Any,
    ) -> None:
        heights = {360: 740, 768: 1024}
        self.url, self.expected, self.path = url, expected, path
        self.problems: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": heights.get(width, 800)},
            color_scheme=scheme,
            reduced_motion="reduce",  # what is measured and shot does not move
            has_touch=width < 500,
            locale=locale,
            **options,
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self._console(message))
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", lambda request: self._request(request.url))
        self.page.on("websocket", lambda socket: self._request(socket.url.replace("ws", "http", 1)))

    def __enter__(self) -> Visitor:
        self.page.goto(self.url + self.path)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.shoot("failed")
        else:
            self.page.evaluate("0")  # what was said until now has arrived
        problems = list(self.problems)
        self.context.close()  # a connection that the page just opens is cut off, and the browser warns of it
        if kind is None:
            assert not problems, problems

    def sees(self, text: str) -> None:
        """Wait until the verdict over the picture says so."""
        self.page.locator("#label", has_text=text).wait_for()

    def go(self, view: str) -> None:
        """Open another view of the page, as a visitor does."""
        self.page.locator(f"#places [data-place={view}]").click()
        self.page.locator(f"body[data-view={view}]").wait_for()

    def shoot(self, name: str, whole: bool = False) -> Path:
        """A screenshot under ``build/browser``."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        path = SHOTS / f"{name}.png"
        if whole:
            self.page.evaluate("scrollTo(0, 0)")
        self.page.screenshot(path=path, full_page=whole)
        return path

    def _console(self, message: Any) -> None:
        excused = any(f"status of {status}" in message.text for status in self.expected)
        if message.type in ("error", "warning") and not excused:
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", f"blob:{self.url}/")):
            self.problems.append(f"a request to {url}")
