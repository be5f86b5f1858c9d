"""The page of a race: the same numbers as everywhere, nothing that breaks out, nothing from elsewhere, and its size."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from paged import CARDS, HOSTILE, ODD, Elements, large, policy, race
from stored_race import A, B, confirmed, notes, outcome, record, tuned

from gradrace.errors import SpecError
from gradrace.outcomes import Curve, Stage, Status
from gradrace.report import markdown, summarize, terminal
from gradrace.report.page import page, page_document
from gradrace.report.sentences import interval, number
from gradrace.report.words import LANGUAGES

LARGEST = 6_000_000


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return page_document(*race(), CARDS)


@pytest.fixture(scope="module")
def html(document: dict[str, Any]) -> str:
    return page(document)


def test_terminal_page_markdown_and_json_say_the_same(document: dict[str, Any], html: str) -> None:
    summary = summarize(*race())
    assert Elements(html).document()["summary"] == json.loads(json.dumps(summary))
    shown = terminal.as_text(terminal.render(summary))
    written = markdown.render(summary).replace("\\", "")
    assert summary["recommendation"]["sentence"] in written
    assert summary["recommendation"]["sentence"] in html
    for row in summary["standings"]:
        line = next(line for line in shown.splitlines() if re.match(rf"\s+{row['place']}\s+{row['label']}\s", line))
        cells = next(line for line in written.splitlines() if line.startswith(f"| {row['place']} | {row['label']} |"))
        for words in (
            number(row["test"]["mean"]),
            interval(row["test"]["interval"]),
            f"{row['diverged']}/{row['trials']}",
        ):
            assert words in line
            assert words in cells
    (pair,) = summary["pairs"]
    for text in (shown, written):
        line = next(line for line in text.splitlines() if "a - b" in line)
        assert number(pair["difference"]) in line
        assert interval(pair["interval"]) in line
        assert number(pair["p_adjusted"]) in line
        assert "a better" in line
    assert document["sure"] == [
        {
            "other": "b",
            "difference": pair["difference"],
            "interval": pair["interval"],
            "p_adjusted": pair["p_adjusted"],
            "decided": True,
            "studies_to_decide": None,
        }
    ]


def test_where_less_is_better_the_better_one_is_ahead() -> None:
    entered, outcomes, known = race()
    entered.plan["workload"] |= {"direction": "min", "worst": None}
    ahead = page_document(entered, outcomes, known)["sure"][0]
    assert ahead["other"] == "a"
    # b's mean is 0.8167 and a's 0.92.
    assert ahead["difference"] == pytest.approx(0.92 - 2.45 / 3)
    assert 0 < ahead["interval"][0] < ahead["difference"] < ahead["interval"][1]


def test_sentences_are_there_in_every_language(document: dict[str, Any]) -> None:
    assert list(document["sentences"]) == list(LANGUAGES)
    assert document["sentences"]["en"]["verdict"] == document["summary"]["recommendation"]["sentence"]
    assert len({said["verdict"] for said in document["sentences"].values()}) == len(LANGUAGES)
    assert document["cards"]["sgd"]["en"] == CARDS["sgd"]
    assert list(document["cards"]) == ["sgd"]


def test_brackets_join_neighbours_that_all_tie() -> None:
    """a, b and c in this order: a ties with b, b with c, but a beats c; so two brackets, and none over all three."""
    from gradrace.report.page.document import _brackets

    rows = [
        {"label": "a", "tied_with": ["b"]},
        {"label": "b", "tied_with": ["a", "c"]},
        {"label": "c", "tied_with": ["b", "d"]},
        {"label": "d", "tied_with": ["c"]},
        {"label": "e", "tied_with": []},
    ]
    assert _brackets(rows) == [[0, 1], [1, 2], [2, 3]]
    rows[0]["tied_with"], rows[2]["tied_with"] = ["b", "c"], ["a", "b"]
    assert _brackets(rows) == [[0, 2]]


def test_learning_curves_are_of_the_confirmation() -> None:
    """One seed of a's study 1 diverged after its first point. Medians over seeds come first, then over studies."""
    runs: dict[tuple[int, int], tuple[list[int], list[float | None]]] = {
        (0, 1): ([10, 20], [0.5, 0.7]),
        (0, 2): ([10, 20], [0.7, 0.9]),
        (1, 1): ([10, 20], [0.2, 0.4]),
        (1, 2): ([10], [0.4]),
        (2, 1): ([10, 20], [0.9, 1.0]),
        (2, 2): ([10, 20], [0.9, 1.0]),
    }
    made = [
        outcome(
            "a", study, seed=seed, point=2, stage=Stage.CONFIRMATION, test=0.9, curve=Curve(at, values, values, values)
        )
        for (study, seed), (at, values) in runs.items()
    ]
    others = [o for o in [*tuned(), *confirmed(A, B)] if o.contender == "b" or o.stage is Stage.TUNING]
    found = page_document(record(), [*made, *others], notes())["learning"]["a"]
    assert found["steps"] == [10, 20]
    # Studies at step 10: 0.6, 0.3, 0.9. At 20: 0.8, between 0.4 and diverged: diverged, 1.0.
    assert found["median"] == pytest.approx([0.6, 0.8])
    assert found["low"] == [pytest.approx(0.3), None]
    assert found["high"] == [pytest.approx(0.9), pytest.approx(1.0)]


