"""One HTML file from the document of a page. It holds all it shows; its policy lets no request leave it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import Any

from gradrace.errors import SpecError
from gradrace.report.words import LANGUAGES, words

SCRIPTS = ("shared", "core", "tables", "pictures", "trials", "more", "main")
"""Parts of the page's script, in the order in which they need each other."""


def page(document: Mapping[str, Any], lang: str = "en") -> str:
    """The page of a race as one HTML file.

    The document stands in a script element of type ``application/json`` with ``<``, ``>`` and ``&`` escaped, so that no
    label can end it. Scripts run only if the policy names their digest, which nothing in the document can have. The
    plotting library is compressed, and unpacked by the page when the first picture comes into view.

    Args:
        document: from ``page_document``.
        lang: the language it opens in.

    Raises:
        SpecError: jinja2 or plotly is not installed, or there is no such language.
    """
    packed, library = _packed(_needed("plotly.offline"))
    script = "\n".join(static(f"{name}.js") for name in SCRIPTS)
    catalogues = {name: words(name) for name in LANGUAGES}
    return template("gradrace.report.page", "page.html.j2").render(
        document=document,
        lang=lang,
        words=words(lang),
        said=document["sentences"][lang],
        style=static("page.css"),
        script=script,
        digests=[library, digest(script)],
        data=embedded(document),
        catalogues=embedded(catalogues),
        library=packed,
    )


def embedded(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element or begin another."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def template(package: str, name: str) -> Any:
    """A template of jinja2 in a package's folder ``static``. What is put into it is escaped unless it is marked safe.

    Raises:
        SpecError: jinja2 is not installed.
    """
    jinja2 = _needed("jinja2")
    loader = jinja2.PackageLoader(package, "static")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined).get_template(name)


def static(name: str) -> str:
    """A script or a style sheet of the page of a race."""
    return files(__package__ or "").joinpath("static", name).read_text(encoding="utf-8")


@cache
def _packed(plotly: ModuleType) -> tuple[str, str]:
    """The plotting library, compressed and in base 64, and what a policy calls it by."""
    library = plotly.get_plotlyjs()
    return base64.b64encode(gzip.compress(library.encode(), mtime=0)).decode(), digest(library)


def digest(script: str) -> str:
    """What a policy calls a script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def check_needed() -> None:
    """Raise a SpecError unless what draws a page is installed."""
    for name in ("jinja2", "plotly.offline"):
        _needed(name)


def _needed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SpecError(
            f"The page of a race needs {error.name}, which is not installed: pip install 'gradrace[plots]'"
        ) from None
