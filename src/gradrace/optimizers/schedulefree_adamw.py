"""Schedule-Free AdamW: Schedule-Free SGD along a gradient that is divided as in RMSprop, with bias correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import adam, schedulefree_sgd
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor, Tree
from gradrace.optimizers._parts import bias_correction, like, moving_average, with_weight_decay
from gradrace.optimizers.schedulefree_sgd import AVERAGING, average, averaged_step


class State(NamedTuple):
    """Schedule-Free SGD's, and ``square``: average of squared gradients, shape and dtype of the parameter."""

    fast: Tensor
    total: Tensor
    largest_lr: Tensor
    square: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    warmup_steps: Tensor | None
    r: Tensor | None
    weight_lr_power: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> State:
    """Schedule-Free SGD's start, and an average of squares that starts at zero."""
    return State(*schedulefree_sgd.init(param), square=torch.zeros_like(param))


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """An averaged step along ``g / (sqrt(s_hat) + eps) + weight_decay * y``; ``beta1`` plays the momentum."""
    square = moving_average(state.square, grad * grad, hyper.beta2)
    root = (square / like(bias_correction(hyper.beta2, step), square)).sqrt()
    direction = with_weight_decay(grad / (root + like(hyper.eps, grad)), param, hyper.weight_decay)
    slow = schedulefree_sgd.State(state.fast, state.total, state.largest_lr)
    change, slow = averaged_step(direction, slow, param, hyper, hyper.beta1, step)
    return change, State(*slow, square=square)


def evaluated(params: Tree, state: dict[str, State], hyper: Hyper, options: Mapping[str, bool]) -> Tree:
    """The averages: what a model is evaluated with."""
    return {name: average(param, state[name].fast, hyper.beta1) for name, param in params.items()}


optimizer = Optimizer(
    name="schedulefree_adamw",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.0025, "learning rate of the fast weights; larger than Adam's"),
        "beta1": schedulefree_sgd.MOMENTUM,
        "beta2": adam.optimizer.hyperparameters["beta2"],
        "eps": adam.optimizer.hyperparameters["eps"],
        **AVERAGING,
        "weight_decay": replace(
            adam.optimizer.hyperparameters["weight_decay"], meaning="pull towards zero, beside the divided gradient"
        ),
    },
    space=adam.optimizer.space,
    card=Card(
        title="Schedule-Free AdamW",
        idea="AdamW without its average of gradients, and with the average of all the weights it passed through as "
        "the model. The average settles without a schedule, so nobody has to know when training will end.",
        formula=(
            "y = beta1 * x + (1 - beta1) * z      (trains here)",
            "g = gradient at y",
            "s <- beta2 * s + (1 - beta2) * g^2,  s_hat = s / (1 - beta2^t)",
            "z <- z - lr * (g / (sqrt(s_hat) + eps) + weight_decay * y)",
            "x <- (1 - c) * x + c * z      (evaluated here)",
            "c = lr^2 / (sum of lr^2 so far), which is 1 / t while the learning rate is constant",
        ),
        use="Training whose length is not known beforehand; it won AlgoPerf's self-tuning track in 2024.",
        paper="Defazio et al., The Road Less Scheduled, 2024",
        link="https://arxiv.org/abs/2405.15682",
        relatives={
            "schedulefree_sgd": "the same along the plain gradient",
            "rmsprop": "the direction, without bias correction",
            "adam": "averages gradients in place of weights",
        },
        differences=(
            *schedulefree_sgd.optimizer.card.differences,
            "The paper puts the bias correction into the learning rate, where it also acts on weight decay and on the "
            "weights in the average; the reference implementation and this rule put it under the root.",
        ),
        korean=Korean(
            title="Schedule-Free AdamW",
            idea="기울기의 평균을 쓰지 않고, 지나온 모든 가중치의 평균을 모델로 쓰는 AdamW입니다. 평균은 스케줄 "
            "없이도 안정되므로 학습이 언제 끝날지 미리 알 필요가 없습니다.",
            use="길이를 미리 알 수 없는 학습. 2024년 AlgoPerf의 셀프 튜닝 부문에서 우승했습니다.",
            relatives={
                "schedulefree_sgd": "나누지 않은 기울기를 따르는 같은 방법",
                "rmsprop": "이 방법이 따르는 방향이며, 편향 보정이 없음",
                "adam": "가중치 대신 기울기를 평균함",
            },
            differences=(
                "평균에 쓰이는 비중은 참조 구현처럼 지금까지 가장 큰 학습률을 따릅니다. 논문에서는 그 스텝의 학습률을 "
                "따릅니다.",
                "논문은 편향 보정을 학습률에 넣어 가중치 감쇠와 평균의 비중에도 작용하게 합니다. 참조 구현과 이 "
                "규칙은 제곱근 안에 넣습니다.",
            ),
            meanings={
                "lr": "빠른 가중치의 학습률. Adam보다 크게 잡음",
                "beta1": "모델이 평균에 얼마나 가까운 곳에서 학습하는지. 0이면 z, 1이면 x",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "warmup_steps": "학습률이 제 값까지 올라가는 스텝 수",
                "r": "평균에서 스텝의 비중을 정하는 스텝 번호의 지수",
                "weight_lr_power": "스텝의 비중에서 지금까지 가장 큰 학습률의 지수",
                "weight_decay": "0 쪽으로 당기는 세기. 나눈 기울기와 별도로 작용함",
            },
        ),
    ),
    family=("schedulefree_sgd", "along AdamW's divided gradient"),
    torch_class="gradrace.optim.ScheduleFreeAdamW",
    class_name="ScheduleFreeAdamW",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "warmup_steps": "warmup_steps",
        "r": "r",
        "weight_lr_power": "weight_lr_power",
        "weight_decay": "weight_decay",
    },
    oracle_class="oracles.ScheduleFreeAdamW",  # tests/oracles.py: AdamWScheduleFree, in training mode at once
    evaluated=evaluated,
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.98, "beta2": 0.9, "weight_decay": 0.1}),
        Case({"lr": 0.3, "beta1": 0.5, "eps": 1e-3, "warmup_steps": 30.0, "r": 1.0, "weight_decay": 0.01}),
        Case({"lr": 0.02, "warmup_steps": 7.0, "weight_lr_power": 0.0}),
    ),
    bad_inputs=(
        BadInput({"beta1": 0.0}, "beta1 must be a number above 0 and below 1, but is 0.0"),
        BadInput({"beta2": 1.0}, "beta2 must be a number at least 0 and below 1, but is 1.0"),
    ),
)
