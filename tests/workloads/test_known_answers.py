"""Workloads of which the answer is known, held to closed forms: quadratic, rosenbrock, rare-features, imbalance."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, jacrev
from torch.nn import functional

from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, TrialSetup
from gradrace.errors import SpecError
from gradrace.optimizers import optimizer
from gradrace.workloads import Workload, imbalance, quadratic, rare_features, rosenbrock
from gradrace.workloads._batch import target_of, tensors_of
from gradrace.workloads._points import log10_excess


def value(task: Workload, point: Tensor) -> Tensor:
    """The loss of a workload whose parameters are one point, there."""
    assert task.model is not None
    model = task.model()
    return task.loss_of(lambda number: functional_call(model, {"point": point}, (number,)), task.in_memory("test"))


def hessian(task: Workload, point: Tensor) -> Tensor:
    """Its second derivatives there. Reverse mode twice: torch's forward mode calls what is deprecated."""
    curved = jacrev(jacrev(lambda at: value(task, at)))(point)
    assert isinstance(curved, Tensor)
    return curved


def end(task: Workload, name: str, hyper: dict[str, float], steps: int, seed: int = 0) -> tuple[float, float]:
    """The training loss before the first and after the last step."""
    rule = optimizer(name)
    setup = TrialSetup(rule, rule.configure(hyper), rule.options, (0, 0, seed))
    trials = Loop(task).start([setup], Training(steps, task.batch_size))
    before = trials.evaluate("train").loss[0]
    trials.train(steps)
    return before, trials.evaluate("train").loss[0]


# --- points ---


@pytest.mark.parametrize("task", [quadratic.workload, rosenbrock.workload, quadratic.make(5, 3), rosenbrock.make(4)])
def test_the_minimum_is_where_it_is_said_to_be(task: Workload) -> None:
    (found,) = target_of(task.in_memory("test")).double()
    assert task.minimum is not None
    assert value(task, found).item() == task.minimum() == 0
    assert float(grad(lambda point: value(task, point))(found).norm()) < 1e-12
    assert float(torch.linalg.eigvalsh(hessian(task, found)).min()) > 0


@pytest.mark.parametrize("task", [quadratic.workload, rosenbrock.workload])
def test_all_splits_measure_the_same_function_and_are_apart(task: Workload) -> None:
    splits = [tensors_of(task.in_memory(name)) for name in ("train", "validation", "test")]
    assert [split[0].tolist() for split in splits] == [[0], [1], [2]]
    assert all(torch.equal(split[1], splits[0][1]) for split in splits)
    assert task.remarks() == []


@pytest.mark.parametrize(("kappa", "dimensions", "rotated"), [(100.0, 20, True), (7.0, 5, False), (1e4, 10, True)])
def test_the_condition_number_is_the_one_that_was_chosen(kappa: float, dimensions: int, rotated: bool) -> None:
    task = quadratic.make(kappa, dimensions, rotated)
    curved = hessian(task, torch.randn(dimensions, dtype=torch.float64))
    eigenvalues = torch.linalg.eigvalsh(curved)
    assert float(eigenvalues[-1] / eigenvalues[0]) == pytest.approx(kappa, rel=1e-2 if kappa > 1000 else 1e-4)
    aligned = torch.equal(curved, torch.diag(torch.diagonal(curved)))
    assert aligned != rotated


def test_gradient_descent_at_the_best_rate_contracts_as_in_the_textbook() -> None:
    largest, smallest = 100**0.5, 100**-0.5
    before, after = end(quadratic.workload, "sgd", {"lr": 2 / (largest + smallest)}, 100)
    # The distance shrinks by at least (kappa - 1) / (kappa + 1) at each step, the loss by its square.
    assert after <= before * (99 / 101) ** 200 * 1.001
    assert after >= before * (99 / 101) ** 200 * 1e-2  # and not much faster: two directions shrink by just so much
    _, faster = end(quadratic.workload, "momentum", {"lr": 0.33, "momentum": (9 / 11) ** 2}, 100)
    assert faster < 1e-6 * after


