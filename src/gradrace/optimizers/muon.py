"""Muon: Momentum whose step for a matrix is made orthogonal; what is not a matrix is left to AdamW."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import adam
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, like, moving_average, norm, with_decoupled_decay
from gradrace.space import LogUniform

ROUNDS = 5


class State(NamedTuple):
    """``mean``: shape and dtype of the parameter. ``square``: the same, for what is no matrix; else empty."""

    mean: Tensor
    square: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    momentum: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    ns_a: Tensor
    ns_b: Tensor
    ns_c: Tensor
    ns_eps: Tensor
    weight_decay: Tensor | None


def init(param: Tensor, nesterov: bool, match_rms: bool) -> State:
    """Averages start at zero."""
    square = param.new_zeros(0) if param.ndim == 2 else torch.zeros_like(param)
    return State(mean=torch.zeros_like(param), square=square)


def orthogonal(matrix: Tensor, hyper: Hyper) -> Tensor:
    """A matrix [n, m] with the same singular vectors and all singular values roughly 1, by Newton-Schulz iteration.

    Applied five times, ``p(x) = a x + b x^3 + c x^5`` takes nearly all of (0, 1] to somewhere around 1. Singular values
    below about a thousandth of the matrix's length stay small; a matrix of zeros stays zero.
    """
    a, b, c = (like(coefficient, matrix) for coefficient in (hyper.ns_a, hyper.ns_b, hyper.ns_c))
    tall = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if tall else matrix  # the products below are then of the smaller side
    wide = wide / torch.maximum(norm(wide), like(hyper.ns_eps, matrix))
    for _ in range(ROUNDS):
        gram = wide @ wide.T
        wide = a * wide + (b * gram + c * (gram @ gram)) @ wide
    return wide.T if tall else wide


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, nesterov: bool, match_rms: bool
) -> tuple[Tensor, State]:
    """Matrices: ``-lr * scale * orthogonal(m)``; the rest: Adam's step. Both with weight decay beside the step.

    ``scale`` follows the matrix's shape [n, m]: ``0.2 sqrt(max(n, m))``, which makes the step as long as Adam's
    (``match_rms``), or ``sqrt(max(1, n / m))``.
    """
    if param.ndim != 2:
        plain = adam.Hyper(hyper.lr, hyper.beta1, hyper.beta2, hyper.eps, weight_decay=None)
        averages = adam.State(state.mean, state.square, peak=param.new_zeros(0))
        change, averages = adam.update(grad, averages, param, plain, step, amsgrad=False)
        change = with_decoupled_decay(change, param, hyper.lr, hyper.weight_decay)
        return change, State(averages.mean, averages.square)
    mean = moving_average(state.mean, grad, hyper.momentum)
    # Nesterov's form: the newest gradient counts as if the average had moved on once more.
    direction = moving_average(mean, grad, hyper.momentum) if nesterov else mean
    height, width = param.shape
    scale = 0.2 * math.sqrt(max(height, width)) if match_rms else math.sqrt(max(1.0, height / max(1, width)))
    change = descent(orthogonal(direction, hyper), hyper.lr * scale)
    return with_decoupled_decay(change, param, hyper.lr, hyper.weight_decay), State(mean, state.square)


optimizer = Optimizer(
    name="muon",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.001, "learning rate of matrices and of the rest alike"),
        "momentum": Hyperparameter(0.95, "share of a matrix's average gradient that is kept", high=1.0),
        "beta1": adam.optimizer.hyperparameters["beta1"],
        "beta2": adam.optimizer.hyperparameters["beta2"],
        "eps": adam.optimizer.hyperparameters["eps"],
        "ns_a": Hyperparameter(3.4445, "a in the iteration's a x + b x^3 + c x^5", low=-100.0, high=100.0),
        "ns_b": Hyperparameter(-4.775, "b in it", low=-100.0, high=100.0),
        "ns_c": Hyperparameter(2.0315, "c in it", low=-100.0, high=100.0),
        "ns_eps": Hyperparameter(
            1e-7, "length that a matrix is taken to have at least when it is divided by its length", low_allowed=False
        ),
        "weight_decay": Hyperparameter(0.1, "share of a weight lost in a step, times lr", absent_at_zero=True),
    },
    space={
        "lr": LogUniform(1e-5, 1e-1),
        "momentum": LogUniform(5e-3, 0.3, one_minus=True, from_trials=10, limit=1.0),
        "eps": adam.optimizer.space["eps"],
        "beta2": adam.optimizer.space["beta2"],
    },
    card=Card(
        title="Muon (momentum orthogonalized by Newton-Schulz)",
        idea="Momentum for matrices as matrices: the averaged gradient of a layer is turned into the nearest matrix "
        "that stretches no direction more than another, so that rare directions are learned as fast as common ones. "
        "Biases and scales take AdamW's step.",
        formula=(
            "g = gradient of a matrix of n rows and m columns",
            "b <- momentum * b + (1 - momentum) * g",
            "u = (1 - momentum) * g + momentum * b",
            "U S V' = u      (singular value decomposition; iteration finds U V' without it)",
            "w <- w - lr * weight_decay * w - lr * 0.2 sqrt(max(n, m)) * U V'",
        ),
        use="Hidden layers of language models; records in training small ones fast.",
        paper="Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; "
        "scaled as in Liu et al., Muon is Scalable for LLM Training, 2025",
        link="https://arxiv.org/abs/2502.16982",
        relatives={
            "nesterov": "Muon without the orthogonal step",
            "adam": "what is not a matrix, with weight decay beside the step",
        },
        differences=(
            "The authors leave embeddings and output layers to AdamW, though they are matrices, and flatten "
            "convolutions into matrices; here exactly what has two dimensions is a matrix.",
            "The authors and PyTorch iterate in bfloat16, in which about two digits of a step are right; this rule "
            "iterates in the precision of the parameters.",
            "PyTorch can iterate another number of times than five. A rule cannot: trials that train together "
            "differ in numbers, not in operations, and an option is on or off.",
            "PyTorch's default scale is sqrt(max(1, n / m)), for learning rates apart from AdamW's; the default here, "
            "match_rms, is the second paper's, with which one learning rate and one weight decay serve both.",
        ),
        korean=Korean(
            title="Muon (뉴턴-슐츠 반복으로 직교화한 모멘텀)",
            idea="행렬을 행렬로 다루는 모멘텀입니다. 한 층의 평균 기울기를, 어떤 방향도 다른 방향보다 더 늘이지 않는 "
            "가장 가까운 행렬로 바꿉니다. 그래서 드문 방향도 흔한 방향만큼 빨리 배웁니다. 편향과 스케일 파라미터에는 "
            "AdamW의 스텝을 씁니다.",
            use="언어 모델의 은닉층. 작은 언어 모델의 빠른 학습에서 기록을 세웠습니다.",
            relatives={
                "nesterov": "직교화 스텝이 없는 Muon",
                "adam": "행렬이 아닌 것에 쓰이며, 가중치 감쇠는 스텝과 별도",
            },
            differences=(
                "저자들은 임베딩과 출력층이 행렬인데도 AdamW에 맡기고, 합성곱은 행렬로 펼칩니다. 여기서는 차원이 "
                "정확히 둘인 것만 행렬입니다.",
                "저자들과 PyTorch는 bfloat16으로 반복하며, 이때 스텝은 두 자리 정도만 정확합니다. 이 규칙은 "
                "파라미터의 정밀도로 반복합니다.",
                "PyTorch는 반복 횟수를 5회가 아닌 값으로도 할 수 있습니다. 이 규칙은 그럴 수 없습니다. 함께 학습하는 "
                "시행들은 수만 다를 뿐 연산은 같아야 하고, 선택 사항은 켜거나 끄는 것뿐입니다.",
                "PyTorch의 기본 스케일은 AdamW와 별도의 학습률을 위한 sqrt(max(1, n / m))입니다. 여기의 기본값 "
                "match_rms는 두 번째 논문의 것으로, 학습률과 가중치 감쇠 하나씩이 둘 모두에 쓰입니다.",
            ),
            meanings={
                "lr": "행렬과 나머지에 똑같이 쓰는 학습률",
                "momentum": "행렬의 평균 기울기를 유지하는 비율",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "ns_a": "반복식 a x + b x^3 + c x^5의 a",
                "ns_b": "같은 식의 b",
                "ns_c": "같은 식의 c",
                "ns_eps": "행렬을 그 길이로 나눌 때 최소로 보는 길이",
                "weight_decay": "한 스텝에 줄어드는 가중치의 비율. lr을 곱함",
            },
        ),
    ),
    family=("nesterov", "the step of a matrix is made orthogonal"),
    exempt={"rare features": "a matrix of one row takes a step of one length for all; AdamW is meant for such weights"},
    torch_class="gradrace.optim.Muon",
    arguments={
        "lr": "lr",
        "momentum": "momentum",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "nesterov": "nesterov",
        "match_rms": "match_rms",
        "ns_coefficients": ("ns_a", "ns_b", "ns_c"),
        "ns_eps": "ns_eps",
    },
    options={"nesterov": True, "match_rms": True},
    oracle_class="oracles.Muon",  # tests/oracles.py: torch.optim's Muon in full precision, AdamW beside it
    elementwise=False,
    cases=(
        Case(),
        Case({"lr": 0.1, "weight_decay": 0.5}, {"match_rms": False}),
        Case({"lr": 0.3, "momentum": 0.5, "beta1": 0.5, "weight_decay": 0.0}, {"nesterov": False}),
        Case({"lr": 0.1, "ns_a": 2.0, "ns_b": -1.5, "ns_c": 0.5, "ns_eps": 0.5}),
    ),
    bad_inputs=(
        BadInput({"momentum": 1.0}, "momentum must be a number at least 0 and below 1, but is 1.0"),
        BadInput({"eps": -1e-8}, "eps must be a number at least 0, but is -1e-08"),
    ),
)
