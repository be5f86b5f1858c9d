"""Every update rule that is discovered: equal to its oracle at every step, and what its card says it is.

That rules are pure, keep the form of their state, bear odd gradients and shapes, train side by side, refuse what they
say they refuse, and that their cards and spaces are complete, is checked in tests/check, for every rule and case.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

import gradrace.optim
from gradrace.errors import SpecError
from gradrace.optimizers import Case, Hyperparameter, Optimizer, optimizer, optimizers

Tree = dict[str, Tensor]

STEPS = 200
ALL = list(optimizers().values())
CASES = [pytest.param(rule, case, id=f"{rule.name}-{n}") for rule in ALL for n, case in enumerate(rule.cases)]
DTYPES = [pytest.param(torch.float64, id="float64"), pytest.param(torch.float32, id="float32")]

every_optimizer = pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.name)
every_case = pytest.mark.parametrize(("rule", "case"), CASES)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def record(rule: Optimizer, hyper: Mapping[str, float]) -> Any:
    """Hyperparameters of one trial as the rule wants them: tensors of shape (), None where absent."""
    columns = rule.hyper_tensors([rule.configure(hyper)])
    return type(columns)(*(None if column is None else column[0] for column in columns))


def clock(step: int) -> Tensor:
    return torch.tensor(float(step), dtype=torch.float64)


class Trained:
    """Parameters under an update rule."""

    def __init__(self, rule: Optimizer, case: Case, params: Tree) -> None:
        self.rule, self.options, self.hyper = rule, rule.with_options(case.options), record(rule, case.hyper)
        self.params = {name: param.clone() for name, param in params.items()}
        self.state = rule.rule.init(self.params, self.options)
        self.steps = 0

    def step(self, grads: Tree) -> Tree:
        """One step; what was added to the parameters."""
        self.steps += 1
        updates, self.state = self.rule.rule.update(
            grads, self.state, self.params, self.hyper, clock(self.steps), self.options
        )
        self.params = {name: param + updates[name] for name, param in self.params.items()}
        return updates


class Regression:
    """A net of two layers with an output scale.

    Its loss has bounded gradients, so that no learning rate explodes, and its weights are offsets from fixed ones, so
    that strong weight decay does not end in a net whose gradients are zero.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(10)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        self.inputs, self.fixed = normal(STEPS, 8, 4), (normal(4, 5), normal(5, 3))
        self.targets = 3 * torch.tanh(self.inputs @ normal(4, 3)) + normal(STEPS, 8, 3) / 3
        self.params = {"w1": normal(4, 5) / 2, "b1": normal(5), "w2": normal(5, 3) / 2, "scale": normal(1, 3) / 9}

    def grads(self, step: int, params: Tree) -> Tree:
        """The gradient of the step's batch."""
        leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
        hidden = torch.tanh(self.inputs[step] @ (self.fixed[0] + leaves["w1"]) + leaves["b1"])
        output = hidden @ (self.fixed[1] + leaves["w2"]) * (1 + leaves["scale"])
        loss = nn.functional.smooth_l1_loss(output, self.targets[step])
        return dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


def plain(rule: Optimizer) -> dict[str, bool]:
    """What keeps torch to its literal implementation."""
    return {"foreach": False} if (rule.oracle_class or rule.torch_class).startswith("torch.optim.") else {}


class Oracle:
    """The same parameters under the method in PyTorch."""

    def __init__(self, rule: Optimizer, case: Case, params: Tree) -> None:
        self.params = {name: param.clone() for name, param in params.items()}
        hyper, options = rule.configure(case.hyper), rule.with_options(case.options)
        self.torch = rule.oracle(list(self.params.values()), hyper, options, **plain(rule))

    def step(self, grads: Tree) -> None:
        for name, param in self.params.items():
            param.grad = grads[name]
        self.torch.step()


def distance(found: Tree, expected: Tree) -> float:
    """The largest error in a tensor relative to that tensor's largest entry; the worst of the tensors."""
    assert list(found) == list(expected)
    errors = [(found[name] - value).abs().max() / value.abs().max() for name, value in expected.items()]
    return float(torch.stack(errors).max())


