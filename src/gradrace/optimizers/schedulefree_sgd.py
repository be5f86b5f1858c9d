"""Schedule-Free SGD: SGD with a running average of its weights in place of a learning-rate schedule.

Three sequences: fast weights z take the steps of SGD, x is a weighted average of all z so far, and the model trains at
y, a point between the two. The parameters that a rule updates are y; a model is evaluated at x. Only y and z are kept,
because x = y + (1 - 1/momentum) * (z - y).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor, Tree
from gradrace.optimizers._parts import like, with_weight_decay
from gradrace.optimizers.sgd import WEIGHT_DECAY
from gradrace.space import LogUniform


class State(NamedTuple):
    """``fast``: z, shape and dtype of the parameter. ``total``: weight of all z so far; ``largest_lr``: shape ()."""

    fast: Tensor
    total: Tensor
    largest_lr: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    momentum: Tensor
    warmup_steps: Tensor | None
    r: Tensor | None
    weight_lr_power: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> State:
    """Fast weights where the parameters start, and an average of nothing."""
    nothing = torch.zeros((), dtype=torch.float64, device=param.device)
    return State(fast=param.clone(), total=nothing, largest_lr=nothing)


def averaged_step(
    direction: Tensor, state: State, param: Tensor, hyper: Any, momentum: Tensor, step: Tensor
) -> tuple[Tensor, State]:
    """Fast weights go ``-lr * direction``; the average takes them in with the share ``c`` of their weight in all.

    The weight of a step is ``step^r * (largest lr so far)^weight_lr_power``. For y this adds up to
    ``c * (z - y) - lr * (1 - momentum * (1 - c)) * direction`` with z before its step.
    """
    lr = hyper.lr if hyper.warmup_steps is None else hyper.lr * (step / hyper.warmup_steps).clamp(max=1)
    largest_lr = torch.maximum(state.largest_lr, lr)
    weight = largest_lr**hyper.weight_lr_power * (1 if hyper.r is None else step**hyper.r)
    total = state.total + weight
    share = torch.where(total > 0, weight / torch.where(total > 0, total, 1), 0)
    towards = like(share, param) * (state.fast - param)
    along = like(lr * (1 - momentum * (1 - share)), param) * direction
    return towards - along, State(state.fast - like(lr, param) * direction, total, largest_lr)


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """An averaged step along the gradient at y, with weight decay at y as an L2 penalty."""
    direction = with_weight_decay(grad, param, hyper.weight_decay)
    return averaged_step(direction, state, param, hyper, hyper.momentum, step)


def average(param: Tensor, fast: Tensor, momentum: Tensor) -> Tensor:
    """x, the average of the fast weights, found from y and z."""
    return param + like(1 - 1 / momentum, param) * (fast - param)


def evaluated(params: Tree, state: dict[str, State], hyper: Hyper, options: Mapping[str, bool]) -> Tree:
    """The averages: what a model is evaluated with."""
    return {name: average(param, state[name].fast, hyper.momentum) for name, param in params.items()}


MOMENTUM = Hyperparameter(0.9, "how near to the average the model trains: 0 at z, 1 at x", high=1.0, low_allowed=False)
AVERAGING = {
    "warmup_steps": Hyperparameter(0.0, "steps in which the learning rate rises to its value", absent_at_zero=True),
    "r": Hyperparameter(0.0, "power of the step in a step's weight in the average", absent_at_zero=True),
    "weight_lr_power": Hyperparameter(2.0, "power of the largest learning rate so far in a step's weight"),
}

optimizer = Optimizer(
    name="schedulefree_sgd",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(1.0, "learning rate of the fast weights; larger than SGD's"),
        "momentum": MOMENTUM,
        **AVERAGING,
        "weight_decay": WEIGHT_DECAY,
    },
    space={
        "lr": LogUniform(1e-3, 1e2),
        "momentum": LogUniform(1e-2, 0.5, one_minus=True, from_trials=10, limit=1.0),
    },
    card=Card(
        title="Schedule-Free SGD",
        idea="SGD whose model is the average of all the weights it passed through. The average settles as a falling "
        "learning rate would make it settle, without anyone having to know when training will end.",
        formula=(
            "y = momentum * x + (1 - momentum) * z      (trains here)",
            "g = gradient at y",
            "z <- z - lr * g",
            "x <- (1 - c) * x + c * z      (evaluated here)",
            "c = lr^2 / (sum of lr^2 so far), which is 1 / t while the learning rate is constant",
        ),
        use="Training whose length is not known beforehand.",
        paper="Defazio et al., The Road Less Scheduled, 2024",
        link="https://arxiv.org/abs/2405.15682",
        relatives={
            "sgd": "the fast weights alone, without an average",
            "momentum": "also acts with old gradients, but on the weights and not on their average",
            "schedulefree_adamw": "the same around AdamW's direction",
        },
        differences=(
            "Weights in the average follow the largest learning rate so far, as in the reference implementation; "
            "the paper's follow the learning rate of the step.",
        ),
        korean=Korean(
            title="Schedule-Free SGD",
            idea="지나온 모든 가중치의 평균을 모델로 쓰는 SGD입니다. 평균은 학습률을 점점 낮춘 것처럼 안정되며, "
            "학습이 언제 끝날지 아무도 미리 알 필요가 없습니다.",
            use="길이를 미리 알 수 없는 학습.",
            relatives={
                "sgd": "평균 없이 빠른 가중치만 사용",
                "momentum": "역시 이전 기울기가 작용하지만, 평균이 아니라 가중치에 작용함",
                "schedulefree_adamw": "같은 방법에 AdamW의 방향을 사용",
            },
            differences=(
                "평균에 쓰이는 비중은 참조 구현처럼 지금까지 가장 큰 학습률을 따릅니다. 논문에서는 그 스텝의 학습률을 "
                "따릅니다.",
            ),
            meanings={
                "lr": "빠른 가중치의 학습률. SGD보다 크게 잡음",
                "momentum": "모델이 평균에 얼마나 가까운 곳에서 학습하는지. 0이면 z, 1이면 x",
                "warmup_steps": "학습률이 제 값까지 올라가는 스텝 수",
                "r": "평균에서 스텝의 비중을 정하는 스텝 번호의 지수",
                "weight_lr_power": "스텝의 비중에서 지금까지 가장 큰 학습률의 지수",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("sgd", "trains between the weights and their average, which is what is used"),
    torch_class="gradrace.optim.ScheduleFreeSGD",
    class_name="ScheduleFreeSGD",
    arguments={
        "lr": "lr",
        "momentum": "momentum",
        "warmup_steps": "warmup_steps",
        "r": "r",
        "weight_lr_power": "weight_lr_power",
        "weight_decay": "weight_decay",
    },
    oracle_class="oracles.ScheduleFreeSGD",  # tests/oracles.py: schedulefree.SGDScheduleFree, in training mode at once
    evaluated=evaluated,
    cases=(
        Case(),
        Case({"lr": 10.0, "momentum": 0.98, "weight_decay": 0.01}),
        Case({"lr": 0.5, "momentum": 0.5, "warmup_steps": 30.0, "r": 1.0, "weight_decay": 0.1}),
        Case({"lr": 3.0, "warmup_steps": 7.0, "weight_lr_power": 0.0}),
    ),
    bad_inputs=(
        BadInput({"momentum": 0.0}, "momentum must be a number above 0 and below 1, but is 0.0"),
        BadInput({"warmup_steps": -1.0}, "warmup_steps must be a number at least 0, but is -1.0"),
    ),
)
