"""The page of a race in Chromium: it opens by itself, quickly, and everything that can be pressed does what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from paged import CARDS, HOSTILE, ODD, Made, large, race
from playwright.sync_api import Browser, Page

from browsing import serious
from gradrace import import_runs
from gradrace.report.page import page, page_document
from gradrace.report.words import words
from gradrace.store import open_store

PICTURES = ("sensitivity", "learning", "budget", "rungs")

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a race; in the end nothing but the file was asked for, and nothing went wrong."""
    contexts, wrong, asked = [], [], []

    def opened(made: Made, lang: str = "en", **options: Any) -> Page:
        path = tmp_path / "race.html"
        path.write_text(page(page_document(*made, CARDS), lang), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: wrong.append(message.text))
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.on("request", lambda request: asked.append(request.url))
        shown.goto(path.as_uri())
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
    assert set(asked) == {(tmp_path / "race.html").as_uri()}


def see_pictures(shown: Page) -> None:
    """Scrolls to every picture, and waits until it is drawn."""
    for name in PICTURES:
        shown.evaluate("name => document.getElementById(name).scrollIntoView()", name)
        shown.wait_for_selector(f"#{name} .main-svg", state="attached", timeout=30_000)


def labels(shown: Page) -> list[str]:
    return [text.strip() for text in shown.locator("#standings tbody th").all_inner_texts()]


def test_the_page_shows_the_race(open_page: Open) -> None:
    shown = open_page(race())
    see_pictures(shown)
    assert shown.inner_text("#sentence").startswith(
        "Use a: it scored best on w (test accuracy 0.92), detectably better"
    )
    assert labels(shown) == ["a", "b"]
    assert "0.92" in shown.inner_text("#standings tbody tr:first-child")
    assert "[0.8952, 0.9448]" in shown.inner_text("#standings tbody tr:first-child")
    assert shown.locator("#pairs td.won").count() == shown.locator("#pairs td.lost").count() == 1
    # Each of 12 tuning trials of two contenders is a point; there are no diverged ones.
    assert shown.locator("#sensitivity .scatterlayer .point").count() == 24
    assert shown.inner_text("#target tbody tr:first-child").split("\t")[-1] == "6 of 6"
    assert shown.locator("#cards article").count() == 1
    assert shown.get_attribute("#sensitivity [role=img]", "aria-label") is not None


def test_pictures_in_view_before_the_page_is_read_are_drawn_when_it_is(browser: Browser) -> None:
    text = page(page_document(*race(), CARDS)).encode()
    half = text.index(b'id="library"') + 100_000

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text[:half])
            seen.wait(10)
            self.wfile.write(text[half:])

        def log_message(self, format: str, *args: Any) -> None:
            return

    seen = Event()
    with HTTPServer(("127.0.0.1", 0), Slow) as server:
        Thread(target=server.handle_request, daemon=True).start()
        context = browser.new_context(viewport={"width": 1280, "height": 6000})
        shown = context.new_page()
        wrong: list[str] = []
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.goto(f"http://127.0.0.1:{server.server_port}", wait_until="commit")
        shown.wait_for_selector("#sensitivity .picture", timeout=30_000)
        shown.wait_for_timeout(300)
        seen.set()
        shown.wait_for_selector("#sensitivity .main-svg", state="attached", timeout=30_000)
        context.close()
    assert wrong == []


def test_the_title_of_what_is_jumped_to_is_not_covered(open_page: Open) -> None:
    shown = open_page(race(), reduced_motion="reduce")
    shown.click("nav a[href='#learning']")
    under = "document.getElementById('chips').getBoundingClientRect().bottom"
    shown.wait_for_function(f"() => document.getElementById('learning-title').getBoundingClientRect().top >= {under}")
    shown.wait_for_function("() => document.getElementById('learning-title').getBoundingClientRect().top < 300")


