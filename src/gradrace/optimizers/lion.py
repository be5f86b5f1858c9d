"""Lion: Signum with two averages, one to go along and one to remember."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import decay_pace, descent, moving_average, with_decoupled_decay, with_weight_decay
from gradrace.optimizers.signum import WEIGHT_DECAY, State, init
from gradrace.space import LogUniform


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    weight_decay: Tensor | None


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, decoupled: bool, fixed_decay: bool
) -> tuple[Tensor, State]:
    """``-lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w)``; then m takes g in with beta2.

    Without ``decoupled``, weight decay is part of the gradient; with ``fixed_decay``, lr does not multiply it.
    """
    grad = grad if decoupled else with_weight_decay(grad, param, hyper.weight_decay)
    change = descent(moving_average(state.mean, grad, hyper.beta1).sign(), hyper.lr)
    if decoupled:
        change = with_decoupled_decay(change, param, decay_pace(hyper.lr, fixed_decay), hyper.weight_decay)
    return change, State(moving_average(state.mean, grad, hyper.beta2))


optimizer = Optimizer(
    name="lion",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(1e-4, "learning rate: the length of every step in each coordinate"),
        "beta1": Hyperparameter(0.9, "share of the remembered average in the direction of a step", high=1.0),
        "beta2": Hyperparameter(0.99, "share of the remembered average that is kept", high=1.0),
        "weight_decay": WEIGHT_DECAY,
    },
    space={
        "lr": LogUniform(1e-6, 1e-1),
        "beta1": LogUniform(1e-2, 0.5, one_minus=True, from_trials=10, limit=1.0),
        "beta2": LogUniform(1e-3, 0.5, one_minus=True, from_trials=50, limit=1.0),
        "weight_decay": LogUniform(1e-3, 10, from_trials=26),
    },
    card=Card(
        title="Lion (evolved sign momentum)",
        idea="Moves every coordinate by the same length, in the direction in which a mixture of the newest gradient "
        "and a long memory points. A search over programs found it. It keeps half of Adam's memory, and wants a "
        "learning rate three to ten times smaller with a weight decay as much larger.",
        formula=(
            "g = gradient",
            "c = beta1 * m + (1 - beta1) * g",
            "w <- w - lr * (sign(c) + weight_decay * w)",
            "m <- beta2 * m + (1 - beta2) * g",
        ),
        use="Large vision and language models with large batches, where memory is short.",
        paper="Chen et al., Symbolic Discovery of Optimization Algorithms, 2023",
        link="https://arxiv.org/abs/2302.06675",
        relatives={"signum": "Lion with beta1 = beta2", "adamw": "weight decay is taken in the same way"},
        korean=Korean(
            title="Lion (진화로 찾은 부호 모멘텀)",
            idea="모든 좌표를 같은 길이만큼, 최신 기울기와 긴 기억을 섞은 것이 가리키는 방향으로 움직입니다. 프로그램 "
            "탐색으로 발견되었습니다. 메모리는 Adam의 절반이고, 학습률은 3~10배 작게, 가중치 감쇠는 그만큼 크게 "
            "잡아야 합니다.",
            use="배치가 크고 메모리가 부족한 대규모 비전 모델과 언어 모델.",
            relatives={
                "signum": "beta1 = beta2인 Lion",
                "adamw": "가중치 감쇠 방식이 같음",
            },
            meanings={
                "lr": "학습률: 각 좌표에서 모든 스텝의 길이",
                "beta1": "스텝의 방향에서 기억한 평균이 차지하는 비율",
                "beta2": "기억한 평균을 유지하는 비율",
                "weight_decay": "lr 1인 스텝이 파라미터에서 덜어 내는 비율",
            },
        ),
    ),
    family=("signum", "the newest gradient counts more in the step than in the memory"),
    torch_class="gradrace.optim.Lion",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "weight_decay": "weight_decay",
        "weight_decouple": "decoupled",
        "fixed_decay": "fixed_decay",
    },
    options={"decoupled": True, "fixed_decay": False},
    oracle_class="pytorch_optimizer.Lion",
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9}),
        Case({"lr": 0.03, "beta1": 0.95, "beta2": 0.98, "weight_decay": 3.0}),
        Case({"lr": 0.03, "weight_decay": 0.3}, {"decoupled": False}),
        Case({"lr": 0.01, "weight_decay": 0.01}, {"fixed_decay": True}),
    ),
    bad_inputs=(BadInput({"beta2": 1.0}, "beta2 must be a number at least 0 and below 1, but is 1.0"),),
)
