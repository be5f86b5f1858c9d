"""Everything that is discovered, held to the suite that ``gradrace check`` holds a stranger's file to."""

from __future__ import annotations

from contextlib import suppress

import pytest
import torch

from gradrace.check import OPTIMIZER_CHECKS, WORKLOAD_CHECKS
from gradrace.check.findings import Remark
from gradrace.check.problems import PROBLEMS
from gradrace.check.stepping import gap_at, gaps, learning_rates
from gradrace.optimizers import Optimizer, optimizer, optimizers
from gradrace.workloads import Workload, workloads

ALL = list(optimizers().values())
every_problem = pytest.mark.parametrize("problem", PROBLEMS)
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@pytest.mark.parametrize("check", OPTIMIZER_CHECKS)
@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
def test_every_optimizer_passes_every_check_but_its_exemptions(rule: Optimizer, check: str) -> None:
    # The problems are run in both dtypes by the check itself, and so is every other check that steps.
    sentences = OPTIMIZER_CHECKS[check](rule)
    if check in rule.exempt:
        assert rule.exempt[check].strip()
        assert sentences, "it passes, so the exemption is not needed"
    else:
        assert sentences == []


@pytest.mark.parametrize("check", WORKLOAD_CHECKS)
@pytest.mark.parametrize("task", workloads().values(), ids=lambda task: task.name)
def test_every_workload_passes_every_check(task: Workload, check: str) -> None:
    with suppress(Remark):  # what a check has to say that is no failure
        assert WORKLOAD_CHECKS[check](task) == []


def test_exemptions_are_few_and_from_checks_that_there_are() -> None:
    exempt = [(rule.name, check) for rule in ALL for check in rule.exempt]
    assert {check for _, check in exempt} <= set(OPTIMIZER_CHECKS)
    assert len(exempt) <= 5


# --- the problems ---


@both_dtypes
@every_problem
def test_a_problem_starts_above_its_minimum_and_slopes(problem: str, dtype: torch.dtype) -> None:
    found = PROBLEMS[problem](dtype)
    loss = found.loss(found.start)
    assert loss.dtype == dtype
    assert loss.shape == ()
    assert float(loss) > found.minimum + 0.05
    leaves = {name: param.clone().requires_grad_() for name, param in found.start.items()}
    for slope in torch.autograd.grad(found.loss(leaves), list(leaves.values())):
        assert slope.dtype == dtype
        assert bool(slope.any())


@every_problem
def test_a_problem_has_the_minimum_that_it_says(problem: str) -> None:
    found = PROBLEMS[problem](torch.float64)
    leaves = {name: param.clone().requires_grad_() for name, param in found.start.items()}
    search = torch.optim.LBFGS(
        list(leaves.values()), max_iter=500, tolerance_grad=1e-14, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        search.zero_grad()
        loss = found.loss(leaves)
        loss.backward()
        return loss

    search.step(closure)
    assert found.loss(leaves).item() == pytest.approx(found.minimum, abs=1e-12)


@pytest.mark.parametrize("name", ["momentum", "adam", "muon", "schedulefree_sgd"])
def test_rates_side_by_side_end_where_each_ends_alone(name: str) -> None:
    rule, problem = optimizer(name), PROBLEMS["factorisation"](torch.float64)
    together = gaps(rule, problem)
    for row in (3, 7):
        alone = float(gap_at(rule, problem, learning_rates(rule)[row]))
        assert float(together[row]) == pytest.approx(alone, rel=1e-6)


# --- families ---


def test_the_family_has_few_roots_and_no_circle() -> None:
    parents = {rule.name: rule.family[0] for rule in ALL if rule.family is not None}
    assert set(parents.values()) <= set(optimizers())
    assert set(optimizers()) - set(parents) == {"sgd", "rprop"}
    for name in parents:
        line = [name]
        while line[-1] in parents:
            assert parents[line[-1]] not in line, f"a circle: {line}"
            line.append(parents[line[-1]])


def test_a_family_says_what_is_different_in_a_few_words() -> None:
    for rule in ALL:
        if rule.family is not None:
            words = rule.family[1].split()
            assert 2 <= len(words) <= 15, rule.name
            assert not rule.family[1].endswith("."), rule.name
