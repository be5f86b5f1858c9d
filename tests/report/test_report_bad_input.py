"""Races that went wrong, or were too small, or come from elsewhere: what is shown, and the sentence that says why."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stored_race import A, B, confirmed, notes, record, tuned

from gradrace.errors import StoreError
from gradrace.outcomes import Curve, Outcome, Status
from gradrace.report import html, summarize, terminal
from gradrace.store import open_store

FIXTURES = Path(__file__).parents[1] / "store" / "fixtures"


def shown(summary: dict[str, Any]) -> str:
    """The terminal's page on one line; the summary is JSON, and every page can be drawn."""
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert html.fragment(summary)
    return " ".join(terminal.as_text(terminal.render(summary)).split())


def intervals(values: Any, path: str = "") -> Iterator[str]:
    """Where a summary has an interval or a band."""
    if isinstance(values, dict):
        for name, value in values.items():
            if ("interval" in name or "band" in name) and value is not None:
                yield f"{path}/{name}"
            else:
                yield from intervals(value, f"{path}/{name}")
    elif isinstance(values, list):
        for index, value in enumerate(values):
            yield from intervals(value, f"{path}/{index}")


def of_studies(outcomes: list[Outcome], studies: int) -> list[Outcome]:
    return [o for o in outcomes if o.study < studies]


def with_others(outcomes: list[Outcome]) -> list[Outcome]:
    return [replace(o, others={"auc": o.test}) if o.test is not None else o for o in outcomes]


@pytest.mark.parametrize("studies", [1, 2])
def test_too_few_studies_show_standings_without_intervals_or_verdict(studies: int) -> None:
    outcomes = of_studies([*tuned(), *with_others(confirmed(A, B))], studies)
    summary = summarize(record(studies=studies, schedule="constant"), outcomes, notes())
    assert [(row["label"], row["place"]) for row in summary["standings"]] == [("a", 1), ("b", 1)]
    assert summary["pairs"][0]["decision"] == "no detectable difference"
    assert list(intervals(summary)) == []
    text = shown(summary)
    plural = "study" if studies == 1 else "studies"
    assert f"The race had {studies} {plural} per contender. At least 3 are needed" in text
    assert "the order is shown without intervals and without a verdict" in text
    assert "with fewer than 3 studies no difference can be told from luck" in text
    assert "[" not in text[: text.index("To bear in mind")]
    assert "95 % interval" not in text


def test_three_studies_have_every_interval() -> None:
    """Without which the test above could not fail."""
    summary = summarize(record(schedule="constant"), [*tuned(), *with_others(confirmed(A, B))], notes())
    found = {path.rsplit("/", 1)[-1] for path in intervals(summary)}
    assert found == {
        "interval", "lr_robustness_interval", "steps_to_target_interval", "seconds_to_target_interval",
        "best_of_n_band", "probability_best_band",
    }  # fmt: skip
    assert not any("At least 3" in warning for warning in summary["warnings"])


def test_one_contender_alone() -> None:
    alone = record(studies=2)
    alone.spec["contenders"] = [{"label": "a"}]
    del alone.plan["contenders"]["b"]
    outcomes = [o for o in of_studies([*tuned(), *confirmed(A, B)], 2) if o.contender == "a"]
    summary = summarize(alone, outcomes, notes())
    assert summary["pairs"] == []
    assert summary["budget"]["probability_best_by_n"]["a"] == pytest.approx([1.0] * 4)
    text = shown(summary)
    assert "It raced alone, so this says nothing about other optimizers" in text
    assert "its score is shown without an interval" in text


def test_all_values_equal() -> None:
    same = [[0.9, 0.9]] * 3
    trials = [replace(o, validation=0.9, curve=Curve([10, 20], [1, 1], [0.9, 0.9], [1, 1])) for o in tuned()]
    summary = summarize(record(schedule="constant", halving=False), [*trials, *confirmed(same, same)], notes())
    (pair,) = summary["pairs"]
    assert pair["decision"] == "no detectable difference"
    assert pair["reason"] == "Both have the same value on every seed of every study."
    assert [row["place"] for row in summary["standings"]] == [1, 1]
    row = summary["standings"][0]
    # Every rate tried is as good as the best: the whole range, three decades.
    assert row["lr_safe_range"] == pytest.approx([1e-3, 1.0])
    assert row["luck"]["share_tuning"] is None
    assert "No detectable difference" in shown(summary)


