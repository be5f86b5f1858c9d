"""Every workload that is discovered, and what a user's own one may be made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, TrialSetup, fresh_model
from gradrace.errors import SpecError, WorkloadError
from gradrace.optimizers import optimizer
from gradrace.workloads import METRICS, Batch, Workload, workload, workloads

every_workload = pytest.mark.parametrize("task", workloads().values(), ids=lambda task: task.name)


def training(task: Workload, steps: int = 100) -> Training:
    return Training(steps, task.batch_size)


def weights(task: Workload, seed: int) -> Tensor:
    model = fresh_model(task, (0, 0, seed), training(task))
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


@every_workload
def test_initial_weights_differ_by_seed_and_by_nothing_else(task: Workload) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        before, first = torch.get_rng_state(), weights(task, 0)
        assert torch.equal(torch.get_rng_state(), before)  # the caller's generator is left alone
        torch.manual_seed(2)
        assert torch.equal(weights(task, 0), first)
    assert not torch.equal(weights(task, 1), first)
    assert torch.isfinite(first).all()


def rows(batch: Batch) -> list[bytes]:
    """Each example as its bytes."""
    return [b"".join(tensor[n].numpy().tobytes() for tensor in batch) for n in range(len(batch[0]))]


@every_workload
def test_splits_are_disjoint_and_fixed(task: Workload) -> None:
    examples = [row for batch in task.splits.values() for row in rows(batch)]
    assert list(task.splits) == ["train", "validation", "test"]
    assert len(set(examples)) == len(examples)
    assert min(len(batch[0]) for batch in task.splits.values()) >= 100  # enough to select and to confirm by
    with torch.random.fork_rng():
        torch.seed()
        again = replace(task).splits
    assert all(rows(again[name]) == rows(batch) for name, batch in task.splits.items())


@every_workload
def test_loss_and_metric_are_finite_scalars_at_the_start(task: Workload) -> None:
    model = fresh_model(task, (0, 0, 0), training(task))
    for batch in task.splits.values():
        part = tuple(tensor[: task.batch_size] for tensor in batch)
        output = task.output(model, part)
        loss, metric = task.loss_of(model, part), task.scored_by.of(output, part[-1])
        assert loss.shape == metric.shape == ()
        assert torch.isfinite(loss)
        assert torch.isfinite(metric)
        assert loss.requires_grad
        assert task.loss(output, part[-1]) == loss


@every_workload
def test_training_improves_loss_and_metric(task: Workload) -> None:
    adam = optimizer("adam")
    setup = TrialSetup(adam, adam.configure({"lr": 0.01}), adam.options, (0, 0, 0))
    trials = Loop(task).start([setup], training(task))
    before = trials.evaluate("validation")
    trials.train(100)
    after = trials.evaluate("validation")
    assert trials.failures() == [None]
    assert after.loss[0] < 0.8 * before.loss[0]
    better = (
        after.metric[0] - before.metric[0] if task.scored_by.direction == "max" else before.metric[0] - after.metric[0]
    )
    assert better > 0
    if task.target is not None:  # it is not reached by chance
        reached = (
            before.metric[0] >= task.target if task.scored_by.direction == "max" else before.metric[0] <= task.target
        )
        assert not reached


@every_workload
def test_facts_are_complete(task: Workload) -> None:
    assert workload(task.name) is task
    assert all(text.strip() for text in (task.title, task.stands_for, task.source))
    assert task.scored_by.direction in ("min", "max")
    assert task.steps >= 20
    assert 1 <= task.batch_size <= len(task.splits["train"][0])


def test_linear_reaches_its_known_minimum() -> None:
    task = workload("linear")
    assert task.minimum is not None
    # Least squares leave the noise, of variance 0.01, less 11 of 600 degrees of freedom.
    assert task.minimum() == pytest.approx(0.01 * (1 - 11 / 600), rel=0.15)
    momentum = optimizer("momentum")
    setup = TrialSetup(momentum, momentum.configure({"lr": 0.2}), momentum.options, (0, 0, 0))
    trials = Loop(task).start([setup], Training(task.steps, task.batch_size, "linear"))
    trials.train(task.steps)
    (loss,) = trials.evaluate("train").loss
    assert task.minimum() <= loss <= 1.05 * task.minimum()


def test_an_unknown_workload_is_told() -> None:
    with pytest.raises(
        SpecError, match=r"There is no workload 'digit'\. Did you mean 'digits'\? Known: digits, linear"
    ):
        workload("digit")


# --- metrics ---


@pytest.mark.parametrize(
    ("name", "output", "target", "value", "direction"),
    [
        ("accuracy", [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [1, 0, 0, 1], 0.5, "max"),
        ("mse", [[1.0], [2.0]], [[1.0], [5.0]], 4.5, "min"),
        ("mae", [[1.0], [2.0]], [[1.0], [5.0]], 1.5, "min"),
        ("log_loss", [[0.0, 0.0], [math.log(3.0), 0.0]], [0, 0], (math.log(2) + math.log(4 / 3)) / 2, "min"),
    ],
)
def test_metrics_by_hand(name: str, output: list[Any], target: list[Any], value: float, direction: str) -> None:
    metric = METRICS[name]
    assert float(metric.of(torch.tensor(output), torch.tensor(target))) == pytest.approx(value)
    assert metric.direction == direction
    assert metric.name == name
    assert set(METRICS) == {"accuracy", "mse", "mae", "log_loss"}


# --- one's own workload ---

INPUTS, TARGETS = torch.arange(40.0).view(20, 2), torch.arange(20.0).view(20, 1)


def own(**changes: Any) -> Workload:
    values = {"model": lambda: nn.Linear(2, 1), "loss": nn.functional.mse_loss, "metric": "mse"}
    data = {} if "data" in changes else {"train": (INPUTS, TARGETS), "validation": 0.2, "test": 0.1}
    return Workload("mine", **{**values, **data, **changes})


class Pairs(Dataset[Any]):
    """A map-style dataset."""

    def __init__(self, count: int = 20) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, n: int) -> tuple[Tensor, Tensor]:
        return INPUTS[n], TARGETS[n]


@pytest.mark.parametrize("train", [(INPUTS, TARGETS), [INPUTS, TARGETS], TensorDataset(INPUTS, TARGETS), Pairs()])
def test_data_come_in_several_forms(train: Any) -> None:
    splits = own(train=train).splits
    assert {name: len(batch[0]) for name, batch in splits.items()} == {"train": 14, "validation": 4, "test": 2}
    assert sorted(row for batch in splits.values() for row in rows(batch)) == sorted(rows((INPUTS, TARGETS)))
    assert all(rows(splits[name]) == rows(batch) for name, batch in own().splits.items())


def test_splits_may_be_data_or_fractions_or_come_from_a_function() -> None:
    validation, test = (INPUTS[:3] + 100, TARGETS[:3]), (INPUTS[:5] + 200, TARGETS[:5])
    given = own(validation=validation, test=test).splits
    assert [rows(given[name]) for name in given] == [rows((INPUTS, TARGETS)), rows(validation), rows(test)]
    mixed = own(validation=0.25, test=test).splits
    assert [len(batch[0]) for batch in mixed.values()] == [15, 5, 5]
    assert rows(mixed["test"]) == rows(test)
    calls = []

    def data() -> tuple[Batch, float, Batch]:
        calls.append(1)
        return (INPUTS, TARGETS), 0.25, test

    lazy = own(data=data)
    assert calls == []
    assert all(rows(lazy.splits[name]) == rows(batch) for name, batch in mixed.items())
    assert calls == [1]


def test_several_inputs_go_to_the_model() -> None:
    task = own(train=(INPUTS, INPUTS[:, :1], TARGETS))
    output = task.output(lambda a, b: a.sum(1, keepdim=True) + b, task.splits["test"])
    assert torch.equal(output[:, 0], task.splits["test"][0].sum(1) + task.splits["test"][1][:, 0])


def test_a_metric_of_ones_own_has_a_direction() -> None:
    def largest(output: Tensor, target: Tensor) -> Tensor:
        return (output - target).abs().max()

    task = own(metric=largest, direction="min")
    assert (task.scored_by.name, task.scored_by.direction, task.scored_by.of) == ("largest", "min", largest)
    assert own(metric="mse", direction="max").scored_by.direction == "max"
    assert own(metric="accuracy").scored_by.direction == "max"


DATA = {"train": (INPUTS, TARGETS), "validation": 0.2, "test": 0.1}
ONE_OF = "Workload 'mine' needs either train= or data=, and exactly one of them."
BESIDE = (
    "Workload 'mine' needs validation= and test= beside train=. "
    "Each is data, or a fraction such as 0.2 to split off from train."
)
DIRECTION = "Workload 'mine' has a metric function, so direction= must be 'min' or 'max', but is "
METRIC = "There is no metric 'acuracy'. Did you mean 'accuracy'? Known: accuracy, log_loss, mae, mse."


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"train": None}, ONE_OF),
        ({"data": lambda: None, **DATA}, ONE_OF),
        ({"validation": None}, BESIDE),
        ({"test": None}, BESIDE),
        ({"batch_size": 0}, "Workload 'mine' has batch_size 0; it must be a whole number, at least 1."),
        ({"steps": -3}, "Workload 'mine' has steps -3; it must be a whole number, at least 1."),
        ({"metric": "acuracy"}, METRIC),
        ({"metric": max}, DIRECTION + "None."),
        ({"metric": max, "direction": "up"}, DIRECTION + "'up'."),
        ({"direction": "up"}, "Workload 'mine' has direction 'up'; it must be 'min' or 'max'."),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_workload_that_cannot_be_is_told_at_once(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SpecError) as caught:
        own(**given)
    assert str(caught.value) == sentence


SPLITS_OFF = "Workload 'mine' splits {} off its training data; each fraction must lie between 0 and 1, and together "
NO_EXAMPLES = "Workload 'mine' has no examples in its {} split; it needs at least one."
KIND = (
    "The {} split of workload 'mine' must be a tuple of tensors (inputs, then target) or a Dataset of such tuples, but "
)
LENGTHS = "The tensors of the train split of workload 'mine' have [20, 7] examples; they must agree."
LOAD = "Workload 'mine' could not load its data (train, validation, test):\n"


class Endless(IterableDataset[Any]):
    """A dataset without a length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"validation": 0.0}, SPLITS_OFF.format("[0.0, 0.1]")),
        ({"validation": 1}, SPLITS_OFF.format("[1.0, 0.1]")),
        ({"validation": 0.6, "test": 0.4}, SPLITS_OFF.format("[0.6, 0.4]")),
        ({"test": -0.1}, SPLITS_OFF.format("[0.2, -0.1]")),
        ({"validation": math.nan}, SPLITS_OFF.format("[nan, 0.1]")),
        ({"validation": 0.01}, NO_EXAMPLES.format("validation")),
        ({"validation": 0.5, "test": 0.49}, NO_EXAMPLES.format("train")),
        ({"test": (INPUTS[:0], TARGETS[:0])}, NO_EXAMPLES.format("test")),
        ({"test": Pairs(0)}, NO_EXAMPLES.format("test")),
        ({"train": INPUTS}, KIND.format("train") + "is Tensor."),
        ({"test": (INPUTS,)}, KIND.format("test") + "is tuple."),
        ({"test": (INPUTS, [1, 2])}, KIND.format("test") + "is tuple."),
        ({"validation": "no"}, KIND.format("validation") + "is str."),
        ({"train": Endless()}, KIND.format("train") + "is Endless."),
        ({"train": (INPUTS, TARGETS[:7])}, LENGTHS),
        ({"data": lambda: (INPUTS, TARGETS)}, LOAD),
        ({"data": lambda: None}, LOAD),
    ],
    ids=lambda value: str(value)[:30],
)
def test_data_that_cannot_be_used_are_told_when_they_are_needed(given: dict[str, Any], sentence: str) -> None:
    task = own(**given)
    with pytest.raises(WorkloadError) as caught:
        _ = task.splits
    assert str(caught.value).startswith(sentence)
    assert sentence.endswith((" ", "\n")) or str(caught.value) == sentence


def test_what_loading_raises_is_shown_with_the_users_line() -> None:
    def data() -> Any:
        raise OSError("the disk is gone")

    with pytest.raises(WorkloadError) as caught:
        _ = own(data=data).splits
    assert str(caught.value).endswith("OSError: the disk is gone")
    assert 'raise OSError("the disk is gone")' in str(caught.value)
    assert "_base.py" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (lambda: None, "The model function of workload 'mine' must return an nn.Module, but returned NoneType."),
        (nn.ReLU, "The model of workload 'mine' has no trainable parameters, so nothing can be raced."),
        (lambda: nn.Linear(2, 1).requires_grad_(False), "The model of workload 'mine' has no trainable parameters"),
    ],
)
def test_a_model_that_cannot_be_trained_is_told(model: Callable[[], Any], sentence: str) -> None:
    task = own(model=model)
    with pytest.raises(WorkloadError) as caught:
        fresh_model(task, (0, 0, 0), training(task))
    assert str(caught.value).startswith(sentence)
