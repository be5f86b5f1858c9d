"""The catalogue of words: both languages complete, every word used, and Korean that reads right."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import gradrace.landscapes
import gradrace.report
import gradrace.serve
from gradrace.errors import SpecError
from gradrace.landscapes.page import SHARED_WORDS
from gradrace.landscapes.surfaces import surfaces
from gradrace.optimizers import optimizers
from gradrace.report.words import LANGUAGES, PAGES, card, say, surface_words, words
from gradrace.report.words.particles import PAIRS, particle

SOURCES = {
    "race": Path(gradrace.report.__file__).parent,
    "landscapes": Path(gradrace.landscapes.__file__).parent,
    "live": Path(gradrace.serve.__file__).parent,
}
"""Where the texts of each page are asked for."""

SAME_TEXTS = {"cards.line", "pairs.p", "rungs.alt_one", "standings.step_value", "standings.state_value"}
"""Texts of which nothing is to be translated: a name, a symbol, a unit, or nothing but what is filled in."""

SAME_TITLES = {"adadelta", "prodigy", "schedulefree_adamw", "schedulefree_sgd"}
"""Optimizers whose title is a name and no more."""


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def english(name: str) -> dict[str, Any]:
    """An optimizer's card as plain types, as reports are given it."""
    known = optimizers()[name]
    return {**asdict(known.card), "hyperparameters": {n: asdict(h) for n, h in known.hyperparameters.items()}}


class TestCatalogue:
    @pytest.mark.parametrize("page", PAGES)
    def test_languages_have_the_same_keys_and_placeholders(self, page: str) -> None:
        ours = {key: placeholders(text) for key, text in words("en", page).items()}
        assert len(ours) > 30
        for lang in LANGUAGES:
            assert {key: placeholders(text) for key, text in words(lang, page).items()} == ours

    def test_every_korean_text_of_the_landscapes_is_translated(self) -> None:
        ours, korean = words("en", "landscapes"), words("ko", "landscapes")
        assert all(re.search("[가-힣]", korean[key]) for key in ours)
        for name, known in surfaces().items():
            told = {"title": known.title, "look": known.look}
            assert surface_words(name, "en", told) == told
            assert all(re.search("[가-힣]", text) for text in surface_words(name, "ko", told).values())
        assert surface_words("mine", "ko", {"title": "Mine"}) == {"title": "Mine"}

    def test_every_korean_text_of_served_pages_is_translated(self) -> None:
        korean = words("ko", "live")
        assert [key for key, text in korean.items() if not re.search("[가-힣]", text)] == []

    def test_every_korean_text_is_translated(self) -> None:
        ours, korean = words("en"), words("ko")
        assert {key for key in ours if ours[key] == korean[key]} == SAME_TEXTS
        without = {key for key, text in korean.items() if not re.search("[가-힣]", text)}
        assert without - SAME_TEXTS == {"page.locale", "page.to", "sentence.percent", "sentence.and"}

    def test_particles_are_asked_for_in_sentences_alone_and_are_known(self) -> None:
        """Pages fill in texts without choosing particles."""
        asked = {
            (key.split(".")[0], pair)
            for key, text in words("ko").items()
            for _, _, pair, _ in string.Formatter().parse(text)
            if pair
        }
        assert {section for section, _ in asked} == {"sentence"}
        assert {pair for _, pair in asked} <= set(PAIRS)
        assert not any(pair for text in words("en").values() for _, _, pair, _ in string.Formatter().parse(text))

    def test_what_is_given_back_is_the_callers_own(self) -> None:
        words("en").clear()
        assert words("en")["sentence.percent"] == "{value} %"

    def test_an_unknown_language_is_refused_with_those_there_are(self) -> None:
        for ask in (
            words,
            lambda lang: surface_words("valley", lang, {}),
            lambda lang: say("sentence.percent", lang, value=1),
            lambda lang: card(lang, {}),
        ):
            with pytest.raises(SpecError, match=r"^There is no language 'fr'\. Known: en, ko\.$"):
                ask("fr")