def test_standings_are_sorted_by_mouse_and_keyboard(open_page: Open) -> None:
    shown = open_page(race())
    assert shown.locator("#standings .bracket").count() == 0
    shown.click("#standings [data-sort=test]")
    assert labels(shown) == ["b", "a"]
    assert shown.get_attribute("#standings th[aria-sort]", "aria-sort") == "ascending"
    shown.keyboard.press("Enter")  # the button kept the focus
    assert labels(shown) == ["a", "b"]
    assert shown.get_attribute("#standings th[aria-sort]", "aria-sort") == "descending"


def test_language_is_switched_in_every_word(open_page: Open) -> None:
    shown = open_page(race())
    see_pictures(shown)
    shown.click("#languages [lang=ko]")
    assert shown.get_attribute("html", "lang") == "ko"
    korean = words("ko")
    for name in ("standings", *PICTURES, "trials", "how"):
        assert shown.inner_text(f"#{name} h2") == korean[f"{name}.title"]
    left = {text for key, text in words("en").items() if text != korean[key] and len(text) > 12 and "{" not in text}
    told = shown.inner_text("body")
    assert [text for text in left if text in told] == []
    shown.click("#languages [lang=en]")
    assert shown.inner_text("#standings h2") == "Standings"


@pytest.mark.parametrize("tuned", [False, True])
def test_imported_runs_are_shown_as_what_they_are(open_page: Open, tmp_path: Path, tuned: bool) -> None:
    rows = [
        {"contender": label, "study": study, "seed": seed, "accuracy": value + study / 100 + seed / 1000, "lr": 0.1}
        for label, value in (("a", 0.9), ("b", 0.8))
        for study in range(3)
        for seed in (1, 2)
    ]
    if tuned:
        rows += [{**row, "stage": "tuning", "lr": 10.0 ** -row["seed"], "steps": 5} for row in rows]
    result = import_runs(rows, metric="accuracy", store=tmp_path / "races.db")
    with open_store(tmp_path / "races.db", must_exist=True) as store:
        made = store.race(result.id), store.outcomes(result.id), store.notes(result.id)
    shown = open_page(made)
    assert f"{len(rows)} runs of 2 contenders" in shown.inner_text("#how")
    assert "gradrace trained none of them" in shown.inner_text("#how")
    assert "t test of paired differences" in shown.inner_text("#verdict-body")
    told = shown.inner_text("body")
    assert not [
        word for word in ("NaN", "undefined", "the same number of trials each time", "equal budgets") if word in told
    ]
    assert labels(shown) == ["a", "b"]
    for name in ("sensitivity", "budget") if tuned else ():
        shown.evaluate("name => document.getElementById(name).scrollIntoView()", name)
        shown.wait_for_selector(f"#{name} .main-svg", state="attached", timeout=30_000)
    shown.click("#languages [lang=ko]")
    assert "gradrace가 학습한 실행은 없습니다" in shown.inner_text("#how")


@pytest.mark.slow
def test_it_opens_in_the_language_asked_for(open_page: Open) -> None:
    shown = open_page(race(), lang="ko")
    assert shown.inner_text("#copy") == words("ko")["verdict.copy"]


