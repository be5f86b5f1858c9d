"""Any other optimizer as a contender: classes, functions, dotted names, files, and the zoo, raced as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

import gradrace
from gradrace import Contender, LogUniform, SpecError
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, TrialSetup
from gradrace.optimizers import TorchOptimizer, find, optimizers
from gradrace.race.spec import find_task, make_contenders, make_spec, race_id
from gradrace.space import Dimension
from gradrace.store import open_store
from gradrace.workloads import workload

SMALL: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40}

HALF = """
import torch

class Half(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=lr / 2)
"""


@pytest.mark.usefixtures("inline_lanes")
def test_torchs_class_makes_the_race_of_our_rule(tmp_path: Path) -> None:
    space: dict[str, Dimension] = {"lr": LogUniform(1e-3, 1e-1)}
    contenders = [Contender("adam", space=space), Contender(torch.optim.Adam, space=space, label="torch's")]
    result = gradrace.race("linear", contenders, store=tmp_path / "r.db", **SMALL)
    ours, theirs = (next(row for row in result.standings if row["label"] == label) for label in ("adam", "torch's"))
    assert ours["configuration"] == theirs["configuration"]
    assert ours["test"]["mean"] == pytest.approx(theirs["test"]["mean"], rel=1e-4)
    assert theirs["code"].endswith(ours["code"].partition("(")[2])
    assert theirs["state_bytes_per_parameter"] == pytest.approx(8.0)
    # The same method in other arithmetic: what is left is rounding, which may lie on either side.
    assert abs(result.pairs[0]["difference"]) < 1e-4 * ours["test"]["mean"]


@pytest.mark.usefixtures("inline_lanes")
def test_names_files_and_the_zoo_race_and_resume(tmp_path: Path) -> None:
    file = tmp_path / "half.py"
    file.write_text(HALF)
    given = ["torch.optim.NAdam", "torch.optim:Adamax", str(file), "adabelief", "pytorch_optimizer.Lion"]
    result = gradrace.race("linear", given, store=tmp_path / "r.db", **SMALL)
    assert {row["label"] for row in result.standings} == {
        "torch.optim.NAdam",
        "torch.optim.Adamax",
        "Half",
        "pytorch_optimizer.AdaBelief",
        "pytorch_optimizer.Lion",
    }
    assert all(row["configuration"] is not None for row in result.standings)
    assert "one model at a time" in result.to_json()["plan"]["reason"]
    assert gradrace.resume(result.id, store=tmp_path / "r.db").to_json() == result.to_json()


@pytest.mark.usefixtures("inline_lanes")
def test_a_function_can_name_what_is_tuned(tmp_path: Path) -> None:
    def make(params: Any, lr: float, beta1: float) -> torch.optim.Optimizer:
        return torch.optim.Adam(params, lr=lr, betas=(beta1, 0.95))

    space: dict[str, Dimension] = {"lr": LogUniform(1e-3, 1e-1), "beta1": LogUniform(0.05, 0.5, one_minus=True)}
    store = tmp_path / "r.db"
    result = gradrace.race("linear", [Contender(make, label="mine", space=space)], store=store, **SMALL)
    assert set(result.standings[0]["configuration"]) == {"lr", "beta1"}
    with open_store(store) as opened:
        opened.set_status(result.id, "interrupted")
    with pytest.raises(SpecError, match="Contender 'mine' was entered from Python with its own"):
        gradrace.resume(result.id, store=store)


def test_an_optimizer_that_evaluates_several_gradients_pays_for_them() -> None:
    work = workload("linear")
    rule = find("torch.optim.LBFGS")
    trials = Loop(work).start([TrialSetup(rule, {"lr": 0.1}, {}, (0, 0, 0))], Training(60, 32))
    calls: list[int] = []
    counted = torch.nn.functional.mse_loss

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return counted(output, target)

    object.__setattr__(work, "loss", loss)
    try:
        trials.train(60)
    finally:
        object.__setattr__(work, "loss", functional.mse_loss)
    assert trials.failures() == [None]
    # One step of L-BFGS takes up to 20 gradients; all are counted, and the last step may go beyond.
    assert 60 <= len(calls) < 60 + 25


def test_schedules_reach_any_optimizer() -> None:
    seen: list[float] = []

    class Watching(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            seen.append(self.param_groups[0]["lr"])
            return super().step(closure)

    setup = TrialSetup(find(Watching), {"lr": 0.4}, {}, (0, 0, 0))
    Loop(workload("linear")).start([setup], Training(4, 32, "linear")).train(4)
    assert seen == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_an_averaging_optimizer_is_told_when_it_is_looked_at() -> None:
    setups = [
        TrialSetup(rule, rule.configure({"lr": 0.5}), rule.with_options({}), (0, 0, 0))
        for rule in (find("schedulefree.SGDScheduleFree"), find("schedulefree_sgd"))
    ]
    trials = Loop(workload("linear")).start(setups, Training(40, 32))
    trials.train(40)
    evaluation = trials.evaluate("validation")
    assert trials.failures() == [None, None]
    assert evaluation.loss[0] == pytest.approx(evaluation.loss[1], rel=1e-4)


@pytest.mark.parametrize("name", sorted(n for n in dir(torch.optim) if isinstance(getattr(torch.optim, n), type)))
def test_every_class_of_torch_has_a_default_range(name: str) -> None:
    made = getattr(torch.optim, name)
    if made is torch.optim.Optimizer:
        with pytest.raises(SpecError, match="has no argument 'lr'"):
            find(f"torch.optim.{name}")
        return
    found = find(f"torch.optim.{name}")
    assert isinstance(found, TorchOptimizer)
    space = found.space["lr"]
    assert isinstance(space, LogUniform)
    assert space.low < found.configure()["lr"] <= space.high


def without_lr(params: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(params)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("torch.optim.Nadam", "There is no optimizer 'torch.optim.Nadam'"),
        ("no_such_module:X", "There is no optimizer 'no_such_module:X': No module named 'no_such_module'"),
        ("nowhere/mine.py", "There is no optimizer file 'nowhere/mine.py'"),
        (torch.nn.Linear, "'Linear' is no torch.optim.Optimizer and no function that makes one"),
        (3, "is a name, a gradrace Optimizer, .* but is int"),
        (without_lr, "has no argument 'lr', so a contender with it needs space= or hyper="),
    ],
)
def test_what_is_no_optimizer_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        Contender(given)


def test_unknown_arguments_and_options_are_refused() -> None:
    with pytest.raises(SpecError, match=r"has a search space for 'speed', which torch.optim.NAdam does not have"):
        Contender("torch.optim.NAdam", space={"speed": LogUniform(0.1, 1)})
    with pytest.raises(SpecError, match=r"NAdam has no argument 'speed'. It has: lr, betas"):
        Contender("torch.optim.NAdam", hyper={"speed": 1.0})
    with pytest.raises(SpecError, match="takes no options, but got nesterov"):
        Contender("torch.optim.SGD", options={"nesterov": True})
    with pytest.raises(SpecError, match=r"lr of torch.optim.NAdam must be a number, but is nan"):
        Contender("torch.optim.NAdam", hyper={"lr": float("nan")})


def test_a_file_with_two_classes_or_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    file.write_text(HALF + HALF.replace("Half", "Third"))
    with pytest.raises(SpecError, match=r"exactly one subclass of torch\.optim\.Optimizer, but defines 2"):
        find(str(file))


@pytest.mark.usefixtures("inline_lanes")
def test_a_contender_that_cannot_train_this_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"Contender 'torch\.optim\.Muon' cannot train the model of workload 'linear'"):
        gradrace.race("linear", ["sgd", "torch.optim.Muon"], store=tmp_path / "r.db", **SMALL)
    assert not (tmp_path / "r.db").exists()


def test_the_code_of_a_class_is_part_of_the_race() -> None:
    spec, task = make_spec(workload("linear"), **SMALL), find_task("linear")

    class A(torch.optim.SGD):
        pass

    class B(torch.optim.SGD):
        foreign = True

    ids = {race_id(spec, make_contenders([Contender(make, label="x")]), task) for make in (A, B, torch.optim.SGD)}
    assert len(ids) == 3
    assert "adam" in optimizers()