def test_rungs_tell_how_many_came_so_far() -> None:
    tuning = [
        outcome("a", 0, point=point, status=status)
        for point, status in enumerate([Status.DROPPED, Status.FINISHED, Status.DIVERGED, Status.FINISHED])
    ]
    ends = [5, 20, 3, 20]
    tuning = [type(o)(**{**o.__dict__, "steps": end}) for o, end in zip(tuning, ends, strict=True)]
    entered, _, _ = race()
    entered.status = "running"
    found = page_document(entered, tuning, {})["rungs"]
    assert found["a"] == [
        {"step": 3, "reached": 4, "dropped": 0, "diverged": 1, "failed": 0, "finished": 0},
        {"step": 5, "reached": 3, "dropped": 1, "diverged": 0, "failed": 0, "finished": 0},
        {"step": 20, "reached": 2, "dropped": 0, "diverged": 0, "failed": 0, "finished": 2},
    ]
    assert found["b"] == []


def test_the_table_of_trials_is_every_trial(document: dict[str, Any]) -> None:
    trials = document["trials"]
    columns = [name for name in trials if isinstance(trials[name], list) and len(trials[name]) == 36]
    assert {"contender", "stage", "status", "validation", "test", "first", "grid", "curve", "error"} <= set(columns)
    assert [trials["configuration"]["lr"][row] for row in trials["chosen"]] == [0.1] * 6
    assert trials["thinned"] is None
    assert trials["grids"] == [[10, 20]]
    assert trials["curve"][0] == [0.5, 0.5]
    assert trials["labels"] == ["a", "b"]
    # 24 of tuning, then 12 of confirmation, contender by contender.
    assert trials["contender"] == [0] * 18 + [1] * 18
    assert trials["test"][12:18] == [value for row in A for value in row]


def test_the_command_repeats_the_race() -> None:
    entered, outcomes, known = race()
    assert page_document(entered, outcomes, known)["command"] is None  # its workload came from elsewhere
    entered.plan["workload"]["reference"] = {"kind": "built-in", "name": "linear"}
    entered.plan["contenders"]["b"]["optimizer"] = "adam"
    words = page_document(entered, outcomes, known)["command"]
    assert words == (
        "gradrace race linear --optimizers a=sgd,b=adam --studies 3 --trials 4 --seeds 2 --steps 20 --warmup 0.05"
    )
    entered.spec["race"] |= {"halving": False, "schedule": "cosine", "seed": 7}
    assert page_document(entered, outcomes, known)["command"].endswith(
        "--no-halving --seed 7 --schedule cosine --warmup 0.05"
    )
    entered.spec["contenders"][0]["hyper"] = {"momentum": 0.5}
    assert page_document(entered, outcomes, known)["command"] is None


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_odd_races_have_a_page(name: str, lang: str) -> None:
    made = page_document(*ODD[name](), CARDS)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    html = page(made, lang)
    elements = Elements(html)
    assert elements.document() == made
    assert [tag for tag, _ in elements.tags].count("script") == 4
    assert not any(tag in ("b", "img", "iframe") for tag, _ in elements.tags)
    assert ("html", lang) in [(tag, attributes.get("lang")) for tag, attributes in elements.tags]
    assert '<h1 id="verdict-title"' in html


def test_hostile_texts_stay_texts() -> None:
    made = page_document(*ODD["hostile"](), CARDS)
    assert HOSTILE in made["labels"]
    assert made["trials"]["errors"] == [HOSTILE]
    html = page(made)
    assert "<b>x" not in html
    assert "alert(1)</script>" not in html
    written = markdown.render(made["summary"])
    assert "<b>" not in written
    rows = [line for line in written.splitlines() if line.startswith("| 1 |")]
    assert len(re.findall(r"(?<!\\)\|", rows[0])) == 9


def test_nothing_comes_from_elsewhere(html: str) -> None:
    for tag, attributes in Elements(html).tags:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            if name in attributes:
                assert str(attributes[name]).startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"@import|url\(", html.partition("</style>")[0])
    rules = dict(rule.strip().split(" ", 1) for rule in policy(html).split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert "unsafe" not in rules["script-src"]
    own = [text for attributes, text in Elements(html).scripts if not attributes]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own]
    assert len(digests) == 1
    assert f"'sha256-{digests[0]}'" in rules["script-src"]


@pytest.mark.parametrize(
    ("trials", "points"), [(1_000, 20), (1_000, 400), pytest.param(10_000, 60, marks=pytest.mark.slow)]
)
def test_large_races_fit(trials: int, points: int) -> None:
    entered, outcomes, known = large(trials, points)
    made = page_document(entered, outcomes, known, CARDS)
    assert len(made["trials"]["contender"]) == trials
    assert len(page(made).encode()) <= LARGEST
    kept = {name: made["trials"][name] for name in ("curve", "grid", "grids")}
    assert (made["trials"]["thinned"] is not None) == (trials * points > 200_000)
    whole = {(o.contender, o.stage, o.study, o.seed, o.point): o.curve for o in outcomes}
    assert len(whole) == trials
    order = sorted(whole, key=lambda key: (key[0], list(Stage).index(key[1]), *key[2:]))
    for row, key in enumerate(order):
        curve = whole[key]
        values, steps = kept["curve"][row], kept["grids"][kept["grid"][row]]
        assert len(values) == len(steps)
        known = [value for value in curve.validation if value is not None]
        assert (min(values), max(values)) == (min(known), max(known))
        assert (values[0], values[-1]) == (curve.validation[0], curve.validation[-1])
        assert (steps[0], steps[-1]) == (curve.step[0], curve.step[-1])


@pytest.mark.parametrize("missing", ["plotly", "jinja2"])
def test_what_is_missing_is_named(missing: str, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (missing, f"{missing}.offline"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(SpecError, match=rf"needs {missing}.*pip install 'gradrace\[plots\]'"):
        page(document)


def test_an_unknown_language_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="There is no language 'kr'"):
        page(document, "kr")
