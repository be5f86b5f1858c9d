"""The words of reports in each language: interface and sentences from one catalogue of TOML files; and cards.

`<lang>.toml` holds the interface of a race's page, `sentences.<lang>.toml` the sentences of a summary,
`landscapes.<lang>.toml` the interface of the landscapes, `live.<lang>.toml` what served pages have besides. A key is
the name of its table and its own, `"standings.title"`; a text names what is put into it in braces, alike in every
language. An optimizer's card stands in its own file, in every language.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from gradrace.errors import unknown_name
from gradrace.report.words.particles import Name

__all__ = ["LANGUAGES", "card", "say", "surface_words", "words"]

LANGUAGES = ("en", "ko")
"""The languages there are; the first is the one that code and cards are written in."""


PAGES = {"race": ("{lang}", "sentences.{lang}"), "landscapes": ("landscapes.{lang}",), "live": ("live.{lang}",)}
"""The files of the catalogue that hold the texts of each page."""
_TRANSLATIONS = {"ko": "korean"}
"""Where a card has its translation into a language."""


def words(lang: str, page: str = "race") -> dict[str, str]:
    """Every text of a page in a language, by key: its interface, and a race's sentences.

    Args:
        lang: one of ``LANGUAGES``.
        page: ``"race"``, ``"landscapes"``, or ``"live"`` for what the served pages have beside the first.

    Raises:
        SpecError: there is no such language; the message tells those there are.
    """
    return dict(_texts(lang, page))


def say(key: str, lang: str, **values: object) -> str:
    """The sentence that ``key`` stands for, with its values filled in.

    A placeholder of a Korean sentence may name a pair of particles, ``{name:은/는}``; the one that the value calls for
    then follows it (see ``particles``).

    >>> say("sentence.target.gained", "en", metric="loss", value="0.5")
    'validation loss 0.5 (95 % of what the best contender gained)'

    Args:
        key: of the catalogue, with its table: ``"sentence.nothing_worked"``.
        lang: one of ``LANGUAGES``.
        values: for each placeholder of the sentence what to put there; numbers already as they shall be read.

    Raises:
        SpecError: there is no such language.
    """
    return _texts(lang)[key].format_map({name: Name(value) for name, value in values.items()})


def card(lang: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's card in a language, by the translation that stands in the card itself.

    What is not translated stays as it is: formula, paper and link, the whole card of an optimizer without a
    translation, and differences of which there are not as many.

    Args:
        lang: one of ``LANGUAGES``.
        card: the card in English as plain types; under ``korean`` its translation, a mapping, or None. Translated are,
            where the card has them, ``title``, ``idea``, ``use``, ``relatives`` (other optimizer -> phrase),
            ``differences`` (sentences) and ``hyperparameters`` (name -> a mapping with its ``meaning``).

    Raises:
        SpecError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise unknown_name("language", lang, LANGUAGES)
    english = {field: value for field, value in card.items() if field not in _TRANSLATIONS.values()}
    said = card.get(_TRANSLATIONS.get(lang, "")) or {}
    texts: dict[str, Any] = {field: said[field] for field in ("title", "idea", "use") if said.get(field)}
    if "relatives" in card:
        texts["relatives"] = {
            name: said.get("relatives", {}).get(name, text) for name, text in card["relatives"].items()
        }
    differences = said.get("differences", ())
    if differences and len(differences) == len(card.get("differences", ())):
        texts["differences"] = list(differences)
    if "hyperparameters" in card:
        meanings = said.get("meanings", {})
        texts["hyperparameters"] = {
            name: {**facts, "meaning": meanings.get(name, facts["meaning"])}
            for name, facts in card["hyperparameters"].items()
        }
    return {**english, **{field: text for field, text in texts.items() if field in english}}


def surface_words(name: str, lang: str, texts: Mapping[str, str]) -> dict[str, str]:
    """A surface's texts in a language; in English where there is no translation, as of a third party's surface.

    Args:
        name: what the surface is called on the command line.
        lang: one of ``LANGUAGES``.
        texts: ``title`` and ``look`` in English.

    Raises:
        SpecError: there is no such language.
    """
    if lang not in LANGUAGES:
        raise unknown_name("language", lang, LANGUAGES)
    return {**texts, **_table(f"landscapes.{lang}").get("surfaces", {}).get(name, {})}


@cache
def _texts(lang: str, page: str = "race") -> dict[str, str]:
    if lang not in LANGUAGES:
        raise unknown_name("language", lang, LANGUAGES)
    found = [item for file in PAGES[page] for item in _flat(_table(file.format(lang=lang)))]
    return {key: text for key, text in found if not key.startswith("surfaces.")}


def _table(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__name__).joinpath(f"{file}.toml").read_text(encoding="utf-8"))


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, str):
            yield f"{path}{key}", value
        else:
            yield from _flat(value, f"{path}{key}.")
