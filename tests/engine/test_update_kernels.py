"""Generated update kernels do to a block's parameters and state what the rules say, in float64 to 1e-9."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from agreement import assert_agree, assert_close, setup, training
from gradrace.engine import groups
from gradrace.engine.trial import Schedule, TrialSetup
from gradrace.engine.vectorized import Vectorized, VectorizedTrials
from gradrace.optim import _compiler
from gradrace.optim._kernel import Rows
from gradrace.optimizers import optimizers
from gradrace.workloads import workload

STEPS = 12


@pytest.fixture(scope="module")
def engine() -> Vectorized:
    """One for all, whose programs serve every test."""
    if _compiler.machine() is None:
        pytest.skip("there is no C compiler")
    return Vectorized(workload("linear"))


def elementwise() -> list[TrialSetup]:
    """Two trials of every elementwise rule with every set of options that its cases have, on two seeds."""
    found: dict[Any, list[TrialSetup]] = {}
    for rule in optimizers().values():
        for case in rule.cases if rule.elementwise else ():
            hypers = [{**case.hyper, "lr": rule.space["lr"].value(share)} for share in (0.3, 0.6)]
            given = [setup(rule, hyper, (0, 0, seed), case.options) for seed, hyper in enumerate(hypers)]
            found.setdefault((rule.name, *given[0].options.items()), given)
    return [one for given in found.values() for one in given]


def without_kernels(patch: pytest.MonkeyPatch, act: Any) -> Any:
    with patch.context() as without:
        without.setattr(groups, "rows_kernel", lambda *arguments: None)
        return act()


def both(
    engine: Vectorized, given: list[TrialSetup], patch: pytest.MonkeyPatch, schedule: Schedule = "constant"
) -> tuple[VectorizedTrials, VectorizedTrials]:
    conditions = training(engine.workload, schedule)
    plain = without_kernels(patch, lambda: engine.start(given, conditions))
    assert all(group._kernel is None for group in plain._groups)
    return engine.start(given, conditions), plain


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_elementwise_rule_in_one_block(
    engine: Vectorized, schedule: Schedule, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = elementwise()
    kernels, plain = both(engine, given, monkeypatch, schedule)
    made = [group.optimizer.name for group in kernels._groups if group._kernel is not None]
    assert {"sgd", "adam", "nadam", "rmsprop", "schedulefree_sgd", "schedulefree_adamw"} <= set(made)
    for until in (1, 5):
        assert_agree(kernels, plain, until)
    # Of each two trials the first, the second, or both are left, in turn.
    kept = [row for row in range(len(given)) if (row // 2) % 3 == 2 or row % 2 == (row // 2) % 3]
    kernels.keep(kept)
    without_kernels(monkeypatch, lambda: plain.keep(kept))
    assert all(group._kernel is None for group in plain._groups)
    assert_agree(kernels, plain, STEPS)
    assert len(kernels.diverged_at()) == len(kept)


@pytest.mark.parametrize("name", ["schedulefree_sgd", "schedulefree_adamw"])
def test_averages_are_evaluated_alike(engine: Vectorized, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [setup(name, {"lr": lr}, (0, 0, 0)) for lr in (0.01, 0.1, 0.3)]
    kernels, plain = both(engine, given, monkeypatch)
    for trials in (kernels, plain):
        trials.train(STEPS)
    averages, trained = kernels._groups[0].evaluated(kernels._at.flat), kernels._at.flat
    assert float((averages - trained).abs().max()) > 1e-4  # else nothing below would notice that they are not used
    assert torch.allclose(averages, plain._groups[0].evaluated(plain._at.flat), rtol=1e-9, atol=0)
    assert_agree(kernels, plain, 2 * STEPS)


def test_state_is_whole_between_calls_and_unchanged_by_an_evaluation(engine: Vectorized) -> None:
    # NAdam keeps a number for each trial, which its kernel moves on beside the tensors.
    given = [setup("nadam", {"lr": lr}, (0, 0, 0)) for lr in (0.01, 0.1)]
    once, pieces = (engine.start(given, training(engine.workload)) for _ in range(2))
    once.train(STEPS)
    for until in range(1, STEPS + 1):
        pieces.train(until)
        pieces.evaluate("validation")
    assert torch.equal(once._at.flat, pieces._at.flat)
    one, other = once._groups[0].state[""], pieces._groups[0].state[""]
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    scalars = once._groups[0]._fields(groups.Kind.SCALAR)
    assert scalars
    assert all(0 < float(value) < 1 for tensor in scalars.values() for value in tensor)


def test_a_kernel_touches_the_rows_it_is_given_alone(engine: Vectorized) -> None:
    trials = engine.start([setup("momentum", {"lr": 0.1}, (0, 0, 0))] * 4, training(engine.workload))
    kernel = trials._groups[0]._kernel
    assert isinstance(kernel, Rows)
    generator = torch.Generator().manual_seed(1)

    def some(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    params, grads, fields = some(4, 11), some(2, 11), {name: some(4, 11) for name in kernel._kernel.like}
    hyper = {"lr": 0.1, "momentum": 0.9}
    row = [hyper.get(name, 1.0 if name == "step" else 0.0) for name in kernel.numbers]
    numbers = torch.tensor([row, row], dtype=torch.float64)
    numbers[1, kernel.numbers.index("lr")] = 0.0
    before = params.clone(), {name: tensor.clone() for name, tensor in fields.items()}
    kernel(grads, params[1:3], {name: tensor[1:3] for name, tensor in fields.items()}, numbers)
    for other in (0, 3):
        assert torch.equal(params[other], before[0][other])
        assert all(torch.equal(fields[name][other], before[1][name][other]) for name in fields)
    assert torch.equal(params[2], before[0][2])  # at a rate of 0
    ((name, _),) = fields.items()
    moved = 0.9 * before[1][name][1] + grads[0]
    assert_close(fields[name][1].tolist(), moved.tolist(), 1e-12)
    assert_close(params[1].tolist(), (before[0][1] - 0.1 * moved).tolist(), 1e-12)
