"""Momentum: SGD along a velocity that remembers past gradients (Polyak's heavy ball)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, like, with_weight_decay
from gradrace.optimizers.sgd import LR, WEIGHT_DECAY
from gradrace.space import LogUniform


class State(NamedTuple):
    """``velocity``: shape and dtype of the parameter."""

    velocity: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    momentum: Tensor
    dampening: Tensor | None
    weight_decay: Tensor | None


def init(param: Tensor, nesterov: bool) -> State:
    """A body at rest."""
    return State(velocity=torch.zeros_like(param))


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, nesterov: bool
) -> tuple[Tensor, State]:
    """``v <- momentum * v + (1 - dampening) * g``, then ``-lr * v``; with ``nesterov``, ``-lr * (g + momentum * v)``.

    The first gradient is taken whole, and so is every one where momentum is 0.
    """
    grad = with_weight_decay(grad, param, hyper.weight_decay)
    share = None
    if hyper.dampening is not None:
        share = torch.where((step == 1) | (hyper.momentum == 0), 1, 1 - hyper.dampening)
    return rolled(grad, state, hyper.lr, hyper.momentum, share, nesterov)


def rolled(
    grad: Tensor, state: State, lr: Tensor, momentum: Tensor, share: Tensor | None, nesterov: bool
) -> tuple[Tensor, State]:
    """A step along a velocity that takes in this ``share`` of the gradient; None for all of it."""
    velocity = like(momentum, grad) * state.velocity + (grad if share is None else like(share, grad) * grad)
    # Nesterov's form looks one step ahead: it goes where the velocity will have carried it.
    direction = grad + like(momentum, grad) * velocity if nesterov else velocity
    return descent(direction, lr), State(velocity)


DAMPENING = Hyperparameter(0.0, "share of a gradient that is kept out of the velocity", absent_at_zero=True)


optimizer = Optimizer(
    name="momentum",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": LR,
        "momentum": Hyperparameter(0.9, "share of the velocity that is kept", high=1.0),
        "dampening": DAMPENING,
        "weight_decay": WEIGHT_DECAY,
    },
    space={
        "lr": LogUniform(1e-5, 1),
        "momentum": LogUniform(5e-3, 0.3, one_minus=True, from_trials=10, limit=1.0),
    },
    card=Card(
        title="Momentum (heavy ball)",
        idea="Remembers its direction and gathers speed, like inertia: steps that keep pointing the same way add up, "
        "steps that contradict each other cancel.",
        formula=("g = gradient", "v <- momentum * v + g", "w <- w - lr * v"),
        use="Game AI that must learn to react fast.",
        paper="Polyak, Some methods of speeding up the convergence of iteration methods, 1964",
        link="https://doi.org/10.1016/0041-5553(64)90137-5",
        relatives={
            "sgd": "Momentum with momentum 0",
            "nesterov": "Momentum that looks one step ahead",
            "adam": "Momentum's average divided by RMSprop's",
        },
        differences=(
            "With dampening, PyTorch and this rule still take the first gradient whole; PyTorch also the first one "
            "after momentum was 0, where this rule goes by the count of steps.",
            "Looking ahead with dampening is refused, as PyTorch does.",
        ),
        korean=Korean(
            title="모멘텀 (무거운 공)",
            idea="관성처럼 방향을 기억하고 속도를 붙입니다. 같은 쪽을 계속 가리키는 스텝은 쌓이고, 서로 어긋나는 "
            "스텝은 상쇄됩니다.",
            use="빠르게 반응하도록 배워야 하는 게임 AI.",
            relatives={
                "sgd": "momentum이 0인 모멘텀",
                "nesterov": "한 스텝 앞을 보는 모멘텀",
                "adam": "모멘텀의 평균을 RMSprop의 평균으로 나눔",
            },
            differences=(
                "댐핑을 써도 PyTorch와 이 규칙은 첫 기울기를 온전히 받습니다. PyTorch는 momentum이 0이었다가 바뀐 "
                "뒤의 첫 기울기도 그렇게 하고, 이 규칙은 스텝 수를 따릅니다.",
                "댐핑과 함께 앞을 보는 것은 PyTorch처럼 거부합니다.",
            ),
            meanings={
                "lr": "학습률: 한 스텝의 길이",
                "momentum": "속도를 유지하는 비율",
                "dampening": "기울기에서 속도에 넣지 않는 비율",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("sgd", "along a velocity that remembers past gradients"),
    torch_class="torch.optim.SGD",
    torch_state={"velocity": "momentum_buffer"},
    arguments={
        "lr": "lr",
        "momentum": "momentum",
        "dampening": "dampening",
        "weight_decay": "weight_decay",
        "nesterov": "nesterov",
    },
    options={"nesterov": False},
    needs={"nesterov": "momentum"},
    excludes={"nesterov": "dampening"},
    special_cases=("sgd",),
    cases=(
        Case(),
        Case({"lr": 0.3, "momentum": 0.99, "weight_decay": 0.01}),
        Case({"lr": 0.1, "momentum": 0.5}, {"nesterov": True}),
        Case({"lr": 1.0, "momentum": 0.9, "weight_decay": 0.1}, {"nesterov": True}),
        Case({"lr": 0.3, "momentum": 0.0}, {"nesterov": True}),
        Case({"lr": 0.3, "momentum": 0.95, "dampening": 0.9, "weight_decay": 0.01}),
        Case({"lr": 0.3, "momentum": 0.0, "dampening": 0.5}),
    ),
    bad_inputs=(
        BadInput({"momentum": 1.0}, "momentum must be a number at least 0 and below 1, but is 1.0"),
        BadInput({"momentum": -0.1}, "momentum must be a number at least 0 and below 1, but is -0.1"),
    ),
)
