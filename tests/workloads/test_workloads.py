"""Every workload that is discovered, and what a user's own one may be made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.func import vmap
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, TrialSetup, fresh_model
from gradrace.errors import SpecError, WorkloadError
from gradrace.optimizers import optimizer
from gradrace.workloads import METRICS, Batch, Workload, suite, workload, workloads
from gradrace.workloads._batch import tensors_of
from gradrace.workloads._splits import Split

every_workload = pytest.mark.parametrize("task", workloads().values(), ids=lambda task: task.name)


def rows(split: Split) -> list[bytes]:
    """Each example as its bytes."""
    assert not isinstance(split, Dataset)
    tensors = tensors_of(split)
    return [b"".join(tensor[n].numpy().tobytes() for tensor in tensors) for n in range(len(tensors[0]))]


@every_workload
def test_facts_are_complete(task: Workload) -> None:
    assert workload(task.name) is task
    assert all(text.strip() for text in (task.title, task.stands_for, task.source))
    assert task.scored_by.direction in ("min", "max")
    assert task.steps >= 20


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


def test_a_suite_has_the_workloads_that_say_so() -> None:
    primer = ["chat", "clicks", "digits", "forecast", "forecast-stocks", "game", "images", "language", "linear"]
    assert list(suite("primer")) == [*primer, "rare-words", "translation"]
    assert all(workload(name) is task for name, task in suite("primer").items())
    with pytest.raises(SpecError, match=r"There is no suite 'prime'\. Did you mean 'primer'\? Known: primer\."):
        suite("prime")


def test_an_unknown_workload_is_told() -> None:
    with pytest.raises(
        SpecError, match=r"There is no workload 'digit'\. Did you mean 'digits'\? Known: .*digits.*linear"
    ):
        workload("digit")


# --- metrics ---


BY_HAND: list[tuple[str, list[Any], list[Any], float, str]] = [
    ("accuracy", [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], [1, 0, 0, 1], 0.5, "max"),
    ("mse", [[1.0], [2.0]], [[1.0], [5.0]], 4.5, "min"),
    ("mae", [[1.0], [2.0]], [[1.0], [5.0]], 1.5, "min"),
    ("log_loss", [[0.0, 0.0], [math.log(3.0), 0.0]], [0, 0], (math.log(2) + math.log(4 / 3)) / 2, "min"),
    ("log_loss", [0.0, math.log(3.0)], [0, 1], (math.log(2) + math.log(4 / 3)) / 2, "min"),
    ("accuracy", [[1.0], [-1.0], [2.0], [-3.0]], [[1], [1], [1], [0]], 0.75, "max"),
    ("top5_accuracy", [[7.0, 6, 5, 4, 3, 2, 1], [7.0, 6, 5, 4, 3, 2, 1]], [4, 5], 0.5, "max"),
    ("auc", [0.1, 0.4, 0.4, 0.8], [0, 0, 1, 1], 3.5 / 4, "max"),
    ("f1", [1.0, 1.0, -1.0, -1.0], [1, 0, 1, 0], 0.5, "max"),
    ("rmse", [[1.0], [2.0]], [[1.0], [5.0]], math.sqrt(4.5), "min"),
    ("r2", [1.0, 2.0, 3.0], [1.0, 2.0, 6.0], 1 - 9 / 14, "max"),
]


@pytest.mark.parametrize(("name", "output", "target", "value", "direction"), BY_HAND)
def test_metrics_by_hand(name: str, output: list[Any], target: list[Any], value: float, direction: str) -> None:
    metric = METRICS[name]
    assert metric.of is not None
    outputs, targets = torch.tensor(output), torch.tensor(target)
    assert float(metric.of(outputs, targets)) == pytest.approx(value)
    assert vmap(metric.of, in_dims=(0, None))(torch.stack([outputs, outputs]), targets).tolist() == pytest.approx(
        [value, value]
    )
    assert metric.direction == direction
    assert metric.name == name


def test_every_metric_has_a_case_by_hand() -> None:
    cases = {name for name, *_ in BY_HAND}
    of_loss = {"loss": 0.5, "perplexity": math.exp(0.5), "bits_per_character": 0.5 / math.log(2)}
    for name, value in of_loss.items():
        found = METRICS[name].of_loss
        assert found is not None
        assert found(torch.tensor([0.5, 0.5])).tolist() == pytest.approx([value, value])
    assert cases | set(of_loss) == set(METRICS)


def test_the_area_under_the_curve_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(500, generator=generator).round(decimals=1)  # with many ties
    labels = (torch.rand(500, generator=generator) < 0.3).to(torch.int64)
    found = METRICS["auc"].of
    assert found is not None
    assert float(found(scores, labels)) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


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
    task = own(train=train)
    splits = task.splits
    assert task.sizes() == {"train": 14, "validation": 4, "test": 2}
    assert sorted(row for batch in splits.values() for row in rows(batch)) == sorted(rows((INPUTS, TARGETS)))
    assert all(rows(splits[name]) == rows(batch) for name, batch in own().splits.items())


def test_splits_may_be_data_or_fractions_or_come_from_a_function() -> None:
    validation, test = (INPUTS[:3] + 100, TARGETS[:3]), (INPUTS[:5] + 200, TARGETS[:5])
    given = own(validation=validation, test=test).splits
    assert [rows(given[name]) for name in given] == [rows((INPUTS, TARGETS)), rows(validation), rows(test)]
    mixed = own(validation=0.25, test=test).splits
    assert [len(rows(batch)) for batch in mixed.values()] == [15, 5, 5]
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
    batch = task.in_memory("test")
    output = task.output(lambda a, b: a.sum(1, keepdim=True) + b, batch)
    assert torch.equal(output[:, 0], tensors_of(batch)[0].sum(1) + tensors_of(batch)[1][:, 0])


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
METRIC = "There is no metric 'acuracy'. Did you mean 'accuracy'? Known: " + ", ".join(sorted(METRICS)) + "."


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"train": None}, ONE_OF),
        ({"data": lambda: None, **DATA}, ONE_OF),
        ({"validation": None}, BESIDE),
        ({"test": None}, BESIDE),
        ({"batch_size": 0}, "Workload 'mine' has batch_size 0; it must be a whole number, at least 1."),
        ({"steps": -3}, "Workload 'mine' has steps -3; it must be a whole number, at least 1."),
        (
            {"suites": "primer"},
            "Workload 'mine' has suites 'primer'; it must be a tuple of names, such as ('primer',).",
        ),
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
    "The {} split of workload 'mine' must be a tuple of tensors (inputs, then target), a dict of them with the key "
    "'target', or a Dataset of such examples, but "
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
        ({"train": Endless()}, "Workload 'mine' splits [0.2, 0.1] off an IterableDataset, which has no known length; "),
        ({"train": DataLoader(Pairs())}, "The train split of workload 'mine' is a DataLoader. Give its dataset "),
        ({"train": (INPUTS, TARGETS[:7])}, LENGTHS),
        ({"data": lambda: (INPUTS, TARGETS)}, "The data function of workload 'mine' must return train, validation, "),
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
        fresh_model(task, (0, 0, 0), Training(1, 1))
    assert str(caught.value).startswith(sentence)
