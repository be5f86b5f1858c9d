"""SGD: stochastic gradient descent, the step that every other optimizer modifies."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, with_weight_decay
from gradrace.space import LogUniform


class State(NamedTuple):
    """SGD remembers nothing."""


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> State:
    """Nothing to remember."""
    return State()


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """``-lr * g`` with ``g = grad + weight_decay * param``."""
    return descent(with_weight_decay(grad, param, hyper.weight_decay), hyper.lr), state


LR = Hyperparameter(0.01, "learning rate: the length of a step")
WEIGHT_DECAY = Hyperparameter(0.0, "L2 penalty added to the gradient", absent_at_zero=True)

optimizer = Optimizer(
    name="sgd",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={"lr": LR, "weight_decay": WEIGHT_DECAY},
    space={"lr": LogUniform(1e-4, 10)},
    card=Card(
        title="SGD (stochastic gradient descent)",
        idea="Looks at a few examples at a time and takes a step straight down the slope that they show. "
        "It keeps no memory, so a step costs little and every step depends on the newest examples alone.",
        formula=("g = gradient", "w <- w - lr * g"),
        use="A recommender that takes in customers' clicks in real time.",
        paper="Robbins and Monro, A Stochastic Approximation Method, 1951",
        link="https://doi.org/10.1214/aoms/1177729586",
        relatives={
            "momentum": "SGD along an average of past gradients; SGD is Momentum with momentum 0",
            "adagrad": "SGD with a learning rate of its own for every parameter",
        },
        differences=("PyTorch's class has momentum, dampening and nesterov as well: here those are Momentum's.",),
        korean=Korean(
            title="SGD (확률적 경사 하강법)",
            idea="한 번에 몇 개의 예만 보고, 그 예들이 보여 주는 경사를 따라 곧장 내려갑니다. 기억하는 것이 없으므로 "
            "스텝 비용이 적고, 모든 스텝이 최신 예에만 좌우됩니다.",
            use="고객의 클릭을 실시간으로 받아들이는 추천 시스템.",
            relatives={
                "momentum": "과거 기울기의 평균을 따르는 SGD. SGD는 momentum이 0인 모멘텀",
                "adagrad": "파라미터마다 고유한 학습률이 있는 SGD",
            },
            differences=(
                "PyTorch의 클래스에는 momentum, dampening, nesterov도 있습니다. 여기서는 모두 모멘텀에 속합니다.",
            ),
            meanings={
                "lr": "학습률: 한 스텝의 길이",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    torch_class="torch.optim.SGD",
    class_name="SGD",
    sparse=True,
    arguments={"lr": "lr", "weight_decay": "weight_decay"},
    cases=(
        Case(),
        Case({"lr": 0.1, "weight_decay": 0.1}),
        Case({"lr": 3.0, "weight_decay": 0.01}),
    ),
    bad_inputs=(
        BadInput({"lr": -1.0}, "lr must be a number at least 0, but is -1.0"),
        BadInput({"lr": float("nan")}, "lr must be a number at least 0, but is nan"),
        BadInput({"momentum": 0.9}, "has no hyperparameter 'momentum'. It has: lr, weight_decay."),
    ),
)
