"""The page's words: each language has them all, no module holds any, and a person reads the page in their own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from browser import Visitor, chromium
from web_site import running, until

import edgetl_device.web

STATIC = Path(edgetl_device.web.__file__).parent / "static"
MODULES = sorted(path for path in STATIC.glob("*.js"))
PAGES = sorted(STATIC.glob("*.html"))
LANGUAGES = sorted(path.stem for path in (STATIC / "strings").glob("*.js"))
VIEWS = ("watch", "teach", "review", "things", "history", "settings")

Words = dict[str, str | dict[str, str]]

# What reads like words and is none: keys, names that browsers give, and faults of the page itself.
NO_WORDS = {"Enter", "Escape", "Files", "Error", "NotAllowedError", "English", "Deutsch"}
OF_PROGRAMS = ("no element #", "no words for ")


def words_of(language: str) -> Words:
    """The object that a module of words exports."""
    text = (STATIC / "strings" / f"{language}.js").read_text()
    body = re.sub(r"^//.*$", "", text, flags=re.MULTILINE).strip()
    body = body.removeprefix("export default").rstrip(";\n ")
    body = re.sub(r"(?<=[{,\n])(\s*)(\w+):(?= |\n)", r'\1"\2":', body)
    return json.loads(re.sub(r",(\s*[}\]])", r"\1", body))


def placeholders(words: str | dict[str, str]) -> set[str]:
    return {
        name
        for text in ([words] if isinstance(words, str) else words.values())
        for name in re.findall(r"\{(\w+)\}", text)
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_words_with_the_same_values(language: str) -> None:
    english, other = words_of("en"), words_of(language)
    assert list(other) == list(english), "the same keys in the same order"
    for key, words in english.items():
        assert placeholders(other[key]) == placeholders(words), key
        assert isinstance(other[key], dict) == isinstance(words, dict), key
        forms = other[key].values() if isinstance(other[key], dict) else [other[key]]
        assert all(text.strip() for text in forms), key


def test_the_language_names_itself_and_is_offered() -> None:
    offered = re.search(r"LANGUAGES = \{(.*?)\}", (STATIC / "words.js").read_text())
    assert offered and sorted(re.findall(r"(\w+): ", offered[1])) == LANGUAGES


def literals(code: str) -> Iterator[tuple[str, str]]:
    """The string literals of a module, each with what stands before it; values in templates are left out."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`', re.DOTALL)
    for found in token.finditer(code):
        text = found[1] if found[1] is not None else found[2]
        if text is not None:
            yield re.sub(r"\$\{[^}]*\}", "", text), code[max(0, found.start() - 40) : found.start()]


def reads_like_words(text: str, before: str) -> bool:
    if text in NO_WORDS or text.startswith(OF_PROGRAMS):
        return False
    if re.search(r"(className: |querySelector(All)?\(|closest\??\.?\(|matches\(|new RegExp\(|import\(|from )$", before):
        return False
    return bool(re.search(r"[A-Za-z]{2,}[,.:;]? +[A-Za-z]{2,}|^[A-Z][a-z]{2,}$|[a-z]{2,}…$", text))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_holds_words_of_its_own(path: Path) -> None:
    assert [text for text, before in literals(path.read_text()) if reads_like_words(text, before)] == []


def test_words_in_a_module_would_be_noticed() -> None:
    code = (
        'say(place, "Nothing was stored.");  h("b", { "aria-label": `Sample ${id} of ${label}`, textContent: "Undo" })'
    )
    assert sum(reads_like_words(*found) for found in literals(code)) == 3


