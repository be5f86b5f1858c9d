"""LAMB: Adam in which every tensor moves in proportion to its own size."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import adam
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Optimizer, PerTensor
from gradrace.optimizers._parts import descent, like, moving_average, norm, trust_ratio, with_weight_decay

LARGEST_NORM = 10.0
"""Weights longer than this count as being this long."""


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    weight_decay: Tensor | None


def init(param: Tensor) -> adam.State:
    """Adam's averages."""
    return adam.init(param, amsgrad=False)


def update(grad: Tensor, state: adam.State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, adam.State]:
    """``-lr * q * u`` with Adam's uncorrected ``u = m / (sqrt(s) + eps) + weight_decay * w``.

    ``q = min(|w|, 10) / (|u| + eps)``, and 1 where a length is 0: a tensor of zeros could not move otherwise.
    """
    mean = moving_average(state.mean, grad, hyper.beta1)
    square = moving_average(state.square, grad * grad, hyper.beta2)
    direction = with_weight_decay(mean / (square.sqrt() + like(hyper.eps, grad)), param, hyper.weight_decay)
    length = norm(direction)
    padded = torch.where(length > 0, length + like(hyper.eps, length), length)
    ratio = trust_ratio(norm(param).clamp(max=LARGEST_NORM), padded, torch.ones_like(step))
    return descent(ratio * direction, hyper.lr), state._replace(mean=mean, square=square)


optimizer = Optimizer(
    name="lamb",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        **adam.optimizer.hyperparameters,
        "lr": Hyperparameter(0.001, "learning rate: the length of a step as a share of the tensor's own length"),
        "eps": Hyperparameter(1e-6, "keeps both divisions finite"),
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
            "ten times as long, and decays weights apart from the step; this rule does neither, as the paper.",
            "The paper leaves the function of the weights' length open; min(|w|, 10) is the reference's.",
        ),
    ),
    family=("adam", "every tensor moves in proportion to its own length"),
    torch_class="gradrace.optim.LAMB",
    class_name="LAMB",
    arguments={"lr": "lr", "betas": ("beta1", "beta2"), "eps": "eps", "weight_decay": "weight_decay"},
    oracle_class="pytorch_optimizer.Lamb",
    oracle_arguments=lambda hyper, options: {
        "lr": hyper["lr"],
        "betas": (hyper["beta1"], hyper["beta2"]),
        "eps": hyper["eps"],
        "weight_decay": hyper["weight_decay"],
        "weight_decouple": False,
        "adam_debias": True,
        "foreach": False,
    },
    elementwise=False,
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "weight_decay": 0.1}),
        Case({"lr": 0.3, "eps": 1e-3, "weight_decay": 0.01}),
    ),
    bad_inputs=(
        BadInput({"beta1": 1.0}, "beta1 must be a number at least 0 and below 1, but is 1.0"),
        BadInput({"weight_decay": -0.1}, "weight_decay must be a number at least 0, but is -0.1"),
    ),
)
