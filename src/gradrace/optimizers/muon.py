"""Muon: Momentum whose step for a matrix is made orthogonal; what is not a matrix is left to AdamW."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import adam
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Optimizer, PerTensor
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