@pytest.mark.slow
def test_theme_follows_the_system_and_the_switch(open_page: Open) -> None:
    shown = open_page(race(), color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = shown.evaluate(ground)
    shown.click("#theme")
    light = shown.evaluate(ground)
    assert (dark, light) == ("rgb(16, 19, 23)", "rgb(246, 247, 249)")
    see_pictures(shown)
    ink = shown.evaluate("getComputedStyle(document.querySelector('#learning .xtick text')).fill")
    shown.click("#theme")
    shown.wait_for_function(
        "ink => getComputedStyle(document.querySelector('#learning .xtick text')).fill !== ink", arg=ink
    )


@pytest.mark.slow
def test_the_line_is_copied(open_page: Open) -> None:
    shown = open_page(race(), permissions=["clipboard-read", "clipboard-write"])
    shown.click("#copy")
    shown.wait_for_function("document.querySelector('.told').textContent === 'Copied'")
    assert shown.evaluate("navigator.clipboard.readText()") == "a0()"


@pytest.mark.slow
def test_trials_are_searched_filtered_and_opened(open_page: Open) -> None:
    shown = open_page(race())
    assert shown.inner_text("#found") == "36 of 36 trials"
    assert shown.locator("#rows tbody tr").count() == 25
    shown.click("#pager button:last-child")
    assert shown.locator("#rows tbody tr").count() == 11
    shown.fill("#search", "b tuning lr=0.1")
    assert shown.inner_text("#found") == "3 of 36 trials"
    shown.fill("#search", "")
    shown.locator("#trials select").nth(1).select_option("2")
    assert shown.inner_text("#found") == "12 of 36 trials"
    shown.fill("#search", "nothing like this")
    assert shown.inner_text("#rows") == "No trial matches."
    shown.fill("#search", "")
    shown.locator("#rows button").nth(2).focus()
    shown.keyboard.press("Enter")
    shown.wait_for_selector("#curve .main-svg", state="attached")
    assert shown.locator("#curve .point").count() == 2
    shown.keyboard.press("Enter")
    assert shown.locator("#curve").count() == 0


@pytest.mark.slow
def test_contenders_are_hidden_and_shown(open_page: Open) -> None:
    shown = open_page(race())
    see_pictures(shown)
    points = shown.locator("#sensitivity .scatterlayer .point")
    shown.click("#chips button:first-of-type")
    shown.wait_for_function("document.querySelectorAll('#sensitivity .scatterlayer .point').length === 12")
    assert shown.get_attribute("#chips button:first-of-type", "aria-pressed") == "false"
    shown.click("#sensitivity .choice button:first-of-type")
    shown.wait_for_function("document.querySelectorAll('#sensitivity .scatterlayer .point').length === 24")
    assert points.count() == 24


@pytest.mark.slow
def test_the_keyboard_reaches_everything(open_page: Open) -> None:
    shown = open_page(race())
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(80):
        shown.keyboard.press("Tab")
        reached.add(shown.evaluate("document.activeElement.id || document.activeElement.dataset.sort || ''"))
    assert {"theme", "copy", "search", "test", "trial-0"} <= reached


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_odd_races_open(name: str, open_page: Open) -> None:
    shown = open_page(ODD[name]())
    see = shown.inner_text("#sentence")
    assert see == page_document(*ODD[name]())["sentences"]["en"]["verdict"]
    for section in PICTURES:
        shown.evaluate("name => document.getElementById(name).scrollIntoView()", section)
    shown.wait_for_timeout(300)
    if name in ("all_diverged", "empty"):
        assert shown.locator("#learning .main-svg, #budget .main-svg").count() == 0
    if name == "hostile":
        assert labels(shown)[0] == HOSTILE
        assert shown.locator("main b:not(svg b)").count() == 0
        shown.fill("#search", "alert(1) failed")
        assert HOSTILE in shown.inner_text("#rows .error")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(theme: Any, open_page: Open) -> None:
    shown = open_page(race(), color_scheme=theme)
    see_pictures(shown)
    assert serious(shown) == []


@pytest.mark.slow
def test_a_phone_does_not_scroll_sideways(open_page: Open) -> None:
    shown = open_page(race(), viewport={"width": 360, "height": 740})
    see_pictures(shown)
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_a_thousand_trials_are_quickly_there(open_page: Open) -> None:
    """Interactive: what can be pressed is drawn and listens. It takes a fifth of this on an idle machine."""
    shown = open_page(large(1_000, 20))
    assert shown.evaluate("performance.getEntriesByType('navigation')[0].domInteractive") < 1500
    see_pictures(shown)
    shown.fill("#search", "a 0.5")
    assert "of 1,000 trials" in shown.inner_text("#found")


@pytest.mark.slow
def test_on_paper_every_picture_is_there(open_page: Open) -> None:
    shown = open_page(race(), color_scheme="dark")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    for name in PICTURES:
        shown.wait_for_selector(f"#{name} .main-svg", state="attached", timeout=30_000)
    assert shown.get_attribute("html", "data-theme") == "light"
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.get_attribute("html", "data-theme") == "dark"
