"""ADOPT: Adam that divides a gradient by the average before it, and averages what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import (
    decay_pace,
    descent,
    like,
    moving_average,
    with_decoupled_decay,
    with_weight_decay,
)
from gradrace.optimizers.adam import Hyper
from gradrace.optimizers.adam import optimizer as adam
from gradrace.space import LogUniform


class State(NamedTuple):
    """Averages of the divided gradient and of the squared gradient; shape and dtype of the parameter."""

    mean: Tensor
    square: Tensor


def init(param: Tensor, **options: bool) -> State:
    """Nothing seen. The first gradient's square, as it is, starts the average: no bias to correct."""
    return State(mean=torch.zeros_like(param), square=torch.zeros_like(param))


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, decoupled: bool, fixed_decay: bool
) -> tuple[Tensor, State]:
    """``m <- beta1 * m + (1 - beta1) * clip(g / max(sqrt(s), eps))``, then ``-lr * m``; s takes g in afterwards.

    The clip is at ``(step - 1) ** (1/4)``: zero at the first step, which so only starts s. ``decoupled`` takes weight
    decay as AdamW does, and ``fixed_decay`` does not multiply it by lr.
    """
    grad = grad if decoupled else with_weight_decay(grad, param, hyper.weight_decay)
    clip = like((step - 1) ** 0.25, grad)
    divided = grad / torch.maximum(state.square.sqrt(), like(hyper.eps, grad))
    divided = torch.maximum(torch.minimum(divided, clip), -clip)
    mean = moving_average(state.mean, divided, hyper.beta1)
    square = moving_average(state.square, grad * grad, hyper.beta2)
    change = descent(mean, hyper.lr)
    if decoupled:
        change = with_decoupled_decay(change, param, decay_pace(hyper.lr, fixed_decay), hyper.weight_decay)
    return change, State(mean, torch.where(step == 1, grad * grad, square))


def _oracle_arguments(hyper: Mapping[str, float], options: Mapping[str, bool]) -> dict[str, Any]:
    return {
        "lr": hyper["lr"],
        "betas": (hyper["beta1"], hyper["beta2"]),
        "eps": hyper["eps"],
        "weight_decay": hyper["weight_decay"],
        "weight_decouple": options["decoupled"],
        "fixed_decay": options["fixed_decay"],
        "clip_lambda": lambda step: (step - 1) ** 0.25,  # it counts the step that only starts the average
    }


optimizer = Optimizer(
    name="adopt",
    class_name="ADOPT",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        **adam.hyperparameters,
        "beta2": replace(adam.hyperparameters["beta2"], default=0.9999),
        "eps": replace(adam.hyperparameters["eps"], default=1e-6, low_allowed=False),
    },
    space={**adam.space, "beta2": LogUniform(1e-5, 1e-1, one_minus=True, from_trials=50, limit=1.0)},
    card=Card(
        title="ADOPT (modified Adam)",
        idea="Adam in another order, with which it converges whatever beta2 is: a gradient is divided by the average "
        "of those before it, which does not contain it, and Momentum's average is taken of the result. Its size is "
        "held below a bound that grows with the steps.",
        formula=(
            "g = gradient;  at the first step s <- g^2 and nothing moves",
            "d = g / max(sqrt(s), eps), held between -(t - 1)^(1/4) and (t - 1)^(1/4)",
            "m <- beta1 * m + (1 - beta1) * d",
            "w <- w - lr * m",
            "s <- beta2 * s + (1 - beta2) * g^2",
        ),
        use="The same as Adam's, where Adam is unstable and beta2 would need care.",
        paper="Taniguchi et al., ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate, 2024",
        link="https://arxiv.org/abs/2411.02853",
        relatives={
            "adam": "averages first and divides after, by an average that contains the gradient",
            "rmsprop": "with momentum also averages what was divided, by an average that contains the gradient",
        },
        differences=(
            "Decoupled weight decay acts at the first step too; in the authors' code nothing moves at that step.",
            "pytorch_optimizer bounds by t^(1/4); here, as in the paper and the authors' code, the first step, which "
            "only starts s, is not counted.",
            "Both can be given another bound, as a function of the step. A function is no number that a study could "
            "tune, and no part of a configuration that can be stored; this rule has the paper's bound.",
        ),
        korean=Korean(
            title="ADOPT (수정된 Adam)",
            idea="순서를 바꾸어 beta2가 무엇이든 수렴하는 Adam입니다. 기울기를 그 기울기가 들어 있지 않은 이전 "
            "기울기들의 평균으로 나누고, 그 결과에 모멘텀의 평균을 취합니다. 그 크기는 스텝 수에 따라 커지는 한도 "
            "안에 둡니다.",
            use="Adam과 같으며, Adam이 불안정해서 beta2를 조심스럽게 정해야 하는 곳.",
            relatives={
                "adam": "먼저 평균하고 나중에 나누며, 나누는 평균에 현재 기울기가 포함됨",
                "rmsprop": "모멘텀을 쓰면 역시 나눈 값을 평균하지만, 나누는 평균에 현재 기울기가 포함됨",
            },
            differences=(
                "분리된 가중치 감쇠가 첫 스텝에도 작용합니다. 저자 코드에서는 첫 스텝에 아무것도 움직이지 않습니다.",
                "pytorch_optimizer의 한도는 t^(1/4)입니다. 여기서는 논문과 저자 코드처럼 s를 시작하기만 하는 첫 "
                "스텝을 세지 않습니다.",
                "두 구현에는 스텝의 함수로 다른 한도를 줄 수 있습니다. 함수는 스터디가 튜닝할 수 있는 수가 아니고 "
                "저장할 수 있는 설정도 아니므로, 이 규칙은 논문의 한도를 씁니다.",
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
    family=("adam", "divides first, by the average before this gradient, and averages after"),
    exempt={"rosenbrock": "beta2 remembers the slope at the start for 10,000 steps, and it creeps along the floor"},
    torch_class="gradrace.optim.ADOPT",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "decoupled_weight_decay": "decoupled",
        "fixed_decay": "fixed_decay",
    },
    oracle_class="pytorch_optimizer.ADOPT",
    oracle_arguments=_oracle_arguments,
    options={"decoupled": False, "fixed_decay": False},
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
        Case({"lr": 0.1, "beta2": 0.99, "weight_decay": 0.3}, {"decoupled": True}),
        Case({"lr": 0.1, "beta2": 0.99, "weight_decay": 0.01}, {"decoupled": True, "fixed_decay": True}),
    ),
    bad_inputs=(
        BadInput({"eps": 0.0}, "eps must be a number above 0, but is 0.0"),
        BadInput({"beta1": 1.0}, "beta1 must be a number at least 0 and below 1, but is 1.0"),
    ),
)
