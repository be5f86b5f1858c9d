"""Adadelta: RMSprop whose learning rate is the recent size of its own steps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, like, moving_average, with_weight_decay
from gradrace.optimizers.sgd import WEIGHT_DECAY
from gradrace.space import LogUniform


class State(NamedTuple):
    """Averages of squared gradients and of squared steps (before lr); shape and dtype of the parameter."""

    square: Tensor
    moved: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    rho: Tensor
    eps: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> State:
    """Nothing seen, nowhere moved: eps alone gives the first step its length."""
    return State(square=torch.zeros_like(param), moved=torch.zeros_like(param))


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """``-lr * d`` with ``d = sqrt(moved + eps) / sqrt(square + eps) * g``."""
    grad, eps = with_weight_decay(grad, param, hyper.weight_decay), like(hyper.eps, grad)
    square = moving_average(state.square, grad * grad, hyper.rho)
    direction = (state.moved + eps).sqrt() / (square + eps).sqrt() * grad
    return descent(direction, hyper.lr), State(square, moving_average(state.moved, direction * direction, hyper.rho))


optimizer = Optimizer(
    name="adadelta",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(1.0, "factor on the step whose length the method finds itself"),
        "rho": Hyperparameter(0.9, "share of both averages that is kept", high=1.0),
        "eps": Hyperparameter(1e-6, "keeps the division finite, and gets the first steps going"),
        "weight_decay": WEIGHT_DECAY,
    },
    space={
        "lr": LogUniform(1e-2, 1e3),
        "rho": LogUniform(1e-3, 0.5, one_minus=True, from_trials=10, limit=1.0),
        "eps": LogUniform(1e-8, 1e-2, from_trials=26),
    },
    card=Card(
        title="Adadelta",
        idea="Divides each gradient by its recent size, as RMSprop does, and multiplies it by the recent size of the "
        "steps themselves. So the step has the parameter's own unit, and no learning rate is needed in principle; "
        "in practice eps sets the pace of the start.",
        formula=(
            "g = gradient",
            "s <- rho * s + (1 - rho) * g^2",
            "d = sqrt(x + eps) / sqrt(s + eps) * g",
            "x <- rho * x + (1 - rho) * d^2",
            "w <- w - lr * d",
        ),
        use="Training without a learning rate to choose; early speech recognition.",
        paper="Zeiler, ADADELTA: An Adaptive Learning Rate Method, 2012",
        link="https://arxiv.org/abs/1212.5701",
        relatives={
            "rmsprop": "the same with a constant learning rate, and eps outside the root",
            "adagrad": "divides by all the gradient there has been, and does not forget",
        },
        differences=("The paper has no learning rate: its method is lr = 1.",),
        korean=Korean(
            title="Adadelta",
            idea="RMSprop처럼 각 기울기를 최근 크기로 나누고, 여기에 최근에 움직인 스텝의 크기를 곱합니다. 그래서 "
            "스텝이 파라미터와 같은 단위를 가지며 원칙적으로 학습률이 필요 없습니다. 다만 실제로는 eps가 초반의 "
            "속도를 정합니다.",
            use="학습률을 고르지 않고 하는 학습, 초기의 음성 인식.",
            relatives={
                "rmsprop": "학습률이 일정하고 eps가 제곱근 밖에 있는 같은 방법",
                "adagrad": "지금까지의 모든 기울기로 나누며 잊지 않음",
            },
            differences=("논문에는 학습률이 없습니다. 논문의 방법은 lr = 1에 해당합니다.",),
            meanings={
                "lr": "길이를 스스로 정하는 스텝에 곱하는 배수",
                "rho": "두 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하고 처음 몇 스텝을 움직이게 하는 작은 수",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("rmsprop", "the average size of past steps in place of a learning rate"),
    torch_class="torch.optim.Adadelta",
    torch_state={"square": "square_avg", "moved": "acc_delta"},
    arguments={"lr": "lr", "rho": "rho", "eps": "eps", "weight_decay": "weight_decay"},
    cases=(
        Case(),
        Case({"lr": 30.0, "rho": 0.99, "eps": 1e-8}),
        Case({"lr": 3.0, "rho": 0.5, "eps": 1e-3, "weight_decay": 0.1}),
    ),
    bad_inputs=(BadInput({"rho": 1.0}, "rho must be a number at least 0 and below 1, but is 1.0"),),
)
