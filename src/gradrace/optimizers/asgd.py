"""ASGD: SGD whose weights to use are the average of those it went through (Polyak and Ruppert's averaging)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor, Tree
from gradrace.optimizers._parts import descent, moving_average, with_decoupled_decay, with_weight_decay
from gradrace.optimizers.sgd import LR, WEIGHT_DECAY
from gradrace.space import LogUniform


class State(NamedTuple):
    """``average`` of the parameter, like it; the next step's learning rate ``eta``: float64, shape ()."""

    average: Tensor
    eta: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    lambd: Tensor | None
    alpha: Tensor
    t0: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> State:
    """The average of one point is that point. The first learning rate is a hyperparameter, so the update sets it."""
    return State(average=param.clone(), eta=param.new_zeros((), dtype=torch.float64))


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """``-eta * (g + lambd * w)`` with ``eta = lr / (1 + lambd * lr * t) ** alpha``; the average starts after ``t0``."""
    eta = torch.where(step == 1, hyper.lr, state.eta)
    change = descent(with_weight_decay(grad, param, hyper.weight_decay), eta)
    change = with_decoupled_decay(change, param, eta, hyper.lambd)
    kept = 1 - 1 / torch.clamp(step - 1 - hyper.t0, min=1)  # the plain mean of the last n: 1 - 1/n of it is kept
    decay = 1 if hyper.lambd is None else (1 + hyper.lambd * hyper.lr * step) ** hyper.alpha
    return change, State(moving_average(state.average, param + change, kept), hyper.lr / decay)


def evaluated(params: Tree, state: dict[str, State], hyper: Hyper, options: Mapping[str, bool]) -> Tree:
    """The averages."""
    return {name: state[name].average for name in params}


optimizer = Optimizer(
    name="asgd",
    class_name="ASGD",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": LR,
        "lambd": Hyperparameter(1e-4, "how fast the learning rate falls, and a pull to zero", absent_at_zero=True),
        "alpha": Hyperparameter(0.75, "power with which the learning rate falls"),
        "t0": Hyperparameter(1e6, "step after which the average starts"),
        "weight_decay": WEIGHT_DECAY,
    },
    space={"lr": LogUniform(1e-4, 10), "t0": LogUniform(10, 1e4, from_trials=10)},
    card=Card(
        title="ASGD (averaged SGD)",
        idea="SGD that keeps the average of its weights from some step on. The weights jitter about a good point; "
        "their average lies closer to it, so the learning rate may stay high.",
        formula=(
            "g = gradient,  eta_t = lr / (1 + lambd * lr * (t - 1))^alpha",
            "w <- w - eta_t * (g + lambd * w)",
            "a <- a + (w - a) / max(1, t - 1 - t0)      (the weights to use)",
        ),
        use="Language models with recurrent networks, in the last phase of training.",
        paper="Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging, 1992",
        link="https://doi.org/10.1137/0330046",
        relatives={"sgd": "ASGD with lambd 0, used at its last point instead of the average"},
        differences=(
            "The learning rate falls as Bottou (2012) proposed, with a pull to zero of strength lambd, which the paper "
            "does not have; lambd 0 switches both off.",
            "PyTorch's default for t0 is a million steps: training shorter than t0 never averages.",
            "PyTorch sets eta for the next step, so a scheduled lr takes effect one step late; so it does here.",
        ),
        korean=Korean(
            title="ASGD (평균 SGD)",
            idea="어느 스텝부터 가중치의 평균을 함께 유지하는 SGD입니다. 가중치는 좋은 점 주위에서 흔들리고 그 평균은 "
            "그 점에 더 가까우므로, 학습률을 높게 유지해도 됩니다.",
            use="학습 마지막 단계의 순환 신경망 언어 모델.",
            relatives={
                "sgd": "lambd가 0이고, 평균 대신 마지막 점을 쓰는 ASGD",
            },
            differences=(
                "학습률은 Bottou(2012)의 제안대로 줄어들고, 논문에는 없는 세기 lambd로 0 쪽으로 당깁니다. lambd가 "
                "0이면 둘 다 꺼집니다.",
                "PyTorch에서 t0의 기본값은 백만 스텝입니다. t0보다 짧은 학습에서는 평균을 내지 않습니다.",
                "PyTorch는 다음 스텝의 eta를 미리 정하므로 스케줄된 lr이 한 스텝 늦게 반영됩니다. 여기서도 같습니다.",
            ),
            meanings={
                "lr": "학습률: 한 스텝의 길이",
                "lambd": "학습률이 줄어드는 빠르기이자 0 쪽으로 당기는 세기",
                "alpha": "학습률이 줄어드는 지수",
                "t0": "평균을 내기 시작하는 스텝",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("sgd", "the average of the weights is what is used"),
    torch_class="torch.optim.ASGD",
    arguments={"lr": "lr", "lambd": "lambd", "alpha": "alpha", "t0": "t0", "weight_decay": "weight_decay"},
    evaluated=evaluated,
    special_cases=("sgd",),
    cases=(
        Case(),
        Case({"lr": 0.3, "lambd": 0.1, "t0": 50}),
        Case({"lr": 3.0, "lambd": 0.01, "alpha": 0.5, "t0": 0, "weight_decay": 0.01}),
        Case({"lr": 0.1, "lambd": 0.0, "t0": 10}),
    ),
    bad_inputs=(
        BadInput({"t0": -1}, "t0 must be a number at least 0, but is -1"),
        BadInput({"lambd": -1e-4}, "lambd must be a number at least 0, but is -0.0001"),
    ),
)