class TestUse:
    @pytest.mark.parametrize("page", PAGES)
    def test_every_text_is_used_and_every_text_used_is_there(self, page: str) -> None:
        """Keys are looked for in code, scripts and templates as they stand, and as ``section.{found}`` with holes."""
        own = set(words("en", page)) | (set(SHARED_WORDS) if page == "landscapes" else set())
        known = own | set(words("en")) if page == "live" else own  # it has all that the page of a race has, besides
        asked = [pattern for text in called(page) for pattern in [as_pattern(text)] if pattern is not None]
        assert asked
        for pattern in asked:
            assert any(re.fullmatch(pattern, key) for key in known), f"{pattern} is asked for, but no text has that key"
        texts = set(quoted(page))
        patterns = {pattern for text in texts if (pattern := as_pattern(text)) is not None}
        unused = {key for key in own if not any(uses(pattern, key, texts) for pattern in patterns)}
        assert unused == set()

    @pytest.mark.parametrize(
        ("text", "pattern"),
        [
            ("page.title", r"page\.title"),
            ("sentence.few.{_form(n)}", r"sentence\.few\.\w+"),
            ("trials.status_${status(i)}", r"trials\.status_\w+"),
            (".title", r"\w+\.title"),
            ("landscapes.chart_{{ id }}_alt", r"landscapes\.chart_\w+_alt"),
            ("{low}.{high}", None),
            ("A sentence. Another.", None),
        ],
    )
    def test_what_counts_as_a_key(self, text: str, pattern: str | None) -> None:
        assert as_pattern(text) == pattern


def uses(pattern: str, key: str, texts: set[str]) -> bool:
    """Whether a pattern asks for a key. Where all after its section is a hole, what fills it must be quoted, too."""
    open_ended = re.fullmatch(r"\w+\\\.\\w\+", pattern) is not None
    return re.fullmatch(pattern, key) is not None and (not open_ended or key.partition(".")[2] in texts)


def sources(page: str) -> Iterator[str]:
    for path in SOURCES[page].rglob("*"):
        if path.suffix in {".py", ".js", ".j2"} and path.parent.name != "words":
            yield path.read_text(encoding="utf-8")


def quoted(page: str) -> Iterator[str]:
    """Every quoted text of a page's code, scripts and templates, also of one quotation inside another."""
    for source in sources(page):
        for quote in '"`':
            yield from re.findall(rf"{quote}([^{quote}\n]*){quote}", source)


def called(page: str) -> Iterator[str]:
    """Quoted texts that are asked for as words."""
    for source in sources(page):
        yield from re.findall(r'\b(?:say|t)\(\s*f?["`]([^"`\n]*)["`]', source)
        yield from re.findall(r'data-w(?:-label)?="([\w.]+)"', source)
        yield from re.findall(r'\bwords\["([^"]*)"\]', source)


def as_pattern(text: str) -> str | None:
    """A quoted text as a pattern of keys, holes matching any word; None if it says too little to be a key.

    One that begins with a dot is the end of a key, whose section is put before it.
    """
    parts = re.split(r"\$?\{+[^{}]*\}+", text)
    if (
        not all(re.fullmatch(r"[\w.]*", part) for part in parts)
        or "." not in text
        or not re.search(r"[a-z]{2}", "".join(parts))
    ):
        return None
    pattern = r"\w+".join(re.escape(part) for part in parts)
    return rf"\w+{pattern}" if text.startswith(".") else pattern


class TestParticles:
    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            # Hangul: the last syllable has a final consonant, or has none.
            ("모멘텀", "모멘텀은"), ("네스테로프", "네스테로프는"), ("값", "값은"),
            # Digits: 영, 일, 이, 삼, 사, 오, 육, 칠, 팔, 구; 십.
            ("0", "0은"), ("1", "1은"), ("2", "2는"), ("3", "3은"), ("4", "4는"), ("5", "5는"), ("6", "6은"),
            ("7", "7은"), ("8", "8은"), ("9", "9는"), ("10", "10은"), ("0.9125", "0.9125는"),
            # 아담, -더블유, -디, 알엠에스프롭, 라이언; 시그넘, 램, 라스, 어돕트, 소프; 뮤온, 아다그라드, 프로디지.
            ("adam", "adam은"), ("AdamW", "AdamW는"), ("sgd", "sgd는"), ("RMSprop", "RMSprop은"), ("lion", "lion은"),
            ("signum", "signum은"), ("lamb", "lamb은"), ("lars", "lars는"), ("adopt", "adopt는"), ("soap", "soap는"),
            ("muon", "muon은"), ("adagrad", "adagrad는"), ("prodigy", "prodigy는"),
            # 코사인; 리셋; 엘알, 에이, 엠.
            ("cosine", "cosine은"), ("reset", "reset은"), ("lr", "lr은"), ("a", "a는"), ("M", "M은"),
            # Brackets are not read; 퍼센트; nothing that can be read.
            ("adam (lr=0.1)", "adam (lr=0.1)은"), ("sgd [0]", "sgd [0]는"), ("33%", "33%는"), ("☆", "☆은(는)"),
        ],
    )  # fmt: skip
    def test_the_form_follows_how_the_last_syllable_is_read(self, word: str, expected: str) -> None:
        assert word + particle(word, "은/는") == expected

    def test_each_pair(self) -> None:
        assert [particle("adam", pair) for pair in PAIRS] == ["은", "이", "을", "과"]
        assert [particle("sgd", pair) for pair in PAIRS] == ["는", "가", "를", "와"]

    def test_an_unknown_pair_is_refused(self) -> None:
        with pytest.raises(
            ValueError, match=r"'으로/로' is no pair of particles; there are 은/는, 이/가, 을/를, 과/와\."
        ):
            particle("adam", "으로/로")

    def test_what_is_filled_in_is_never_read_as_a_template(self) -> None:
        said = say("sentence.failed.most", "ko", label="{error} {0}", count=1, error="{label!r}")
        assert said == "{error} {0}: 시행 1개가 실패했습니다. 가장 흔한 오류: {label!r}"


