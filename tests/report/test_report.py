"""The summary from outcomes worked out by hand, and the two displays of a race under way."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from stored_race import A, B, Table, confirmed, notes, outcome, record, tuned

from gradrace.outcomes import Curve, Outcome, Status
from gradrace.report import html, summarize, terminal
from gradrace.report.progress import LiveProgress, PlainProgress, progress
from gradrace.report.tuning import budget_curves, robustness_of


def test_a_decided_race_by_hand() -> None:
    summary = summarize(record(), [*tuned(), *confirmed(A, B)], notes())
    first, second = summary["standings"]
    assert (first["label"], first["place"], first["tied_with"]) == ("a", 1, [])
    assert (second["label"], second["place"], second["tied_with"]) == ("b", 2, [])
    # Means of the studies: .91 .92 .93 and .81 .82 .82; differences .10 .10 .11.
    assert first["test"]["mean"] == pytest.approx(0.92)
    # 95 % t interval: .92 +- 4.303 * .01 / sqrt(3)
    assert first["test"]["interval"] == pytest.approx([0.92 - 0.02484, 0.92 + 0.02484], abs=1e-4)
    (pair,) = summary["pairs"]
    assert pair["difference"] == pytest.approx(0.31 / 3)
    assert pair["decision"] == "a better"
    # All studies confirmed alike on the validation split: the first study's choice is recommended, not the test's best.
    assert summary["recommendation"] == {
        "optimizer": "a",
        "code": "a0()",
        "sentence": "Use a: it scored best on w (test accuracy 0.92), detectably better than b.",
    }
    assert summary["cost"]["seconds"] == 7.5
    assert first["steps_to_target"] == 10
    assert first["seconds_to_target"] == pytest.approx(0.02)
    # a is sgd, b is momentum: the special case won, so momentum was tuned too little.
    assert any("b was tuned too little" in warning for warning in summary["warnings"])


def test_a_tie_and_the_words_for_it() -> None:
    close = [[0.91, 0.93], [0.90, 0.94], [0.95, 0.91]]
    summary = summarize(record(), [*tuned(), *confirmed(A, close)], notes())
    assert [row["place"] for row in summary["standings"]] == [1, 1]
    assert summary["recommendation"]["sentence"].startswith("No detectable difference: b scored best on w")
    assert any("this is a first look" in warning for warning in summary["warnings"])
    text = terminal.as_text(terminal.render(summary))
    assert "no detectable difference  about" in text
    assert "b0()" in text
    assert "Around every rule: cosine schedule, warmup 0.05." in text


def test_diverged_confirmations_count_as_the_worst_value() -> None:
    broken = [[None, 0.9], [0.9, 0.9], [0.9, 0.9]]
    summary = summarize(record(), [*tuned(), *confirmed(A, broken)], notes())
    row = next(row for row in summary["standings"] if row["label"] == "b")
    assert row["test"]["values"][0] == [0.0, 0.9]
    assert row["diverged"] == 1
    assert any(w.startswith("1 confirmation trial has no test value") for w in summary["warnings"])


def test_a_race_that_has_not_ended_has_no_verdict_and_says_how_to_go_on() -> None:
    summary = summarize(record("interrupted"), tuned(), {})
    assert summary["standings"] == []
    assert "gradrace resume abc123" in summary["recommendation"]["sentence"]
    assert "24 trials are stored" in summary["recommendation"]["sentence"]
    assert "gradrace resume abc123" in terminal.as_text(terminal.render(summary))


def test_unmeasured_costs_leave_their_columns_empty() -> None:
    summary = summarize(record(target=None), [*tuned(), *confirmed(A, B)], notes(error="it would not run"))
    assert summary["standings"][0]["step_seconds"] is None
    assert summary["standings"][0]["steps_to_target"] == 10
    assert summary["standings"][0]["seconds_to_target"] is None
    assert summary["standings"][0]["seconds_to_target_interval"] is None
    assert any("it would not run" in warning for warning in summary["warnings"])


def with_others(outcomes: list[Outcome], *names: str) -> list[Outcome]:
    """Each trial that finished gets further metrics: ten times its test value, and the next one ten times that."""
    return [
        replace(o, others={name: o.test * 10.0**power for power, name in enumerate(names, start=1)})
        if o.test is not None
        else o
        for o in outcomes
    ]


def test_further_metrics_by_hand() -> None:
    summary = summarize(record(), [*tuned(), *with_others(confirmed(A, B), "auc", "z")], notes())
    first, second = summary["standings"]
    assert list(first["others"]) == list(second["others"]) == ["auc", "z"]
    # The studies' means are 9.1 9.2 9.3; 95 % t interval: 9.2 +- 4.303 * .1 / sqrt(3).
    assert first["others"]["auc"]["mean"] == pytest.approx(9.2)
    assert first["others"]["auc"]["interval"] == pytest.approx([9.2 - 0.2484, 9.2 + 0.2484], abs=1e-3)
    assert second["others"]["z"]["mean"] == pytest.approx(100 * (0.81 + 0.82 + 0.82) / 3)
    assert first["others"]["z"]["missing"] == 0
    assert json.loads(json.dumps(summary)) == summary
    text = terminal.as_text(terminal.render(summary))
    assert text.index("Standings") < text.index("Beside accuracy") < text.index("Pairs")
    head, row = beside_table(text)[:2]
    assert head.split() == ["contender", "auc", "z"]
    assert row.split() == ["a", "9.2", "[8.952,", "9.448]", "92", "[89.52,", "94.48]"]
    assert "Left out" not in text
    assert "<tr><td>b</td><td>8.167 [" in html.fragment(summary)


def beside_table(text: str) -> list[str]:
    """The lines under the heading of the further metrics."""
    return text[text.index("Beside accuracy") :].splitlines()[1:]


def test_a_workload_without_further_metrics_shows_no_table_of_them() -> None:
    summary = summarize(record(), [*tuned(), *confirmed(A, B)], notes())
    assert [row["others"] for row in summary["standings"]] == [{}, {}]
    assert "Beside accuracy" not in terminal.as_text(terminal.render(summary))
    assert "Beside accuracy" not in html.fragment(summary)


def test_further_metrics_leave_out_trials_that_diverged_and_say_so() -> None:
    broken: Table = [[None, 0.9], [None, None], [0.7, 0.8]]
    summary = summarize(record(), [*tuned(), *with_others(confirmed(A, broken), "auc")], notes())
    row = next(row for row in summary["standings"] if row["label"] == "b")
    # Two studies are left, of 9 and 7.5: too few for an interval.
    assert row["others"]["auc"]["mean"] == pytest.approx(8.25)
    assert row["others"]["auc"]["interval"] is None
    assert row["others"]["auc"]["missing"] == 3
    sentence = "Left out are confirmation trials with no finite value, such as those that diverged: 3 of b."
    assert sentence in terminal.as_text(terminal.render(summary))
    assert sentence in html.fragment(summary)


def test_a_contender_that_has_none_of_a_metric_gets_a_dash() -> None:
    never: Table = [[None, None]] * 3
    summary = summarize(record(), [*tuned(), *with_others(confirmed(A, never), "auc")], notes())
    row = next(row for row in summary["standings"] if row["label"] == "b")
    assert row["others"] == {"auc": {"mean": None, "interval": None, "missing": 6}}
    assert [line.split() for line in beside_table(terminal.as_text(terminal.render(summary)))[2:3]] == [["b", "-"]]


def test_many_further_metrics_are_shown_a_row_each_and_their_names_are_no_markup() -> None:
    names = [f"decile[{rank}] <i>" for rank in "abcdefg"]
    for count, head, first in ((6, "contender", "a"), (7, "metric", names[0].split()[0])):
        outcomes = with_others(confirmed(A, B), *names[:count])
        summary = summarize(record(), [*tuned(), *outcomes], notes())
        lines = beside_table(terminal.as_text(terminal.render(summary)))
        assert lines[0].split()[0] == head
        assert any(line.split()[0] == first for line in lines[1:3])
        assert html.fragment(summary).count("decile[a] &lt;i&gt;") == 1
    assert lines[0].split() == ["metric", "a", "b"]
    assert [line.split()[0] for line in lines[1:8]] == [name.split()[0] for name in names]
    assert lines[1].split()[2:6] == ["9.2", "[8.952,", "9.448]", "8.167"]


def test_a_row_each_for_many_contenders_takes_several_tables() -> None:
    cell = {"mean": 1.0, "interval": [0.5, 1.5], "missing": 0}
    summary = summarize(record(), [*tuned(), *with_others(confirmed(A, B), "auc")], notes())
    row = summary["standings"][0]
    metrics = {f"decile {rank}": cell for rank in range(10)}
    summary["standings"] = [{**row, "label": f"contender{n}", "tied_with": [], "others": metrics} for n in range(14)]
    lines = beside_table(terminal.as_text(terminal.render(summary)))
    heads = [line.split()[1:] for line in lines if line.split()[:1] == ["metric"]]
    assert [len(head) for head in heads] == [6, 6, 2]
    assert [label for head in heads for label in head] == [f"contender{n}" for n in range(14)]
    assert [line.split() for line in lines[1:3]] == [["decile", "0", *["1"] * 6], ["[0.5,", "1.5]"] * 6]


def test_robustness_counts_decades_around_the_best() -> None:
    values = (0.5, 0.88, 0.9, 0.2)  # lr 0.01 and 0.1 are within 5 % of 0.9
    trials = [outcome("a", 0, point=p, value=values[p]) for p in range(4)]
    found = robustness_of(trials, 1, "max")
    assert found is not None
    assert found.decades == pytest.approx(1.0)
    assert found.safe == pytest.approx((0.01, 0.1))
    assert robustness_of([outcome("a", 0, value=None, status=Status.DIVERGED)], 1, "max") == (0.0, None, None)
    assert robustness_of([replace(trials[0], configuration={})], 1, "max") is None
    # A value that is infinite is no best one to be near to.
    assert robustness_of([*trials, outcome("a", 0, value=float("inf"), point=3)], 1, "max") == found


def test_dropped_trials_are_compared_where_all_of_them_were() -> None:
    numbers = {"studies": 1, "trials": 2, "seed": 0}
    early = outcome("a", 0, point=0, value=0.7, status=Status.DROPPED, curve=Curve([10], [1.0], [0.7], [0.1]))
    late = outcome("a", 0, point=1, value=0.9, curve=Curve([10, 20], [1, 1], [0.6, 0.9], [0.1, 0.1]))
    curves = budget_curves([early, late], ["a"], numbers, "max")
    assert curves["at_step"] == 10
    # Best of one: the mean of .7 and .6; best of two: .7. The later .9 has no counterpart.
    assert curves["best_of_n"]["a"] == pytest.approx([0.65, 0.7])


def test_plain_progress_says_stage_speed_time_and_leader() -> None:
    stream = io.StringIO()
    display = progress("max", stream)
    assert isinstance(display, PlainProgress)
    with display as watch:
        watch.stage("tuning", 8, 100, 50)
        watch.steps(60)
        watch.block([outcome("a", 0, point=1, value=0.8), outcome("b", 0, point=2, value=0.7)], trained=True)
    first, second = stream.getvalue().splitlines()
    assert first == "tuning: 8 trials, 100 trial-steps to train"
    assert second.startswith("tuning: 2 of 8 trials, ")
    assert "trial-steps/s" in second
    assert second.endswith("leader so far a (0.8)")


def test_live_progress_draws_the_same_and_leaves_nothing_behind() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    with LiveProgress(console, "min") as watch:
        watch.stage("confirmation", 4, 100, 0)
        watch.steps(40)
        watch.block([outcome("a", 0, value=0.8), outcome("b", 0, value=0.7)], trained=True)
        page = io.StringIO()
        Console(file=page, width=120).print(watch._line())
    line = page.getvalue()
    assert "confirmation" in line
    assert "2/4 trials" in line
    assert "leader so far: b (0.7)" in line
