"""Whole races, small ones, on real workloads: the protocol as it shows in the store and in the summary."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

import gradrace
from gradrace import Contender, LogUniform, SpecError, StoreError, Workload, WorkloadError
from gradrace.outcomes import Outcome, Stage, Status
from gradrace.race import orchestrator, resuming
from gradrace.store import open_store
from inline_lanes import InlineLanes

SMALL: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40}
TIMINGS = {
    "step_seconds",
    "seconds_to_target",
    "seconds_to_target_interval",
    "seconds",
    "seconds_training",
    "seconds_compiling",
    "profile",
    "created",
    "reason",
}


def outcomes(store: Path, race: str) -> list[Outcome]:
    with open_store(store, must_exist=True) as opened:
        return opened.outcomes(race)


def without_timings(values: Any) -> Any:
    """A summary without what a clock put into it: that is not reproducible, and all the rest has to be."""
    if isinstance(values, dict):
        return {name: without_timings(value) for name, value in values.items() if name not in TIMINGS}
    return [without_timings(value) for value in values] if isinstance(values, list) else values


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


@pytest.mark.usefixtures("inline_lanes")
def test_equal_budgets_paired_seeds_and_untouched_test_split(store: Path) -> None:
    result = gradrace.race("linear", ["sgd", "momentum", "adam"], store=store, **SMALL)
    all_of = outcomes(store, result.id)
    tuning = [outcome for outcome in all_of if outcome.stage is Stage.TUNING]
    assert Counter((o.contender, o.study) for o in tuning) == {
        (label, study): 4 for label in ("sgd", "momentum", "adam") for study in range(3)
    }
    # Halved twice: of four trials two are dropped at 10 steps, one at 20, and one goes to the end.
    for study in range(3):
        ends = sorted(o.steps for o in tuning if o.study == study and o.contender == "adam" and o.diverged_at is None)
        assert ends == [10, 10, 20, 40]
    assert all(outcome.test is None for outcome in all_of if outcome.stage is not Stage.CONFIRMATION)
    confirmed = [outcome for outcome in all_of if outcome.stage is Stage.CONFIRMATION]
    assert Counter((o.contender, o.study, o.seed) for o in confirmed) == {
        (label, study, seed): 1 for label in ("sgd", "momentum", "adam") for study in range(3) for seed in (1, 2)
    }
    # Same seed, same initial weights: before anything was learnt the contenders do not differ. The first points of
    # Adam and SGD at equal Sobol coordinates have different lrs, so equality can only come from pairing.
    assert {len(o.curve.step) for o in confirmed} == {20}


@pytest.mark.usefixtures("inline_lanes")
def test_the_summary_has_the_schema_and_the_code_line_runs(store: Path) -> None:
    result = gradrace.race("linear", ["sgd", "adam"], store=store, **SMALL)
    summary = result.to_json()
    json.dumps(summary, allow_nan=False)
    assert set(summary) >= {
        "schema", "gradrace", "workload", "plan", "machine", "standings", "pairs", "recommendation", "cost", "warnings",
    }  # fmt: skip
    assert summary["schema"] == 1
    for row in summary["standings"]:
        assert {"optimizer", "label", "place", "tied_with", "configuration", "validation", "test", "diverged", "trials",
                "lr_robustness_decades", "steps_to_target", "step_seconds",
                "state_bytes_per_parameter"} <= set(row)  # fmt: skip
        assert torch.tensor(row["test"]["values"]).shape == (3, 2)
        assert row["test"]["mean"] == pytest.approx(torch.tensor(row["test"]["values"]).double().mean().item())
    model = nn.Linear(10, 1)
    made = eval(result.recommendation["code"], {"torch": torch, "model": model})  # the line as it would be pasted
    assert isinstance(made, torch.optim.Optimizer)
    best = next(row for row in summary["standings"] if row["label"] == result.recommendation["optimizer"])
    assert made.param_groups[0]["lr"] == pytest.approx(best["configuration"]["lr"], rel=0.01)
    adam = next(row for row in summary["standings"] if row["label"] == "adam")
    assert adam["state_bytes_per_parameter"] == 8.0


def test_the_same_spec_again_trains_nothing(store: Path, inline_lanes: type[InlineLanes]) -> None:
    first = gradrace.race("linear", ["sgd"], store=store, **SMALL)
    trained = len(inline_lanes.ran)
    assert trained > 0
    again = gradrace.race("linear", ["sgd"], store=store, **SMALL)
    assert len(inline_lanes.ran) == trained
    assert again.to_json() == first.to_json()
    other = gradrace.race("linear", ["sgd"], store=store, **{**SMALL, "steps": 44})
    assert other.id != first.id
    assert len(inline_lanes.ran) > trained


def test_a_race_that_stopped_goes_on_and_repeats_no_block(
    store: Path, tmp_path: Path, inline_lanes: type[InlineLanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gradrace.race("linear", ["sgd", "adam"], store=tmp_path / "whole.db", **SMALL)
    blocks = [key for key in inline_lanes.ran if "/" in key]
    assert len(blocks) == len(set(blocks)) >= 4

    class Stopping(InlineLanes):
        ran: ClassVar[list[str]] = []

        def run(self, tasks: Any, *others: Any, **named: Any) -> Any:
            for result in super().run(tasks, *others, **named):
                yield result
                if len([key for key in Stopping.ran if "/" in key]) == 2:
                    raise KeyboardInterrupt

    monkeypatch.setattr(orchestrator, "Lanes", Stopping)
    with pytest.raises(gradrace.Interrupted, match="gradrace resume " + whole.id):
        gradrace.race("linear", ["sgd", "adam"], store=store, **SMALL)
    with open_store(store) as opened:
        kept = opened.blocks(whole.id)
        assert opened.race(whole.id).status == "interrupted"
    assert kept == {blocks[0], blocks[1]} & kept != set()

    monkeypatch.setattr(orchestrator, "Lanes", inline_lanes)
    inline_lanes.ran = []
    resumed = gradrace.resume(whole.id[:6], store=store)
    assert not kept & set(inline_lanes.ran)
    assert without_timings(resumed.to_json()) == without_timings(whole.to_json())


@pytest.mark.usefixtures("inline_lanes")
def test_an_edge_extends_the_range_within_the_budget(store: Path) -> None:
    low = Contender("sgd", label="low", space={"lr": LogUniform(1e-5, 1e-3)})
    result = gradrace.race("linear", [low, "sgd"], store=store, studies=3, trials=8, seeds=2, steps=40)
    all_of = outcomes(store, result.id)
    edge = [outcome for outcome in all_of if outcome.stage is Stage.EDGE]
    extended = Counter((o.contender, o.study) for o in edge)
    assert extended
    assert set(extended.values()) == {2}
    assert {label for label, _ in extended} == {"low"}
    assert all(1e-3 <= outcome.configuration["lr"] <= 1e-2 for outcome in edge)
    # The choice is among six of the first eight points and the two beyond: never more than the budget's eight.
    confirmed = {(o.study, o.point) for o in all_of if o.stage is Stage.CONFIRMATION and o.contender == "low"}
    assert all(point < 6 or point >= 8 for study, point in confirmed if ("low", study) in extended)
    said = f"low: in {len(extended)} of 3 studies the best lr lay at the high edge"
    assert any(said in warning for warning in result.warnings)
    assert any(w.startswith("low: in ") and "lies at the high edge of what was tried" in w for w in result.warnings)


@pytest.mark.usefixtures("inline_lanes")
def test_a_contender_that_always_diverges_ends_last_and_the_race_says_so(store: Path) -> None:
    wild = Contender("sgd", label="wild", space={"lr": LogUniform(1e10, 1e20)})
    result = gradrace.race("linear", ["adam", wild], store=store, **SMALL)
    last = result.standings[-1]
    assert last["label"] == "wild"
    assert last["configuration"] is None
    assert last["diverged"] == last["trials"] == 12
    assert result.pairs[0]["decision"] == "a better"
    assert any(w.startswith("wild: no trial finished in 3 of 3 studies") for w in result.warnings)
    alone = gradrace.race("linear", [wild], store=store, **SMALL)
    assert alone.recommendation["code"] is None
    assert "every trial diverged" in alone.recommendation["sentence"]
    diverged = [o for o in outcomes(store, alone.id) if o.status is Status.DIVERGED]
    assert all(outcome.diverged_at is not None and outcome.validation is None for outcome in diverged)


@pytest.mark.usefixtures("inline_lanes")
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_with_a_decaying_schedule_every_rung_runs_a_whole_one(store: Path, schedule: str) -> None:
    result = gradrace.race("linear", ["sgd"], store=store, schedule=schedule, **SMALL)
    survivor = next(o for o in outcomes(store, result.id) if o.stage is Stage.TUNING and o.status is Status.FINISHED)
    # Its curve is that of the last run, from the start, and not joined to those of the rungs before.
    assert survivor.curve.step == sorted(set(survivor.curve.step))
    assert survivor.curve.step[0] <= 2
    assert survivor.curve.step[-1] == 40
    constant = gradrace.race("linear", ["sgd"], store=store, **SMALL)
    assert constant.standings[0]["test"]["values"] != result.standings[0]["test"]["values"]


@pytest.mark.usefixtures("inline_lanes")
def test_without_halving_all_trials_go_to_the_end(store: Path) -> None:
    result = gradrace.race("linear", ["sgd"], store=store, halving=False, **{**SMALL, "trials": 3})
    tuning = [o for o in outcomes(store, result.id) if o.stage is Stage.TUNING]
    assert {o.status for o in tuning} <= {Status.FINISHED, Status.DIVERGED}


@pytest.mark.usefixtures("inline_lanes")
def test_budgets_in_seconds_give_the_cheaper_step_more_of_them(store: Path) -> None:
    result = gradrace.race("linear", ["sgd", "adam"], store=store, currency="seconds", **{**SMALL, "steps": 200})
    steps = result.to_json()["plan"]["steps_of"]
    assert steps["sgd"] == 200
    assert steps["adam"] < 200


@pytest.mark.usefixtures("inline_lanes")
def test_the_loop_engine_and_the_vectorized_one_make_the_same_race(store: Path) -> None:
    races = [
        gradrace.race("linear", ["sgd", "adam"], store=store, engine=engine, **SMALL)
        for engine in ("loop", "vectorized")
    ]
    assert races[0].id != races[1].id
    first, second = (sorted(race.standings, key=lambda row: row["label"]) for race in races)
    for a, b in zip(first, second, strict=True):
        assert a["configuration"] == b["configuration"]
        assert a["test"]["mean"] == pytest.approx(b["test"]["mean"], rel=1e-3)


def mine(**changes: Any) -> Workload:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(120, 4, generator=generator)
    y = (x[:, 0] > 0).long()
    settings: dict[str, Any] = {
        "name": "mine",
        "model": lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2)),
        "train": (x, y),
        "validation": 0.2,
        "test": 0.2,
        "loss": functional.cross_entropy,
        "metric": "accuracy",
        "batch_size": 16,
        "steps": 40,
    }
    return Workload(**{**settings, **changes})


@pytest.mark.usefixtures("inline_lanes")
def test_a_users_model_with_dropout_races_vectorized_with_one_seed_in_a_block(store: Path) -> None:
    result = gradrace.race(mine(), ["sgd", "adam"], store=store, **{**SMALL, "engine": "vectorized"})
    plan = result.to_json()["plan"]
    assert plan["engine"] == "vectorized"
    assert plan["stochastic"] is True
    with open_store(store) as opened:
        with pytest.raises(SpecError, match="Run the same script again"):
            gradrace.resume(result.id, store=store)
        names = opened.blocks(result.id)
    # Six pairs of study and seed, two contenders each.
    assert len([name for name in names if name.startswith("confirmation/")]) == 6


class Branching(nn.Linear):
    """Looks at its weights to decide what to compute, which all trials of a block cannot do at once."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) if self.weight.sum() > 1e9 else super().forward(2 * input)


