"""Every optimizer, workload, claim and public name has its page, made of its own file."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import gradrace
from gradrace.claims import claims
from gradrace.evidence import evidence
from gradrace.optimizers import optimizers
from gradrace.workloads import workloads


@pytest.fixture(scope="session")
def made(maker: Any) -> dict[str, str]:
    """All made pages, with a mark in place of the pictures, which take seconds each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maker("optimizer_pages"), "figure", lambda optimizer: f"<svg>{optimizer.name}</svg>")
        return maker("hook").made()


@pytest.mark.parametrize("name", optimizers())
def test_an_optimizers_page_tells_its_card(name: str, made: dict[str, str]) -> None:
    known, page = optimizers()[name], made[f"optimizers/{name}.md"]
    assert page.startswith(f"# {known.card.title}\n")
    for text in (known.card.idea, known.card.use, known.code({}), known.card.link, f"<svg>{name}</svg>"):
        assert text in page
    assert all(line in page for line in known.card.formula)
    assert all(f"| `{key}` |" in page for key in known.hyperparameters)


@pytest.mark.parametrize("name", optimizers())
def test_its_korean_page_is_in_korean(name: str, made: dict[str, str]) -> None:
    korean, page = optimizers()[name].card.korean, made[f"ko/optimizers/{name}.md"]
    assert korean is not None
    assert korean.idea in page
    assert optimizers()[name].card.idea not in page
    assert "## 아이디어" in page


def test_an_optimizers_page_holds_the_evidence_on_it(made: dict[str, str]) -> None:
    for workload, race in evidence()["races"].items():
        for row in race["standings"]:
            page = made[f"optimizers/{row['optimizer']}.md"]
            assert re.search(rf"^\| `{workload}` .*{re.escape(row['code'])}", page, flags=re.MULTILINE)


@pytest.mark.parametrize("name", workloads())
def test_a_workloads_page_tells_its_facts(name: str, made: dict[str, str]) -> None:
    known, page = workloads()[name], made[f"workloads/{name}.md"]
    for text in (known.stands_for, known.source, known.scored_by.name, f"{known.steps} steps of {known.batch_size}"):
        assert text in page


@pytest.mark.parametrize("name", claims())
def test_a_claims_page_tells_its_outcome(name: str, made: dict[str, str]) -> None:
    known, page = claims()[name], made[f"claims/{name}.md"]
    assert known.refuted_by in page
    (found,) = [row for row in evidence()["claims"]["claims"] if row["claim"] == name]
    assert f"## Outcome: {found['decision']}" in page


def test_every_public_function_and_class_is_in_the_reference(made: dict[str, str]) -> None:
    page = made["api/gradrace.md"]
    for name in gradrace.__all__:
        thing = getattr(gradrace, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert f"::: {thing.__module__}.{name}" in page


@pytest.mark.parametrize("name", [name for name in gradrace.__all__ if callable(getattr(gradrace, name))])
def test_a_public_name_says_what_it_takes_and_raises(name: str) -> None:
    thing = getattr(gradrace, name)
    text = inspect.getdoc(thing) or ""
    assert text.splitlines()[0].endswith((".", "?"))
    if "Attributes:" not in text and not (inspect.isclass(thing) and issubclass(thing, Exception)):
        missing = [known for known in inspect.signature(thing).parameters if not re.search(rf"\b{known}\b", text)]
        assert not missing
    if inspect.isfunction(thing) and re.search(r"raise [A-Z]\w+Error", inspect.getsource(thing)):
        assert "Raises:" in text
    if inspect.isclass(thing):
        methods = [known for known in vars(thing).values() if inspect.isfunction(known)]
        assert all(known.__doc__ for known in methods if not known.__name__.startswith("_"))


def test_the_cases_of_a_verdict_are_what_they_are_called(maker: Any) -> None:
    found = maker("verdict_page").cases()
    assert {case.pair["decision"] for name, case in found.items() if name != "clear"} == {"no detectable difference"}
    assert found["clear"].wins() in {0, len(found["clear"].a)}
    low, high = found["clear"].pair["interval"]
    assert low > 0 or high < 0
    assert abs(found["luck"].pair["effect_size"]) > abs(found["tie"].pair["effect_size"])
    assert 0 < found["tie"].wins() < len(found["tie"].a)