class TestCards:
    @pytest.mark.parametrize("name", optimizers())
    def test_every_optimizer_has_a_korean_card_with_the_same_fields(self, name: str) -> None:
        ours = english(name)
        korean = card("ko", ours)
        assert korean.keys() == ours.keys() - {"korean"} == card("en", ours).keys()
        for field in ("formula", "paper", "link"):
            assert korean[field] == ours[field]
        assert korean["relatives"].keys() == ours["relatives"].keys()
        assert len(korean["differences"]) == len(ours["differences"])
        pairs = [(field, ours[field], korean[field]) for field in ("title", "idea", "use")]
        pairs += [("relatives", ours["relatives"][other], text) for other, text in korean["relatives"].items()]
        pairs += [("differences", *both) for both in zip(ours["differences"], korean["differences"], strict=True)]
        for parameter, facts in ours["hyperparameters"].items():
            translated = korean["hyperparameters"][parameter]
            assert {**translated, "meaning": None} == {**facts, "meaning": None}
            pairs.append(("meaning", facts["meaning"], translated["meaning"]))
        same = {field for field, before, after in pairs if before == after}
        assert same == ({"title"} if name in SAME_TITLES else set())
        assert all(re.search("[가-힣]", after) for field, _, after in pairs if field not in same)

    def test_numbers_and_code_in_a_card_survive_translation(self) -> None:
        """Numerals with a point or a power, formulas' names and assignments stand in both languages."""
        for name in optimizers():
            ours, korean = english(name), card("ko", english(name))
            for before, after in zip(ours["differences"], korean["differences"], strict=True):
                for code in re.findall(r"\d+\.\d+|\d+e-\d+|\w+_\w+|\w+=\w+|\w+\^\S+|\w+\(max?[^)]*\)", before):
                    assert code.rstrip(".,;:)") in after, (name, code)

    def test_english_is_as_given_without_its_translation(self) -> None:
        given = english("adam")
        assert card("en", given) == {field: value for field, value in given.items() if field != "korean"}

    @pytest.mark.parametrize("translation", [{}, {"korean": None}])
    def test_a_card_without_a_translation_stays_english(self, translation: dict[str, Any]) -> None:
        given = {"title": "Mine", "idea": "Steps.", "hyperparameters": {"lr": {"meaning": "learning rate"}}}
        assert card("ko", {**given, **translation}) == given

    def test_what_is_missing_of_a_translation_stays_english(self) -> None:
        """Single relatives and meanings; and all differences unless there are as many."""
        given = {
            "title": "Adam", "use": "All.", "relatives": {"sgd": "plain", "lion": "signs"},
            "differences": ["One.", "Two."],
            "hyperparameters": {"lr": {"default": 0.1, "meaning": "rate"}, "eps": {"default": 0.2, "meaning": "small"}},
        }  # fmt: skip
        said = {
            "title": "아담", "use": "", "idea": "더 있음", "relatives": {"lion": "부호", "old": "옛것"},
            "differences": ["하나."], "meanings": {"eps": "작은 수"},
        }  # fmt: skip
        assert card("ko", {**given, "korean": said}) == {
            **given,
            "title": "아담",
            "relatives": {"sgd": "plain", "lion": "부호"},
            "hyperparameters": {"lr": given["hyperparameters"]["lr"], "eps": {"default": 0.2, "meaning": "작은 수"}},
        }

    @pytest.mark.parametrize("name", optimizers())
    def test_every_translation_belongs_to_a_sentence(self, name: str) -> None:
        """What a card no longer says has no translation left over."""
        known = optimizers()[name]
        korean = known.card.korean
        assert korean is not None
        assert korean.relatives.keys() == known.card.relatives.keys()
        assert korean.meanings.keys() == known.hyperparameters.keys()