@pytest.mark.usefixtures("inline_lanes")
def test_a_model_that_cannot_be_vectorized_uses_the_loop_and_says_why(store: Path) -> None:
    work = mine(model=lambda: nn.Sequential(nn.Linear(4, 8), Branching(8, 8), nn.Linear(8, 2)))
    result = gradrace.race(work, ["sgd"], store=store, **SMALL)
    assert result.to_json()["plan"]["engine"] in ("loop", "drop-in")
    assert "the model cannot be vectorized: " in result.to_json()["plan"]["reason"]
    with pytest.raises(SpecError, match=r"vectorized engine cannot train 'mine'.*'loop' can"):
        gradrace.race(work, ["sgd"], store=store, engine="vectorized", **SMALL)


class Fragile(nn.Module):
    """Raises once its weights are large, as a model with its own checks would."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.linear.weight.detach().abs().max() > 3:
            raise RuntimeError("weights out of bounds")
        return self.linear(x)


@pytest.mark.usefixtures("inline_lanes")
def test_an_error_in_some_trials_costs_those_trials_only(store: Path) -> None:
    result = gradrace.race(
        mine(model=Fragile), [Contender("sgd", space={"lr": LogUniform(1e-3, 1e3)})], store=store, **SMALL
    )
    all_of = outcomes(store, result.id)
    failed = [outcome for outcome in all_of if outcome.status is Status.FAILED]
    assert failed
    assert all("weights out of bounds" in (outcome.error or "") for outcome in failed)
    assert any(outcome.status is Status.FINISHED for outcome in all_of)
    assert any(
        "trials failed, most with: RuntimeError: weights out of bounds" in warning for warning in result.warnings
    )


@pytest.mark.usefixtures("inline_lanes")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": lambda: nn.Linear(5, 2)}, "Workload 'mine' raised when it was tried"),
        ({"model": lambda: "no model"}, "must return an nn.Module, but returned str"),
        ({"model": nn.Identity}, "has no trainable parameters"),
        ({"loss": lambda output, target: output.sum(1)}, r"must be a tensor of shape \(\), but is \(16,\)"),
        ({"metric": lambda o, t: 1 / 0, "direction": "max"}, "ZeroDivisionError"),
    ],
)
def test_a_broken_workload_is_named_and_nothing_is_written(store: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        gradrace.race(mine(**changes), ["sgd"], store=store, **SMALL)
    assert not store.exists()


@pytest.mark.usefixtures("inline_lanes")
def test_one_optimizer_against_itself_meets_other_points(store: Path) -> None:
    twins = [Contender("adam", label="a"), Contender("adam", label="b", scramble=1)]
    result = gradrace.race("linear", twins, store=store, **SMALL)
    points = {
        label: [
            o.configuration["lr"]
            for o in outcomes(store, result.id)
            if o.contender == label and o.stage is Stage.TUNING
        ]
        for label in ("a", "b")
    }
    assert points["a"] != points["b"]
    same = gradrace.race("linear", [Contender("adam", label="a"), Contender("adam", label="b")], store=store, **SMALL)
    assert same.pairs[0]["difference"] == 0.0
    assert same.pairs[0]["decision"] == "no detectable difference"


@pytest.mark.usefixtures("inline_lanes")
def test_two_studies_give_standings_without_a_verdict(store: Path) -> None:
    result = gradrace.race("linear", ["sgd", "adam"], store=store, **{**SMALL, "studies": 2})
    assert [row["place"] for row in result.standings] == [1, 1]
    assert result.pairs[0]["p"] is None
    assert any("At least 3 are needed" in warning for warning in result.warnings)


@pytest.mark.usefixtures("inline_lanes")
def test_a_stored_race_of_another_version_is_not_resumed(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = gradrace.race("linear", ["sgd"], store=store, **SMALL)
    with open_store(store) as opened:
        opened.set_status(result.id, "interrupted")
    monkeypatch.setattr(resuming, "__version__", "9.9.9")
    with pytest.raises(StoreError, match=r"was entered by gradrace .* and this is 9\.9\.9"):
        gradrace.resume(result.id, store=store)


@pytest.mark.usefixtures("inline_lanes")
def test_the_result_reads_well_and_escapes_labels(store: Path) -> None:
    result = gradrace.race(
        "linear", [Contender("sgd", label="<script>alert(1)</script>"), "adam"], store=store, **SMALL
    )
    assert "Verdict" in repr(result)
    assert result.recommendation["code"] in repr(result)
    assert "<script>" not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()
    frame = result.to_dataframe()
    assert list(frame["label"]) == [row["label"] for row in result.standings]
    result.to_json()["standings"].clear()
    assert len(result.to_json()["standings"]) == 2
    assert math.isfinite(frame["test"].sum())