def test_rosenbrock_by_hand() -> None:
    # Moré, Garbow and Hillstrom (1981), problem 1: 24.2 at the classical start.
    assert value(rosenbrock.workload, torch.tensor([-1.2, 1.0], dtype=torch.float64)).item() == pytest.approx(24.2)
    curved = hessian(rosenbrock.workload, torch.ones(2, dtype=torch.float64))
    assert torch.allclose(curved, torch.tensor([[802.0, -400.0], [-400.0, 200.0]], dtype=torch.float64))
    low, high = torch.linalg.eigvalsh(curved).tolist()
    assert high / low == pytest.approx(2508, abs=1)


def test_rosenbrock_starts_around_the_classical_point() -> None:
    assert rosenbrock.workload.model is not None
    torch.manual_seed(0)
    starts = torch.stack([next(rosenbrock.workload.model().parameters()).detach() for _ in range(400)])
    assert starts.mean(0).tolist() == pytest.approx([-1.2, 1.0], abs=0.02)
    assert starts.std(0).tolist() == pytest.approx([0.1, 0.1], rel=0.1)


def test_rosenbrock_the_valley_is_reached_soon_and_followed_slowly() -> None:
    before, soon = end(rosenbrock.workload, "momentum", {"lr": 1e-3, "momentum": 0.9}, 20)
    assert before > 10
    assert 1e-2 < soon < 6
    _, late = end(rosenbrock.workload, "momentum", {"lr": 1e-3, "momentum": 0.9}, 1000)
    assert late < 1e-3


def test_the_metric_counts_powers_of_ten_down_to_the_rounding_of_float32() -> None:
    of_loss = log10_excess(0.5).of_loss
    assert of_loss is not None
    assert of_loss(torch.tensor(0.501, dtype=torch.float64)).item() == pytest.approx(-3)
    assert of_loss(torch.tensor(0.5)).item() == pytest.approx(-12)
    assert log10_excess().direction == "min"


# --- rare-features ---


def test_features_are_there_as_often_as_said() -> None:
    inputs = tensors_of(rare_features.load(True, 1.0)[0])[0]
    active, expected = (inputs != 0).double().mean(0), rare_features.rates(1.0).double()
    assert expected[[0, 1, 3, 9]].tolist() == pytest.approx([1, 1, 0.5, 0.2])
    deviations = (active - expected) / (expected * (1 - expected) / len(inputs)).sqrt().clamp(min=1e-9)
    assert float(deviations.abs().max()) < 4.5
    assert set(inputs.unique().tolist()) == {-1, 0, 1}
    dense = tensors_of(rare_features.load(False, 1.0)[0])[0]
    assert len(dense.unique()) == 2
    weights = rare_features.truth()
    assert float((dense @ weights).std()) == pytest.approx(float((inputs @ weights).std()), rel=0.02)


def test_the_common_features_tell_nothing_and_the_rare_ones_do() -> None:
    inputs, classes = tensors_of(rare_features.load(True, 1.0)[0])
    count = (inputs != 0).sum(0)
    signed = (inputs * (2 * classes - 1)).sum(0) / count  # how far a feature's sign tells the class
    told = signed * rare_features.truth()
    assert float((signed * count.sqrt())[: rare_features.SILENT].abs().max()) < 4  # standard deviations
    assert float(told[rare_features.SILENT :].mean()) > 0.25


@pytest.mark.parametrize("sparse", [True, False])
def test_no_weights_do_better_than_the_minimum(sparse: bool) -> None:
    task = rare_features.make(sparse)
    inputs, classes = (tensor.double() for tensor in tensors_of(task.in_memory("train")))
    assert task.minimum is not None
    least = task.minimum()
    true = functional.binary_cross_entropy_with_logits(inputs @ rare_features.truth().double().unsqueeze(1), classes)
    # Twice the excess of the truth over the minimum is chi-square with 301 degrees of freedom (Wilks), sd 24.5.
    assert 2 * len(inputs) * (true.item() - least) == pytest.approx(301, abs=100)


