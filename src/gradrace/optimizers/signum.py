"""Signum: Momentum of which only the sign is used, so that every coordinate moves by lr at every step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, moving_average, with_decoupled_decay, with_weight_decay
from gradrace.space import LogUniform


class State(NamedTuple):
    """``mean``: average of the gradient; shape and dtype of the parameter."""

    mean: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    momentum: Tensor
    weight_decay: Tensor | None


def init(param: Tensor, **options: bool) -> State:
    """The average starts at zero. Its size does not matter, so nothing is corrected for it."""
    return State(mean=torch.zeros_like(param))


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, decoupled: bool
) -> tuple[Tensor, State]:
    """``m <- momentum * m + (1 - momentum) * g``, then ``-lr * (sign(m) + weight_decay * w)``.

    Without ``decoupled``, weight decay is part of the gradient.
    """
    grad = grad if decoupled else with_weight_decay(grad, param, hyper.weight_decay)
    mean = moving_average(state.mean, grad, hyper.momentum)
    change = descent(mean.sign(), hyper.lr)
    if decoupled:
        change = with_decoupled_decay(change, param, hyper.lr, hyper.weight_decay)
    return change, State(mean)


WEIGHT_DECAY = Hyperparameter(0.0, "share of a parameter that a step of lr 1 takes off", absent_at_zero=True)

optimizer = Optimizer(
    name="signum",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.001, "learning rate: the length of every step in each coordinate"),
        "momentum": Hyperparameter(0.9, "share of the average gradient that is kept", high=1.0),
        "weight_decay": WEIGHT_DECAY,
    },
    space={
        "lr": LogUniform(1e-6, 1e-1),
        "momentum": LogUniform(5e-3, 0.5, one_minus=True, from_trials=10, limit=1.0),
    },
    card=Card(
        title="Signum (sign of Momentum)",
        idea="Moves every coordinate by the same length, up or down, as the average gradient points. How large the "
        "gradients are does not matter, only how steady.",
        formula=(
            "g = gradient",
            "m <- momentum * m + (1 - momentum) * g",
            "w <- w - lr * (sign(m) + weight_decay * w)",
        ),
        use="Training on many machines at once: a sign is one bit to send.",
        paper="Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems, 2018",
        link="https://arxiv.org/abs/1802.04434",
        relatives={
            "momentum": "the same before the sign is taken",
            "lion": "Signum whose direction counts the newest gradient more; equal betas give Signum",
            "adam": "close to Signum where an average is about as large as the root of the average square",
        },
        differences=("The paper has no weight decay in the rule. Here it is decoupled by default, as in AdamW.",),
    ),
    family=("momentum", "the sign of the average alone"),
    torch_class="gradrace.optim.Signum",
    arguments={"lr": "lr", "momentum": "momentum", "weight_decay": "weight_decay", "weight_decouple": "decoupled"},
    options={"decoupled": True},
    oracle_class="pytorch_optimizer.SignSGD",
    cases=(
        Case(),
        Case({"lr": 0.1, "momentum": 0.0}),
        Case({"lr": 0.3, "momentum": 0.99, "weight_decay": 0.1}),
        Case({"lr": 0.03, "weight_decay": 0.3}, {"decoupled": False}),
    ),
    bad_inputs=(BadInput({"momentum": 1.0}, "momentum must be a number at least 0 and below 1, but is 1.0"),),
)
