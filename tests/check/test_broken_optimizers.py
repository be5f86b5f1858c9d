"""One broken optimizer for each thing that can be wrong, and the sentence that says so."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from gradrace.check import OPTIMIZER_CHECKS, Finding, check_optimizer
from gradrace.check.findings import ran
from gradrace.errors import SpecError
from gradrace.optimizers import BadInput, Case, Hyperparameter, Optimizer
from gradrace.space import LogUniform, Uniform
from stranger import CARD, LR, Hyper, State, init, stepped, stranger


def failures(rule: Optimizer) -> dict[str, str]:
    """The sentences of every check that failed, joined."""
    found: dict[str, str] = {}
    for finding in check_optimizer(rule):
        if not finding.passed:
            found[finding.check] = f"{found.get(finding.check, '')} {finding.sentence}".strip()
    return found


def only(check: str, rule: Optimizer) -> str:
    """The sentences of one check, which must fail."""
    found = ran(check, OPTIMIZER_CHECKS[check], rule)
    assert not any(finding.passed for finding in found)
    return " ".join(finding.sentence for finding in found)


def test_a_good_optimizer_passes() -> None:
    found = check_optimizer(stranger())
    assert {finding.passed for finding in found} == {True}
    assert len(found) == 18


counter = itertools.count()


def mutates(grad: Tensor, state: State, param: Tensor, lr: Tensor, step: Tensor) -> Tensor:
    return grad.mul_(-lr)


def writes_into_its_state(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor
) -> tuple[Tensor, State]:
    state.total.add_(grad)
    return -hyper.lr.to(param.dtype) * grad, state


def moves_the_parameters_itself(grad: Tensor, state: State, param: Tensor, lr: Tensor, step: Tensor) -> Tensor:
    param -= lr * grad
    return torch.zeros_like(param)


def raises(grad: Tensor, state: State, param: Tensor, lr: Tensor, step: Tensor) -> Tensor:
    return {}["momentum"] * grad


def decomposes(grad: Tensor, state: State, param: Tensor, lr: Tensor, step: Tensor) -> Tensor:
    return -lr * (grad if grad.ndim != 2 else torch.linalg.eigh(grad @ grad.T)[1] @ grad)


def branches(grad: Tensor, state: State, param: Tensor, lr: Tensor, step: Tensor) -> Tensor:
    return -lr * grad / grad.norm() if grad.norm() > 1 else -lr * grad


def shares_nothing_across_axes(grad: Tensor, state: State, param: Tensor, lr: Tensor, step: Tensor) -> Tensor:
    return -lr * grad / (grad.norm() + 1e-3)


class Wide(NamedTuple):
    lr: Tensor
    momentum: Tensor


def odd(**changes: Any) -> Optimizer:
    return replace(stranger(), **changes)


def loose(**bounds: Any) -> Hyperparameter:
    return replace(LR, **bounds)


BROKEN: dict[str, tuple[Optimizer, str, str]] = {
    "wrong shape": (
        stepped(lambda g, s, p, lr, t: (-lr * g).reshape(-1)),
        "returns",
        "The update of a parameter of shape (4, 5) ('matrix') has shape (20,); it must be the same.",
    ),
    "wrong dtype": (
        stepped(lambda g, s, p, lr, t: (-lr * g).double()),
        "returns",
        "The update of a torch.float32 parameter has dtype torch.float64; it must be the same.",
    ),
    "a number": (
        stepped(lambda g, s, p, lr, t: 0.0),
        "returns",
        "The update of a parameter of shape (4, 5) ('matrix') must be a tensor, but is a float.",
    ),
    "three things": (
        stranger(lambda g, s, p, h, t: (g, s, p)),
        "returns",
        "An update must return two things, (update, state), but returned 3 things.",
    ),
    "one thing": (
        stranger(lambda g, s, p, h, t: g),
        "returns",
        "An update must return two things, (update, state), but returned a Tensor.",
    ),
    "raises": (
        stepped(raises),
        "returns",
        "It raised KeyError: 'momentum' (test_broken_optimizers.py, line ",
    ),
    "mutates the gradient": (stepped(mutates), "pure", "The rule changes 'grads', which it is given"),
    "mutates the state": (stranger(writes_into_its_state), "pure", "The rule changes 'state', which it is given"),
    "mutates the parameters": (
        stepped(moves_the_parameters_itself),
        "pure",
        "The rule changes 'params', which it is given",
    ),
    "counts for itself": (
        stepped(lambda g, s, p, lr, t: -lr * g / (1 + next(counter))),
        "pure",
        "Two calls with the same arguments give different results: a rule's memory is its state alone.",
    ),
    "random": (
        stepped(lambda g, s, p, lr, t: -lr * (g + torch.randn_like(g))),
        "pure",
        "The rule draws random numbers from torch's generator",
    ),
    "random start": (
        stranger(init_tensor=lambda p: State(torch.randn_like(p))),
        "pure",
        "Two calls of init with the same parameters give different states.",
    ),
    "mutates at the start": (
        stranger(init_tensor=lambda p: State(p.mul_(2).clone())),
        "pure",
        "init changes the parameters that it is given.",
    ),
    "growing state": (
        stranger(lambda g, s, p, h, t: (-h.lr.to(p.dtype) * g, State(torch.cat([s.total.reshape(-1), g.reshape(-1)])))),
        "state",
        "Shapes or dtypes of the state change at step 1: ",
    ),
    "state of another dtype": (
        stranger(lambda g, s, p, h, t: (-h.lr.to(p.dtype) * g, State(s.total.double() + g))),
        "state",
        "Shapes or dtypes of the state change at step 1: (4, 5) torch.float32 becomes (4, 5) torch.float64.",
    ),
    "state with a number": (
        stranger(lambda g, s, p, h, t: (-h.lr.to(p.dtype) * g, {"n": 1}), lambda p: {"n": 0}),
        "state",
        "The state holds a int; it must be made of tensors",
    ),
    "state is the parameter": (
        stranger(init_tensor=State),
        "state",
        "The state of init is the memory of a parameter, which training overwrites: keep a clone of it.",
    ),
    "state is the gradient": (
        stranger(lambda g, s, p, h, t: (-h.lr.to(p.dtype) * g, State(g))),
        "state",
        "The state is the memory of the gradient or the parameter that was given: keep a clone of it.",
    ),
    "nothing divided by nothing": (
        stepped(lambda g, s, p, lr, t: -lr * g / g.abs()),
        "zero gradient",
        "With a gradient of zeros, step 1 gives numbers that are not finite; is something 0 / 0?",
    ),
    "one entry spoils all": (
        stepped(lambda g, s, p, lr, t: -lr * g / (g * g).mean().sqrt().clamp(min=1e-9)),
        "huge gradient",
        "A gradient of 1e30 in one coordinate changes other coordinates, but the rule says elementwise.",
    ),
    "not elementwise": (
        stepped(shares_nothing_across_axes),
        "elementwise",
        "it is not elementwise, so say elementwise=False.",
    ),
    "no empty tensors": (
        stepped(lambda g, s, p, lr, t: -lr * g / (1e-9 + g.max())),
        "odd shapes",
        "It raised RuntimeError: max(): Expected reduction dim",
    ),
    "item": (
        stepped(lambda g, s, p, lr, t: -lr.item() * g),
        "side by side",
        "The rule looks at the value of a tensor (an if, bool(), float() or .item())",
    ),
    "if on the gradient": (
        stepped(branches, elementwise=False),
        "side by side",
        "(test_broken_optimizers.py, line ",
    ),
    "if on the step": (
        stepped(lambda g, s, p, lr, t: -lr * g if t < 100 else -lr * g / 2),
        "traced",
        "The rule looks at the value of a tensor",
    ),
    "counts when traced": (
        stepped(lambda g, s, p, lr, t: -lr * g / (1 + next(counter))),
        "traced",
        "A step that was traced once and then repeated differs from the step itself",
    ),
    "numpy": (
        stepped(lambda g, s, p, lr, t: -lr * torch.from_numpy(g.numpy().copy())),
        "side by side",
        "torch.from_numpy",
    ),
    "NaN raises": (
        stepped(decomposes, elementwise=False),
        "diverged neighbour",
        "Beside a trial whose gradient is NaN, the rule raised ",
    ),
    "uphill": (
        stepped(lambda g, s, p, lr, t: lr * g),
        "quadratic",
        "On a convex quadratic in float32, 150 steps must bring the distance to the minimum below 1/20",
    ),
    "deaf to lr": (stepped(lambda g, s, p, lr, t: -1e-6 * g), "rosenbrock", "at the best learning rate tried"),
    "empty idea": (stranger(card=replace(CARD, idea=" ")), "card", "The card's idea is empty."),
    "empty formula": (stranger(card=replace(CARD, formula=())), "card", "The card's formula is empty"),
    "no link": (
        stranger(card=replace(CARD, link="my paper")),
        "card",
        "The card's link is 'my paper', but must begin with https://.",
    ),
    "unknown relative": (
        stranger(card=replace(CARD, relatives={"adm": "close"})),
        "card",
        "relatives names 'adm', but no optimizer is called so.",
    ),
    "unknown parent": (stranger(family=("sdg", "quicker")), "card", "family names 'sdg'"),
    "a name with spaces": (stranger(name="My SGD"), "card", "The name is 'My SGD', but must be lower-case"),
    "class that is not there": (
        stranger(torch_class="torch.optim.Stranger"),
        "card",
        "torch_class is 'torch.optim.Stranger', which cannot be imported",
    ),
    "class of another name": (
        stranger(torch_class="gradrace.optim.Strange"),
        "card",
        "torch_class is gradrace.optim.Strange, but class_name makes it Stranger.",
    ),
    "default that is refused": (
        stranger(hyperparameters={"lr": loose(default=-0.5)}),
        "hyperparameters",
        "lr must be a number at least 0, but is -0.5, its default.",
    ),
    "negative learning rates": (
        stranger(hyperparameters={"lr": loose(low=-9.0)}),
        "hyperparameters",
        "lr may be -1.0, but a learning rate is at least 0 (low=0.0).",
    ),
    "momentum of one": (
        stranger(
            hyper=Wide,
            hyperparameters={"lr": LR, "momentum": Hyperparameter(0.9, "share")},
            arguments={"lr": "lr", "momentum": "momentum"},
        ),
        "hyperparameters",
        "momentum may be 1.0, but the share of an average that is kept lies in [0, 1) (low=0.0, high=1.0).",
    ),
    "no meaning": (
        stranger(hyperparameters={"lr": loose(meaning="")}),
        "hyperparameters",
        "The meaning of lr is empty.",
    ),
    "case that is refused": (
        stranger(cases=(Case({"speed": 1.0}),)),
        "hyperparameters",
        "Optimizer 'stranger' has no hyperparameter 'speed'. It has: lr, which a case sets.",
    ),
    "bad input that is none": (
        stranger(bad_inputs=(BadInput({"lr": 1.0}, "no"),)),
        "hyperparameters",
        "The bad input {'lr': 1.0} is not refused.",
    ),
    "space of what is refused": (
        stranger(space={"lr": Uniform(-1.0, 1.0)}),
        "search space",
        "lr must be a number at least 0, but is -1.0, which its search space holds.",
    ),
    "space that grows too far": (
        stranger(hyperparameters={"lr": loose(high=1.0)}, space={"lr": LogUniform(1e-4, 0.5)}),
        "search space",
        ", which its search space can grow to.",
    ),
    "learning rate that is not tuned": (stranger(space={}), "search space", "The search space has no 'lr'"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(what: str) -> None:
    rule, check, sentence = BROKEN[what]
    assert sentence in only(check, rule)


def test_a_tree_rule_that_forgets_a_parameter_is_told_which() -> None:
    class Forgetful:
        def init(self, params: Mapping[str, Tensor], options: Mapping[str, bool]) -> tuple[()]:
            return ()

        def update(self, grads: Any, state: Any, params: Any, hyper: Any, step: Tensor, options: Any) -> Any:
            return {"vector": -hyper.lr.float() * grads["vector"], "bias": grads["vector"]}, state

    sentence = failures(odd(rule=Forgetful(), elementwise=False))["returns"]
    assert "one update for each of the 3 parameters, but there are 2: missing matrix, number, not asked for bias" in (
        sentence
    )


def test_all_problems_of_an_optimizer_are_told_and_not_only_the_first() -> None:
    found = failures(
        stepped(mutates, card=replace(CARD, idea="", use=""), hyperparameters={"lr": loose(low=-9.0)}, name="Bad")
    )
    assert {"card", "hyperparameters", "pure"} <= set(found)
    for part in ("idea", "use", "name"):
        assert part in found["card"]


def test_a_rule_that_cannot_step_is_not_tried_further_and_this_is_said() -> None:
    found = failures(stepped(raises))
    assert set(found) == {"returns", "the rest"}
    assert "Because of this, 14 checks were not tried: pure, state, zero gradient" in found["the rest"]


def test_a_failure_in_one_case_names_the_case() -> None:
    def centred(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, centred: bool) -> Any:
        return (mutates if centred else lambda g, s, p, lr, t: -lr * g)(
            grad, state, param, hyper.lr.to(param.dtype), step
        ), state

    rule = stranger(
        centred,
        lambda param, centred: init(param),
        options={"centred": False},
        cases=(Case(), Case({}, {"centred": True})),
    )
    assert "(with centred=True)" in only("pure", rule)


def test_an_exemption_excuses_only_what_fails() -> None:
    excused = stepped(lambda g, s, p, lr, t: -1e-6 * g, exempt={"quadratic": "it is slow"})
    found = {finding.check: finding for finding in check_optimizer(excused)}
    assert found["quadratic"] == Finding("quadratic", True, "exempt: it is slow")
    assert not found["rosenbrock"].passed

    idle = {finding.check: finding for finding in check_optimizer(stranger(exempt={"quadratic": "it is slow"}))}
    assert idle["quadratic"] == Finding("quadratic", False, "It is exempt from this check (it is slow), but passes it.")
    with pytest.raises(SpecError, match=r"Optimizer 'stranger' is exempt from 'parabola'\. There is: card, hyper"):
        check_optimizer(stranger(exempt={"parabola": "it is slow"}))


def test_state_kept_outside_is_lost_when_saved() -> None:
    class Secret:
        """Remembers in itself, which no other process sees."""

        def __init__(self) -> None:
            self.seen = 0.0

        def __call__(self, grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> Any:
            self.seen += 1
            return -hyper.lr.to(param.dtype) * grad / self.seen, state

    assert "the state does not go on as it would have" in only("serialisation", stranger(Secret()))


def test_checking_leaves_the_callers_generator_alone() -> None:
    before = torch.get_rng_state()
    only("pure", BROKEN["random"][0])
    assert torch.equal(torch.get_rng_state(), before)