def test_every_trial_diverged() -> None:
    gone = [
        replace(
            o,
            status=Status.DIVERGED,
            diverged_at=7,
            steps=7,
            validation=None,
            curve=Curve([10], [None], [None], [None]),
        )
        for o in tuned()
    ]
    stored = record(target=None, schedule="constant", halving=False)
    for worst in (0.0, None):
        stored.plan["workload"]["worst"] = worst
        summary = summarize(stored, gone, {**notes(), "choices": {"choices": [], "extensions": [], "left": []}})
        assert summary["target"] is None
        assert summary["recommendation"]["code"] is None
        for row in summary["standings"]:
            assert (row["configuration"], row["lr_safe_range"], row["lr_robustness_decades"]) == (None, None, 0.0)
            assert (row["diverged"], row["studies_without_choice"]) == (12, 3)
            assert row["halving_regret"] is None
        text = shown(summary)
        assert "every trial diverged or failed" in text
        assert "none works" in text
        assert "a: no trial finished in 3 of 3 studies; it is placed by the worst value" in text


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_metrics_that_are_not_finite_are_worst_and_never_reach_the_json(broken: float) -> None:
    """The engine writes None for them; a store that another program wrote may hold anything."""
    trials = [
        replace(o, validation=broken, validation_loss=broken, curve=Curve([10, 20], [1, 1], [broken, broken], [1, 1]))
        if o.point == 1
        else o
        for o in tuned()
    ]
    runs = [
        replace(o, test=broken, validation=broken, curve=Curve([10, 20], [1, 1], [0.9, broken], [1, 1]))
        if o.contender == "b" and o.seed == 1
        else o
        for o in confirmed(A, B)
    ]
    summary = summarize(record(target=None, schedule="constant", halving=False), [*trials, *runs], notes())
    a, b = summary["standings"]
    assert (a["label"], b["label"]) == ("a", "b")
    assert [values[0] for values in b["test"]["values"]] == [0.0] * 3
    # lr 0.01 does not work, so the run around the best, lr 0.1, is that rate alone.
    assert a["lr_safe_range"] == pytest.approx([0.1, 0.1])
    assert "3 confirmation trials have no test value" in shown(summary)


def test_an_unknown_direction_is_refused_with_a_sentence() -> None:
    stored = record()
    stored.plan["workload"]["direction"] = "up"
    message = (
        "Race abc123 cannot be judged: the direction of its metric accuracy is 'up' in the store; it must be 'min' or "
        "'max', whichever is better."
    )
    with pytest.raises(StoreError) as caught:
        summarize(stored, [*tuned(), *confirmed(A, B)], notes())
    assert str(caught.value) == message


def test_what_an_earlier_version_did_not_write_down_is_done_without() -> None:
    whole = record(schedule="constant", warmup=0.0)
    stored = record(schedule="constant", warmup=0.0)
    for name in ("engine", "reason", "stochastic", "parameters", "block_trials", "evaluations", "steps"):
        del stored.plan[name]
    for name in ("worst", "target"):
        del stored.plan["workload"][name]
    for name in ("halving", "currency", "schedule", "warmup", "clip_norm", "decoupled_weight_decay", "ema", "seed"):
        del stored.spec["race"][name]
    for contender in stored.plan["contenders"].values():
        del contender["special_cases"]
    outcomes = [*tuned(), *confirmed(A, B)]
    summary, complete = (summarize(r, outcomes, notes()) for r in (stored, whole))
    assert summary["pairs"] == complete["pairs"]
    assert [row["label"] for row in summary["standings"]] == ["a", "b"]
    assert summary["plan"]["steps_of"] == {"a": 20, "b": 20}
    assert "engine: unknown" in shown(summary)


def test_a_record_that_is_no_race_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for fixture in sorted(FIXTURES.glob("*.db")):
        with open_store(shutil.copy(fixture, tmp_path), must_exist=True) as store:
            (stored,) = store.races()
            with pytest.raises(
                StoreError, match=r"entered by gradrace 0\.1\.0, cannot be shown: its record lacks spec"
            ):
                summarize(stored, store.outcomes(stored.id), store.notes(stored.id))


def test_failed_trials_alone() -> None:
    """A contender that raises at once has no curve to take a checkpoint of."""
    failed = [
        replace(o, status=Status.FAILED, steps=0, error="It broke.", validation=None, curve=Curve())
        if o.contender == "b"
        else o
        for o in tuned()
    ]
    runs = [o for o in confirmed(A, B) if o.contender == "a"]
    kept = [choice for choice in notes()["choices"]["choices"] if choice["contender"] == "a"]
    known = {**notes(), "choices": {"choices": kept, "extensions": [], "left": []}}
    summary = summarize(record(schedule="constant", halving=False), [*failed, *runs], known)
    b = summary["standings"][1]
    assert (b["label"], b["failed"], b["steps_to_target"], b["target_reached"]) == ("b", 12, None, [0, 6])
    assert summary["budget"]["probability_best_by_n"]["a"] == pytest.approx([1.0] * 4)
    assert "b: 12 trials failed, most with: It broke." in shown(summary)
