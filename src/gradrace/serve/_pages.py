"""The pages as HTML. The page of a race is the one that every race writes, with a strip above it while it runs."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gradrace.errors import SpecError
from gradrace.report.page.render import embedded
from gradrace.report.words import LANGUAGES, words
from gradrace.serve._assets import PLOTLY, link
from gradrace.serve._settings import Settings


class Pages:
    """What makes pages.

    Args:
        settings: of the server.

    Raises:
        SpecError: jinja2 is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        try:
            jinja2 = importlib.import_module("jinja2")
        except ImportError as error:
            raise SpecError(
                f"The live page needs {error.name}, which is not installed: pip install 'gradrace[live]'"
            ) from None
        folders = ("gradrace.serve", "gradrace.report.page")
        self._environment = jinja2.Environment(
            loader=jinja2.ChoiceLoader([jinja2.PackageLoader(folder, "static") for folder in folders]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
        )

    def front(self, request: Request, listed: Mapping[str, Any], session: str) -> str:
        """The list of races."""
        return self._render("races.html.j2", request, "races.js", session=session, data=_data(listed))

    def race(self, request: Request, document: Mapping[str, Any], session: str) -> str:
        """The page of a race."""
        lang = language(request)
        return self._render(
            "race.html.j2", request, "race.js", session=session, document=document, said=document["sentences"][lang]
        )

    def compare(self, request: Request, a: str, b: str) -> str:
        """Two races side by side."""
        return self._render("compare.html.j2", request, "compare.js", a=a, b=b)

    def message(self, request: Request, status: int, key: str, more: str = "") -> Response:
        """A page that says one thing."""
        return HTMLResponse(self._render("message.html.j2", request, None, key=key, more=more), status)

    def _render(self, name: str, request: Request, script: str | None, **values: Any) -> str:
        lang = language(request)
        return self._environment.get_template(name).render(
            lang=lang,
            words=_words(lang),
            catalogues=_catalogues(),
            styles=link("page.css"),
            script=None if script is None else link(script),
            library=link(PLOTLY),
            changes=self.settings.changes,
            **values,
        )


def language(request: Request) -> str:
    """The language to begin with: the one asked for, or the browser's, or English."""
    asked = request.query_params.get("lang", "")
    preferred = re.findall(r"[a-z]{2}", request.headers.get("accept-language", "").lower())
    return next((lang for lang in [asked, *preferred] if lang in LANGUAGES), LANGUAGES[0])


@cache
def _words(lang: str) -> dict[str, str]:
    return {**words(lang), **words(lang, "live")}


@cache
def _catalogues() -> Markup:
    return _data({lang: _words(lang) for lang in LANGUAGES})


def _data(value: Any) -> Markup:
    """JSON as a page holds it: no text in it can end its element."""
    return Markup(embedded(value))  # noqa: S704 - no text in it is markup
