"""LARS: Momentum in which every matrix moves in proportion to its own size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import momentum
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import norm, trust_ratio, with_weight_decay
from gradrace.space import LogUniform


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    momentum: Tensor
    dampening: Tensor | None
    trust: Tensor
    weight_decay: Tensor | None


def update(
    grad: Tensor, state: momentum.State, param: Tensor, hyper: Hyper, step: Tensor, nesterov: bool
) -> tuple[Tensor, momentum.State]:
    """Momentum's step for ``q * (g + weight_decay * w)`` with ``q = trust * |w| / (|g| + weight_decay * |w|)``.

    Vectors and scalars (biases, scales) take Momentum's step for ``g`` itself, without weight decay.
    """
    if grad.ndim > 1:
        ratio = trust_ratio(norm(param), with_weight_decay(norm(grad), norm(param), hyper.weight_decay), hyper.trust)
        grad = ratio * with_weight_decay(grad, param, hyper.weight_decay)
    share = None if hyper.dampening is None else torch.where(hyper.momentum == 0, 1, 1 - hyper.dampening)
    return momentum.rolled(grad, state, hyper.lr, hyper.momentum, share, nesterov)


optimizer = Optimizer(
    name="lars",
    rule=PerTensor(momentum.init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(1.0, "learning rate; multiplied by the trust coefficient for matrices"),
        "momentum": momentum.optimizer.hyperparameters["momentum"],
        "dampening": momentum.DAMPENING,
        "trust": Hyperparameter(0.001, "length of a step as a share of the matrix's own length, at learning rate 1"),
        "weight_decay": Hyperparameter(0.0, "L2 penalty added to the gradient of matrices", absent_at_zero=True),
    },
    space={
        "lr": LogUniform(1e-3, 1e2),
        "momentum": momentum.optimizer.space["momentum"],
        "trust": LogUniform(1e-4, 1e-1, from_trials=26),
    },
    card=Card(
        title="LARS (layer-wise adaptive rate scaling)",
        idea="Momentum in which the gradient of every matrix is first scaled to a fixed share of the length of that "
        "matrix, so that no layer is torn apart while another hardly moves.",
        formula=(
            "g = gradient",
            "q = trust * |w| / (|g| + weight_decay * |w|)      (for each matrix; 1 for vectors)",
            "v <- momentum * v + q * (g + weight_decay * w)",
            "w <- w - lr * v",
        ),
        use="Image classifiers trained with batches of many thousands.",
        paper="You, Gitman and Ginsburg, Large Batch Training of Convolutional Networks, 2017",
        link="https://arxiv.org/abs/1708.03888",
        relatives={
            "momentum": "LARS without the scaling",
            "lamb": "the same idea around Adam",
        },
        differences=(
            "In the paper the velocity holds lr * q * g; here, as in most implementations, the learning rate "
            "multiplies the velocity, so that its schedule acts at once. They agree while it is constant.",
            "The paper scales every layer; here, as in the reference implementation, vectors and scalars take plain "
            "Momentum without weight decay.",
            "Dampening, which the paper does not have, acts on the first gradient too, as in the reference "
            "implementation and other than in PyTorch's Momentum.",
        ),
        korean=Korean(
            title="LARS (층별 적응형 비율 조정)",
            idea="각 행렬의 기울기를 먼저 그 행렬 길이의 일정한 비율로 조정하는 모멘텀입니다. 그래서 어떤 층은 거의 "
            "움직이지 않는데 다른 층은 망가지는 일이 없습니다.",
            use="배치 크기를 수천 이상으로 키워 학습하는 이미지 분류기.",
            relatives={
                "momentum": "크기 조정이 없는 LARS",
                "lamb": "같은 아이디어를 Adam에 적용",
            },
            differences=(
                "논문에서는 속도에 lr * q * g가 들어갑니다. 여기서는 대부분의 구현처럼 학습률을 속도에 곱하므로 "
                "스케줄이 바로 반영됩니다. 학습률이 일정하면 둘은 같습니다.",
                "논문은 모든 층을 조정합니다. 여기서는 참조 구현처럼 벡터와 스칼라에 가중치 감쇠 없는 보통 모멘텀을 "
                "씁니다.",
                "논문에 없는 댐핑은 참조 구현처럼 첫 기울기에도 작용하며, 이 점에서 PyTorch의 모멘텀과 다릅니다.",
            ),
            meanings={
                "lr": "학습률. 행렬에는 신뢰 계수를 곱함",
                "momentum": "속도를 유지하는 비율",
                "dampening": "기울기에서 속도에 넣지 않는 비율",
                "trust": "학습률 1에서 행렬 자체 길이에 대한 한 스텝 길이의 비율",
                "weight_decay": "행렬의 기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("momentum", "every matrix moves in proportion to its own length"),
    torch_class="gradrace.optim.LARS",
    class_name="LARS",
    arguments={
        "lr": "lr",
        "momentum": "momentum",
        "trust_coefficient": "trust",
        "weight_decay": "weight_decay",
        "nesterov": "nesterov",
        "dampening": "dampening",
    },
    options={"nesterov": False},
    oracle_class="pytorch_optimizer.LARS",
    oracle_arguments=lambda hyper, options: {
        "lr": hyper["lr"],
        "momentum": hyper["momentum"],
        "dampening": hyper["dampening"],
        "trust_coefficient": hyper["trust"],
        "weight_decay": hyper["weight_decay"],
        "nesterov": options["nesterov"],
        "foreach": False,
    },
    elementwise=False,
    cases=(
        Case(),
        Case({"lr": 30.0, "weight_decay": 0.1}),
        Case({"lr": 3.0, "momentum": 0.5, "trust": 0.02, "weight_decay": 0.01}, {"nesterov": True}),
        Case({"lr": 1.0, "momentum": 0.0, "trust": 0.1}),
        Case({"lr": 3.0, "dampening": 0.9, "weight_decay": 0.01}),
        Case({"lr": 1.0, "momentum": 0.5, "dampening": 0.5, "trust": 0.02}, {"nesterov": True}),
        Case({"lr": 0.3, "momentum": 0.0, "dampening": 0.5}),
    ),
    bad_inputs=(
        BadInput({"trust": -0.1}, "trust must be a number at least 0, but is -0.1"),
        BadInput({"momentum": 1.0}, "momentum must be a number at least 0 and below 1, but is 1.0"),
    ),
)
