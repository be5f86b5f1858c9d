"""The spec: what is refused and how it is said, labels, and the id that a race is known by."""

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
    BUDGETS,
    DEFAULT_CONTENDERS,
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


# --- numbers ---


def test_budgets_are_presets_of_which_numbers_can_be_replaced() -> None:
    quick, thorough = make_spec(LINEAR, "quick"), make_spec(LINEAR, "thorough", seeds=2, trials=64)
    assert (quick.studies, quick.trials, quick.seeds, quick.steps) == (3, 8, 3, LINEAR.steps // 4)
    assert (thorough.studies, thorough.trials, thorough.seeds, thorough.steps) == (8, 64, 2, LINEAR.steps)
    assert make_spec(LINEAR) == make_spec(LINEAR, "standard")
    assert (make_spec(LINEAR).studies, make_spec(LINEAR).trials, make_spec(LINEAR).seeds) == (5, 16, 4)
    assert quick.batch_size == LINEAR.batch_size
    assert make_spec(LINEAR, batch_size=5).batch_size == 5
    assert make_spec(replace(LINEAR, steps=1), "quick", halving=False).steps == 1
    with pytest.raises(SpecError, match=r"The budget is 'fast', but must be one of: quick, standard, thorough\."):
        make_spec(LINEAR, "fast")
    assert all(budget in ("quick", "standard", "thorough") for budget in BUDGETS)


BAD = [
    ({"studies": 0}, "studies must be at least 1, but is 0."),
    ({"studies": 1001}, "studies must be less than or equal to 1000, but is 1001."),
    ({"trials": -4}, "trials must be at least 1, but is -4."),
    ({"trials": 5000}, "trials must be less than or equal to 4096, but is 5000."),
    ({"seeds": 0}, "seeds must be at least 1, but is 0."),
    ({"steps": 0}, "steps must be at least 1, but is 0."),
    ({"batch_size": 0}, "batch_size must be at least 1, but is 0."),
    ({"seed": -1}, "seed must be at least 0, but is -1."),
    ({"seed": 2**63}, f"seed must be less than {2**63}, but is {2**63}."),
    ({"schedule": "step"}, "schedule must be 'constant', 'cosine' or 'linear', but is 'step'."),
    ({"engine": "fast"}, "engine must be 'auto', 'vectorized' or 'loop', but is 'fast'."),
    ({"device": "tpu"}, "device must be 'cpu' or 'cuda', but is 'tpu'."),
    ({"currency": "euro"}, "currency must be 'gradients' or 'seconds', but is 'euro'."),
    ({"lanes": 3}, f"A race has no option 'lanes'. It has: {', '.join(RaceSpec.model_fields)}."),
]


@pytest.mark.parametrize(("given", "sentence"), BAD, ids=lambda value: str(value)[:30])
def test_a_bad_value_becomes_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_spec(LINEAR, **given)
    assert str(caught.value) == sentence
    assert caught.value.__suppress_context__  # pydantic's own report is not shown


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("trials", "many"),
        ("trials", 8.5),
        ("steps", float("nan")),
        ("seeds", float("inf")),
        ("halving", "perhaps"),
        ("seed", [1]),
    ],
)
def test_a_value_of_another_kind_names_field_and_value(name: str, given: Any) -> None:
    with pytest.raises(SpecError, match=f"^{name} must be a .*, but is ") as caught:
        make_spec(LINEAR, **{name: given})
    assert str(caught.value).endswith(f"but is {given!r}.")
    assert "Input should" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        make_spec(LINEAR, studies=0, seeds=0)
    assert str(caught.value).count(" must be ") == 2