@both_dtypes
@every_case
def test_equals_its_oracle_at_every_step(rule: Optimizer, case: Case, dtype: torch.dtype) -> None:
    # Both get the gradients at the oracle's parameters: the rule is compared, and not how a net amplifies a last digit.
    problem = Regression(dtype)
    mine, oracle = Trained(rule, case, problem.params), Oracle(rule, case, problem.params)
    tolerance = case.float64 if dtype == torch.float64 else case.float32
    for step in range(STEPS):
        grads = problem.grads(step, oracle.params)
        mine.step(grads)
        oracle.step(grads)
        error = distance(mine.params, oracle.params)
        assert error <= tolerance, f"step {step + 1}: {error:.1e}"  # and so is not NaN


@every_optimizer
def test_equals_its_oracle_also_when_each_goes_its_own_way(rule: Optimizer) -> None:
    problem, case = Regression(torch.float64), Case({"lr": min(0.05, rule.hyperparameters["lr"].default)})
    mine, oracle = Trained(rule, case, problem.params), Oracle(rule, case, problem.params)
    for step in range(STEPS):
        mine.step(problem.grads(step, mine.params))
        oracle.step(problem.grads(step, oracle.params))
        assert distance(mine.params, oracle.params) <= 1e-9
    assert distance(mine.params, problem.params) > 1e-3  # it went somewhere


@every_optimizer
def test_every_hyperparameter_refuses_what_is_no_number_in_its_range(rule: Optimizer) -> None:
    for name, known in rule.hyperparameters.items():
        outside = () if known.low_allowed else (known.low,)
        bad: Any
        for bad in (*outside, known.low - 1, known.high, math.nan, -math.inf, True, None, "1"):
            with pytest.raises(SpecError, match=f"^{name} must be a number (at least|above) ") as caught:
                rule.configure({name: bad})
            assert f"is {bad!r}." in str(caught.value)
        assert rule.configure()[name] == known.default


@every_optimizer
def test_options_are_named_and_boolean(rule: Optimizer) -> None:
    with pytest.raises(SpecError, match=f"Optimizer '{rule.name}' has no option 'nosuch'. It has: "):
        rule.with_options({"nosuch": True})
    for name in rule.options:
        assert rule.with_options({name: not rule.options[name]}) == {**rule.options, name: not rule.options[name]}
        with pytest.raises(SpecError, match=f"Option '{name}' of optimizer '{rule.name}' is True or False, but is 1."):
            rule.with_options({name: 1})  # pyright: ignore[reportArgumentType]


def assert_equal(found: Any, expected: Any) -> None:
    """Equal tensors in the same places, with the same dtype."""
    pairs = zip(tree_leaves(found), tree_leaves(expected), strict=True)
    assert all(a is b is None or (a.dtype == b.dtype and torch.equal(a, b)) for a, b in pairs)


@every_optimizer
def test_a_hyperparameter_brings_the_option_that_it_needs(rule: Optimizer) -> None:
    for option, name in rule.implied.items():
        assert rule.with_options({}, {name: 0.5})[option] is True
        assert rule.with_options({}, {name: 0.0}) == rule.with_options({}, {}) == dict(rule.options)
        assert rule.with_options({option: False}, {name: 0.5})[option] is False
    assert set(rule.implied) <= set(rule.options)
    assert set(rule.implied.values()) <= set(rule.hyperparameters)


# --- what the rules are to each other and to the scale of a problem ---


def constant_gradient(rule: str, hyper: Mapping[str, float], steps: int) -> list[float]:
    """The length of every step under a gradient that is 2 always."""
    trained = Trained(optimizer(rule), Case(hyper), {"": torch.zeros((), dtype=torch.float64)})
    return [-float(trained.step({"": torch.tensor(2.0, dtype=torch.float64)})[""]) for _ in range(steps)]


def random_gradients(factor: float) -> Iterator[Tree]:
    generator = torch.Generator().manual_seed(5)
    for _ in range(10):
        yield {"": factor * torch.randn(4, generator=generator, dtype=torch.float64)}


@pytest.mark.parametrize(
    ("rule", "ratio"), [("adam", 1.0), ("rmsprop", 1.0), ("adagrad", 1.0), ("sgd", 1000.0), ("momentum", 1000.0)]
)
def test_divided_gradients_forget_their_scale(rule: str, ratio: float) -> None:
    case = Case({"eps": 1e-30} if ratio == 1 else {})
    start = {"": torch.zeros(4, dtype=torch.float64)}
    plain, large = (Trained(optimizer(rule), case, start) for _ in range(2))
    for small, big in zip(random_gradients(1.0), random_gradients(1000.0), strict=True):
        assert distance(large.step(big), {"": ratio * plain.step(small)[""]}) <= 1e-12


