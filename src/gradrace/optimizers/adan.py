"""Adan: Adam with Nesterov's momentum, in which the look-ahead is an average of how the gradient changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

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
)
from gradrace.optimizers.adam import optimizer as adam
from gradrace.space import LogUniform


class State(NamedTuple):
    """Averages of gradient, its change, and the square of both together; the gradient before. Like the parameter."""

    mean: Tensor
    change: Tensor
    square: Tensor
    previous: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    beta3: Tensor
    eps: Tensor
    weight_decay: Tensor | None


def init(param: Tensor, decoupled: bool) -> State:
    """All averages start at zero; the bias correction makes up for it."""
    return State(*(torch.zeros_like(param) for _ in State._fields))


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, decoupled: bool
) -> tuple[Tensor, State]:
    """``-lr * (m_hat + beta2 * v_hat) / (sqrt(n_hat) + eps)``: m of the gradient, v of its change.

    Weight decay divides the new parameter by ``1 + lr * weight_decay``; ``decoupled`` takes it as AdamW does.
    """
    difference = torch.where(step == 1, 0, grad - state.previous)
    ahead = grad + like(hyper.beta2, grad) * difference
    mean = moving_average(state.mean, grad, hyper.beta1)
    change = moving_average(state.change, difference, hyper.beta2)
    square = moving_average(state.square, ahead * ahead, hyper.beta3)
    root = corrected_root(square, hyper.beta3, step) + like(hyper.eps, grad)
    moved = descent(mean / root, hyper.lr / bias_correction(hyper.beta1, step))
    moved = moved + descent(change / root, hyper.lr * hyper.beta2 / bias_correction(hyper.beta2, step))
    moved = with_decoupled_decay(moved, param, hyper.lr, hyper.weight_decay)
    if hyper.weight_decay is not None and not decoupled:
        # (w + moved) / (1 + a) is w + (moved - a * w) / (1 + a), with a = lr * weight_decay.
        moved = moved / like(1 + hyper.lr * hyper.weight_decay, grad)
    # A copy: the caller may fill the gradient's memory anew.
    return moved, State(mean, change, square, grad.clone())


def _oracle_arguments(hyper: Mapping[str, float], options: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "lr": hyper["lr"],
        "betas": (hyper["beta1"], hyper["beta2"], hyper["beta3"]),
        "eps": hyper["eps"],
        "weight_decay": hyper["weight_decay"],
        "weight_decouple": options["decoupled"],
    }


optimizer = Optimizer(
    name="adan",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": adam.hyperparameters["lr"],
        "beta1": Hyperparameter(0.98, "share of the average gradient that is kept", high=1.0),
        "beta2": Hyperparameter(0.92, "share of the average change of the gradient that is kept", high=1.0),
        "beta3": Hyperparameter(0.99, "share of the average square that is kept", high=1.0),
        "eps": adam.hyperparameters["eps"],
        "weight_decay": Hyperparameter(0.0, "pull to zero, times lr at each step", absent_at_zero=True),
    },
    space={
        "lr": LogUniform(1e-5, 1),
        "beta1": LogUniform(5e-3, 0.5, one_minus=True, from_trials=10, limit=1.0),
        "eps": LogUniform(1e-10, 1e-3, from_trials=26),
        "beta2": LogUniform(2e-2, 1, one_minus=True, from_trials=50, limit=1.0),
        "beta3": LogUniform(1e-4, 1e-1, one_minus=True, from_trials=50, limit=1.0),
    },
    card=Card(
        title="Adan (adaptive Nesterov momentum)",
        idea="Adam that looks ahead by how the gradient has been changing: it goes along the average gradient plus the "
        "average change of it, divided by the recent size of both. It bears learning rates five to ten times Adam's.",
        formula=(
            "g = gradient, h = the gradient before (h = g at first)",
            "m <- beta1 * m + (1 - beta1) * g",
            "v <- beta2 * v + (1 - beta2) * (g - h)",
            "n <- beta3 * n + (1 - beta3) * (g + beta2 * (g - h))^2",
            "m_hat = m / (1 - beta1^t),  v_hat = v / (1 - beta2^t),  n_hat = n / (1 - beta3^t)",
            "w <- (w - lr * (m_hat + beta2 * v_hat) / (sqrt(n_hat) + eps)) / (1 + lr * weight_decay)",
        ),
        use="Vision transformers, diffusion models and language models with large batches.",
        paper="Xie et al., Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models, 2022",
        link="https://arxiv.org/abs/2208.06677",
        relatives={"adam": "Adan with beta2 = 0", "nadam": "looks ahead along the average gradient instead"},
        differences=(
            "The paper's betas are 1 minus these.",
            "The paper corrects no bias and may restart; the authors' code corrects the bias and does not restart.",
            "The reference implementation can shorten all gradients together to a largest norm first. This rule "
            "updates each number by itself; torch.nn.utils.clip_grad_norm_ before the step does the same.",
        ),
        korean=Korean(
            title="Adan (적응형 네스테로프 모멘텀)",
            idea="기울기가 어떻게 변해 왔는지를 보고 앞을 내다보는 Adam입니다. 평균 기울기에 평균 변화량을 더한 "
            "방향으로 가고, 둘의 최근 크기로 나눕니다. Adam보다 5~10배 큰 학습률을 견딥니다.",
            use="배치가 큰 비전 트랜스포머, 확산 모델, 언어 모델.",
            relatives={
                "adam": "beta2 = 0인 Adan",
                "nadam": "그 대신 평균 기울기를 따라 앞을 봄",
            },
            differences=(
                "논문의 베타는 1에서 여기의 값을 뺀 것입니다.",
                "논문은 편향을 보정하지 않고 재시작할 수 있습니다. 저자 코드는 편향을 보정하고 재시작하지 않습니다.",
                "참조 구현은 모든 기울기를 먼저 함께 최대 노름까지 줄일 수 있습니다. 이 규칙은 각 수를 따로 "
                "갱신합니다. 스텝 전에 torch.nn.utils.clip_grad_norm_을 쓰면 같습니다.",
            ),
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 변화의 평균을 유지하는 비율",
                "beta3": "제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "weight_decay": "0 쪽으로 당기는 세기. 스텝마다 lr을 곱함",
            },
        ),
    ),
    family=("adam", "averages the change of the gradient, too"),
    torch_class="gradrace.optim.Adan",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2", "beta3"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "decoupled_weight_decay": "decoupled",
    },
    oracle_class="pytorch_optimizer.Adan",
    oracle_arguments=_oracle_arguments,
    options={"decoupled": False},
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.9, "beta2": 0.5, "beta3": 0.9}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
        Case({"lr": 0.1, "weight_decay": 0.3}, {"decoupled": True}),
    ),
    bad_inputs=(BadInput({"beta3": 1.0}, "beta3 must be a number at least 0 and below 1, but is 1.0"),),
)
