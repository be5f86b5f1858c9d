"""The page of the landscapes: its document, its scripts, and one HTML file that holds all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from gradrace._version import __version__
from gradrace.errors import SpecError, unknown_name
from gradrace.landscapes._script import PRELUDE, rule_program, surface_program
from gradrace.landscapes.surfaces import Surface, surfaces
from gradrace.optim._trace import Untraceable
from gradrace.optimizers import Optimizer, find, optimizers
from gradrace.report.page.render import digest, embedded, static, template
from gradrace.report.words import LANGUAGES, card, surface_words, words

FIRST_SHOWN = ("sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam")
"""The optimizers that walk when a page opens; the others can be switched on."""

SCRIPTS = ("engine", "picture", "charts", "controls", "walks")
"""Parts of the page's script of its own, in the order in which they need each other."""

SHARED_WORDS = ("page.locale", "page.name", "page.language", "page.theme", "page.no_script")
"""Texts of the page of a race that this page has too."""

MOMENTA = ("momentum", "beta1")
"""What the number is called that the page's momentum sets."""


class Landscapes:
    """What a page of landscapes shows.

    Args:
        shown: names of optimizers, or files with one, that walk when the page opens. Default: ``FIRST_SHOWN``.
        first: the surface that it opens with. Default: the first of ``surfaces()``.

    Raises:
        SpecError: there is no such optimizer or surface, or none of the optimizers can be shown.
    """

    def __init__(self, shown: Sequence[str] = FIRST_SHOWN, first: str | None = None) -> None:
        known = surfaces()
        if first is not None and first not in known:
            raise unknown_name("surface", first, known)
        asked = {found.name: found for found in map(find, shown)}
        self.shown = list(asked)
        self.surfaces = known
        self.first = first or next(iter(known))
        self.optimizers = {**asked, **optimizers()}
        self.programs: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        for name, entered in self.optimizers.items():
            try:
                self.programs[name] = rule_program(entered).script
            except Untraceable as reason:
                self.left_out[name] = str(reason)
        if not set(self.shown) & self.programs.keys():
            told = ", ".join(f"{name} ({self.left_out[name]})" for name in self.shown)
            raise SpecError(f"Steps must be operations on single numbers to be shown, which none of these is: {told}.")

    def script(self) -> str:
        """The rules and the surfaces, as JavaScript: ``RULES`` and ``SURFACES`` by name."""
        walked = {name: surface_program(known) for name, known in self.surfaces.items()}
        return "\n".join([PRELUDE, _object("RULES", self.programs), _object("SURFACES", walked)])

    def document(self) -> dict[str, Any]:
        """What the page shows beside that, as JSON types."""
        order = [name for name in [*self.shown, *optimizers()] if name in self.programs]
        return {
            "gradrace": __version__,
            "surfaces": [_surface(known) for known in self.surfaces.values()],
            "first": self.first,
            "optimizers": [_optimizer(self.optimizers[name]) for name in dict.fromkeys(order)],
            "shown": [name for name in self.shown if name in self.programs],
            "left_out": self.left_out,
        }


def page(landscapes: Landscapes, lang: str = "en") -> str:
    """The page as one HTML file, which holds all it needs.

    Its policy lets only the scripts run whose digests it names, and no request leave it.

    Args:
        landscapes: what it shows.
        lang: the language it opens in.

    Raises:
        SpecError: jinja2 is not installed, or there is no such language.
    """
    scripts = _scripts(landscapes)
    digests = " ".join(f"'{digest(text)}'" for text in scripts.values())
    return _render(landscapes, lang, scripts, f"script-src {digests}", served=False)


def served(landscapes: Landscapes, lang: str = "en", base: str = "") -> tuple[str, dict[str, str]]:
    """The page for a server: its HTML, and the scripts that the server must have at those addresses.

    Its policy lets scripts come from the server itself alone, and no other request leave it.

    Args:
        landscapes: what it shows.
        lang: the language it opens in.
        base: what the addresses of the scripts begin with, such as ``/landscapes/``.

    Raises:
        SpecError: jinja2 is not installed, or there is no such language.
    """
    scripts = {base + name: text for name, text in _scripts(landscapes).items()}
    return _render(landscapes, lang, scripts, "script-src 'self'", served=True), scripts


def _render(landscapes: Landscapes, lang: str, scripts: Mapping[str, str], policy: str, served: bool) -> str:
    shown = landscapes.document()
    return template("gradrace.landscapes", "landscapes.html.j2").render(
        document=shown,
        lang=lang,
        words=_words(lang),
        policy=f"default-src 'none'; {policy}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        style=static("page.css") + _own("landscapes.css"),
        scripts=scripts,
        served=served,
        data=embedded(shown),
        catalogues=embedded({name: _words(name) for name in LANGUAGES}),
    )


def _scripts(landscapes: Landscapes) -> dict[str, str]:
    """Scripts by file name, in the order in which they need each other."""
    own = "\n".join(_own(f"{name}.js") for name in SCRIPTS)
    return {
        "shared.js": static("shared.js"),
        "rules.js": landscapes.script(),
        "landscapes.js": 'const page = read("document");\n' + own,
    }


def _own(name: str) -> str:
    return files(__package__ or "").joinpath("static", name).read_text(encoding="utf-8")


def _words(lang: str) -> dict[str, str]:
    common = words(lang)
    return {**{key: common[key] for key in SHARED_WORDS}, **words(lang, "landscapes")}


def _object(name: str, members: Mapping[str, str]) -> str:
    """A constant of JavaScript whose members are code."""
    body = "".join(f"{embedded(key)}: {code},\n" for key, code in members.items())
    return f"const {name} = {{\n{body}}};"


def _optimizer(known: Optimizer) -> dict[str, Any]:
    told = {"title": known.card.title, "idea": known.card.idea}
    korean = known.card.korean and asdict(known.card.korean)
    space = known.space["lr"].to_dict() if "lr" in known.space else {}
    hyper = known.configure()
    return {
        "name": known.name,
        **told,
        "said": {lang: card(lang, {**told, "korean": korean}) for lang in LANGUAGES},
        "formula": list(known.card.formula),
        "hyper": hyper,
        "momentum": next((name for name in MOMENTA if hyper.get(name)), None),
        # A surface of two coordinates is no network: its best rate may be beyond those that are raced.
        "rates": [space["low"] / 10, space["high"] * 10] if {"low", "high"} <= set(space) else None,
    }


def _surface(known: Surface) -> dict[str, Any]:
    told = {"title": known.title, "look": known.look}
    return {
        "name": known.name,
        **told,
        "said": {lang: surface_words(known.name, lang, told) for lang in LANGUAGES},
        "formula": known.formula,
        "minima": known.minima,
        "start": known.start,
        "view": known.view,
        "steps": known.steps,
        "noise": known.noise,
        "seen": known.seen,
    }