def test_adagrad_slows_down_like_the_root_of_time() -> None:
    lengths = constant_gradient("adagrad", {"lr": 0.3, "eps": 0.0}, 400)
    assert lengths == pytest.approx([0.3 / math.sqrt(t) for t in range(1, 401)], rel=1e-12)


def test_rmsprop_and_adam_keep_their_pace() -> None:
    # The average of squares is 4 (1 - alpha^t), so RMSprop starts with 1/sqrt(1 - alpha) times its final pace, lr.
    lengths = constant_gradient("rmsprop", {"lr": 0.3, "alpha": 0.9, "eps": 0.0}, 400)
    assert lengths == pytest.approx([0.3 / math.sqrt(1 - 0.9**t) for t in range(1, 401)], rel=1e-12)
    assert constant_gradient("adam", {"lr": 0.3, "eps": 0.0}, 400) == pytest.approx([0.3] * 400, rel=1e-12)


def test_momentum_gathers_speed() -> None:
    lengths = constant_gradient("momentum", {"lr": 0.1, "momentum": 0.5}, 30)
    assert lengths == pytest.approx([0.1 * 2 * (2 - 0.5 ** (t - 1)) for t in range(1, 31)], rel=1e-12)


def steps_to_solve(rule: str, hyper: Mapping[str, float], kappa: float) -> int:
    """Steps until a quadratic whose curvatures lie between 1 and kappa is solved to six digits."""
    curvature = torch.logspace(0, math.log10(kappa), 5, dtype=torch.float64)
    trained = Trained(optimizer(rule), Case(hyper), {"": torch.ones(5, dtype=torch.float64)})
    while trained.params[""].norm() > 1e-6:
        trained.step({"": curvature * trained.params[""]})
        assert trained.steps < 10_000
    return trained.steps


def test_momentum_needs_the_root_of_the_steps_that_sgd_needs() -> None:
    sgd, momentum = [], []
    for kappa in (25.0, 400.0):
        root = math.sqrt(kappa)
        sgd.append(steps_to_solve("sgd", {"lr": 2 / (1 + kappa)}, kappa))
        best = {"lr": (2 / (1 + root)) ** 2, "momentum": ((root - 1) / (root + 1)) ** 2}
        momentum.append(steps_to_solve("momentum", best, kappa))
    # A condition number 16 times as high costs SGD 16 times the steps, and Momentum 4 times.
    assert sgd[1] / sgd[0] == pytest.approx(16, rel=0.05)
    assert momentum[1] / momentum[0] == pytest.approx(4, rel=0.15)
    assert momentum[1] < sgd[1] / 5


@both_dtypes
@pytest.mark.parametrize(
    ("special", "general", "hyper", "options"),
    [
        ("sgd", "momentum", {"momentum": 0.0}, {}),
        ("sgd", "momentum", {"momentum": 0.0}, {"nesterov": True}),
        ("nesterov", "momentum", {}, {"nesterov": True}),
    ],
)
def test_one_rule_is_another_with_a_constant_set(
    special: str, general: str, hyper: dict[str, float], options: dict[str, bool], dtype: torch.dtype
) -> None:
    problem, shared = Regression(dtype), {"lr": 0.3, "weight_decay": 0.01}
    one = Trained(optimizer(special), Case(shared), problem.params)
    other = Trained(optimizer(general), Case({**shared, **hyper}, options), problem.params)
    for step in range(50):
        one.step(problem.grads(step, one.params))
        other.step(problem.grads(step, other.params))
        assert_equal(other.params, one.params)


# --- the line to paste ---


def pasted(code: str) -> Any:
    return eval(code, {"torch": torch, "gradrace": gradrace, "model": nn.Linear(2, 1)})