def test_a_rate_for_each_feature_helps_where_features_are_rare() -> None:
    _, sgd = end(rare_features.workload, "sgd", {"lr": 0.6}, 200)
    _, adagrad = end(rare_features.workload, "adagrad", {"lr": 0.4}, 200)
    assert adagrad < sgd - 0.03


# --- imbalance ---


@pytest.mark.parametrize("m", [3, 6])
def test_class_counts(m: int) -> None:
    found = imbalance.classes(m)
    assert len(found) == m * 2**m
    assert found.bincount().tolist() == [2 ** (m - i) for i in range(m) for _ in range(2**i)]
    balanced = imbalance.classes(m, balanced=True).bincount()
    assert balanced.sum() == m * 2**m
    assert len(balanced) == 2**m - 1
    assert int(balanced.max() - balanced.min()) <= 1
    assert imbalance.inputs(m).shape == (m * 2**m, (m + 1) * 2**m)
    assert int(torch.linalg.matrix_rank(imbalance.inputs(m))) == m * 2**m  # so that any classes can be learnt


def test_the_loss_is_the_mean_of_its_groups_and_starts_at_chance() -> None:
    task = imbalance.workload
    assert task.model is not None
    torch.manual_seed(0)
    model, batch = task.model(), task.in_memory("train")
    with torch.no_grad():
        output = task.output(model, batch)
        groups = [of(output, target_of(batch)).item() for of in task.others.values()]
        whole = task.loss_of(model, batch).item()
    assert list(task.others) == [f"{2**power} samples" for power in (7, 6, 5, 4, 3, 2, 1)]
    assert whole == pytest.approx(sum(groups) / 7, rel=1e-5)
    assert whole == pytest.approx(math.log(127), abs=0.3)


def test_gradient_descent_stalls_on_rare_classes_and_adam_does_not() -> None:
    task, ends = imbalance.make(4), {}
    for name, lr in (("sgd", 0.3), ("adam", 0.03)):
        rule = optimizer(name)
        setup = TrialSetup(rule, rule.configure({"lr": lr}), rule.options, (0, 0, 0))
        trials = Loop(task).start([setup], Training(100, 1))
        trials.train(100)
        (ends[name],) = trials.evaluate("test").others
    assert ends["sgd"]["2 samples"] > 1.5 * ends["sgd"]["16 samples"]
    assert ends["adam"]["2 samples"] < 0.2 * ends["sgd"]["2 samples"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: quadratic.make(0.5), r"kappa is 0\.5; it must be at least 1"),
        (lambda: quadratic.make(dimensions=1), "dimensions is 1; it must be a whole number, at least 2"),
        (lambda: rosenbrock.make(1), "dimensions is 1; it must be a whole number, at least 2"),
        (lambda: rare_features.make(alpha=0), "alpha is 0; it must be more than 0"),
        (lambda: imbalance.make(1), "m is 1; it must be a whole number from 2 to 9"),
    ],
)
def test_what_cannot_be_is_told(make: object, sentence: str) -> None:
    assert callable(make)
    with pytest.raises(SpecError, match=sentence):
        make()


def test_variants_have_names_of_their_own() -> None:
    tasks = [
        *(quadratic.make(), quadratic.make(10), quadratic.make(dimensions=5), quadratic.make(rotated=False)),
        *(rosenbrock.make(), rosenbrock.make(4), imbalance.make(), imbalance.make(6), imbalance.make(balanced=True)),
        *(rare_features.make(), rare_features.make(False), rare_features.make(True, 1.5)),
    ]
    assert len({task.name for task in tasks}) == len(tasks)
