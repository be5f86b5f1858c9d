"""The page of landscapes in Chromium: it walks, it can be set by mouse and keyboard, and it asks nothing of anyone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from browsing import serious
from gradrace.landscapes import FIRST_SHOWN, Landscapes, page, served
from gradrace.landscapes.surfaces import surfaces
from gradrace.optimizers import optimizers
from gradrace.report.words import surface_words, words

HOSTILE = "</script><script>alert(1)</script><b>x</b>"

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def landscapes() -> Landscapes:
    return Landscapes()


@pytest.fixture
def open_page(browser: Browser, landscapes: Landscapes, tmp_path: Path) -> Iterator[Open]:
    """Opens the page; in the end nothing but the file was asked for, and nothing went wrong."""
    contexts, wrong, asked = [], [], []

    def opened(shown: Landscapes | None = None, lang: str = "en", **options: Any) -> Page:
        path = tmp_path / "landscapes.html"
        path.write_text(page(shown or landscapes, lang), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        made = context.new_page()
        made.on("console", lambda message: wrong.append(message.text))
        made.on("pageerror", lambda error: wrong.append(str(error)))
        made.on("request", lambda request: asked.append(request.url))
        made.goto(path.as_uri())
        return made

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []
    assert set(asked) <= {(tmp_path / "landscapes.html").as_uri()}


def ends(shown: Page) -> list[list[float]]:
    """Where each walk ends."""
    return shown.evaluate("state.walks.map(({ path }) => [path.x[path.count], path.y[path.count]])")


def rates(shown: Page) -> list[float]:
    return shown.evaluate("state.walks.map(({ hyper }) => hyper.lr)")


def ink(shown: Page, layer: str) -> int:
    """How many pixels of a layer are not empty."""
    return shown.evaluate(
        """layer => {
          const { canvas } = { ground, trail, front }[layer];
          const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
          copy.drawImage(canvas, 0, 0);
          const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
          return data.filter((value, index) => index % 4 === 3 && value > 0).length;
        }""",
        layer,
    )


def test_it_walks_by_itself_to_the_end(open_page: Open) -> None:
    shown = open_page()
    assert shown.evaluate("page.shown") == list(FIRST_SHOWN)
    assert shown.locator("#walks tbody tr").count() == len(FIRST_SHOWN)
    shown.select_option("#speed", "0.25")
    shown.wait_for_function("() => state.moment > 5")
    early = ink(shown, "trail")
    shown.select_option("#speed", "4")
    shown.wait_for_function("() => !state.playing", timeout=20_000)
    assert shown.evaluate("state.moment") == surfaces()["valley"].steps
    assert ink(shown, "trail") > early > 0
    assert ink(shown, "ground") == shown.evaluate("ground.canvas.width * ground.canvas.height")
    assert shown.inner_text("#play") == "Play"
    assert "step 200. Loss above the minimum: sgd 1.7e-5" in shown.inner_text("#told")
    assert shown.evaluate("document.getElementById('cover-x').style.transform") == "scaleX(0)"


def test_the_clock_can_be_set(open_page: Open) -> None:
    shown = open_page()
    shown.click("#play")
    assert shown.inner_text("#play") == "Play"
    shown.fill("#time", "50")
    assert shown.inner_text("#time-told") == "50 of 200"
    half = ink(shown, "trail")
    shown.click("#on")
    shown.click("#on")
    shown.click("#back")
    assert shown.inner_text("#time-told") == "51 of 200"
    losses = shown.locator("#walks .loss").all_inner_texts()
    shown.click("#end")
    assert shown.inner_text("#time-told") == "200 of 200"
    assert shown.locator("#walks .loss").all_inner_texts() != losses
    assert ink(shown, "trail") > 0.9 * half
    shown.fill("#time", "50")
    assert ink(shown, "trail") == pytest.approx(half, rel=0.02)
    shown.click("#again")
    assert shown.evaluate("state.playing")


def test_dragging_the_start_changes_every_walk(open_page: Open) -> None:
    shown = open_page()
    before = ends(shown)
    box = shown.locator("#map").bounding_box()
    assert box is not None
    shown.hover("#start")
    shown.mouse.down()
    shown.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"], steps=5)
    left, bottom, width = surfaces()["valley"].view
    assert shown.evaluate("state.start") == pytest.approx([left + 0.75 * width, bottom + 0.75 * width * 0.75], abs=0.02)
    # While it is held the whole walks are shown; when it is let go, they begin again.
    assert shown.evaluate("state.moment") == 200
    shown.mouse.up()
    assert shown.evaluate("state.playing && state.moment < 100")
    after = ends(shown)
    assert all(one != other for one, other in zip(before, after, strict=True))
    handle = shown.locator("#start").bounding_box()
    assert handle is not None
    assert handle["x"] + handle["width"] / 2 == pytest.approx(box["x"] + 0.75 * box["width"], abs=1.5)
    # It cannot be dragged off the map.
    shown.mouse.down()
    shown.mouse.move(5, 5)
    shown.mouse.up()
    assert shown.evaluate("state.start") == pytest.approx([left, bottom + 0.75 * width])


def test_the_start_is_moved_by_keyboard(open_page: Open) -> None:
    shown = open_page()
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.className") == "skip"
    shown.focus("#start")
    before, walks = shown.evaluate("state.start"), ends(shown)
    shown.keyboard.press("ArrowRight")
    shown.keyboard.press("ArrowUp")
    shown.keyboard.press("Shift+ArrowUp")
    width = surfaces()["valley"].view[2]
    assert shown.evaluate("state.start") == pytest.approx([before[0] + width / 100, before[1] + 6 * width / 100])
    assert ends(shown) != walks
    told = shown.get_attribute("#start", "aria-label")
    assert (
        told
        == "Start point at x = -3.54, y = 0.61. " + words("en", "landscapes")["landscapes.start"].partition(". ")[2]
    )


def test_sliders_set_what_they_say(open_page: Open) -> None:
    shown = open_page()
    own = rates(shown)
    shown.fill("#rate", "-1")
    assert rates(shown) == pytest.approx([rate / 10 for rate in own])
    assert shown.inner_text("#rate-told") == "×0.1"
    assert shown.inner_text("#walks tbody tr:first-child td") == "0.0032"
    shown.select_option("#rates", "default")
    defaults = [optimizers()[name].configure()["lr"] for name in FIRST_SHOWN]
    assert rates(shown) == pytest.approx([rate / 10 for rate in defaults])
    assert shown.inner_text("#momentum-told") == "each its own"
    shown.fill("#momentum", "0.5")
    set_now = shown.evaluate("state.walks.map(({ hyper }) => [hyper.momentum, hyper.beta1])")
    # sgd, momentum, nesterov, adagrad, rmsprop (whose own is 0, and stays), adam
    assert set_now == [[None, None], [0.5, None], [0.5, None], [None, None], [0, None], [None, 0.5]]
    assert shown.is_disabled("#dice")
    quiet = ends(shown)
    shown.fill("#noise", "0.5")
    noisy = ends(shown)
    assert noisy != quiet
    shown.click("#dice")
    assert ends(shown) != noisy
    shown.click("#reset")
    assert rates(shown) == own
    assert shown.input_value("#noise") == "0"


def test_a_walk_that_diverges_is_marked(open_page: Open) -> None:
    shown = open_page()
    shown.fill("#rate", "1")
    shown.click("#end")
    losses = dict(zip(FIRST_SHOWN, shown.locator("#walks .loss").all_inner_texts(), strict=True))
    assert losses["sgd"].startswith("diverged at step ")
    assert not losses["rmsprop"].startswith("diverged")
    assert "sgd diverged at step" in shown.inner_text("#told")


def test_optimizers_are_switched_on_and_off(open_page: Open) -> None:
    shown = open_page()
    others = shown.locator("#optimizers button")
    assert others.count() == len(optimizers()) - 1  # soap cannot be shown
    shown.click("#optimizers button:has-text('sgd'):not(:has-text('schedulefree'))")
    shown.click("#optimizers button:has-text('prodigy')")
    names = [text.strip() for text in shown.locator("#walks tbody th").all_inner_texts()]
    assert names == [*FIRST_SHOWN[1:], "prodigy"]
    assert shown.evaluate("document.activeElement.textContent.trim()") == "prodigy"
    assert shown.locator("#cards article").count() == 6
    assert "soap" in shown.inner_text("#left-out")


@pytest.mark.parametrize("name", surfaces())
def test_every_surface_can_be_walked_on(name: str, open_page: Open) -> None:
    shown = open_page(Landscapes(first=name), reduced_motion="reduce")
    known = surfaces()[name]
    assert shown.inner_text("#look") == known.look
    assert known.formula in shown.inner_text("#formula")
    assert shown.evaluate("state.walks.every(({ path }) => path.diverged === null)")
    least = shown.evaluate("state.walks.every(({ path }) => path.loss[path.count] < path.loss[0])")
    assert least


def test_with_reduced_motion_nothing_moves_by_itself(open_page: Open) -> None:
    shown = open_page(reduced_motion="reduce")
    shown.wait_for_timeout(300)
    assert shown.evaluate("[state.playing, state.moment]") == [False, 200]
    assert shown.is_hidden("#play")
    shown.click("#again")
    assert shown.evaluate("[state.playing, state.moment]") == [False, 0]
    shown.click("#on")
    shown.click("#end")
    assert shown.evaluate("[state.playing, state.moment]") == [False, 200]
    shown.locator("#surfaces button").nth(3).click()
    assert shown.evaluate("[state.playing, state.moment]") == [False, surfaces()["himmelblau"].steps]


def test_language_is_switched_in_every_word(open_page: Open) -> None:
    shown = open_page()
    shown.click("#languages [lang=ko]")
    assert shown.get_attribute("html", "lang") == "ko"
    korean = words("ko", "landscapes")
    assert shown.title() == korean["landscapes.title"]
    left = {text for key, text in words("en", "landscapes").items() if len(text) > 12 and "{" not in text}
    left |= {known.look for known in surfaces().values()} | {known.title for known in surfaces().values()}
    told = shown.inner_text("body")
    assert [text for text in left if text in told] == []
    names = [surface_words(name, "ko", {})["title"] for name in surfaces()]
    assert shown.locator("#surfaces button").all_inner_texts() == names
    assert str(shown.get_attribute("#start", "aria-label")).startswith("출발점")
    shown.click("#languages [lang=en]")
    assert shown.title() == "How optimizers walk"


def test_it_opens_in_the_language_asked_for(open_page: Open) -> None:
    assert open_page(lang="ko").inner_text("h1") == words("ko", "landscapes")["landscapes.title"]


def test_what_a_stranger_writes_stays_text(open_page: Open) -> None:
    sgd = optimizers()["sgd"]
    card = replace(sgd.card, title=HOSTILE, idea=HOSTILE, formula=(HOSTILE,))
    html = Landscapes()
    html.optimizers = {HOSTILE: replace(sgd, name=HOSTILE, card=card), "adam": optimizers()["adam"]}
    html.shown = list(html.optimizers)
    html.programs = {HOSTILE: html.programs["sgd"], "adam": html.programs["adam"]}
    html.left_out = {HOSTILE + "2": HOSTILE}
    shown = open_page(html)
    assert shown.locator("#walks tbody th").first.inner_text().strip() == HOSTILE
    assert HOSTILE in shown.inner_text("#left-out")
    assert shown.inner_text("#cards h3 >> nth=0").strip() == HOSTILE
    assert shown.locator("main b").count() == 0


def test_a_server_serves_its_scripts_as_files(browser: Browser, landscapes: Landscapes) -> None:
    html, scripts = served(landscapes, base="/landscapes/")
    assert list(scripts) == [f"/landscapes/{name}.js" for name in ("shared", "rules", "landscapes")]
    context = browser.new_context()
    asked: list[str] = []

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix("http://gradrace.test")
        asked.append(path)
        kind = "text/html" if path == "/" else "text/javascript"
        route.fulfill(body=html if path == "/" else scripts[path], content_type=f"{kind}; charset=utf-8")

    context.route("**/*", answer)
    shown, wrong = context.new_page(), []
    shown.on("console", lambda message: wrong.append(message.text))
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.goto("http://gradrace.test/")
    shown.wait_for_function("() => state.moment > 1")
    assert sorted(asked) == sorted(["/", *scripts])
    assert wrong == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme: Any, open_page: Open) -> None:
    shown = open_page(color_scheme=scheme, reduced_motion="reduce")
    assert serious(shown, "moderate") == []


def test_theme_follows_the_system_and_the_switch(open_page: Open) -> None:
    shown = open_page(color_scheme="dark", reduced_motion="reduce")
    corner = """() => {
      const copy = new OffscreenCanvas(1, 1).getContext("2d");
      copy.drawImage(ground.canvas, -3, -3);
      return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    dark = shown.evaluate(corner)
    shown.click("#theme")
    light = shown.evaluate(corner)
    assert max(dark) < 130 < min(light)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_a_phone_does_not_scroll_sideways(lang: str, open_page: Open) -> None:
    shown = open_page(lang=lang, viewport={"width": 360, "height": 740})
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    assert shown.locator("#map").evaluate("map => map.clientWidth") > 280


@pytest.mark.slow
def test_six_optimizers_walk_smoothly(open_page: Open) -> None:
    """Drawing takes a small part of a sixtieth of a second; ``benchmarks/landscape_frames.py`` counts the frames."""
    shown = open_page()
    cost = shown.evaluate(
        """() => {
          const spent = [];
          for (let moment = 0; moment < 200; moment += 0.5) {
            const before = performance.now();
            drawWalks(moment);
            coverCharts();
            spent.push(performance.now() - before);
          }
          return spent.sort((a, b) => a - b)[Math.floor(spent.length * 0.95)];
        }"""
    )
    assert cost < 8
