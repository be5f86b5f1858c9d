"""RMSprop: AdaGrad that forgets, so that the learning rate of a parameter follows its recent gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, like, moving_average, with_weight_decay
from gradrace.optimizers.sgd import WEIGHT_DECAY
from gradrace.space import LogUniform


class State(NamedTuple):
    """Averages of squared gradient and of gradient, and the velocity; shape and dtype of the parameter, or empty."""

    square: Tensor
    mean: Tensor
    velocity: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    alpha: Tensor
    eps: Tensor
    momentum: Tensor | None
    weight_decay: Tensor | None


def init(param: Tensor, centered: bool, heavy: bool) -> State:
    """Averages start at zero; what the options leave out has no elements."""
    nothing = param.new_zeros(0)
    return State(
        square=torch.zeros_like(param),
        mean=torch.zeros_like(param) if centered else nothing,
        velocity=torch.zeros_like(param) if heavy else nothing,
    )


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, centered: bool, heavy: bool
) -> tuple[Tensor, State]:
    """``s <- alpha * s + (1 - alpha) * g * g``, then ``-lr * g / (sqrt(s) + eps)``.

    ``centered`` divides by the spread about the average gradient; ``heavy`` sends the result through a velocity.
    """
    grad = with_weight_decay(grad, param, hyper.weight_decay)
    square = moving_average(state.square, grad * grad, hyper.alpha)
    mean = moving_average(state.mean, grad, hyper.alpha) if centered else state.mean
    spread = square - mean * mean if centered else square
    direction = grad / (spread.sqrt() + like(hyper.eps, grad))
    velocity = state.velocity
    if heavy:
        direction = velocity = (
            direction if hyper.momentum is None else like(hyper.momentum, grad) * velocity + direction
        )
    return descent(direction, hyper.lr), State(square, mean, velocity)


optimizer = Optimizer(
    name="rmsprop",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.01, "learning rate"),
        "alpha": Hyperparameter(0.99, "share of the average of squared gradients that is kept", high=1.0),
        "eps": Hyperparameter(1e-8, "keeps the division finite"),
        "momentum": Hyperparameter(0.0, "share of the velocity that is kept; none if 0", high=1.0, absent_at_zero=True),
        "weight_decay": WEIGHT_DECAY,
    },
    space={
        "lr": LogUniform(1e-5, 1e-1),
        "alpha": LogUniform(1e-3, 0.5, one_minus=True, from_trials=10, limit=1.0),
        "eps": LogUniform(1e-10, 1e-3, from_trials=26),
    },
    card=Card(
        title="RMSprop (root mean square propagation)",
        idea="Divides each gradient by its own recent size, so that it adapts to the newest updates "
        "and forgets the old ones.",
        formula=("g = gradient", "s <- alpha * s + (1 - alpha) * g^2", "w <- w - lr * g / (sqrt(s) + eps)"),
        use="Time series such as stock prices and weather, with recurrent networks.",
        paper="Tieleman and Hinton, Lecture 6.5: rmsprop, 2012",
        link="https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf",
        relatives={
            "adagrad": "the same with a sum that never forgets",
            "adam": "RMSprop over Momentum's average, with bias correction",
        },
        korean=Korean(
            title="RMSprop (제곱평균제곱근 전파)",
            idea="각 기울기를 그 기울기의 최근 크기로 나눕니다. 그래서 최신 갱신에 적응하고 오래된 것은 잊습니다.",
            use="순환 신경망으로 다루는 주가, 날씨 같은 시계열.",
            relatives={
                "adagrad": "합을 써서 잊지 않는 같은 방법",
                "adam": "모멘텀의 평균을 쓰고 편향을 보정하는 RMSprop",
            },
            meanings={
                "lr": "학습률",
                "alpha": "기울기 제곱의 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "momentum": "속도를 유지하는 비율. 0이면 쓰지 않음",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("adagrad", "an average that forgets in place of the sum"),
    torch_class="torch.optim.RMSprop",
    class_name="RMSprop",
    torch_state={"square": "square_avg", "mean": "grad_avg", "velocity": "momentum_buffer"},
    arguments={
        "lr": "lr",
        "alpha": "alpha",
        "eps": "eps",
        "weight_decay": "weight_decay",
        "momentum": "momentum",
        "centered": "centered",
    },
    options={"centered": False, "heavy": False},
    implied={"heavy": "momentum"},
    cases=(
        Case(),
        Case({"lr": 0.1, "alpha": 0.9, "weight_decay": 0.1}),
        Case({"lr": 0.01, "alpha": 0.9, "eps": 1e-3}, {"centered": True}),
        Case({"lr": 0.01, "momentum": 0.9}, {"heavy": True}),
        Case({"lr": 0.02, "momentum": 0.5, "eps": 1e-3}, {"heavy": True, "centered": True}),
    ),
    bad_inputs=(BadInput({"alpha": 1.5}, "alpha must be a number at least 0 and below 1, but is 1.5"),),
)
