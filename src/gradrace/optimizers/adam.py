"""Adam: Momentum's average over the root of RMSprop's, both corrected for having started at zero."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import (
    bias_correction,
    corrected_root,
    descent,
    like,
    moving_average,
    with_decoupled_decay,
    with_weight_decay,
)
from gradrace.optimizers.sgd import WEIGHT_DECAY
from gradrace.space import LogUniform


class State(NamedTuple):
    """Averages of the gradient and of its square, and the largest of the latter; like the parameter, or empty."""

    mean: Tensor
    square: Tensor
    peak: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    weight_decay: Tensor | None


def init(param: Tensor, amsgrad: bool, decoupled: bool = False) -> State:
    """Both averages start at zero; the bias correction makes up for it."""
    zeros = torch.zeros_like(param)
    return State(mean=zeros, square=zeros.clone(), peak=zeros.clone() if amsgrad else param.new_zeros(0))


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, amsgrad: bool, decoupled: bool = False
) -> tuple[Tensor, State]:
    """``-lr * m_hat / (sqrt(s_hat) + eps)``, where ``m_hat`` and ``s_hat`` are the corrected averages.

    ``amsgrad`` divides by the largest average of squares so far; ``decoupled`` keeps weight decay out of the averages.
    """
    grad = grad if decoupled else with_weight_decay(grad, param, hyper.weight_decay)
    mean = moving_average(state.mean, grad, hyper.beta1)  # Momentum's
    square = moving_average(state.square, grad * grad, hyper.beta2)  # RMSprop's
    peak = torch.maximum(state.peak, square) if amsgrad else state.peak
    root = corrected_root(peak if amsgrad else square, hyper.beta2, step)
    # The first correction is a number, so it goes into the learning rate: a pass over memory saved.
    change = descent(mean / (root + like(hyper.eps, grad)), hyper.lr / bias_correction(hyper.beta1, step))
    if decoupled:
        change = with_decoupled_decay(change, param, hyper.lr, hyper.weight_decay)
    return change, State(mean, square, peak)


optimizer = Optimizer(
    name="adam",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.001, "learning rate: about the length of a step in each coordinate"),
        "beta1": Hyperparameter(0.9, "share of the average gradient that is kept", high=1.0),
        "beta2": Hyperparameter(0.999, "share of the average squared gradient that is kept", high=1.0),
        "eps": Hyperparameter(1e-8, "keeps the division finite"),
        "weight_decay": WEIGHT_DECAY,
    },
    space={
        "lr": LogUniform(1e-5, 1e-1),
        "beta1": LogUniform(2e-2, 0.5, one_minus=True, from_trials=10, limit=1.0),
        "eps": LogUniform(1e-10, 1e-3, from_trials=26),
        "beta2": LogUniform(1e-4, 1e-1, one_minus=True, from_trials=50, limit=1.0),
    },
    card=Card(
        title="Adam (adaptive moment estimation)",
        idea="Momentum and RMSprop together: it goes along an average of past gradients, and divides it by the recent "
        "size of each coordinate's gradient. Both averages are corrected for having started at zero.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * g          (Momentum's average)",
            "s <- beta2 * s + (1 - beta2) * g^2        (RMSprop's average)",
            "m_hat = m / (1 - beta1^t),  s_hat = s / (1 - beta2^t)",
            "w <- w - lr * m_hat / (sqrt(s_hat) + eps)",
        ),
        use="The all-rounder: image classification, language, translation, chatbots.",
        paper="Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015",
        link="https://arxiv.org/abs/1412.6980",
        relatives={
            "momentum": "the numerator alone (with a sum in place of an average)",
            "rmsprop": "Adam with beta1 = 0 and no bias correction",
            "adamw": "Adam with weight decay that nothing divides",
            "amsgrad": "Adam that divides by the largest average so far",
            "adamax": "Adam with the largest gradient in place of the average square",
            "nadam": "Adam that looks one step ahead, as Nesterov does",
        },
        korean=Korean(
            title="Adam (적응형 모멘트 추정)",
            idea="모멘텀과 RMSprop을 합친 방법입니다. 과거 기울기의 평균 방향으로 가되, 각 좌표의 최근 기울기 크기로 "
            "나눕니다. 두 평균 모두 0에서 시작한 편향을 보정합니다.",
            use="두루 쓰이는 방법: 이미지 분류, 언어, 번역, 챗봇.",
            relatives={
                "momentum": "분자만 사용 (평균 대신 합)",
                "rmsprop": "beta1 = 0이고 편향 보정이 없는 Adam",
                "adamw": "가중치 감쇠가 나눗셈의 영향을 받지 않는 Adam",
                "amsgrad": "지금까지 가장 큰 평균으로 나누는 Adam",
                "adamax": "제곱 평균 대신 가장 큰 기울기를 쓰는 Adam",
                "nadam": "네스테로프처럼 한 스텝 앞을 보는 Adam",
            },
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("rmsprop", "over Momentum's average, both corrected for their start"),
    torch_class="torch.optim.Adam",
    torch_state={"mean": "exp_avg", "square": "exp_avg_sq", "peak": "max_exp_avg_sq"},
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "amsgrad": "amsgrad",
        "decoupled_weight_decay": "decoupled",
    },
    options={"amsgrad": False, "decoupled": False},
    special_cases=("rmsprop",),
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
        Case({"lr": 0.05, "weight_decay": 1.0}, {"amsgrad": True, "decoupled": True}),
    ),
    bad_inputs=(
        BadInput({"beta1": 1.0}, "beta1 must be a number at least 0 and below 1, but is 1.0"),
        BadInput({"beta2": -0.5}, "beta2 must be a number at least 0 and below 1, but is -0.5"),
        BadInput({"lr": "fast"}, "lr must be a number at least 0, but is 'fast'"),
    ),
)