class _Texts(HTMLParser):
    """What a page says by itself, outside of <noscript>."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.keys: set[str] = set()
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag == "noscript"
        for name, value in attrs:
            if name in ("aria-label", "placeholder", "title", "alt") and value:
                self.texts.append(value)
            if name == "data-t" or name.startswith("data-t-"):
                self.keys.add(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag == "noscript"

    def handle_data(self, data: str) -> None:
        if not self._silent and re.search(r"[A-Za-z]", data):
            self.texts.append(data.strip())


def test_pages_hold_no_words_and_every_word_has_a_use() -> None:
    used, begun = set(), set()
    for page in PAGES:
        parser = _Texts()
        parser.feed(page.read_text())
        assert set(parser.texts) == {"edgetl"}, page.name
        used |= parser.keys
    for path in MODULES:
        for text, before in literals(path.read_text()):
            del before
            used.add(text)
        used |= set(re.findall(r'\bt\("([^"]+)"', path.read_text()))
        begun |= set(re.findall(r"t\(`([\w.-]+)\$\{", path.read_text()))
    words = words_of("en")
    assert {key for key in words if key not in used and not key.startswith(tuple(begun))} == set()
    asked = {key for path in PAGES for key in re.findall(r'data-t(?:-\w+)?="([^"]*)"', path.read_text())}
    asked |= {key for path in MODULES for key in re.findall(r'\bt\("([^"]+)"', path.read_text())}
    assert asked <= set(words)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.mark.slow
def test_the_page_speaks_the_browser_s_language_or_the_one_that_was_chosen(browser, home) -> None:
    with running(home, fps=20) as site:
        with Visitor(browser, site.url, locale="de-AT", path="/#/teach") as visitor:
            page = visitor.page
            page.locator("#shutter", has_text="Zum Aufnehmen halten").wait_for()
            assert page.evaluate("document.documentElement.lang") == "de" and page.title().startswith("Anlernen · ")
            visitor.go("settings")
            page.locator("#reliability-bands td", has_text=re.compile(r"^\d+\s%$")).first.wait_for()
            assert re.search(r"\d,\d ms", page.locator("#facts").inner_text())  # a comma, as in German
            page.select_option("#language", "en")
            page.locator("#language-title, #page-title", has_text="This page").wait_for()
            assert page.evaluate("document.documentElement.lang") == "en"
            page.reload()
            page.locator("#page-title", has_text="This page").wait_for()  # remembered
            page.select_option("#language", "")
            page.locator("#page-title", has_text="Diese Seite").wait_for()
        with Visitor(browser, site.url, locale="fi-FI") as visitor:
            visitor.page.locator("#title", has_text="Watch").wait_for(state="attached")


@pytest.mark.slow
def test_what_became_of_a_lesson_is_told_in_german(browser, home) -> None:
    with (
        running(home, kind="kite", fps=20) as site,
        Visitor(browser, site.url, locale="de-DE", path="/#/teach") as visitor,
    ):
        page, result = visitor.page, visitor.page.locator("#result")
        visitor.sees("Unbekannt")
        page.fill("#teach-label", "kite")
        page.locator("#shutter").click()
        result.locator("strong", has_text="kite: 5 Beispiele, gelernt in").wait_for()
        assert "classes" not in result.inner_text() and "learned" not in result.inner_text()
        site.scene.kind = "ball"
        visitor.sees("ball")
        page.fill("#teach-label", "box")
        page.locator("#shutter").click()
        result.locator("strong", has_text="Nicht gelernt").wait_for()
        assert "sehen aus wie ball. 5 Beispiele sind bis zur Entscheidung" in result.inner_text()
        visitor.go("review")
        page.locator("#pending .detail", has_text="Nicht gelernt: sie sehen aus wie ball.").wait_for()
        page.locator("#pending .batch .danger").click()
        result.locator("strong", has_text="5 Beispiele vergessen.").wait_for()
        visitor.go("things")
        until(lambda: page.locator("#samples-grid .sample").count() == 5)  # the others are gone
        page.locator("#samples-grid .sample").first.click()
        page.locator("#samples-forget").click()
        page.locator("#confirm-yes").click()
        result.locator("strong", has_text="1 Beispiel vergessen.").wait_for()
        assert "classes" not in result.inner_text()
        visitor.go("settings")
        page.locator("#versions-list .why-not").nth(3).wait_for()
        assert page.locator("#versions-list .why-not").all_inner_texts() == [
            "5 Beispiele von box vergessen; 1 Beispiel von kite vergessen",
            "5 Beispiele von box zurückgestellt, sie sehen aus wie ball",
            "kite gelernt (5 Beispiele)",
            "aus dem Bundle",
        ]


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 768, 1000, 1280])
def test_german_fits_too(browser, home, width: int) -> None:
    with running(home, fps=20) as site, Visitor(browser, site.url, width, locale="de-DE", path="/#/watch") as visitor:
        page = visitor.page
        visitor.sees("ball")
        page.locator("#places [data-place=inspect]").wait_for()
        for view in VIEWS:
            visitor.go(view)
            page.wait_for_timeout(300)
            assert page.evaluate("document.documentElement.scrollWidth") == width, view
            visitor.shoot(f"de-{view}-{width}", whole=view not in ("watch", "teach"))
        overlap = (
            "[...document.querySelectorAll('#places a span:not(.unseen)')].filter(e => e.offsetParent)"
            ".map(e => e.getBoundingClientRect()).some((r, i, all) => i && r.left < all[i - 1].right && r.top === all[i - 1].top)"
        )
        assert not page.evaluate(overlap), "names of places run into each other"
        until(lambda: page.evaluate("document.documentElement.lang") == "de")
