"""Nesterov: Momentum with its one structural option switched on, and without dampening."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Korean, PerTensor
from gradrace.optimizers._parts import with_weight_decay
from gradrace.optimizers.momentum import State, init, rolled
from gradrace.optimizers.momentum import optimizer as momentum


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    momentum: Tensor
    weight_decay: Tensor | None


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, nesterov: bool
) -> tuple[Tensor, State]:
    """``v <- momentum * v + g``, then ``-lr * (g + momentum * v)``."""
    grad = with_weight_decay(grad, param, hyper.weight_decay)
    return rolled(grad, state, hyper.lr, hyper.momentum, None, nesterov)


optimizer = replace(
    momentum,
    name="nesterov",
    # With momentum 0 there is nothing to look ahead along, and torch refuses it.
    hyperparameters={
        "lr": momentum.hyperparameters["lr"],
        "momentum": replace(momentum.hyperparameters["momentum"], low_allowed=False),
        "weight_decay": momentum.hyperparameters["weight_decay"],
    },
    rule=PerTensor(init, update),
    hyper=Hyper,
    arguments={name: part for name, part in momentum.arguments.items() if part != "dampening"},
    options={"nesterov": True},
    needs={},
    excludes={},
    card=Card(
        title="Nesterov (accelerated gradient)",
        idea="Momentum that looks one step ahead: the newest gradient is counted as if the velocity had already moved "
        "on, so it brakes earlier before a turn.",
        formula=("g = gradient", "v <- momentum * v + g", "w <- w - lr * (g + momentum * v)"),
        use="The same as Momentum's, where Momentum overshoots.",
        paper="Nesterov, A method for solving the convex programming problem with convergence rate O(1/k^2), 1983; "
        "in this form Sutskever et al., 2013",
        link="https://proceedings.mlr.press/v28/sutskever13.html",
        relatives={"momentum": "the same without looking ahead", "sgd": "Nesterov with momentum 0"},
        korean=Korean(
            title="네스테로프 (가속 기울기)",
            idea="한 스텝 앞을 보는 모멘텀입니다. 속도만큼 이미 움직였다고 보고 최신 기울기를 반영하므로, 방향이 "
            "꺾이기 전에 더 일찍 속도를 줄입니다.",
            use="모멘텀과 같으며, 모멘텀이 지나치게 나아가는 곳.",
            relatives={
                "momentum": "앞을 보지 않는 같은 방법",
                "sgd": "momentum이 0인 네스테로프",
            },
            meanings={
                "lr": "학습률: 한 스텝의 길이",
                "momentum": "속도를 유지하는 비율",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("momentum", "looks one step ahead"),
    cases=(Case(), Case({"lr": 0.3, "momentum": 0.95, "weight_decay": 0.01})),
    bad_inputs=(
        BadInput({"momentum": 1.0}, "momentum must be a number above 0 and below 1, but is 1.0"),
        BadInput({"momentum": 0.0}, "momentum must be a number above 0 and below 1, but is 0.0"),
    ),
)
