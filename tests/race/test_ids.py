"""The id that a race is known by: what changes it, and what does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from torch import nn

import gradrace.errors
from gradrace._discovery import load_file
from gradrace.errors import SpecError, WorkloadError
from gradrace.optimizers import optimizer
from gradrace.race.spec import (
    Contender,
    RaceSpec,
    Task,
    describe,
    find_task,
    make_contenders,
    make_spec,
    race_id,
)
from gradrace.space import LogUniform, Uniform
from gradrace.workloads import Workload, workload

LINEAR = workload("linear")


def make_id(spec: Mapping[str, Any] | None = None, contenders: Any = ("sgd", "adam"), task: Task | None = None) -> str:
    whole = make_spec(LINEAR).model_copy(update=dict(spec or {}))
    return race_id(whole, make_contenders(contenders), task or find_task("linear"))


def test_an_id_is_twelve_hexadecimal_digits_and_stable() -> None:
    id = make_id()
    assert len(id) == 12
    assert int(id, 16) >= 0
    assert make_id() == id
    assert make_id(contenders=[Contender("sgd"), optimizer("adam")]) == id


def test_every_field_of_the_spec_changes_the_id() -> None:
    def other(value: Any) -> Any:
        if isinstance(value, bool):
            return not value
        return value + 1 if isinstance(value, int | float) else "another"

    changed = {name: other(value) for name, value in make_spec(LINEAR).model_dump().items()}
    ids = [make_id(), *(make_id({name: value}) for name, value in changed.items())]
    assert len(set(ids)) == len(RaceSpec.model_fields) + 1


def test_everything_about_contenders_changes_the_id() -> None:
    lr = LogUniform(1e-3, 1)
    one_sgd = [
        Contender("sgd", "x"),
        Contender("nesterov", "x"),
        Contender("momentum", "x"),
        Contender("momentum", "x", options={"nesterov": True}),
        Contender("momentum", "y"),
        Contender("momentum", "x", scramble=1),
        Contender("momentum", "x", hyper={"lr": 0.1}),
        Contender("momentum", "x", hyper={"lr": 0.2}),
        Contender("momentum", "x", hyper={"momentum": 0.1}),
        Contender("momentum", "x", {"lr": lr}),
        Contender("momentum", "x", {"weight_decay": lr}),
        Contender("momentum", "x", {"lr": replace(lr, low=1e-2)}),
        Contender("momentum", "x", {"lr": replace(lr, high=2)}),
        Contender("momentum", "x", {"lr": replace(lr, limit=2)}),
        Contender("momentum", "x", {"lr": replace(lr, one_minus=True)}),
        Contender("momentum", "x", {"lr": Uniform(1e-3, 1)}),
    ]
    ids = [make_id(contenders=[contender]) for contender in one_sgd]
    ids += [make_id(contenders=["sgd", "adam"]), make_id(contenders=["sgd"])]
    assert len(set(ids)) == len(ids)


def test_an_optimizer_of_ones_own_is_known_by_what_it_does() -> None:
    sgd = optimizer("sgd")
    twice = replace(
        sgd, hyperparameters={**sgd.hyperparameters, "lr": replace(sgd.hyperparameters["lr"], default=0.02)}
    )
    assert len({make_id(contenders=[sgd]), make_id(contenders=[replace(sgd)]), make_id(contenders=[twice])}) == 3
    assert make_id(contenders=[replace(sgd)]) == make_id(contenders=[replace(sgd)])


def test_a_description_is_plain_data() -> None:
    described = describe(make_spec(LINEAR), make_contenders(["sgd"]), find_task("linear"))
    assert json.loads(json.dumps(described)) == described
    assert described["race"]["studies"] == 5
    assert described["contenders"][0]["label"] == "sgd"
    assert described["workload"]["name"] == "linear"


# --- tasks ---


def own_workload(**changes: Any) -> Workload:
    data = (torch.arange(40.0).view(20, 2), torch.ones(20, 1))
    values = {
        "model": Net,
        "loss": nn.functional.mse_loss,
        "metric": "mse",
        "train": data,
        "validation": 0.2,
        "test": 0.2,
    }
    return Workload("mine", **{**values, **changes})


class Net(nn.Linear):
    def __init__(self) -> None:
        super().__init__(2, 1)


def test_a_built_in_workload_is_found_by_its_name() -> None:
    assert find_task("linear").workload is LINEAR
    with pytest.raises(SpecError, match=r"There is no workload 'liner'\. Did you mean 'linear'\?"):
        find_task("liner")
    assert make_id(task=find_task("linear")) != make_id(task=find_task("digits"))


def test_a_workload_of_ones_own_is_known_by_its_content() -> None:
    mine = own_workload()
    id = make_id(task=find_task(mine))
    assert find_task(mine).workload is mine
    assert make_id(task=find_task(own_workload())) == id
    others = [{"steps": 3}, {"metric": "mae"}, {"validation": 0.3}, {"loss": nn.functional.l1_loss}, {"batch_size": 5}]
    others.append({"train": (torch.arange(40.0).view(20, 2), torch.zeros(20, 1))})
    assert len({id, *(make_id(task=find_task(own_workload(**change))) for change in others)}) == 7


def test_the_suites_of_a_workload_do_not_change_its_id() -> None:
    mine = own_workload(suites=("primer",))
    assert mine.suites == ("primer",)
    assert make_id(task=find_task(mine)) == make_id(task=find_task(own_workload()))
    # A built-in workload is known by its name and gradrace's version, whatever its file says.
    assert find_task("linear").reference == {"kind": "built-in", "name": "linear", "fingerprint": gradrace.__version__}


def test_a_workload_keeps_its_id_when_it_has_been_used() -> None:
    mine = own_workload()
    id = make_id(task=find_task(mine))
    assert mine.sizes()["train"] == 12
    assert mine.scored_by.direction == "min"
    assert make_id(task=find_task(mine)) == id


FILE = """
import torch
from torch import nn
from gradrace import Workload

