"""Who is ahead before a race has ended: worked by hand, and no more than validation values say."""

from __future__ import annotations

from typing import Any

import pytest
from paged import CARDS, race, unfinished
from stored_race import A, B, confirmed, notes, outcome, record, tuned

from gradrace.outcomes import Stage, Status
from gradrace.report.page import page_document
from gradrace.report.so_far import SoFar


def rows(outcomes: Any, direction: Any = "max") -> list[dict[str, Any]]:
    found = SoFar(["a", "b"], direction)
    for one in outcomes:  # one after another, as blocks come
        found.add([one])
    return found.rows()


def test_before_the_confirmation_it_is_the_median_of_each_studys_best_trial() -> None:
    found = rows([
        outcome("a", 0, point=0, value=0.5), outcome("a", 0, point=1, value=0.7),
        outcome("a", 1, point=0, value=0.9), outcome("a", 2, point=0, value=0.6),
        outcome("b", 0, point=0, value=0.8), outcome("b", 0, point=1, value=None, status=Status.DIVERGED),
        outcome("b", 1, point=0, value=0.8, status=Status.DROPPED),
    ])  # fmt: skip
    assert [(row["label"], row["validation"], row["studies"]) for row in found] == [("b", 0.8, 2), ("a", 0.7, 3)]
    assert {name: found[0][name] for name in ("trials", "dropped", "diverged", "failed")} == {
        "trials": 3, "dropped": 1, "diverged": 1, "failed": 0,
    }  # fmt: skip


def test_a_trial_that_was_trained_further_counts_before_a_better_one() -> None:
    early = outcome("a", 0, point=0, value=0.99, status=Status.DROPPED)
    object.__setattr__(early, "steps", 5)
    (first, _) = rows([outcome("a", 0, point=1, value=0.4), early])
    assert first["validation"] == 0.4


def test_where_less_is_better_the_least_leads() -> None:
    found = rows([outcome("a", 0, value=0.5), outcome("a", 0, point=1, value=0.2), outcome("b", 0, value=0.1)], "min")
    assert [(row["label"], row["validation"]) for row in found] == [("b", 0.1), ("a", 0.2)]


def test_confirmation_counts_once_every_contender_has_some() -> None:
    tuning = [outcome("a", 0, value=0.9), outcome("b", 0, value=0.8)]
    a = [outcome("a", 0, seed=seed, value=value, stage=Stage.CONFIRMATION) for seed, value in ((1, 0.5), (2, 0.6))]
    assert [row["by"] for row in rows([*tuning, *a])] == ["tuning", "tuning"]
    b = outcome("b", 0, seed=1, value=0.7, stage=Stage.CONFIRMATION)
    found = rows([*tuning, *a, b])
    assert [(row["label"], row["by"], row["validation"], row["confirmed"]) for row in found] == [
        ("b", "confirmation", 0.7, 1), ("a", "confirmation", pytest.approx(0.55), 2),
    ]  # fmt: skip


def test_a_race_of_which_nothing_is_known_has_rows_without_values() -> None:
    assert [(row["label"], row["validation"], row["trials"]) for row in rows([])] == [("a", None, 0), ("b", None, 0)]


def test_the_page_has_them_until_the_race_has_ended() -> None:
    assert page_document(*race(), CARDS)["so_far"] is None
    entered, outcomes, known = unfinished()
    document = page_document(entered, outcomes, known, CARDS)
    assert document["so_far"] == rows(outcomes)
    # Curves are those of the best trials so far, which end at 0.9; of "b" no study has any.
    assert document["learning"]["a"]["stage"] == "tuning"
    assert document["learning"]["a"]["median"] == [0.9, 0.9]
    assert document["learning"]["b"] is None


def test_seeds_that_are_still_to_come_do_not_count_as_diverged() -> None:
    entered = record(status="running")
    some = [one for one in confirmed(A, B) if one.seed == 1]
    document = page_document(entered, [*tuned(), *some], notes(), CARDS)
    assert document["learning"]["a"]["low"] == [0.9, 0.9]
    whole = page_document(record(), [*tuned(), *some], notes(), CARDS)
    assert whole["learning"]["a"]["stage"] == "confirmation"
