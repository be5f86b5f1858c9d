"""LAMB: Adam in which every tensor moves in proportion to its own size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import adam, radam
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor, Rescaled, Tree
from gradrace.optimizers._parts import (
    bias_correction,
    decay_pace,
    descent,
    like,
    moving_average,
    norm,
    trust_ratio,
    with_decoupled_decay,
    with_weight_decay,
)

LARGEST_NORM = 10.0
"""Weights longer than this count as being this long."""


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    n_sma_threshold: Tensor
    max_grad_norm: Tensor | None
    weight_decay: Tensor | None


def init(param: Tensor, **options: bool) -> adam.State:
    """Adam's averages."""
    return adam.init(param, amsgrad=False)


def shortening(grads: Tree, hyper: Hyper, options: Mapping[str, bool]) -> Tensor | None:
    """``min(1, max_grad_norm / (|g| + eps))`` with the length of all gradients together; None without ``pre_norm``."""
    if not options["pre_norm"] or hyper.max_grad_norm is None:
        return None
    lengths = torch.stack([norm(grad).to(hyper.eps) for grad in grads.values()])
    return (hyper.max_grad_norm / (norm(lengths) + hyper.eps)).clamp(max=1)


def update(
    grad: Tensor,
    state: adam.State,
    param: Tensor,
    hyper: Hyper,
    step: Tensor,
    decoupled: bool,
    fixed_decay: bool,
    rectify: bool,
    degenerated_to_sgd: bool,
    grad_averaging: bool,
    adam_debias: bool,
    adam_step: bool,
    pre_norm: bool,
) -> tuple[Tensor, adam.State]:
    """``-lr * q * u`` with Adam's uncorrected ``u = m / (sqrt(s) + eps) + weight_decay * w``.

    ``q = min(|w|, 10) / (|u| + eps)``, and 1 where a length is 0: a tensor of zeros could not move otherwise.
    ``adam_step`` has 1 for q; ``decoupled`` and ``fixed_decay`` decay w before all this; without ``grad_averaging`` m
    takes gradients in whole, and without ``adam_debias`` the step is divided by ``1 - beta1^t``. ``rectify`` has
    RAdam's step for lr * u, without weight decay, and the length of the weights after it for ``|u|``.
    """
    if grad_averaging:
        mean = moving_average(state.mean, grad, hyper.beta1)
    else:
        mean = like(hyper.beta1, grad) * state.mean + grad
    square = moving_average(state.square, grad * grad, hyper.beta2)
    decay = torch.zeros_like(param)
    if decoupled:
        decay = with_decoupled_decay(decay, param, decay_pace(hyper.lr, fixed_decay), hyper.weight_decay)
    decayed = param + decay
    lr = hyper.lr if adam_debias else hyper.lr / bias_correction(hyper.beta1, step)
    direction = mean / (square.sqrt() + like(hyper.eps, grad))
    if rectify:
        divided, lr = _rectified(hyper, lr, step, degenerated_to_sgd)
        direction = torch.where(divided, direction, mean)
        length = norm(decayed + descent(direction, lr))
    else:
        direction = direction if decoupled else with_weight_decay(direction, param, hyper.weight_decay)
        length = norm(direction)
    padded = torch.where(length > 0, length + like(hyper.eps, length), length)
    ratio = trust_ratio(norm(decayed).clamp(max=LARGEST_NORM), padded, torch.ones_like(step))
    change = descent(direction if adam_step else ratio * direction, lr)
    return decay + change if decoupled else change, state._replace(mean=mean, square=square)


def _rectified(hyper: Hyper, lr: Tensor, step: Tensor, early: bool) -> tuple[Tensor, Tensor]:
    """Whether RAdam's step is divided yet, and its learning rate: 0 before that, or lr for steps ``early`` on."""
    trust, _ = radam.rectification(hyper.beta2, step)
    divided = radam.length_of_average(hyper.beta2, step)[1] >= hyper.n_sma_threshold
    trusted = lr * trust * bias_correction(hyper.beta2, step).sqrt()
    return divided, torch.where(divided, trusted, lr if early else torch.zeros_like(lr))


