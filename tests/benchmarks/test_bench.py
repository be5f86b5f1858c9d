"""The parts of ``benchmarks/bench.py`` that measure nothing: tables, targets, means, the job of the peers."""

from __future__ import annotations

import doctest
import json
import math
from typing import Any

import pytest

from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.race.rungs import rung_steps
from gradrace.race.spec import BUDGETS, make_contenders
from gradrace.workloads import workload

RATES = {"gradrace": [20.0, 10.0, 30.0], "torch": [4.0, 5.0, 5.0]}
ENGINE = {
    "versions": "jax 1.0",
    "workloads": {
        "digits": {
            "engine": "vectorized",
            "trials": 32,
            "steps": 600,
            "modes": {},
            "rates": {**RATES, "jax": [10.0, 10.0, 10.0]},
            "jax": "two processes",
        },
        "game": {"engine": "loop", "trials": 20, "steps": 90, "modes": {}, "rates": {**RATES, "gradrace": [4, 5, 5]}},
    },
}
RACE = {
    "seconds": {"gradrace, cold": [20.0], "gradrace, warm": [10.0], "optuna": [100.0]},
    "shares": {"optuna": 6},
    "versions": "optuna 4.0",
}
SCALE = {
    "races": [
        {
            "size": size,
            "lanes": lanes,
            "trials": size,
            "seconds": [s],
            "seconds_per_trial": [s / size],
            "peak_mib": [9.0],
        }
        for size, s in ((10, 5.0), (10_000, 15.0))
        for lanes in (1, 2)
    ]
}
OVERHEADS = {
    "races": {
        "quiet": [{"seconds": 10.0, "processor": 3.0, "trials": 500}],
        "shown": [{"seconds": 10.1, "processor": 3.1, "trials": 500}],
    },
    "store": {"written": [10_000.0], "read": [1.0]},
    "machine_gflops": [100.0],
    "flops": {"digits": {"step": 10**6, "rates": [20_000.0]}},
}
FOUND = {"engine": ENGINE, "race": RACE, "scale": SCALE, "overheads": OVERHEADS}


def test_geometric_mean(part: Any) -> None:
    tables = part("tables")
    assert tables.geometric_mean([1.0, 4.0]) == pytest.approx(2.0)
    assert math.isnan(tables.geometric_mean([]))


def test_spread_is_median_with_ends(part: Any) -> None:
    tables = part("tables")
    assert tables.spread([10.0, 1.0, 4.0]) == "4.00 (1.00–10.0)"
    assert tables.spread([12345.0]) == "12,345"
    assert tables.spread([]) == "–"


def test_examples_of_tables(part: Any) -> None:
    assert doctest.testmod(part("tables")).failed == 0


def test_table_is_markdown(part: Any) -> None:
    assert part("tables").table(["a", "b"], [["1", "x|y"]]) == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |"]


@pytest.mark.parametrize(
    ("value", "at_most", "told"),
    [
        (5.0, False, "reached"),
        (4.9, False, "missed"),
        (5.1, True, "missed"),
        (4.9, True, "reached"),
        (None, False, "not measured in this run"),
        (math.nan, True, "not measured in this run"),
    ],
)
def test_targets_are_computed(part: Any, value: float | None, at_most: bool, told: str) -> None:
    assert part("tables").Target("what", 5, value, at_most).reached == told


def test_ratios_are_taken_round_by_round(part: Any) -> None:
    engine = part("sections.engine")
    assert engine.to_torch(ENGINE) == {"digits": 5.0, "game": 1.0}
    assert engine.to_jax(ENGINE) == {"digits": 2.0}
    whole, least, dense, jax = engine.targets(ENGINE)
    assert (whole.value, least.value) == (pytest.approx(math.sqrt(5.0)), 1.0)
    assert (dense.value, jax.value) == (pytest.approx(5.0), pytest.approx(2.0))


def test_targets_of_the_other_sections(part: Any) -> None:
    assert [target.value for target in part("sections.race").targets(RACE)] == [10.0, 5.0]
    assert part("sections.scale").targets(SCALE)[0].value == pytest.approx(0.003)
    assert part("sections.overheads").targets(OVERHEADS)[0].value == pytest.approx(0.5 + 1.0)


@pytest.mark.parametrize("only", [*FOUND, "all", "none"])
def test_page_of_any_sections(part: Any, only: str) -> None:
    bench = part("bench")
    sections = {name: values for name, values in FOUND.items() if only in (name, "all")}
    known = {"command": "x", "rounds": 3, "seconds_in_all": 60.0, "absent": ["JAX was left out."]}
    document = {**known, "machine": bench.machine(), "sections": sections}
    page = bench.markdown(json.loads(json.dumps(document)))
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [
        "Targets",
        *(bench.SECTIONS[name].TITLE for name in sections),
    ]
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert all(line.count("|") >= 3 for line in lines)
    assert sum("not measured in this run" in line for line in lines) >= 2


def test_turns_begin_with_another_each_round(part: Any) -> None:
    order: list[str] = []
    ways = {name: lambda name=name: float(not order.append(name)) for name in "ab"}
    assert part("sections._common").in_turns(2, ways) == {"a": [1.0, 1.0], "b": [1.0, 1.0]}
    assert order == ["a", "b", "b", "a"]


def test_peers_get_the_races_job(part: Any) -> None:
    job, preset = part("peers.digits_job"), BUDGETS["standard"]
    assert (preset.studies, preset.trials, preset.seeds) == (job.STUDIES, job.TRIALS, job.SEEDS)
    assert rung_steps(workload("digits").steps, halving=True) == job.RUNGS
    for contender in make_contenders(DEFAULT_CONTENDERS):
        spaces = contender.dimensions(job.TRIALS)
        theirs = {
            key.removeprefix("1 - "): (key.startswith("1 - "), *ends)
            for key, ends in job.SPACES[contender.label].items()
        }
        assert theirs == {name: (s.one_minus, s.low, s.high) for name, s in spaces.items()}  # pyright: ignore[reportAttributeAccessIssue]


def test_whole_job_from_a_share(part: Any) -> None:
    job = part("peers.digits_job")
    assert job.whole(start=3.0, study_seconds=[2.0, 4.0], at_once=2) == pytest.approx(3.0 + 3.0 * 25 / 2)
    assert len(job.share_of(0)) == 25


def test_a_missing_package_is_named(part: Any) -> None:
    absent = part("peers._absent")
    assert absent.missing("json", "no_such_package_anywhere") == "no_such_package_anywhere"
    assert absent.missing("json") == ""
