"""Which optimizer is which other one with a constant set, and what the scale of the gradient does to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from gradrace.optimizers import Case, Optimizer, optimizer, optimizers
from gradrace.optimizers.radam import rectification

STEPS = 40
Gradient = Callable[[int, Tensor], Tensor]

every_optimizer = pytest.mark.parametrize("rule", list(optimizers().values()), ids=lambda rule: rule.name)


class Trial:
    """One vector of weights under an update rule."""

    def __init__(
        self, name: str, hyper: Mapping[str, float], options: Mapping[str, bool] | None = None, start: float = 1.0
    ) -> None:
        self.rule = optimizer(name)
        columns = self.rule.hyper_tensors([self.rule.configure(hyper)])
        self.hyper = type(columns)(*(None if column is None else column[0] for column in columns))
        self.options = self.rule.with_options(options)
        self.weights = torch.linspace(-start, start, 6, dtype=torch.float64)
        self.tree = self.rule.rule.init({"": self.weights}, self.options)
        self.steps = 0

    @property
    def state(self) -> Any:
        return self.tree[""]

    def step(self, grad: Tensor) -> Tensor:
        """One step; what it adds to the weights."""
        self.steps += 1
        clock = torch.tensor(float(self.steps), dtype=torch.float64)
        updates, self.tree = self.rule.rule.update(
            {"": grad}, self.tree, {"": self.weights}, self.hyper, clock, self.options
        )
        self.weights = self.weights + updates[""]
        return updates[""]


def noise(step: int) -> Tensor:
    return torch.randn(6, generator=torch.Generator().manual_seed(step), dtype=torch.float64)


def noisy(step: int, weights: Tensor) -> Tensor:
    """The gradient of a bowl, and noise."""
    return torch.arange(1.0, 7.0, dtype=torch.float64) * weights + noise(step)


def growing(step: int, weights: Tensor) -> Tensor:
    """A gradient whose every entry is larger than all before it."""
    return noise(0) * 1.5**step


# --- families ---


@pytest.mark.parametrize(
    ("special", "general", "gradient"),
    [
        (("adam", {"lr": 0.1}), ("adamw", {"lr": 0.1, "weight_decay": 0.0}), noisy),
        (("adam", {"lr": 0.1, "beta1": 0.0}), ("nadam", {"lr": 0.1, "beta1": 0.0}), noisy),
        (("adam", {"lr": 0.1, "weight_decay": 0.1}), ("amsgrad", {"lr": 0.1, "weight_decay": 0.1}), growing),
        (("adam", {"beta1": 0.8, "beta2": 0.9}), ("adan", {"beta1": 0.8, "beta2": 0.0, "beta3": 0.9}), noisy),
        (
            ("signum", {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.1}),
            ("lion", {"lr": 0.1, "beta1": 0.8, "beta2": 0.8, "weight_decay": 0.1}),
            noisy,
        ),
        (("sgd", {"lr": 0.1, "weight_decay": 0.1}), ("asgd", {"lr": 0.1, "weight_decay": 0.1, "lambd": 0.0}), noisy),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_one_is_the_other_with_a_constant_set(
    special: tuple[str, dict[str, float]], general: tuple[str, dict[str, float]], gradient: Gradient
) -> None:
    one, other = Trial(*special), Trial(*general)
    for step in range(STEPS):
        one.step(gradient(step, one.weights))
        other.step(gradient(step, other.weights))
        assert torch.equal(one.weights, other.weights)


def test_what_adam_is_called_with_the_option_is_amsgrad() -> None:
    one, other = Trial("amsgrad", {"lr": 0.1}), Trial("adam", {"lr": 0.1}, {"amsgrad": True})
    plain = Trial("adam", {"lr": 0.1})
    for step in range(STEPS):
        for trial in (one, other, plain):
            trial.step(noisy(step, trial.weights))
    assert torch.equal(one.weights, other.weights)
    assert not torch.equal(one.weights, plain.weights)


def test_the_maximum_that_amsgrad_keeps_never_falls_and_adams_average_does() -> None:
    trial = Trial("amsgrad", {"beta2": 0.9})
    fell = False
    for step in range(STEPS):
        before = trial.state
        trial.step(noise(step) * 0.9**step)
        assert (trial.state.peak >= before.peak).all()
        assert (trial.state.peak >= trial.state.square).all()
        fell |= bool((trial.state.square < before.square).any())
    assert fell


def test_decoupled_decay_takes_the_same_share_of_every_weight_and_adams_does_not() -> None:
    decoupled = Trial("adamw", {"lr": 0.1, "weight_decay": 0.5})
    coupled = Trial("adam", {"lr": 0.1, "weight_decay": 0.5})
    start = decoupled.weights
    for _ in range(10):
        for trial in (decoupled, coupled):
            trial.step(torch.zeros(6, dtype=torch.float64))
    shares = decoupled.weights / start
    torch.testing.assert_close(shares, torch.full_like(shares, (1 - 0.1 * 0.5) ** 10), rtol=1e-12, atol=0)
    shares = coupled.weights / start
    assert shares.max() - shares.min() > 0.1


def test_nadam_brakes_earlier_than_adam_after_a_turn() -> None:
    # With a constant gradient every average is that gradient, so both go lr; the newest gradient counts more in NAdam.
    adam, nadam = (Trial(name, {"lr": 0.1, "eps": 0.0, "beta2": 0.5}) for name in ("adam", "nadam"))
    ones = torch.ones(6, dtype=torch.float64)
    for _ in range(STEPS):
        adam.step(ones)
        nadam.step(ones)
    back = [float(trial.step(-ones)[0]) for trial in (adam, nadam)]
    assert back[0] < 0  # Adam still goes on
    assert back[1] > back[0]  # NAdam brakes earlier


def test_radam_trusts_the_average_of_squares_from_the_sixth_step_on_and_then_fully() -> None:
    beta2 = torch.tensor(0.999, dtype=torch.float64)
    trusted = [bool(rectification(beta2, beta2.new_tensor(float(step)))[1]) for step in range(1, 9)]
    assert trusted == [False] * 5 + [True] * 3
    trust = [float(rectification(beta2, beta2.new_tensor(float(step)))[0]) for step in (6, 60, 600, 60_000)]
    assert trust == sorted(trust)
    assert trust[0] < 0.1
    assert trust[-1] == pytest.approx(1, abs=1e-12)


def test_adamax_counts_one_large_gradient_in_full_at_once_and_lets_it_fade() -> None:
    trial = Trial("adamax", {"beta2": 0.9, "eps": 0.0})
    small, large = torch.full((6,), 1e-3, dtype=torch.float64), torch.full((6,), 5.0, dtype=torch.float64)
    trial.step(small)
    trial.step(large)
    assert torch.equal(trial.state.largest, large)
    for _ in range(10):
        trial.step(small)
    torch.testing.assert_close(trial.state.largest, large * 0.9**10, rtol=1e-12, atol=0)


def test_rprop_by_hand() -> None:
    trial = Trial("rprop", {"lr": 0.01})
    signs = [2.0, 0.5, 3.0, -1.0, -1.0, -4.0]
    moves = [float(trial.step(torch.full((6,), sign, dtype=torch.float64))[0]) for sign in signs]
    assert moves == pytest.approx([-0.01, -0.012, -0.0144, 0.0, 0.0072, 0.00864], rel=1e-12)


def test_adopts_first_step_only_looks_and_its_second_is_bounded() -> None:
    trial = Trial("adopt", {"lr": 0.1, "beta1": 0.5})
    assert not trial.step(noise(0)).any()
    torch.testing.assert_close(trial.step(1e6 * noise(0)), -0.1 * 0.5 * noise(0).sign(), rtol=1e-12, atol=0)


def test_asgds_weights_to_use_are_the_mean_of_those_after_t0_as_in_torch() -> None:
    trial = Trial("asgd", {"lr": 0.1, "t0": 10})
    theirs = trial.weights.clone()
    oracle = trial.rule.oracle([theirs], trial.rule.configure({"lr": 0.1, "t0": 10}), {}, foreach=False)
    assert trial.rule.evaluated is not None
    visited = []
    for step in range(STEPS):
        theirs.grad = noisy(step, trial.weights)
        trial.step(noisy(step, trial.weights))
        oracle.step()
        visited.append(trial.weights)
        used = trial.rule.evaluated({"": trial.weights}, trial.tree, trial.hyper, trial.options)[""]
        mean = torch.stack(visited[min(step, 11) :]).mean(0)
        torch.testing.assert_close(used, mean, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(used, oracle.state[theirs]["ax"], rtol=1e-12, atol=1e-14)


# --- scale ---


SCALE = 1024.0  # a power of two: the products are exact


@pytest.mark.parametrize("hyper", [{}, {"lr": 0.1, "weight_decay": 0.1}], ids=["plain", "with weight decay"])
@pytest.mark.parametrize("name", ["signum", "lion"])
def test_signs_do_not_see_the_scale_of_the_gradient(name: str, hyper: dict[str, float]) -> None:
    small, large = Trial(name, hyper), Trial(name, hyper)
    for step in range(STEPS):
        grad = noisy(step, small.weights)
        assert torch.equal(small.step(grad), large.step(SCALE * grad))


@pytest.mark.parametrize("name", ["signum", "lion"])
def test_signs_move_every_coordinate_by_lr(name: str) -> None:
    trial = Trial(name, {"lr": 0.25})
    for step in range(STEPS):
        assert torch.equal(trial.step(noise(step)).abs(), torch.full((6,), 0.25, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "ratio"),
    [
        *((name, 1.0) for name in ("adamw", "amsgrad", "nadam", "adamax", "adadelta", "adan", "adopt")),
        ("rprop", 1.0),
        ("asgd", SCALE),
    ],
)
def test_what_the_scale_of_the_gradient_does(name: str, ratio: float) -> None:
    tiny = {"eps": 1e-40} if "eps" in optimizer(name).hyperparameters else {}
    without = {"weight_decay": 0.0} if name == "adamw" else {"lambd": 0.0} if name == "asgd" else {}
    small, large = (Trial(name, {**tiny, **without}) for _ in range(2))
    for step in range(STEPS):
        found, expected = large.step(SCALE * noise(step)), ratio * small.step(noise(step))
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


def test_radam_forgets_the_scale_once_it_divides() -> None:
    small, large = (Trial("radam", {"eps": 1e-40}) for _ in range(2))
    for step in range(STEPS):
        found, expected = large.step(SCALE * noise(step)), small.step(noise(step))
        torch.testing.assert_close(found, expected * (SCALE if step < 5 else 1), rtol=1e-10, atol=0)


# --- what holds for all of them ---


@every_optimizer
def test_no_rule_holds_on_to_the_callers_gradient(rule: Optimizer) -> None:
    for case in rule.cases:
        trial = Trial(rule.name, case.hyper, case.options)
        grad = noise(1)
        trial.step(grad)
        before = tree_map(torch.clone, trial.tree)
        grad.zero_()  # as ``zero_grad(set_to_none=False)`` does
        assert all(torch.equal(a, b) for a, b in zip(tree_leaves(trial.tree), tree_leaves(before), strict=True))


@every_optimizer
@pytest.mark.parametrize("case", [Case(), Case({"lr": 0.1})], ids=["defaults", "high lr"])
def test_no_rule_looks_at_torchs_default_dtype(rule: Optimizer, case: Case) -> None:
    trials = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        trials.append(Trial(rule.name, case.hyper, case.options))
        for step in range(5):
            trials[-1].step(noise(step))
    assert torch.equal(trials[0].weights, trials[1].weights)
    pairs = zip(tree_leaves(trials[0].tree), tree_leaves(trials[1].tree), strict=True)
    assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)
