"""Claims in files of one's own: what `gradrace check` says of them, and how they are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gradrace.claims import Asked, Check, Claim, Raced, better, check_claim, claim
from gradrace.errors import SpecError, WorkloadError


def races(quick: bool) -> Mapping[str, Asked]:
    return {"linear": Asked("linear", ("sgd", "adam"), {"budget": "quick"} if quick else {})}


def judge(found: Mapping[str, Raced]) -> list[Check]:
    return [better(found["linear"], "adam", "sgd")]


GOOD = Claim("mine", "Adam beats SGD", "me", "Adam is better.", "SGD is better.", races, judge)


def failed(made: Claim) -> list[str]:
    return [finding.sentence for finding in check_claim(made) if not finding.passed]


def test_a_sound_claim_fails_nothing() -> None:
    assert failed(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"source": ""}, "Its source is ''; it must be words without spaces around them."),
        ({"title": "Adam  wins"}, "Its title is 'Adam  wins'; it must be words without spaces around them."),
        ({"statement": "Adam is better"}, "Its statement ends without a full stop; it is a sentence."),
        ({"title": "Adam wins."}, "Its title ends with a full stop, but is no sentence."),
        ({"races": lambda quick: {}}, "It asks for no race, so nothing can refute it."),
        (
            {"races": lambda quick: {"one": Asked("linear")}},
            "Quick, its races have 200,000 trial-steps, in full 200,000: quick must be less.",
        ),
        (
            {
                "races": lambda quick: {
                    "one": Asked("linear", options={"studies": 2 if quick else 5, "budget": "quick"})
                }
            },
            "The quick race 'one' has 2 studies; a test needs 3.",
        ),
        (
            {"races": lambda quick: races(quick) if quick else {"other": Asked("digits")}},
            "Race 'linear' is only raced when it is to be quick.",
        ),
        ({"races": lambda quick: {"one": Asked("linaer")}}, "It raised SpecError: There is no workload 'linaer'."),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert any(found.startswith(sentence) for found in failed(replace(GOOD, **changes))), failed(
        replace(GOOD, **changes)
    )


def test_a_claim_is_found_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from gradrace.claims import Claim\n"
        "claim = Claim('mine', 't', 's', 'S.', 'R.', lambda quick: {}, lambda found: [])\n",
        encoding="utf-8",
    )
    assert claim(str(path)).title == "t"
    path.write_text("claim = 3\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine\.py must define claim = Claim\(\.\.\.\), but does not\."):
        claim(str(path))
    path.write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(WorkloadError, match=r"mine\.py raised while it was loaded"):
        claim(str(path))
    with pytest.raises(SpecError, match=r"There is no file '.*other\.py'\."):
        claim(str(tmp_path / "other.py"))
