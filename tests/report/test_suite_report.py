"""A suite's summary from made-up races, worked out by hand, and what a terminal shows of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gradrace.report import suite_sentences, suite_terminal, terminal
from gradrace.report.suite import summarize_suite
from gradrace.verdict import compare, standings

Values = Sequence[float]
"""One test value for each study."""


def made_up(
    name: str,
    values: Mapping[str, Values],
    *,
    direction: Any = "max",
    untrained: float | None = 0.0,
    steps: Mapping[str, int | None] | None = None,
    seconds: Mapping[str, float | None] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """What a suite reads of a race's summary. Of each study the only seed scored the value."""
    scores = {label: [[value] for value in row] for label, row in values.items()}
    reached, cost = steps or {}, seconds or {}
    rows = [
        {
            "optimizer": standing.label,
            "label": standing.label,
            "place": standing.place,
            "tied_with": list(standing.tied_with),
            "configuration": {"lr": more.get("lr", 0.1)} if more.get("works", True) else None,
            "code": f"{standing.label}(lr={more.get('lr', 0.1)})" if more.get("works", True) else None,
            "test": {"mean": standing.mean, "interval": None, "values": scores[standing.label]},
            "steps_to_target": reached.get(standing.label),
            "step_seconds": cost.get(standing.label),
            "state_bytes_per_parameter": more.get("state", 4.0),
        }
        for standing in standings(scores, compare(scores, direction), direction)
    ]
    studies = len(next(iter(values.values())))
    return {
        "race": {"id": f"id-{name}", "status": "finished"},
        "workload": {
            "name": name,
            "stands_for": f"the use of {name}",
            "metric": "accuracy" if direction == "max" else "loss",
            "direction": direction,
            "target": 1.0,
        },
        "plan": {"studies": studies, "untrained": untrained, "contenders": {label: {} for label in values}},
        "standings": rows,
        "warnings": more.get("warnings", []),
    }


GOOD, FAIR, POOR = (0.90, 0.91, 0.92, 0.90, 0.92), (0.70, 0.71, 0.70, 0.72, 0.72), (0.5, 0.51, 0.49, 0.5, 0.5)
CARDS = {"a": {"idea": "goes downhill", "use": "everything"}}


def three_workloads() -> list[dict[str, Any]]:
    return [
        made_up(
            "v",
            {"a": GOOD, "b": FAIR, "c": POOR},
            steps={"a": 10, "b": 20},
            seconds={"a": 2.0, "b": 1.0, "c": 3.0},
            lr=0.3,
        ),
        made_up(
            "w",
            {"a": FAIR, "b": FAIR, "c": GOOD},
            untrained=0.3,
            steps={"a": 30, "b": 20, "c": 10},
            seconds={"a": 4.0, "b": 1.0, "c": None},
            lr=0.1,
            state=8.0,
        ),
        made_up(
            "x",
            {label: [-value for value in row] for label, row in (("a", GOOD), ("b", FAIR), ("c", POOR))},
            direction="min",
            seconds={"a": 3.0, "b": 1.0, "c": 9.0},
            lr=0.2,
            state=6.0,
            warnings=["Something."],
        ),
    ]


