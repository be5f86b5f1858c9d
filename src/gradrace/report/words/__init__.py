"""The words of reports in each language: interface, sentences and optimizer cards, from one catalogue of TOML files.

`<lang>.toml` holds the interface of a race's page, `sentences.<lang>.toml` the sentences of a summary,
`landscapes.<lang>.toml` the interface of the landscapes, `cards.<lang>.toml` the optimizer cards in languages other
than English, in which each optimizer's own file has its card, as each surface's has its texts. A key is the name of
its table and its own, `"standings.title"`; a text names what is put into it in braces, alike in every language.
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


PAGES = {"race": ("{lang}", "sentences.{lang}"), "landscapes": ("landscapes.{lang}",)}
"""The files of the catalogue that hold the texts of each page."""


def words(lang: str, page: str = "race") -> dict[str, str]:
    """Every text of a page in a language, by key: its interface, and a race's sentences.

    Args:
        lang: one of ``LANGUAGES``.
        page: ``"race"`` or ``"landscapes"``.

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


def card(name: str, lang: str, card: Mapping[str, Any]) -> dict[str, Any]:
    """An optimizer's card in a language.

    What the catalogue does not translate stays as it is: formula, paper and link, and the whole card of an optimizer
    that it does not know, such as one of a third party.

    Args:
        name: what the optimizer is called on the command line.
        lang: one of ``LANGUAGES``.
        card: the card in English as plain types. Translated are, where it has them, ``title``, ``idea``, ``use``,
            ``relatives`` (other optimizer -> phrase), ``differences`` (sentences) and ``hyperparameters`` (name -> a
            mapping with its ``meaning``).

    Raises:
        SpecError: there is no such language.
    """
    known = _cards(lang)
    if name not in known["cards"]:
        return dict(card)
    texts = {field: text for field, text in known["cards"][name].items() if field in card}
    if "hyperparameters" in card:
        texts["hyperparameters"] = {
            parameter: {**facts, "meaning": known["meanings"].get(facts["meaning"], facts["meaning"])}
            for parameter, facts in card["hyperparameters"].items()
        }
    return {**card, **texts}


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


@cache
def _cards(lang: str) -> dict[str, Any]:
    if lang not in LANGUAGES:
        raise unknown_name("language", lang, LANGUAGES)
    return _table(f"cards.{lang}") if lang != LANGUAGES[0] else {"cards": {}, "meanings": {}}


def _table(file: str) -> dict[str, Any]:
    return tomllib.loads(resources.files(__name__).joinpath(f"{file}.toml").read_text(encoding="utf-8"))


def _flat(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, str):
            yield f"{path}{key}", value
        else:
            yield from _flat(value, f"{path}{key}.")
