"""RAdam: Adam that divides only once it has seen enough gradients to know by what."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Korean, PerTensor
from gradrace.optimizers._parts import (
    bias_correction,
    descent,
    like,
    moving_average,
    with_decoupled_decay,
    with_weight_decay,
)
from gradrace.optimizers.adam import Hyper
from gradrace.optimizers.adam import State as AdamState
from gradrace.optimizers.adam import init as adam_init
from gradrace.optimizers.adam import optimizer as adam


def init(param: Tensor, decoupled: bool) -> AdamState:
    """Adam's state, with no maximum kept."""
    return adam_init(param, amsgrad=False)


def rectification(beta2: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """How far the average of squares is to be trusted, and whether it is at all: float64 and bool, shape ().

    ``rho`` is the length of the plain average that would vary as much as the exponential one does after ``step`` steps.
    """
    longest, rho = length_of_average(beta2, step)
    trust = (rho - 4) * (rho - 2) * longest / ((longest - 4) * (longest - 2) * rho)
    return trust.sqrt(), rho > 5  # the root of a negative number is not used


def length_of_average(beta2: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
    """Of the plain average that varies as much as the exponential one does: in the end, and after ``step`` steps."""
    longest = 2 / (1 - beta2) - 1
    return longest, longest - 2 * step * beta2**step / bias_correction(beta2, step)


def update(
    grad: Tensor, state: AdamState, param: Tensor, hyper: Hyper, step: Tensor, decoupled: bool
) -> tuple[Tensor, AdamState]:
    """``-lr * r * m_hat / (sqrt(s_hat) + eps)`` once rho is above 5; before, ``-lr * m_hat``.

    ``decoupled`` takes weight decay as AdamW does.
    """
    grad = grad if decoupled else with_weight_decay(grad, param, hyper.weight_decay)
    mean = moving_average(state.mean, grad, hyper.beta1)
    square = moving_average(state.square, grad * grad, hyper.beta2)
    trust, trusted = rectification(hyper.beta2, step)
    scale = like(trust * bias_correction(hyper.beta2, step).sqrt(), grad)
    direction = torch.where(trusted, mean * scale / (square.sqrt() + like(hyper.eps, grad)), mean)
    change = descent(direction, hyper.lr / bias_correction(hyper.beta1, step))
    if decoupled:
        change = with_decoupled_decay(change, param, hyper.lr, hyper.weight_decay)
    return change, AdamState(mean, square, state.peak)


optimizer = replace(
    adam,
    name="radam",
    class_name="RAdam",
    rule=PerTensor(init, update),
    card=Card(
        title="RAdam (rectified Adam)",
        idea="Adam with a warm-up of its own. The average of squares is unreliable while it rests on few gradients, so "
        "the first steps go along the average gradient undivided, and the next ones are shortened.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * g,  m_hat = m / (1 - beta1^t)",
            "s <- beta2 * s + (1 - beta2) * g^2,  s_hat = s / (1 - beta2^t)",
            "R = 2 / (1 - beta2) - 1,  rho = R - 2 * t * beta2^t / (1 - beta2^t)",
            "r = sqrt((rho - 4) * (rho - 2) * R / ((R - 4) * (R - 2) * rho))",
            "w <- w - lr * r * m_hat / (sqrt(s_hat) + eps) if rho > 5, else w - lr * m_hat",
        ),
        use="Where Adam needs a warm-up of the learning rate and one would rather not tune it.",
        paper="Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020",
        link="https://arxiv.org/abs/1908.03265",
        relatives={"adam": "what RAdam becomes after many steps", "momentum": "about what its first steps are"},
        differences=(
            "The paper divides from rho > 4 on, PyTorch from rho > 5 on; the authors' code too waits for 5.",
            "The paper has no eps. PyTorch adds it before the bias correction, Adam after it.",
        ),
        korean=Korean(
            title="RAdam (보정된 Adam)",
            idea="자체 웜업이 있는 Adam입니다. 적은 수의 기울기로 구한 제곱 평균은 믿기 어려우므로, 처음 몇 스텝은 "
            "나누지 않은 평균 기울기를 따라가고 그다음 스텝들은 짧게 합니다.",
            use="Adam에 학습률 웜업이 필요하지만 웜업을 튜닝하고 싶지 않은 곳.",
            relatives={
                "adam": "스텝이 많이 지나면 RAdam이 이르는 방법",
                "momentum": "처음 몇 스텝과 거의 같음",
            },
            differences=(
                "논문은 rho > 4부터, PyTorch는 rho > 5부터 나눕니다. 저자 코드도 5까지 기다립니다.",
                "논문에는 eps가 없습니다. PyTorch는 편향 보정 전에, Adam은 보정 후에 더합니다.",
            ),
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("adam", "divides only once its average of squares can be trusted"),
    exempt={
        "rosenbrock": "its first five steps are undivided, so that the slope at the start allows small rates alone"
    },
    torch_class="torch.optim.RAdam",
    torch_state={"mean": "exp_avg", "square": "exp_avg_sq"},
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "decoupled_weight_decay": "decoupled",
    },
    options={"decoupled": False},
    special_cases=(),
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
        Case({"lr": 0.2, "weight_decay": 0.3}, {"decoupled": True}),
        Case({"lr": 0.1, "beta2": 0.6}),  # rho never reaches 5: no step is divided
    ),
    bad_inputs=(BadInput({"beta2": 1.0}, "beta2 must be a number at least 0 and below 1, but is 1.0"),),
)