def test_a_suite_by_hand() -> None:
    suite = summarize_suite("mine", three_workloads(), CARDS)
    assert json.loads(json.dumps(suite, allow_nan=False)) == suite
    assert (suite["schema"], suite["suite"], suite["contenders"]) == (1, "mine", ["a", "b", "c"])
    # Ranks: a 1, 2.5, 1; b 2, 2.5, 2; c 3, 1, 3.
    assert suite["ranks"]["mean"] == pytest.approx({"a": 1.5, "b": 6.5 / 3, "c": 7 / 3})
    assert suite["ranks"]["apart"] == []
    assert suite["verdict"].startswith(
        "No detectable difference across the suite: a has the best mean rank over 3 workloads (1.50, where 1 is first "
        "on each and 3 is last), but their ranks could as well be luck (Friedman's test, p = "
    )
    first = suite["workloads"][0]
    assert (first["name"], first["race"], first["scale"]) == ("v", "id-v", "untrained model")
    # From 0 to a's mean of 0.91.
    assert [row["normalized"] for row in first["standings"]] == pytest.approx([1.0, 0.71 / 0.91, 0.5 / 0.91])
    assert [row["place"] for row in first["standings"]] == [1, 2, 3]
    # v: a is twice as fast as b; w: c is 2 times as fast as b, 3 times as fast as a; x: nobody.
    profiles = suite["profiles"]
    assert profiles["left_out"] == ["x"]
    assert profiles["shares"]["b"][:3] == [0.0, 0.0, 1.0]
    assert profiles["scores"] == pytest.approx({"a": (3 + 1) / 6, "b": (2 + 2) / 6, "c": 3 / 6})
    (a_b, a_c, b_c) = suite["probability_of_improvement"]
    assert (a_b["a"], a_b["b"]) == ("a", "b")
    # a and b have the same five values on w. Of 25 pairs 9 tie: half.
    assert a_b["probability"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert a_c["probability"] == pytest.approx(2 / 3)
    assert b_c["interval"] == pytest.approx([2 / 3, 2 / 3])
    assert set(suite["iqm"]) == {"a", "b", "c"}


def test_the_table_by_hand() -> None:
    suite = summarize_suite("mine", three_workloads(), CARDS)
    rows = {row["label"]: row for row in suite["table"]}
    assert list(rows) == ["a", "b", "c"]
    assert (rows["a"]["idea"], rows["a"]["use"], rows["b"]["idea"]) == ("goes downhill", "everything", None)
    # More of v and less of x is better, and a is best on both. On x it is told apart from c alone by its values.
    assert [known["workload"] for known in rows["a"]["best_uses"]] == ["v", "x"]
    assert rows["a"]["best_uses"][0] == {"workload": "v", "stands_for": "the use of v", "tied_with": []}
    assert [known["workload"] for known in rows["c"]["best_uses"]] == ["w"]
    assert rows["b"]["best_uses"] == []
    assert rows["b"]["evidence"] == {"workloads": 3, "first_alone": 0, "first_tied": 0, "beaten": 3}
    assert rows["a"]["evidence"]["first_alone"] == 2
    # Relative to b: 2, 4 and 3.
    assert rows["a"]["cost"] == {"step": 3.0, "state_bytes_per_parameter": 6.0}
    assert rows["c"]["cost"]["step"] == 6.0  # 3 and 9; unknown on w
    # Rates 0.3, 0.1, 0.2 on v, w, x: the median is that of x.
    assert (rows["a"]["code"], rows["a"]["code_from"]) == ("a(lr=0.2)", "x")


def test_a_suite_that_is_decided() -> None:
    races = [made_up(f"w{n}", {"a": GOOD, "b": FAIR, "c": POOR}) for n in range(8)]
    suite = summarize_suite("mine", races)
    assert suite["ranks"]["apart"] == [["a", "c"]]
    assert suite["verdict"] == (
        "a has the best mean rank over 8 workloads (1.00, where 1 is first on each and 3 is last), detectably better "
        "across them than c. It cannot be told apart from b."
    )


def test_a_suite_that_tells_only_that_there_is_a_difference() -> None:
    mean = {"a": 1.5, "b": 1.5, "c": 3.0}
    ranks = {"mean": mean, "workloads": 4, "p": 0.04, "alpha": 0.05, "critical_difference": 1.66, "apart": []}
    assert suite_sentences.verdict(list(mean), ranks) == (
        "a and b share the best mean rank over 4 workloads (1.50, where 1 is first on each and 3 is last). Not all "
        "contenders are equally good (Friedman's test, p = 0.04), but it cannot be told which is the best."
    )


def shown(suite: Mapping[str, Any]) -> str:
    return terminal.as_text(suite_terminal.render(suite))


def test_a_terminal_shows_all_of_it() -> None:
    text = shown(summarize_suite("mine", three_workloads(), CARDS, {"game": "It needs gymnasium."}))
    head = text.splitlines()
    assert head[1] == "Suite mine"
    assert "No detectable difference across the suite" in head[2]
    for part in (
        "goes downhill",
        "w (the use of w)",
        "of 3 workloads",
        "2 first alone",
        "3.00x",
        "a(lr=0.2)  # x",
        "0.91 [1]",
        "Across workloads",
        "speed score",
        "game was left out: It needs gymnasium.",
        "Steps to target leave out x",
        "gradrace show ID tells: id-x (x).",
    ):
        assert part in text
    assert text.index("What each is said to suit") < text.index("Workloads:") < text.index("Across workloads")
    rows = [line.split() for line in text.splitlines()]
    assert ["b", "17%", "[17%,", "17%]", "67%", "[67%,", "67%]"] in rows


def test_many_contenders_take_several_tables() -> None:
    values = {f"c{n}": [0.9 - n / 100 + k / 1000 for k in range(3)] for n in range(7)}
    text = shown(summarize_suite("mine", [made_up(f"w{n}", values) for n in range(3)]))
    rows = [line.split() for line in text.splitlines()]
    labels = [f"c{n}" for n in range(7)]
    for start in (["workload", "metric"], []):  # the test values, and the probabilities of improvement
        assert [*start, *labels[:5]] in rows
        assert [*start, *labels[5:]] in rows


def test_one_contender_alone() -> None:
    suite = summarize_suite("mine", [made_up(f"w{n}", {"a": GOOD}) for n in range(3)])
    assert suite["verdict"] == "a raced alone over 3 workloads, so this says nothing about other optimizers."
    (row,) = suite["table"]
    assert (row["best_uses"], row["evidence"]["first_alone"]) == ([], 0)
    assert suite["probability_of_improvement"] == []
    assert "Ranks compare contenders, and there is only one." in shown(suite)


def test_all_values_equal() -> None:
    suite = summarize_suite("mine", [made_up(f"w{n}", {"a": GOOD, "b": GOOD}, untrained=None) for n in range(3)])
    assert suite["verdict"] == "No detectable difference: all contenders have the same mean rank over 3 workloads."
    assert [row["best_uses"] for row in suite["table"]] == [[], []]
    assert suite["iqm"]["a"] == {"value": 1.0, "interval": [1.0, 1.0]}
    assert any("On w0, w1 and w2 all contenders have the same mean" in warning for warning in suite["warnings"])
    assert "none" in shown(suite)


def test_every_trial_diverged() -> None:
    dead = made_up("dead", {"a": [0.0] * 3, "b": [0.0] * 3}, works=False, untrained=None)
    suite = summarize_suite("mine", [dead])
    assert suite["verdict"].startswith("No contender has a working configuration on any workload of the suite")
    assert (suite["iqm"], suite["ranks"]["mean"], suite["profiles"]["scores"]) == ({}, {}, {})
    assert "On dead no contender has a working configuration" in shown(suite)
    # Beside one that worked it takes no part.
    both = summarize_suite("mine", [dead, made_up("v", {"a": GOOD, "b": POOR})])
    assert [work["name"] for work in both["workloads"]] == ["dead", "v"]
    assert both["ranks"]["workloads"] == 1
    assert both["ranks"]["mean"] == {"a": 1.0, "b": 2.0}
    assert both["table"][0]["evidence"]["workloads"] == 1
    assert "Too few workloads for a test of ranks: 1 given, at least 3 needed." in both["verdict"]


def test_a_workload_on_which_nothing_beats_the_untrained_model_is_named() -> None:
    suite = summarize_suite("mine", [made_up("v", {"a": GOOD, "b": POOR}, untrained=0.95)])
    assert suite["workloads"][0]["scale"] == "worst contender"
    assert any("On v no contender is better than the untrained model" in warning for warning in suite["warnings"])


def test_few_studies() -> None:
    three = made_up("v", {"a": GOOD[:3], "b": POOR[:3]})
    assert any(w.startswith("With 3 studies in a race") for w in summarize_suite("mine", [three])["warnings"])
    one = summarize_suite("mine", [three, made_up("w", {"a": GOOD[:1], "b": POOR[:1]})])
    assert any("some race had a single study" in warning for warning in one["warnings"])
    assert one["iqm"]["a"]["interval"] is None
    assert "100%" in shown(one)


def test_races_that_have_not_finished() -> None:
    stopped = {**made_up("v", {"a": GOOD, "b": POOR}), "standings": []}
    suite = summarize_suite("mine", [stopped, made_up("w", {"a": GOOD, "b": POOR})])
    assert [work["name"] for work in suite["workloads"]] == ["w"]
    assert "v was left out: its race has not finished. Go on with: gradrace resume id-v" in suite["warnings"]
    with pytest.raises(ValueError, match="No race of the suite 'mine' has finished"):
        summarize_suite("mine", [stopped])


def test_misuse() -> None:
    with pytest.raises(ValueError, match="Every race of a suite needs the same contenders, a; that on w has a, b"):
        summarize_suite("mine", [made_up("v", {"a": GOOD}), made_up("w", {"a": GOOD, "b": GOOD})])
    unknown = made_up("v", {"a": GOOD})
    unknown["workload"]["direction"] = "up"
    with pytest.raises(ValueError, match="direction is 'up'; it must be 'min' or 'max'"):
        summarize_suite("mine", [unknown])