def test_halving_needs_a_number_that_can_be_halved() -> None:
    with pytest.raises(SpecError, match="The number of trials is 6, but halving over 3 rungs needs a multiple of 4"):
        make_spec(LINEAR, trials=6)
    with pytest.raises(SpecError, match="The number of steps is 3, but "):
        make_spec(LINEAR, steps=3)
    assert make_spec(LINEAR, trials=6, steps=3, halving=False).trials == 6


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SpecError, match="The device is 'cuda', but this machine has no CUDA device that torch can use"):
        make_spec(LINEAR, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert make_spec(LINEAR, device="cuda").device == "cuda"


# --- contenders ---


def test_contenders_from_names_optimizers_and_contenders() -> None:
    given = ["sgd", optimizer("adam"), Contender("adam", "slow", hyper={"lr": 1e-4})]
    contenders = make_contenders(given)
    assert [contender.label for contender in contenders] == ["sgd", "adam", "slow"]
    assert [contender.rule.name for contender in contenders] == ["sgd", "adam", "adam"]
    assert [contender.label for contender in make_contenders(DEFAULT_CONTENDERS)] == list(DEFAULT_CONTENDERS)


def test_labels_must_differ() -> None:
    with pytest.raises(
        SpecError, match=r"The label 'adam' stands for two contenders\. Give each its own, as in a=adam,b=adam"
    ):
        make_contenders(["sgd", "adam", Contender("adam")])
    with pytest.raises(SpecError, match="The label 'adam' stands for two contenders"):
        make_contenders([Contender("sgd", "adam"), "adam"])
    with pytest.raises(SpecError, match=r"A race needs at least one contender, and got none\."):
        make_contenders([])


@pytest.mark.parametrize("label", [" a", "a ", "a\nb", "\x00", "x" * 61])
def test_a_label_that_cannot_be_used(label: str) -> None:
    with pytest.raises(SpecError, match="cannot be used: a label has 1 to 60 printable characters") as caught:
        Contender("sgd", label)
    assert repr(label) in str(caught.value)


@pytest.mark.parametrize("label", ["아담 – fast", "x" * 60, "a=b,c", "a/b", "SGD + momentum 0.9"])
def test_a_label_that_can_be_used(label: str) -> None:
    assert Contender("sgd", label).label == label


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"optimizer": "adm"}, "There is no optimizer 'adm'. Did you mean 'adam'?"),
        ({"optimizer": 3}, "A contender's optimizer is a name"),
        (
            {"space": {"beta3": Uniform(0, 1)}},
            "Contender 'sgd' has a search space for 'beta3', which sgd does not have. ",
        ),
        ({"hyper": {"beta1": 0.9}}, "Optimizer 'sgd' has no hyperparameter 'beta1'. It has: lr, weight_decay."),
        ({"hyper": {"lr": -1}}, "lr must be a number at least 0, but is -1."),
        ({"options": {"nesterov": True}}, "Optimizer 'sgd' has no option 'nesterov'. It has: none."),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_bad_contender_is_told(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        Contender(**{"optimizer": "sgd", **given})
    assert str(caught.value).startswith(sentence)


def test_more_trials_tune_more() -> None:
    adam = Contender("adam")
    assert [list(adam.dimensions(trials)) for trials in (4, 9, 10, 25, 26, 49, 50)] == [
        ["lr"],
        ["lr"],
        ["lr", "beta1"],
        ["lr", "beta1"],
        ["lr", "beta1", "eps"],
        ["lr", "beta1", "eps"],
        ["lr", "beta1", "eps", "beta2"],
    ]
    assert list(Contender("adam", hyper={"beta1": 0.5}).dimensions(50)) == ["lr", "eps", "beta2"]
    mine = LogUniform(1e-6, 1e-2)
    asked = Contender("adam", space={"weight_decay": mine, "lr": mine}).dimensions(4)
    assert asked == {"lr": mine, "weight_decay": mine}  # what is asked for is tuned, however few trials there are


def test_a_full_configuration_is_defaults_then_held_then_tuned() -> None:
    found = Contender("adam", hyper={"beta1": 0.5}).full_configuration({"lr": 0.1})
    assert found == {"lr": 0.1, "beta1": 0.5, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}


def test_a_contender_is_known_by_its_description() -> None:
    given = Contender(
        "momentum",
        "heavy",
        {"lr": LogUniform(1e-3, 1, limit=2.0)},
        {"weight_decay": 0.1},
        {"nesterov": True},
        scramble=3,
    )
    values = json.loads(json.dumps(given.describe()))
    again = Contender.from_description(values, None)
    assert again.rule is given.rule
    assert again.describe() == given.describe()
    assert again.dimensions(16) == given.dimensions(16)


# --- ids ---


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
