"""Rprop: a step length of its own for every parameter, which looks at signs alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Optimizer, PerTensor
from gradrace.optimizers._parts import like
from gradrace.space import LogUniform


class State(NamedTuple):
    """The gradient before (0 after a turn), and the length of each coordinate's step; like the parameter."""

    previous: Tensor
    length: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each."""

    lr: Tensor
    eta_minus: Tensor
    eta_plus: Tensor
    step_low: Tensor
    step_high: Tensor


def init(param: Tensor) -> State:
    """No gradient before. The first length is a hyperparameter, so the update sets it."""
    return State(previous=torch.zeros_like(param), length=torch.zeros_like(param))


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """``-length * sign(g)``: the length grows while the sign stays, and shrinks, with one step left out, at a turn."""
    agreement = grad * state.previous
    ones = torch.ones_like(grad)
    growth = torch.where(agreement > 0, like(hyper.eta_plus, grad), ones)
    growth = torch.where(agreement < 0, like(hyper.eta_minus, grad), growth)
    length = torch.where(step == 1, like(hyper.lr, grad), state.length) * growth
    length = torch.minimum(torch.maximum(length, like(hyper.step_low, grad)), like(hyper.step_high, grad))
    used = torch.where(agreement < 0, 0, grad)  # a turn: rest now, and count the next sign as neither
    return -used.sign() * length, State(used, length)


optimizer = Optimizer(
    name="rprop",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.01, "length of the first step in each coordinate"),
        "eta_minus": Hyperparameter(0.5, "factor on the length where the sign turns", high=1.0, low_allowed=False),
        "eta_plus": Hyperparameter(1.2, "factor on the length where the sign stays", low=1.0, low_allowed=False),
        "step_low": Hyperparameter(1e-6, "shortest length"),
        "step_high": Hyperparameter(50.0, "greatest length"),
    },
    space={"lr": LogUniform(1e-5, 1e-1)},
    card=Card(
        title="Rprop (resilient backpropagation)",
        idea="Looks only at the sign of each coordinate's gradient. While the sign stays the same the steps in that "
        "coordinate grow; when it turns, a minimum was passed, and they shrink. It expects full batches: the signs of "
        "small ones turn by chance.",
        formula=(
            "g = gradient, h = the gradient before",
            "d <- d * eta_plus if g * h > 0;  d <- d * eta_minus, g <- 0 if g * h < 0",
            "d <- d held between step_low and step_high;  d = lr at first",
            "w <- w - d * sign(g)",
        ),
        use="Small networks on full batches, where it needs hardly any tuning.",
        paper="Riedmiller and Braun, A Direct Adaptive Method for Faster Backpropagation Learning: the RPROP "
        "Algorithm, 1993",
        link="https://doi.org/10.1109/ICNN.1993.298623",
        relatives={
            "signum": "signs too, of an average, with one length for all coordinates",
            "rmsprop": "the idea behind it: Rprop for small batches",
        },
        differences=(
            "At a turn the paper takes the last step back. PyTorch leaves the coordinate where it is for one step.",
            "lr is read at the first step alone: a schedule has no effect.",
        ),
    ),
    torch_class="torch.optim.Rprop",
    torch_state={"previous": "prev", "length": "step_size"},
    arguments={"lr": "lr", "etas": ("eta_minus", "eta_plus"), "step_sizes": ("step_low", "step_high")},
    cases=(
        Case(),
        Case({"lr": 1.0, "eta_minus": 0.7, "eta_plus": 1.5, "step_high": 2.0}),
        Case({"lr": 1e-3, "step_low": 1e-4, "step_high": 0.01}),
    ),
    bad_inputs=(
        BadInput({"eta_plus": 1.0}, "eta_plus must be a number above 1, but is 1.0"),
        BadInput({"eta_minus": 0}, "eta_minus must be a number above 0 and below 1, but is 0"),
    ),
)
