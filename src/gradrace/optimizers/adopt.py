"""ADOPT: Adam that divides a gradient by the average before it, and averages what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Optimizer, PerTensor
from gradrace.optimizers._parts import (
    decay_pace,
    descent,
    like,
    moving_average,
    with_decoupled_decay,
    with_weight_decay,
)
from gradrace.optimizers.adam import Hyper
from gradrace.optimizers.adam import optimizer as adam
from gradrace.space import LogUniform


class State(NamedTuple):
    """Averages of the divided gradient and of the squared gradient; shape and dtype of the parameter."""

    mean: Tensor
    square: Tensor


def init(param: Tensor, **options: bool) -> State:
    """Nothing seen. The first gradient's square, as it is, starts the average: no bias to correct."""
    return State(mean=torch.zeros_like(param), square=torch.zeros_like(param))


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, decoupled: bool, fixed_decay: bool
) -> tuple[Tensor, State]:
    """``m <- beta1 * m + (1 - beta1) * clip(g / max(sqrt(s), eps))``, then ``-lr * m``; s takes g in afterwards.

    The clip is at ``(step - 1) ** (1/4)``: zero at the first step, which so only starts s. ``decoupled`` takes weight
    decay as AdamW does, and ``fixed_decay`` does not multiply it by lr.
    """
    grad = grad if decoupled else with_weight_decay(grad, param, hyper.weight_decay)
    clip = like((step - 1) ** 0.25, grad)
    divided = grad / torch.maximum(state.square.sqrt(), like(hyper.eps, grad))
    divided = torch.maximum(torch.minimum(divided, clip), -clip)
    mean = moving_average(state.mean, divided, hyper.beta1)
    square = moving_average(state.square, grad * grad, hyper.beta2)
    change = descent(mean, hyper.lr)
    if decoupled:
        change = with_decoupled_decay(change, param, decay_pace(hyper.lr, fixed_decay), hyper.weight_decay)
    return change, State(mean, torch.where(step == 1, grad * grad, square))


def _oracle_arguments(hyper: Mapping[str, float], options: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "lr": hyper["lr"],
        "betas": (hyper["beta1"], hyper["beta2"]),
        "eps": hyper["eps"],
        "weight_decay": hyper["weight_decay"],
        "weight_decouple": options["decoupled"],
        "fixed_decay": options["fixed_decay"],
        "clip_lambda": lambda step: (step - 1) ** 0.25,  # it counts the step that only starts the average
    }


optimizer = Optimizer(
    name="adopt",
    class_name="ADOPT",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        **adam.hyperparameters,
        "beta2": replace(adam.hyperparameters["beta2"], default=0.9999),
        "eps": replace(adam.hyperparameters["eps"], default=1e-6, low_allowed=False),
    },
    space={**adam.space, "beta2": LogUniform(1e-5, 1e-1, one_minus=True, from_trials=50, limit=1.0)},
    card=Card(
        title="ADOPT (modified Adam)",
        idea="Adam in another order, with which it converges whatever beta2 is: a gradient is divided by the average "
        "of those before it, which does not contain it, and Momentum's average is taken of the result. Its size is "
        "held below a bound that grows with the steps.",
        formula=(
            "g = gradient;  at the first step s <- g^2 and nothing moves",
            "d = g / max(sqrt(s), eps), held between -(t - 1)^(1/4) and (t - 1)^(1/4)",
            "m <- beta1 * m + (1 - beta1) * d",
            "w <- w - lr * m",
            "s <- beta2 * s + (1 - beta2) * g^2",
        ),
        use="The same as Adam's, where Adam is unstable and beta2 would need care.",
        paper="Taniguchi et al., ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate, 2024",
        link="https://arxiv.org/abs/2411.02853",
        relatives={
            "adam": "averages first and divides after, by an average that contains the gradient",
            "rmsprop": "with momentum also averages what was divided, by an average that contains the gradient",
        },
        differences=(
            "Decoupled weight decay acts at the first step too; in the authors' code nothing moves at that step.",
            "pytorch_optimizer bounds by t^(1/4); here, as in the paper and the authors' code, the first step, which "
            "only starts s, is not counted.",
            "Both can be given another bound, as a function of the step. A function is no number that a study could "
            "tune, and no part of a configuration that can be stored; this rule has the paper's bound.",
        ),
    ),
    family=("adam", "divides first, by the average before this gradient, and averages after"),
    exempt={"rosenbrock": "beta2 remembers the slope at the start for 10,000 steps, and it creeps along the floor"},
    torch_class="gradrace.optim.ADOPT",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "decoupled_weight_decay": "decoupled",
        "fixed_decay": "fixed_decay",
    },
    oracle_class="pytorch_optimizer.ADOPT",
    oracle_arguments=_oracle_arguments,
    options={"decoupled": False, "fixed_decay": False},
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
        Case({"lr": 0.1, "beta2": 0.99, "weight_decay": 0.3}, {"decoupled": True}),
        Case({"lr": 0.1, "beta2": 0.99, "weight_decay": 0.01}, {"decoupled": True, "fixed_decay": True}),
    ),
    bad_inputs=(
        BadInput({"eps": 0.0}, "eps must be a number above 0, but is 0.0"),
        BadInput({"beta1": 1.0}, "beta1 must be a number at least 0 and below 1, but is 1.0"),
    ),
)
