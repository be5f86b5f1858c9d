"""What defines Prodigy, which looks at all parameters at once, and the rules that average weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import oracles
from gradrace.optimizers import Optimizer, optimizer
from rule_trial import F64, Trial, normal

# --- Prodigy: the estimate ---


def test_prodigy_finds_the_distance_it_has_to_go() -> None:
    target = {"w": 3 * normal(4, 5), "b": normal(5, seed=1)}
    trial = Trial("prodigy", {key: torch.zeros_like(value) for key, value in target.items()})
    estimates = []
    for _ in range(300):
        trial.step({key: trial.params[key] - value for key, value in target.items()})
        estimates.append(1e-6 * float(trial.state.growth))
    farthest = max(float(value.abs().max()) for value in target.values())
    assert estimates[0] == pytest.approx(1e-6)  # nothing to be seen yet from where it started
    assert estimates == sorted(estimates)
    assert 0.05 * farthest < estimates[-1] < farthest
    assert all(float((trial.params[key] - value).abs().max()) < 0.2 for key, value in target.items())


def test_the_estimate_of_prodigy_belongs_to_all_parameters_together() -> None:
    pull = {"near": torch.full((3,), 0.01, dtype=F64), "far": torch.full((3,), 5.0, dtype=F64)}
    start = {key: torch.zeros(3, dtype=F64) for key in pull}
    both, near = Trial("prodigy", start), Trial("prodigy", {"near": start["near"]})
    for _ in range(30):
        both.step({key: both.params[key] - value for key, value in pull.items()})
        near.step({"near": near.params["near"] - pull["near"]})
    assert float(both.state.growth) > 10 * float(near.state.growth)


# --- Schedule-Free: trained and evaluated parameters ---

AVERAGING = [optimizer(name) for name in ("schedulefree_sgd", "schedulefree_adamw")]
CASES = [pytest.param(rule, case, id=f"{rule.name}-{n}") for rule in AVERAGING for n, case in enumerate(rule.cases)]


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_what_is_evaluated_is_the_oracles(rule: Optimizer, case: Any) -> None:
    trial = Trial(rule.name, {"w": normal(4, 5), "b": normal(5)}, case.hyper, case.options)
    params = {key: value.clone() for key, value in trial.params.items()}
    oracle = rule.oracle(list(params.values()), rule.configure(case.hyper), rule.with_options(case.options))
    assert isinstance(oracle, oracles.ScheduleFreeSGD | oracles.ScheduleFreeAdamW)
    for seed in range(200):
        grads = {key: value - normal(*value.shape, seed=seed) for key, value in params.items()}
        trial.step(
            {key: grad.clone() for key, grad in grads.items()}
        )  # the oracle works in the memory of its gradients
        for key, value in params.items():
            value.grad = grads[key]
        oracle.step()
        oracle.eval()
        for key, value in trial.evaluated().items():
            assert float((value - params[key]).abs().max()) <= 1e-9 * float(params[key].abs().max())
        oracle.train()


@pytest.mark.parametrize("rule", AVERAGING, ids=lambda rule: rule.name)
def test_what_is_evaluated_is_the_average_of_the_fast_weights(rule: Optimizer) -> None:
    trial = Trial(rule.name, {"w": normal(4, 5)}, {"lr": 0.1})
    assert torch.equal(trial.evaluated()["w"], trial.params["w"])  # before the first step
    passed = []
    for seed in range(50):
        trial.step({"w": trial.params["w"] - normal(4, 5, seed=seed)})
        passed.append(trial.state["w"].fast)
        assert torch.allclose(trial.evaluated()["w"], torch.stack(passed).mean(dim=0), rtol=1e-9)
    beta = 0.9
    between = beta * trial.evaluated()["w"] + (1 - beta) * trial.state["w"].fast
    assert torch.allclose(trial.params["w"], between, rtol=1e-12)
