"""NAdam: Adam that looks one step ahead, as Nesterov does to Momentum."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import (
    corrected_root,
    descent,
    like,
    moving_average,
    with_decoupled_decay,
    with_weight_decay,
)
from gradrace.optimizers.adam import optimizer as adam


class State(NamedTuple):
    """Averages of the gradient and of its square, like the parameter; ``product`` of all mu: float64, shape ()."""

    mean: Tensor
    square: Tensor
    product: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    momentum_decay: Tensor
    weight_decay: Tensor | None


def init(param: Tensor, decoupled: bool) -> State:
    """Both averages start at zero, and the empty product is 1."""
    return State(torch.zeros_like(param), torch.zeros_like(param), param.new_ones((), dtype=torch.float64))


def momentum_at(step: Tensor, hyper: Hyper) -> Tensor:
    """``mu_t = beta1 * (1 - 0.96 ** (t * momentum_decay) / 2)``: half of beta1 at first, then beta1."""
    return hyper.beta1 * (1 - 0.5 * 0.96 ** (step * hyper.momentum_decay))


def update(
    grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor, decoupled: bool
) -> tuple[Tensor, State]:
    """Adam's step along ``(1 - mu_t) * g / (1 - P) + mu_next * m / (1 - P * mu_next)``, where P is the product of mu.

    ``decoupled`` takes weight decay as AdamW does.
    """
    grad = grad if decoupled else with_weight_decay(grad, param, hyper.weight_decay)
    mean = moving_average(state.mean, grad, hyper.beta1)
    square = moving_average(state.square, grad * grad, hyper.beta2)
    mu, mu_next = momentum_at(step, hyper), momentum_at(step + 1, hyper)
    product = state.product * mu
    # Nesterov's form: the newest gradient, and the average as the next step will weigh it.
    ahead = like((1 - mu) / (1 - product), grad) * grad + like(mu_next / (1 - product * mu_next), grad) * mean
    change = descent(ahead / (corrected_root(square, hyper.beta2, step) + like(hyper.eps, grad)), hyper.lr)
    if decoupled:
        change = with_decoupled_decay(change, param, hyper.lr, hyper.weight_decay)
    return change, State(mean, square, product)


optimizer = Optimizer(
    name="nadam",
    class_name="NAdam",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.002, "learning rate: about the length of a step in each coordinate"),
        "beta1": adam.hyperparameters["beta1"],
        "beta2": adam.hyperparameters["beta2"],
        "eps": adam.hyperparameters["eps"],
        "momentum_decay": Hyperparameter(0.004, "how fast the momentum rises from half of beta1 to beta1"),
        "weight_decay": adam.hyperparameters["weight_decay"],
    },
    space=adam.space,
    card=Card(
        title="NAdam (Adam with Nesterov's momentum)",
        idea="Adam that looks one step ahead: the newest gradient is counted as if the average had already moved on. "
        "The momentum is low at first and grows.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * g",
            "s <- beta2 * s + (1 - beta2) * g^2",
            "mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2),  P <- P * mu_t",
            "a = (1 - mu_t) * g / (1 - P) + mu_(t+1) * m / (1 - P * mu_(t+1))",
            "w <- w - lr * a / (sqrt(s / (1 - beta2^t)) + eps)",
        ),
        use="The same as Adam's; also a strong baseline in benchmarks of training speed.",
        paper="Dozat, Incorporating Nesterov Momentum into Adam, 2016",
        link="https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ",
        relatives={"adam": "the same without looking ahead", "nesterov": "the same look-ahead, without the division"},
        differences=(
            "The paper averages the gradient with the momentum of the step, mu_t. PyTorch averages it with beta1 and "
            "uses mu_t only in the correction and the look-ahead.",
        ),
        korean=Korean(
            title="NAdam (네스테로프 모멘텀을 쓰는 Adam)",
            idea="한 스텝 앞을 보는 Adam입니다. 평균이 이미 움직였다고 보고 최신 기울기를 반영합니다. 모멘텀은 처음에 "
            "낮고 점점 커집니다.",
            use="Adam과 같습니다. 학습 속도 벤치마크에서 강력한 기준선이기도 합니다.",
            relatives={
                "adam": "앞을 보지 않는 같은 방법",
                "nesterov": "앞을 보는 방식은 같고 나눗셈이 없음",
            },
            differences=(
                "논문은 그 스텝의 모멘텀 mu_t로 기울기를 평균합니다. PyTorch는 beta1로 평균하고 mu_t는 보정과 앞을 "
                "보는 데에만 씁니다.",
            ),
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "momentum_decay": "모멘텀이 beta1의 절반에서 beta1까지 커지는 빠르기",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
        ),
    ),
    family=("adam", "looks one step ahead, as Nesterov does"),
    torch_class="torch.optim.NAdam",
    torch_state={"mean": "exp_avg", "square": "exp_avg_sq", "product": "mu_product"},
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "momentum_decay": "momentum_decay",
        "decoupled_weight_decay": "decoupled",
    },
    options={"decoupled": False},
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "momentum_decay": 0.1}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
        Case({"lr": 0.2, "weight_decay": 0.3, "momentum_decay": 0.0}, {"decoupled": True}),
    ),
    bad_inputs=(
        BadInput({"momentum_decay": -0.1}, "momentum_decay must be a number at least 0, but is -0.1"),
        BadInput({"beta1": 1.0}, "beta1 must be a number at least 0 and below 1, but is 1.0"),
    ),
)
