"""Rprop: a step length of its own for every parameter, which looks at signs alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
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
        korean=Korean(
            title="Rprop (탄력적 역전파)",
            idea="각 좌표에서 기울기의 부호만 봅니다. 부호가 그대로면 그 좌표의 스텝이 커지고, 부호가 바뀌면 최솟점을 "
            "지난 것이므로 스텝이 작아집니다. 작은 배치에서는 부호가 우연히 바뀌므로 전체 배치를 전제로 합니다.",
            use="튜닝이 거의 필요 없는, 전체 배치로 학습하는 작은 신경망.",
            relatives={
                "signum": "역시 부호를 쓰지만 평균의 부호이고, 모든 좌표의 길이가 같음",
                "rmsprop": "바탕이 된 아이디어: 작은 배치를 위한 Rprop",
            },
            differences=(
                "부호가 바뀌면 논문은 마지막 스텝을 되돌립니다. PyTorch는 그 좌표를 한 스텝 동안 그대로 둡니다.",
                "lr은 첫 스텝에서만 읽습니다. 스케줄은 효과가 없습니다.",
            ),
            meanings={
                "lr": "각 좌표에서 첫 스텝의 길이",
                "eta_minus": "부호가 바뀔 때 길이에 곱하는 배수",
                "eta_plus": "부호가 그대로일 때 길이에 곱하는 배수",
                "step_low": "가장 짧은 길이",
                "step_high": "가장 긴 길이",
            },
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
