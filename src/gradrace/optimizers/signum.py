"""Signum: Momentum of which only the sign is used, so that every coordinate moves by lr at every step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
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
        korean=Korean(
            title="Signum (모멘텀의 부호)",
            idea="모든 좌표를 평균 기울기가 가리키는 대로 위나 아래로 같은 길이만큼 움직입니다. 기울기가 얼마나 "
            "큰지는 상관없고 얼마나 꾸준한지만 중요합니다.",
            use="여러 기계에서 동시에 하는 학습. 부호는 1비트만 보내면 됩니다.",
            relatives={
                "momentum": "부호를 취하기 전의 같은 방법",
                "lion": "방향에 최신 기울기를 더 반영하는 Signum. 베타가 같으면 Signum이 됨",
                "adam": "평균의 크기가 제곱 평균의 제곱근과 비슷한 곳에서는 Signum에 가까움",
            },
            differences=("논문의 규칙에는 가중치 감쇠가 없습니다. 여기서는 AdamW처럼 기본적으로 분리되어 있습니다.",),
            meanings={
                "lr": "학습률: 각 좌표에서 모든 스텝의 길이",
                "momentum": "평균 기울기를 유지하는 비율",
                "weight_decay": "lr 1인 스텝이 파라미터에서 덜어 내는 비율",
            },
        ),
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
