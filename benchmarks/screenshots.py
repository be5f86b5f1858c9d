"""Pictures of the pages for the documentation, of real races: ``python benchmarks/screenshots.py``, into docs/images/.

It races the default race on the digits, follows a longer one by its live page, writes the landscapes, and takes the
pictures in Chromium. Korean needs a font with Hangul on the machine. At each page axe-core looks for what a screen
reader or a keyboard would stumble over, and the script ends with what it found.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

IMAGES = Path(__file__).parents[1] / "docs" / "images"
DESKTOP, PHONE = {"width": 1100, "height": 1400}, {"width": 390, "height": 1000}
LONG = ("digits", "--steps", "4000", "--seed", "1")
"""A race that is still under way when the page is looked at."""


def gradrace(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gradrace", *arguments]


def keep(shown: Page, name: str, found: dict[str, int]) -> None:
    """Keep what is in view, and note how many serious things axe-core finds on the page."""
    picture = Image.open(BytesIO(shown.screenshot())).convert("RGB")
    IMAGES.mkdir(exist_ok=True)
    picture.save(IMAGES / f"{name}.png", optimize=True)
    shown.evaluate((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    violations = shown.evaluate("axe.run()")["violations"]
    found[name] = sum(violation["impact"] in ("serious", "critical") for violation in violations)


def drawn(shown: Page, *ids: str) -> None:
    """Scroll to pictures, so that they are drawn, and back."""
    for name in ids:
        shown.evaluate(f"document.getElementById('{name}').scrollIntoView()")
        shown.wait_for_selector(f"#{name} .main-svg", state="attached", timeout=60_000)
    shown.evaluate("window.scrollTo(0, 0)")
    shown.wait_for_timeout(500)


def report(open_page: Callable[..., Page], page: str, found: dict[str, int]) -> None:
    """The page of a finished race: light, dark, Korean, on a phone, and its pictures."""
    for name, options in {
        "report-light": {},
        "report-dark": {"color_scheme": "dark"},
        "report-korean": {},
        "report-phone": {"viewport": PHONE},
    }.items():
        shown = open_page(page, **options)
        if name == "report-korean":
            shown.click("#languages [lang=ko]")
            shown.wait_for_timeout(500)
        keep(shown, name, found)
        if name == "report-light":
            drawn(shown, "sensitivity", "learning")
            shown.evaluate("document.getElementById('sensitivity').scrollIntoView()")
            shown.wait_for_timeout(2000)
            keep(shown, "report-pictures", found)
        shown.context.close()


def live(open_page: Callable[..., Page], store: Path, found: dict[str, int]) -> None:
    """The page of a race that is under way, some seconds after its first trials."""
    command = gradrace("race", *LONG, "--store", str(store), "--quiet", "--live", "--port", "0")
    race = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert race.stderr is not None
    try:
        said = next(word for line in race.stderr for word in line.split() if word.startswith("http://"))
        shown = open_page(said)
        shown.wait_for_url("**/race/*", timeout=120_000)  # it goes there once the race has begun
        shown.wait_for_selector("#standings-body tbody tr:nth-child(3)", timeout=120_000)
        shown.wait_for_timeout(4000)
        keep(shown, "live", found)
        shown.context.close()
    finally:
        race.terminate()
        race.wait()


def landscapes(open_page: Callable[..., Page], folder: Path, found: dict[str, int]) -> None:
    """The explainer, some steps into the walk."""
    page = folder / "landscapes.html"
    subprocess.run(gradrace("landscapes", "--html", str(page)), check=True, stdout=subprocess.DEVNULL)
    shown = open_page(page.as_uri(), viewport={"width": 1280, "height": 900})
    shown.wait_for_timeout(4000)
    keep(shown, "landscapes", found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as there, sync_playwright() as playwright:
        folder = Path(there)
        store, page = folder / "races.db", folder / "race.html"
        subprocess.run(gradrace("race", "--store", str(store), "--report", str(page), "--quiet"), check=True)
        browser: Browser = playwright.chromium.launch(
            executable_path=parser.parse_args().chromium, args=["--no-sandbox", "--disable-gpu"]
        )

        def open_page(address: str, **options: Any) -> Page:
            shown = browser.new_context(**{"viewport": DESKTOP, **options}).new_page()
            shown.goto(address)
            shown.wait_for_timeout(1000)
            return shown

        report(open_page, page.as_uri(), found)
        live(open_page, folder / "live.db", found)
        landscapes(open_page, folder, found)
        browser.close()
    for name, count in found.items():
        size = (IMAGES / f"{name}.png").stat().st_size // 1000
        print(f"docs/images/{name}.png: {size} kB; serious findings of axe-core: {count}")


if __name__ == "__main__":
    main()
