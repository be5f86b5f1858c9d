"""What is recommended: from a race on the task if there is one, else from evidence on tasks of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gradrace
from gradrace.errors import SpecError
from gradrace.evidence import _recommend
from gradrace.evidence._recommend import from_evidence, from_race, recommend
from gradrace.workloads import workload

SHORT: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40}


def row(label: str, lr: float, safe: tuple[float, float] | None, code: str | None = "a line") -> dict[str, Any]:
    """A row of standings."""
    kept = {"label": label, "optimizer": label, "configuration": {"lr": lr}, "code": code}
    return {**kept, "lr_safe_range": None if safe is None else list(safe)}


def made_up() -> dict[str, Any]:
    """Evidence on two networks of plain layers and a stream: adam is ahead on the plain ones, sgd on the stream."""
    plain, stream = "a network of plain layers", "a stream that is learnt as it comes"
    races = {
        "p": {"race": "r-p", "kind": plain, "standings": [row("adam", 0.01, (0.001, 0.1)), row("sgd", 1.0, None)]},
        "q": {"race": "r-q", "kind": plain, "standings": [row("adam", 0.0001, (0.0001, 0.001)), row("sgd", 0.1, None)]},
        "s": {"race": "r-s", "kind": stream, "standings": [row("sgd", 0.3, (0.1, 1.0)), row("adam", 0.01, None)]},
    }
    scores = {"p": (1.0, 0.9), "q": (1.0, 0.8), "s": (0.2, 1.0)}
    workloads = [
        {
            "name": name,
            "standings": [{"label": "adam", "normalized": adam}, {"label": "sgd", "normalized": sgd}],
        }
        for name, (adam, sgd) in scores.items()
    ]
    return {"races": races, "suite": {"contenders": ["sgd", "adam"], "workloads": workloads}}


def test_evidence_on_tasks_of_the_same_kind_decides_and_says_that_it_is_a_guess() -> None:
    found = from_evidence(workload("digits"), made_up())
    assert (found.first.label, found.basis, found.races) == ("adam", "suite", ("r-p", "r-q"))
    # Geometric means: of 0.01 and 0.0001; of 0.001 and 0.0001; of 0.1 and 0.001.
    assert found.first.lr == pytest.approx(0.001)
    assert found.first.safe == pytest.approx((10**-3.5, 10**-2))
    assert found.first.code == "torch.optim.Adam(model.parameters(), lr=0.001)"
    assert found.second is not None
    assert found.second.label == "sgd"
    assert found.second.safe is None
    assert "nobody has raced on digits here yet" in found.sentence
    assert "tasks of its kind (a network of plain layers): p and q" in found.sentence
    assert "adam gained on average 100% of what the best gained there" in found.sentence


def test_a_safe_range_read_early_is_widened_to_the_rate_chosen_at_the_end() -> None:
    known = made_up()
    known["races"]["s"]["standings"][0] = row("sgd", 0.03, (0.1, 1.0))
    found = from_evidence(workload("clicks"), known)
    assert (found.first.lr, found.first.safe) == (0.03, (0.03, 1.0))
    assert "sgd (lr 0.03, safe from 0.03 to 1)" in found.sentence


def test_one_race_of_its_kind_is_taken_as_it_is() -> None:
    found = from_evidence(workload("clicks"), made_up())
    assert (found.first.label, found.first.lr, found.first.safe, found.first.code) == ("sgd", 0.3, (0.1, 1.0), "a line")


def test_without_a_race_of_its_kind_all_of_them_decide() -> None:
    found = from_evidence(workload("images"), made_up())
    # adam (1 + 1 + 0.2) / 3, sgd (0.9 + 0.8 + 1) / 3.
    assert found.first.label == "sgd"
    assert "all tasks of the suite: p, q and s" in found.sentence
    assert "sgd gained on average 90%" in found.sentence


def test_a_race_on_the_task_itself_goes_before_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recommend, "evidence", made_up)
    store = tmp_path / "races.db"
    assert recommend("linear", store=store).basis == "suite"
    raced = gradrace.race("linear", ["sgd", "adam"], **SHORT, store=store)
    gradrace.race("linear", ["sgd"], **SHORT, store=store)  # alone, it cannot recommend anybody else
    gradrace.race("quadratic", ["sgd", "adam"], **SHORT, store=store)  # another task
    found = recommend("linear", store=store)
    assert (found.basis, found.races) == ("race", (raced.id,))
    leader = raced.standings[0]
    assert (found.first.label, found.first.lr) == (leader["label"], leader["configuration"]["lr"])
    assert found.second is not None
    assert found.second.label == raced.standings[1]["label"]
    assert recommend("digits", race=raced.id[:6], store=store).races == (raced.id,)
    assert f"in a race on linear itself ({raced.to_json()['race']['created'][:10]}, id {raced.id})" in found.sentence
    runs_as_pasted(found.first.code)
    assert found.to_json()["code"] == found.first.code
    assert found.to_json()["sentence"] == found.sentence


def runs_as_pasted(code: str) -> None:
    """The line makes an optimizer where there are torch and a model."""
    made = eval(code, {"torch": torch, "gradrace": gradrace, "model": nn.Linear(2, 1)})
    assert isinstance(made, torch.optim.Optimizer)


def test_a_race_in_which_nothing_worked_recommends_nothing() -> None:
    summary: Mapping[str, Any] = {
        "race": {"id": "abc", "created": "2026-01-01"},
        "standings": [row("adam", 1.0, None, code=None)],
        "recommendation": {"sentence": "No contender has a working configuration."},
    }
    with pytest.raises(SpecError, match="Race abc recommends nothing: No contender has a working configuration"):
        from_race(summary)
