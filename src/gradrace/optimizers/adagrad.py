"""AdaGrad: a learning rate for every parameter, which shrinks with all the gradient that parameter has seen."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, like, with_weight_decay
from gradrace.optimizers.sgd import LR, WEIGHT_DECAY
from gradrace.space import LogUniform


class State(NamedTuple):
    """``total``: sum of squared gradients beyond the initial value, shape and dtype of the parameter."""

    total: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    lr_decay: Tensor | None
    initial_total: Tensor | None
    eps: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> State:
    """Nothing seen yet. The initial value is a hyperparameter, so the update adds it."""
    return State(total=torch.zeros_like(param))


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    """``G <- G + g * g``, then ``-lr_t * g / (sqrt(G) + eps)`` with ``lr_t = lr / (1 + (step - 1) * lr_decay)``."""
    grad = with_weight_decay(grad, param, hyper.weight_decay)
    total = state.total + grad * grad
    seen = total if hyper.initial_total is None else total + like(hyper.initial_total, total)
    lr = hyper.lr if hyper.lr_decay is None else hyper.lr / (1 + (step - 1) * hyper.lr_decay)
    return descent(grad / (seen.sqrt() + like(hyper.eps, grad)), lr), State(total)


optimizer = Optimizer(
    name="adagrad",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": LR,
        "lr_decay": Hyperparameter(0.0, "how fast the learning rate falls with the steps", absent_at_zero=True),
        "initial_total": Hyperparameter(0.0, "squared gradient assumed at the start", absent_at_zero=True),
        "eps": Hyperparameter(1e-10, "keeps the division finite"),
        "weight_decay": WEIGHT_DECAY,
    },
    space={"lr": LogUniform(1e-4, 10), "eps": LogUniform(1e-10, 1e-3, from_trials=26)},
    card=Card(
        title="AdaGrad (adaptive gradient)",
        idea="Gives every parameter a learning rate of its own. Parameters that are updated often move less and less; "
        "rare ones keep a long step, so rare information counts more.",
        formula=("g = gradient", "G <- G + g^2", "w <- w - lr * g / (sqrt(G) + eps)"),
        use="Language with many rare words.",
        paper="Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning, 2011",
        link="https://jmlr.org/papers/v12/duchi11a.html",
        relatives={
            "sgd": "AdaGrad without the division",
            "rmsprop": "AdaGrad that forgets: a moving average in place of the sum",
        },
        korean=Korean(
            title="AdaGrad (적응형 기울기)",
            idea="파라미터마다 고유한 학습률을 줍니다. 자주 갱신되는 파라미터는 점점 덜 움직이고, 드물게 갱신되는 "
            "파라미터는 긴 스텝을 유지하므로 드문 정보가 더 크게 반영됩니다.",
            use="드문 단어가 많은 언어 데이터.",
            relatives={
                "sgd": "나눗셈이 없는 AdaGrad",
                "rmsprop": "잊어버리는 AdaGrad: 합 대신 이동 평균을 사용",
            },
            meanings={
                "lr": "학습률: 한 스텝의 길이",
                "lr_decay": "스텝에 따라 학습률이 줄어드는 빠르기",
                "initial_total": "시작할 때 가정하는 기울기 제곱",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("sgd", "divided by the root of all squared gradients so far"),
    torch_class="torch.optim.Adagrad",
    torch_state={"total": "sum"},
    starting_values={"total": "initial_total"},
    sparse=True,
    arguments={
        "lr": "lr",
        "lr_decay": "lr_decay",
        "weight_decay": "weight_decay",
        "initial_accumulator_value": "initial_total",
        "eps": "eps",
    },
    cases=(
        Case(),
        Case({"lr": 3.0, "weight_decay": 0.1}),
        Case({"lr": 0.5, "lr_decay": 0.01, "initial_total": 0.1, "eps": 1e-6}),
    ),
    bad_inputs=(BadInput({"eps": -1e-8}, "eps must be a number at least 0, but is -1e-08"),),
)