def assert_shown(found: Any, expected: Any) -> None:
    """Three digits of a number are kept; of a number just below 1, three digits of its distance from 1."""
    if isinstance(expected, tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_shown(one, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=5.1e-3, abs=0)
        if 0.5 < expected < 1:
            assert 1 - found == pytest.approx(1 - expected, rel=5.1e-3, abs=0)
    else:
        assert found == expected


def assert_code_is_the_configuration(rule: Optimizer, hyper: Mapping[str, float], options: Mapping[str, bool]) -> None:
    code = rule.code(hyper, options)
    found = pasted(code)
    arguments = rule.torch_arguments(rule.configure(hyper), rule.with_options(options))
    expected = pasted(rule.torch_class)([torch.zeros(1)], **arguments)
    assert type(found) is type(expected), code
    (group,), (wanted,) = found.param_groups, expected.param_groups
    for name in wanted.keys() - {"params"}:
        assert_shown(group[name], wanted[name])


TRIED = (0, 0.0, 0.12345, 0.9, 0.9996, 0.99999, 1, 1.0, 12345.6, 1e-7, -0.12345)


@every_case
def test_code_builds_the_optimizer(rule: Optimizer, case: Case) -> None:
    assert_code_is_the_configuration(rule, case.hyper, case.options)
    for name, known in rule.hyperparameters.items():
        for value in TRIED:
            hyper = {**case.hyper, name: value}
            if allowed(known, value) and not excluded(rule, hyper, case.options):
                assert_code_is_the_configuration(rule, hyper, case.options)


def allowed(known: Hyperparameter, value: float) -> bool:
    above = known.low <= value if known.low_allowed else known.low < value
    return above and value < known.high


def excluded(rule: Optimizer, hyper: Mapping[str, float], options: Mapping[str, bool]) -> bool:
    return any(options.get(option) and hyper.get(name) for option, name in rule.excludes.items())


@given(st.floats(0, 1, exclude_max=True))
def test_rounding_never_turns_a_decay_into_another(momentum: float) -> None:
    found = pasted(optimizer("momentum").code({"momentum": momentum})).param_groups[0]["momentum"]
    assert found < 1
    assert 1 - found == pytest.approx(1 - momentum, rel=5.1e-3)


def test_the_line_leaves_out_an_option_that_pytorch_would_refuse_for_nothing() -> None:
    momentum = optimizer("momentum")
    line = momentum.code({"lr": 0.1, "momentum": 0.0}, {"nesterov": True})
    assert line == "torch.optim.SGD(model.parameters(), lr=0.1)"
    assert pasted(line).param_groups[0]["nesterov"] is False
    assert "nesterov=True" in momentum.code({"momentum": 0.5}, {"nesterov": True})


def test_an_option_and_a_hyperparameter_that_exclude_each_other_are_refused() -> None:
    momentum = optimizer("momentum")
    message = "Option 'nesterov' of optimizer 'momentum' must be False where dampening is not 0, but dampening is 0.5."
    with pytest.raises(SpecError, match=message):
        momentum.with_options({"nesterov": True}, {"dampening": 0.5})
    with pytest.raises(SpecError, match=message):
        momentum.code({"dampening": 0.5}, {"nesterov": True})
    assert momentum.with_options({"nesterov": True}, {"dampening": 0.0}) == {"nesterov": True}
    assert "dampening=0.5" in momentum.code({"dampening": 0.5})


def test_code_is_one_short_line() -> None:
    assert optimizer("adam").code({"lr": 0.0031234}) == "torch.optim.Adam(model.parameters(), lr=0.00312)"
    assert (
        optimizer("adam").code({"lr": 1, "beta1": 0})
        == "torch.optim.Adam(model.parameters(), lr=1.0, betas=(0.0, 0.999))"
    )
    line = "torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9996, nesterov=True)"
    assert optimizer("momentum").code({"momentum": 0.99962}, {"nesterov": True}) == line.replace("0.9996", "0.99962")
    assert optimizer("nesterov").code({"momentum": 0.9996}) == line


# --- the folder ---


def test_the_primers_five_are_here_and_names_are_known() -> None:
    assert {"sgd", "momentum", "adagrad", "rmsprop", "adam"} <= set(optimizers())
    assert all(name == rule.name and optimizer(name) is rule for name, rule in optimizers().items())
    assert all(rule.cases and rule.bad_inputs for rule in ALL)  # or there would be nothing to check
    with pytest.raises(SpecError, match=r"There is no optimizer 'adm'\. Did you mean 'adam'\? Known: ada"):
        optimizer("adm")


def test_a_record_that_is_not_its_hyperparameters_is_refused() -> None:
    sgd, momentum = optimizer("sgd"), optimizer("momentum")
    with pytest.raises(SpecError, match="Optimizer 'odd' declares hyperparameters lr, weight_decay, but its record"):
        remade(sgd, hyper=momentum.hyper)
    with pytest.raises(SpecError, match="Optimizer 'odd' tunes 'momentum', which is not one of its hyperparameters"):
        remade(sgd, space=momentum.space)


def remade(rule: Optimizer, **changes: Any) -> Optimizer:
    return replace(rule, name="odd", **changes)
