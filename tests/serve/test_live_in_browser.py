"""The live pages in Chromium: a race grows before one's eyes, and what the reader does to the page stays."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from serving import ID, OTHER, SAID, Served, enter, finish, finished, serving, until, write

from browsing import serious
from gradrace.report.words import words
from gradrace.store import Store, open_store
from report.stored_race import tuned

HOSTILE = "</script><script>alert(1)</script><b>x</b>"
SOON = 15_000

Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a page of a server; in the end nothing but the server was asked, and nothing went wrong."""
    contexts, wrong, asked = [], [], set()

    def opened(served: Served, path: str, quietly: bool = True, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        shown = context.new_page()
        if quietly:
            shown.on("console", lambda message: wrong.append(message.text))
        shown.on("pageerror", lambda error: wrong.append(str(error)))
        shown.on("request", lambda request: asked.add("/".join(request.url.split("/")[:3])))
        shown.goto(f"{served.origin}{path}")
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
    assert {address for address in asked if not re.match(r"http://127\.0\.0\.1:\d+$|data:", address)} == set()


def begun(store: Store, done: int = 9, **options: Any) -> None:
    """A race that runs, as its process has told."""
    enter(store, **options)
    store.beat(ID, "one", {**SAID, "trials_done": done})


def sees(shown: Page, selector: str, text: str) -> None:
    found = "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)"
    shown.wait_for_function(found, arg=[selector, text], timeout=SOON)


def test_a_race_grows_until_its_verdict_without_a_reload(store: Store, served: Served, open_page: Open) -> None:
    begun(store)
    shown = open_page(served, f"/race/{ID}")
    shown.evaluate("window.same = true")
    sees(shown, "#strip", "running")
    sees(shown, "#strip", "9 of 24 trials")
    sees(shown, "#strip", "90 trial-steps/s")
    sees(shown, "#strip", "6 seconds")
    # Not at once: the document may come before the first news, and is then asked for again.
    sees(shown, "#sentence", words("en", "live")["live.sentence_running"])
    assert shown.inner_text("#standings-body") == words("en")["standings.none"]

    write(store, tuned()[:12], "first")
    store.beat(ID, "one", {**SAID, "trials_done": 12})
    sees(shown, "#strip", "12 of 24 trials")
    sees(shown, "#standings-body tbody tr:first-child", "0.9")
    assert "not final" in shown.inner_text("#standings-body")
    sees(shown, "#found", "12 of 12 trials")
    shown.evaluate("document.getElementById('learning').scrollIntoView()")
    shown.wait_for_selector("#learning .main-svg", state="attached", timeout=SOON)
    lines = "document.querySelectorAll('#learning .scatterlayer .trace').length"
    assert shown.evaluate(lines) == 3  # of "a" alone: two edges of a band, and its line

    write(store, tuned()[12:], "second")
    shown.wait_for_function(f"() => {lines} === 6", timeout=SOON)
    finish(store)
    sees(shown, "#sentence", "Use a: it scored best on w")
    assert shown.inner_text("#standings tbody tr:first-child").startswith("1")
    sees(shown, "#strip", "finished")
    assert shown.locator("#act").count() == 0
    assert shown.evaluate("window.same") is True
    assert shown.locator("#pairs td.won").count() == 1


def test_what_the_reader_did_stays_while_it_grows(store: Store, served: Served, open_page: Open) -> None:
    begun(store)
    write(store, tuned()[:12], "first")
    shown = open_page(served, f"/race/{ID}")
    sees(shown, "#found", "12 of 12 trials")
    shown.evaluate("document.getElementById('rungs').scrollIntoView()")
    shown.wait_for_selector("#rungs .main-svg", state="attached", timeout=SOON)
    shown.click("#rungs summary")
    shown.click("#chips button:nth-of-type(2)")
    shown.fill("#search", "lr=0.1")
    sees(shown, "#found", "3 of 12 trials")
    shown.locator("#trials select").first.select_option(label="a")
    shown.locator("#rows button").nth(1).click()
    shown.wait_for_selector("#curve .main-svg", state="attached", timeout=SOON)
    row = shown.inner_text("#rows tr:has([aria-expanded=true])")
    shown.focus("#search")
    shown.evaluate("window.box = document.querySelector('#rungs .picture')")

    write(store, tuned()[12:], "second")
    sees(shown, "#found", "3 of 24 trials")
    assert shown.evaluate("document.activeElement.id") == "search"
    assert shown.input_value("#search") == "lr=0.1"
    assert shown.get_attribute("#rungs details", "open") is not None
    assert shown.get_attribute("#chips button:nth-of-type(2)", "aria-pressed") == "false"
    assert shown.inner_text("#rows tr:has([aria-expanded=true])") == row
    assert shown.evaluate("window.box === document.querySelector('#rungs .picture')") is True

    shown.focus("#chips button:nth-of-type(1)")
    finish(store)  # standings may put the contenders into another order: colours, filters and the open row stay
    colour = shown.get_attribute("#chips button:nth-of-type(1) path", "fill")
    sees(shown, "#sentence", "Use a")
    assert shown.get_attribute("#chips button:nth-of-type(1) path", "fill") == colour
    assert shown.evaluate("document.activeElement === document.querySelector('#chips button')") is True
    assert "a" in shown.inner_text("#rows tr:has([aria-expanded=true])")


def test_a_reload_loses_nothing(store: Store, served: Served, open_page: Open) -> None:
    begun(store)
    write(store, tuned()[:12], "first")
    shown = open_page(served, f"/race/{ID}")
    sees(shown, "#found", "12 of 12 trials")
    before = shown.inner_text("#standings-body")
    shown.reload()
    sees(shown, "#found", "12 of 12 trials")
    sees(shown, "#strip", "9 of 24 trials")
    assert shown.inner_text("#standings-body") == before


def test_a_server_that_goes_leaves_the_page_and_one_that_comes_goes_on(
    store: Store, path: Path, open_page: Open
) -> None:
    begun(store)
    write(store, tuned()[:12], "first")
    with serving(path) as served:
        shown = open_page(served, f"/race/{ID}", quietly=False)  # the browser itself complains of the server's end
        sees(shown, "#found", "12 of 12 trials")
        table = shown.inner_text("#standings-body")
    sees(shown, "#connection", "What is shown stays")
    assert shown.inner_text("#standings-body") == table
    write(store, tuned()[12:], "second")
    store.beat(ID, "one", {**SAID, "trials_done": 24})
    with serving(path, port=served.port) as again:
        sees(shown, "#strip", "24 of 24 trials")
        sees(shown, "#found", "24 of 24 trials")
        assert shown.inner_text("#connection") == ""
        store.beat(ID, "one", {**SAID, "trials_done": 23})
        sees(shown, "#strip", "23 of 24 trials")
        shown.click("#act")  # with the word of the server that there is now
        until(lambda: store.beat(ID, "one", SAID))
        until(lambda: again.state()["stopping"])


def test_a_store_that_disappears_is_told_on_the_page(store: Store, served: Served, open_page: Open, path: Path) -> None:
    begun(store)
    write(store, tuned()[:12], "first")
    shown = open_page(served, f"/race/{ID}", quietly=False)  # the browser itself complains of answers that are errors
    sees(shown, "#found", "12 of 12 trials")
    for file in path.parent.glob("races.db*"):
        file.unlink()
    sees(shown, "#strip", "There is no store at")
    assert "12 of 12 trials" in shown.inner_text("#found")


def test_races_that_cannot_go_on_have_a_sentence_and_no_button(store: Store, served: Served, open_page: Open) -> None:
    enter(store, reference="object")
    store.set_status(ID, "interrupted")
    shown = open_page(served, f"/race/{ID}")
    sees(shown, "#strip", "It cannot be resumed from here. Race")
    assert shown.locator("#act").count() == 0


def test_the_list_shows_what_runs_and_follows_a_race(store: Store, served: Served, open_page: Open) -> None:
    finished(store, OTHER)
    shown = open_page(served, f"/?follow={SAID['process']}")
    sees(shown, "#races tbody tr", "Use a: it scored best on w")
    assert "being prepared" in shown.inner_text("#where")
    begun(store)
    shown.wait_for_url(f"**/race/{ID}", timeout=SOON)
    sees(shown, "#strip", "running")
    shown.click("nav a >> nth=0")
    sees(shown, "#races tbody tr:first-child", "tuning: 9 of 24 trials")
    assert [row.get_attribute("href") for row in shown.locator("#races a").all()] == [f"/race/{ID}", f"/race/{OTHER}"]
    shown.focus("#races tbody tr:first-child a")
    store.beat(ID, "one", {**SAID, "trials_done": 10})
    sees(shown, "#races tbody tr:first-child", "tuning: 10 of 24 trials")
    assert shown.evaluate("document.activeElement.innerText") == ID


def test_two_races_are_compared(store: Store, served: Served, open_page: Open) -> None:
    finished(store)
    finished(store, OTHER, label="c", steps=40)
    shown = open_page(served, "/")
    for id in (ID, OTHER):
        shown.locator(f"#races tr:has-text('{id}') input").check()
    shown.click("#comparing a")
    shown.wait_for_selector("#rates-body .main-svg", state="attached", timeout=SOON)
    assert shown.locator("#rates-body .scatterlayer .trace").count() == 4
    assert [text.split(" ")[0] for text in shown.locator("#sides h2").all_inner_texts()] == ["A", "B"]
    assert "Use c" in shown.inner_text("#sides section:nth-of-type(2)")
    differences = shown.inner_text("#differences-body")
    assert re.search(r"steps\s+20\s+40", differences), differences


@pytest.mark.slow
def test_labels_that_are_html_stay_text(store: Store, served: Served, open_page: Open) -> None:
    begun(store, label=HOSTILE, workload=HOSTILE)
    for path in ("/", f"/race/{ID}", f"/compare?a={ID}&b={ID}"):
        shown = open_page(served, path)
        sees(shown, "main", "<b>x</b>")
        assert shown.locator("main b").count() == 0


@pytest.mark.slow
def test_the_language_is_switched_and_kept(store: Store, served: Served, open_page: Open) -> None:
    begun(store)
    write(store, tuned()[:12], "first")
    shown = open_page(served, f"/race/{ID}")
    sees(shown, "#strip", "running")
    shown.click("#languages [lang=ko]")
    korean, english = words("ko", "live"), words("en", "live")
    sees(shown, "#strip", korean["live.status_running"])
    left = [text for key, text in english.items() if len(text) > 8 and "{" not in text and text != korean[key]]
    told = shown.inner_text("body")
    assert [text for text in left if text in told] == []
    for path in ("/", f"/compare?a={ID}&b={ID}"):
        shown.goto(f"{served.origin}{path}")
        sees(shown, "h1", korean["live.races" if path == "/" else "compare.title"])
        shown.wait_for_timeout(500)
        told = shown.inner_text("body")
        assert [text for text in left if text in told] == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(theme: Any, store: Store, served: Served, open_page: Open) -> None:
    finished(store, OTHER)
    begun(store)
    write(store, tuned()[:12], "first")
    shown = open_page(served, f"/race/{ID}", quietly=False, color_scheme=theme)  # of one page there is none
    sees(shown, "#found", "12 of 12 trials")
    assert serious(shown) == []
    for path, ready in (("/", "#races tbody tr"), (f"/compare?a={ID}&b={OTHER}", "#sides section"), ("/no", "h1")):
        shown.goto(f"{served.origin}{path}")
        shown.wait_for_selector(ready)
        assert serious(shown) == []


@pytest.mark.slow
def test_a_phone_does_not_scroll_sideways(store: Store, served: Served, open_page: Open) -> None:
    finished(store, OTHER)
    begun(store)
    write(store, tuned()[:12], "first")
    for path in ("/", f"/race/{ID}", f"/compare?a={ID}&b={OTHER}"):
        shown = open_page(served, path, viewport={"width": 360, "height": 740})
        shown.wait_for_timeout(1500)
        assert shown.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.slow
def test_the_landscapes_walk_on_a_page_of_the_server(served: Served, open_page: Open) -> None:
    shown = open_page(served, "/")
    shown.click("nav a >> nth=1")
    shown.wait_for_selector("canvas", timeout=90_000)
    shown.wait_for_function("() => typeof RULES === 'object' && 'adam' in RULES", timeout=SOON)


@pytest.mark.slow
def test_a_real_race_is_stopped_and_resumed_from_its_page(path: Path, open_page: Open) -> None:
    words_of_race = ["race", "linear", "--optimizers", "sgd,adam", "--studies", "3", "--trials", "8", "--seeds", "2"]
    command = [sys.executable, "-m", "gradrace", *words_of_race, "--engine", "loop", "--steps", "400", "--lanes", "1"]
    process = subprocess.Popen(
        [*command, "--store", str(path), "--quiet"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with process, serving(path) as served:
        shown = open_page(served, f"/?follow={process.pid}")
        shown.wait_for_url("**/race/*", timeout=120_000)
        id = shown.url.rpartition("/")[2]
        sees(shown, "#strip", "trial-steps/s")
        shown.wait_for_function("() => document.querySelector('#standings-body tbody tr')", timeout=120_000)
        shown.click("#act")
        sees(shown, "#told", "What it has finished is kept")
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert f"gradrace resume {id}" in said
        sees(shown, "#strip", "stopped")
        with open_store(path) as store:
            kept = {outcome.trial: outcome for outcome in store.outcomes(id)}
            assert kept
            assert store.race(id).status == "interrupted"
        shown.click("#act")
        shown.wait_for_function("() => document.querySelector('#strip').innerText.includes('running')", timeout=120_000)
        shown.wait_for_function(
            "() => document.querySelector('#strip').innerText.includes('finished')", timeout=300_000
        )
        sees(shown, "#sentence", "linear")
        with open_store(path) as store:
            assert store.race(id).status == "finished"
            after = {outcome.trial: outcome for outcome in store.outcomes(id)}
        assert {trial: after[trial] for trial in kept} == kept
        until(lambda: not served.live.resumed.starting(id))
