"""The spec: what is refused and how it is said, and labels."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch

from gradrace.errors import SpecError
from gradrace.optimizers import optimizer
from gradrace.race.defaults import DEFAULT_CONTENDERS
from gradrace.race.spec import BUDGETS, Contender, RaceSpec, make_contenders, make_spec
from gradrace.space import LogUniform, Uniform
from gradrace.workloads import workload

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
    ({"studies": 10_001}, "studies must be less than or equal to 10000, but is 10001."),
    ({"trials": -4}, "trials must be at least 1, but is -4."),
    ({"trials": 5000}, "trials must be less than or equal to 4096, but is 5000."),
    ({"seeds": 0}, "seeds must be at least 1, but is 0."),
    ({"steps": 0}, "steps must be at least 1, but is 0."),
    ({"batch_size": 0}, "batch_size must be at least 1, but is 0."),
    ({"seed": -1}, "seed must be at least 0, but is -1."),
    ({"seed": 2**63}, f"seed must be less than {2**63}, but is {2**63}."),
    ({"schedule": "step"}, "schedule must be 'constant', 'cosine' or 'linear', but is 'step'."),
    ({"engine": "fast"}, "engine must be 'auto', 'compiled', 'vectorized' or 'loop', but is 'fast'."),
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