optimizer = Optimizer(
    name="lamb",
    rule=Rescaled(PerTensor(init, update), shortening),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.001, "learning rate: the length of a step as a share of the tensor's own length"),
        "beta1": adam.optimizer.hyperparameters["beta1"],
        "beta2": adam.optimizer.hyperparameters["beta2"],
        "eps": Hyperparameter(1e-6, "keeps both divisions finite"),
        "n_sma_threshold": Hyperparameter(
            5.0, "with rectify, length of RAdam's average from which on steps are divided by the root", low=4.0
        ),
        "max_grad_norm": Hyperparameter(
            1.0, "with pre_norm, the longest that all gradients together may be; 0 for any length", absent_at_zero=True
        ),
        "weight_decay": Hyperparameter(0.0, "pull towards zero, added before the step is scaled", absent_at_zero=True),
    },
    space=adam.optimizer.space,
    card=Card(
        title="LAMB (layer-wise adaptive moments for batch training)",
        idea="Adam whose step for every tensor is then scaled to a share of that tensor's own length, so that large "
        "batches with large learning rates stay stable in all layers.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * g",
            "s <- beta2 * s + (1 - beta2) * g^2",
            "u = m / (sqrt(s) + eps) + weight_decay * w",
            "w <- w - lr * u * min(|w|, 10) / (|u| + eps)      (lengths of the whole tensor)",
        ),
        use="Language models such as BERT trained with batches of many thousands.",
        paper="You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, 2020",
        link="https://arxiv.org/abs/1904.00962",
        relatives={
            "adam": "LAMB without the scaling, and with bias correction",
            "lars": "the same idea around Momentum",
        },
        differences=(
            "The paper's last version corrects both averages for having started at zero; its version 3, the reference "
            "implementation and this rule do not. The scaling cancels the correction, up to eps and weight decay.",
            "By default the reference implementation divides the scaled step by 1 - beta1^t, which makes the first one "
            "ten times as long, and decays weights apart from the step. Here both are options that are off "
            "(adam_debias=False, weight_decouple=True), as in the paper.",
            "With rectify, as in the reference, weight decay acts only where weight_decouple is on, and the step is "
            "scaled by the length of the weights before it over that after it, so that it hardly is.",
            "The paper leaves the function of the weights' length open; min(|w|, 10) is the reference's.",
        ),
        korean=Korean(
            title="LAMB (배치 학습을 위한 층별 적응형 모멘트)",
            idea="텐서마다 Adam의 스텝을 그 텐서 길이에 대한 비율로 다시 조정합니다. 그래서 큰 배치와 큰 학습률에서도 "
            "모든 층이 안정적으로 학습됩니다.",
            use="배치 크기를 수천 이상으로 키워 학습하는 BERT 같은 언어 모델.",
            relatives={
                "adam": "크기 조정이 없고 편향 보정이 있는 LAMB",
                "lars": "같은 아이디어를 모멘텀에 적용",
            },
            differences=(
                "논문의 마지막 판은 0에서 시작한 두 평균을 보정합니다. 논문 3판, 참조 구현, 이 규칙은 보정하지 "
                "않습니다. eps와 가중치 감쇠를 빼면 크기 조정이 보정을 상쇄합니다.",
                "참조 구현은 기본적으로 조정된 스텝을 1 - beta1^t로 나누어 첫 스텝이 10배 길어지고, 가중치를 스텝과 "
                "별도로 감쇠합니다. 여기서는 논문처럼 둘 다 꺼진 선택 사항입니다(adam_debias=False, "
                "weight_decouple=True).",
                "rectify를 켜면 참조 구현처럼 weight_decouple이 켜져 있을 때만 가중치 감쇠가 작용합니다. 또한 스텝은 "
                "스텝 전 가중치 길이를 스텝 후 길이로 나눈 값으로 조정되어 거의 조정되지 않습니다.",
                "논문은 가중치 길이의 함수를 정하지 않습니다. min(|w|, 10)은 참조 구현의 것입니다.",
            ),
            meanings={
                "lr": "학습률: 텐서 자체 길이에 대한 한 스텝 길이의 비율",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "두 나눗셈을 유한하게 유지하는 작은 수",
                "n_sma_threshold": "rectify를 켰을 때 스텝을 제곱근으로 나누기 시작하는 RAdam 평균의 길이",
                "max_grad_norm": "pre_norm을 켰을 때 모든 기울기를 합친 길이의 한도. 0이면 제한 없음",
                "weight_decay": "0 쪽으로 당기는 세기. 스텝 크기를 조정하기 전에 더함",
            },
        ),
    ),
    family=("adam", "every tensor moves in proportion to its own length"),
    torch_class="gradrace.optim.LAMB",
    class_name="LAMB",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "weight_decay": "weight_decay",
        "weight_decouple": "decoupled",
        "fixed_decay": "fixed_decay",
        "rectify": "rectify",
        "degenerated_to_sgd": "degenerated_to_sgd",
        "n_sma_threshold": "n_sma_threshold",
        "grad_averaging": "grad_averaging",
        "max_grad_norm": "max_grad_norm",
        "adam": "adam_step",
        "pre_norm": "pre_norm",
        "adam_debias": "adam_debias",
    },
    options={
        "decoupled": False,
        "fixed_decay": False,
        "rectify": False,
        "degenerated_to_sgd": False,
        "grad_averaging": True,
        "adam_debias": True,
        "adam_step": False,
        "pre_norm": False,
    },
    oracle_class="oracles.Lamb",  # tests/oracles.py: pytorch_optimizer.Lamb, all gradients' length in full precision
    elementwise=False,
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "weight_decay": 0.1}),
        Case({"lr": 0.3, "eps": 1e-3, "weight_decay": 0.01}),
        Case({"lr": 0.1, "weight_decay": 0.1}, {"decoupled": True, "adam_debias": False}),
        Case({"lr": 0.03, "weight_decay": 0.01}, {"decoupled": True, "fixed_decay": True, "adam_step": True}),
        Case({"lr": 0.1, "weight_decay": 0.01}, {"grad_averaging": False, "pre_norm": True}),
        Case({"lr": 0.1, "max_grad_norm": 0.1}, {"pre_norm": True}),
        Case({"lr": 0.1, "beta2": 0.99}, {"rectify": True}),
        Case(
            {"lr": 0.1, "n_sma_threshold": 8.0, "weight_decay": 0.1},
            {"rectify": True, "degenerated_to_sgd": True, "decoupled": True, "adam_debias": False},
        ),
    ),
    bad_inputs=(
        BadInput({"beta1": 1.0}, "beta1 must be a number at least 0 and below 1, but is 1.0"),
        BadInput({"n_sma_threshold": 3.0}, "n_sma_threshold must be a number at least 4, but is 3.0"),
        BadInput({"weight_decay": -0.1}, "weight_decay must be a number at least 0, but is -0.1"),
    ),
)
