"""Adamax: Adam with the infinity norm, the largest recent gradient in place of the root of an average square."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Korean, PerTensor
from gradrace.optimizers._parts import bias_correction, descent, like, moving_average, with_weight_decay
from gradrace.optimizers.adam import Hyper
from gradrace.optimizers.adam import optimizer as adam


class State(NamedTuple):
    """Average of the gradient, and the largest recent size of it; shape and dtype of the parameter."""

    mean: Tensor
    largest: Tensor


def init(param: Tensor) -> State:
    """The average starts at zero and is corrected for it; the maximum needs no correction."""
    return State(mean=torch.zeros_like(param), largest=torch.zeros_like(param))


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """``u <- max(beta2 * u, |g| + eps)``, then ``-lr * m_hat / u``."""
    grad = with_weight_decay(grad, param, hyper.weight_decay)
    mean = moving_average(state.mean, grad, hyper.beta1)
    largest = torch.maximum(like(hyper.beta2, grad) * state.largest, grad.abs() + like(hyper.eps, grad))
    return descent(mean / largest, hyper.lr / bias_correction(hyper.beta1, step)), State(mean, largest)


optimizer = replace(
    adam,
    name="adamax",
    rule=PerTensor(init, update),
    hyperparameters={**adam.hyperparameters, "lr": replace(adam.hyperparameters["lr"], default=0.002)},
    card=Card(
        title="Adamax (Adam with the infinity norm)",
        idea="Adam that divides by the largest recent gradient of a coordinate, which fades slowly, instead of by the "
        "root of an average square. A single large gradient counts in full at once.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * g,  m_hat = m / (1 - beta1^t)",
            "u <- max(beta2 * u, |g| + eps)",
            "w <- w - lr * m_hat / u",
        ),
        use="Embeddings and other parameters whose gradients are mostly zero and sometimes large.",
        paper="Kingma and Ba, Adam: A Method for Stochastic Optimization, 2015, section 7.1",
        link="https://arxiv.org/abs/1412.6980",
        relatives={
            "adam": "the same with the root of an average square",
            "amsgrad": "keeps a maximum too, of averages",
        },
        differences=("The paper has no eps; PyTorch adds it to each gradient's size.",),
        korean=Korean(
            title="Adamax (무한대 노름을 쓰는 Adam)",
            idea="제곱 평균의 제곱근 대신, 서서히 줄어드는 좌표별 최근 최대 기울기로 나누는 Adam입니다. 큰 기울기가 "
            "한 번만 나타나도 곧바로 온전히 반영됩니다.",
            use="임베딩처럼 기울기가 대부분 0이고 가끔 큰 파라미터.",
            relatives={
                "adam": "제곱 평균의 제곱근을 쓰는 같은 방법",
                "amsgrad": "역시 최댓값을 유지하지만 평균들의 최댓값",
            },
            differences=("논문에는 eps가 없습니다. PyTorch는 각 기울기의 크기에 eps를 더합니다.",),
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("adam", "the largest gradient in place of the average square"),
    exempt={
        "rosenbrock": "it divides by the largest gradient, that of the slope at the start, and creeps along the floor"
    },
    torch_class="torch.optim.Adamax",
    torch_state={"mean": "exp_avg", "largest": "exp_inf"},
    arguments={"lr": "lr", "betas": ("beta1", "beta2"), "eps": "eps", "weight_decay": "weight_decay"},
    options={},
    special_cases=(),
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
    ),
    bad_inputs=(BadInput({"beta2": 1.0}, "beta2 must be a number at least 0 and below 1, but is 1.0"),),
)
