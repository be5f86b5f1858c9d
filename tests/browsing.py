"""What the tests in a real browser share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, which asks for nothing by itself."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium to open the page with")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        yield opened
        opened.close()


def serious(shown: Page, *more: str) -> list[Any]:
    """What axe-core finds on a page that would stop somebody: the rule, and where it is broken.

    ``more``: other weights that count, such as "moderate".
    """
    shown.evaluate((files("axe_core_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = shown.evaluate("axe.run()")
    assert len(found["passes"]) > 10
    return [
        (violation["id"], [node["html"][:120] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical", *more)
    ]
