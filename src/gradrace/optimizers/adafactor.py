"""Adafactor: RMSprop that keeps, of a matrix's squared gradients, the means of rows and columns alone."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, like, moving_average, root_mean_square, with_decoupled_decay
from gradrace.space import LogUniform


class State(NamedTuple):
    """Averages of squared gradients; what a tensor does not need has no elements.

    Of a parameter [..., n, m]: rows [..., n, 1], columns [..., 1, m]. Of a vector or scalar: ``square``, in its shape.
    """

    rows: Tensor
    columns: Tensor
    square: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta2_decay: Tensor
    eps1: Tensor | None
    eps2: Tensor
    clip: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> State:
    """Nothing seen yet; the first step's average is its own squared gradient."""
    nothing = param.new_zeros(0)
    if param.ndim < 2:
        return State(nothing, nothing, square=torch.zeros_like(param))
    *outer, height, width = param.shape
    return State(param.new_zeros(*outer, height, 1), param.new_zeros(*outer, 1, width), nothing)


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """``-a * u / max(1, rms(u) / clip)`` with ``u = g / sqrt(s)`` and ``a = max(eps2, rms(w)) * min(lr, 1 / sqrt(t))``.

    For a matrix ``s`` is the product of the means of its rows and columns, divided by the mean of all.
    """
    beta2 = 1 - step**hyper.beta2_decay
    eps = hyper.lr.new_tensor(torch.finfo(param.dtype).eps) if hyper.eps1 is None else hyper.eps1
    rows, columns, square = state
    if grad.ndim < 2:
        square = estimate = moving_average(square, grad * grad, beta2)
    else:
        rows = moving_average(rows, (grad * grad).mean(dim=-1, keepdim=True), beta2)
        columns = moving_average(columns, (grad * grad).mean(dim=-2, keepdim=True), beta2)
        estimate = rows @ columns / torch.maximum(rows.mean(dim=-2, keepdim=True), like(eps, grad))
    direction = grad * torch.maximum(estimate, like(eps * eps, grad)).rsqrt()
    too_long = (root_mean_square(direction) / like(hyper.clip, grad)).clamp(min=1)
    scale = torch.maximum(like(hyper.eps2, param), root_mean_square(param))
    step_size = torch.minimum(hyper.lr, step**-0.5)
    change = descent(scale / too_long * direction, step_size)
    return with_decoupled_decay(change, param, hyper.lr, hyper.weight_decay), State(rows, columns, square)


optimizer = Optimizer(
    name="adafactor",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.01, "the longest step, as a share of a tensor's root mean square"),
        "beta2_decay": Hyperparameter(
            -0.8, "the average of squares keeps the share 1 - t^beta2_decay at step t", low=-1.0, high=0.0
        ),
        "eps1": Hyperparameter(
            0.0,
            "least size of a gradient that is divided by; 0 for the precision of the number format",
            absent_at_zero=True,
            absent_argument=None,
        ),
        "eps2": Hyperparameter(0.001, "root mean square that is assumed where a tensor's own is smaller"),
        "clip": Hyperparameter(1.0, "root mean square above which a direction is cut back to it", low=1.0),
        "weight_decay": Hyperparameter(0.0, "share of a weight lost in a step, times lr", absent_at_zero=True),
    },
    space={"lr": LogUniform(1e-4, 1), "eps2": LogUniform(1e-5, 1e-1, from_trials=26)},
    card=Card(
        title="Adafactor (adaptive learning rates with sublinear memory)",
        idea="RMSprop that remembers, of the squared gradients of a matrix, the means of rows and columns alone, which "
        "takes hardly any memory. Its steps are shares of the weights' own size, and sudden large ones are cut back.",
        formula=(
            "g = gradient,  b = 1 - t^beta2_decay",
            "R <- b * R + (1 - b) * row means of g^2",
            "C <- b * C + (1 - b) * column means of g^2",
            "s = R * C / mean(R)      (for a vector: its own average of g^2)",
            "u = g / sqrt(s),  u_hat = u / max(1, rms(u) / clip)",
            "w <- w - max(eps2, rms(w)) * min(lr, 1 / sqrt(t)) * u_hat",
        ),
        use="Large language models such as T5, where memory is short.",
        paper="Shazeer and Stern, Adafactor: Adaptive Learning Rates with Sublinear Memory Cost, 2018",
        link="https://arxiv.org/abs/1804.04235",
        relatives={
            "rmsprop": "the same with a full average of squares, a fixed share kept and steps of a set length",
            "adam": "Adafactor with two full averages",
        },
        differences=(
            "The paper fixes the longest step at 0.01; in PyTorch and here it is the learning rate, which also "
            "multiplies weight decay.",
            "The paper adds 1e-30 to each squared gradient; PyTorch and this rule keep the divisors above the "
            "precision of the number format instead, or above eps1.",
        ),
        korean=Korean(
            title="Adafactor (선형보다 적은 메모리를 쓰는 적응형 학습률)",
            idea="행렬의 기울기 제곱에서 행 평균과 열 평균만 기억하는 RMSprop입니다. 메모리가 거의 들지 않습니다. "
            "스텝은 가중치 자체 크기에 대한 비율로 정하고, 갑자기 커진 스텝은 줄입니다.",
            use="T5처럼 메모리가 부족한 대규모 언어 모델.",
            relatives={
                "rmsprop": "제곱 평균을 전부 두고, 유지 비율이 고정이며, 스텝 길이를 직접 정하는 같은 방법",
                "adam": "온전한 평균 두 개를 쓰는 Adafactor",
            },
            differences=(
                "논문은 가장 긴 스텝을 0.01로 고정합니다. PyTorch와 여기서는 학습률이 그 값이며, 가중치 감쇠에도 "
                "곱해집니다.",
                "논문은 기울기 제곱마다 1e-30을 더합니다. PyTorch와 이 규칙은 그 대신 나누는 값을 수 형식의 정밀도 "
                "또는 eps1보다 크게 유지합니다.",
            ),
            meanings={
                "lr": "텐서의 제곱평균제곱근에 대한 가장 긴 스텝의 비율",
                "beta2_decay": "제곱 평균은 스텝 t에서 1 - t^beta2_decay의 비율을 유지함",
                "eps1": "나누는 데 쓰는 기울기의 최소 크기. 0이면 수 형식의 정밀도",
                "eps2": "텐서 자체의 제곱평균제곱근이 더 작을 때 대신 쓰는 값",
                "clip": "방향의 제곱평균제곱근이 이 값을 넘으면 이 값으로 줄임",
                "weight_decay": "한 스텝에 줄어드는 가중치의 비율. lr을 곱함",
            },
        ),
    ),
    family=("rmsprop", "row and column means in place of a matrix of squares"),
    torch_class="torch.optim.Adafactor",
    arguments={
        "lr": "lr",
        "beta2_decay": "beta2_decay",
        "eps": ("eps1", "eps2"),
        "d": "clip",
        "weight_decay": "weight_decay",
    },
    elementwise=False,
    cases=(
        Case(),
        Case({"lr": 0.5, "beta2_decay": -0.5, "clip": 2.0}),
        Case({"lr": 0.1, "eps2": 0.1, "weight_decay": 0.1}),
        Case({"lr": 0.1, "eps1": 0.03}),
    ),
    bad_inputs=(
        BadInput({"beta2_decay": 0.8}, "beta2_decay must be a number at least -1 and below 0, but is 0.8"),
        BadInput({"clip": 0.5}, "clip must be a number at least 1, but is 0.5"),
    ),
)