class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 1)

workload = Workload("own", Net, nn.functional.mse_loss, "mse", train=(torch.ones(20, 2), torch.ones(20, 1)),
                    validation=0.2, test=0.2)
"""


def test_a_file_is_known_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    paths = [tmp_path / "one.py", tmp_path / "folder" / "two.py", tmp_path / "three.py"]
    paths[1].parent.mkdir()
    for path, text in zip(paths, (FILE, FILE, FILE + "\n"), strict=True):
        path.write_text(text, encoding="utf-8")
    tasks = [find_task(path) for path in paths]
    assert [task.workload.name for task in tasks] == ["own"] * 3
    assert tasks[1].reference["path"] == str(paths[1])
    ids = [make_id(task=task) for task in tasks]
    assert ids[0] == ids[1] != ids[2]


def test_a_file_that_is_no_workload_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"There is no workload file '.*none\.py'\."):
        find_task(tmp_path / "none.py")
    path = tmp_path / "empty.py"
    path.write_text("workload = 3", encoding="utf-8")
    with pytest.raises(WorkloadError, match=r"empty\.py must define workload = Workload"):
        find_task(str(path))


OPTIMIZER = """
from dataclasses import replace
from typing import NamedTuple
from gradrace.optimizers import PerTensor, optimizer

class Mine(NamedTuple):
    lr: object
    weight_decay: object

def update(grad, state, param, hyper, step):
    return -hyper.lr * grad.sign(), state

mine = replace(optimizer("sgd"), name="sign", rule=PerTensor(lambda param: (), update), hyper=Mine)
"""


def test_the_same_lines_run_again_have_the_same_id(tmp_path: Path) -> None:
    # Classes and functions of a script are in no module that could be named: cloudpickle carries them by value.
    script = tmp_path / "script.py"
    script.write_text(FILE + OPTIMIZER, encoding="utf-8")

    def run() -> str:
        module = load_file(script)
        cloudpickle.register_pickle_by_value(module)
        return make_id(contenders=["sgd", module.mine], task=find_task(module.workload))

    id = run()
    assert run() == id
    script.write_text(FILE + OPTIMIZER.replace("-hyper.lr", "-2 * hyper.lr"), encoding="utf-8")
    assert run() != id


PRINT = """
from gradrace.race.spec import find_task, make_contenders, make_spec, race_id

print(race_id(make_spec(workload), make_contenders(["sgd", mine]), find_task(workload)))
"""


@pytest.mark.slow
def test_another_process_has_the_same_id(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(FILE + OPTIMIZER + PRINT, encoding="utf-8")
    source = str(Path(gradrace.errors.__file__).parents[1])
    ids = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONPATH": source, "PYTHONHASHSEED": seed}
        command = [sys.executable, str(script)]
        ids.append(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    assert len(ids[0]) == 12
    assert ids[0] == ids[1]
