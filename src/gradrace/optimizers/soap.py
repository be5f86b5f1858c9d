"""SOAP: Adam in the eigenbasis of Shampoo's statistics, the directions in which a matrix's gradients do not mix."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import adam
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, PerTensor
from gradrace.optimizers._parts import bias_correction as bias_left
from gradrace.optimizers._parts import descent, like, moving_average, root_mean_square, with_decoupled_decay
from gradrace.space import LogUniform

LARGEST_SIDE = 10000
"""Longer sides of a parameter keep their own axes."""
SMALLEST_SHARE = 1e-3
"""Directions with less than about this share of all squared gradient keep to their own axes too."""


class State(NamedTuple):
    """Averages ``mean`` and, in the eigenbasis, ``square``: shape and dtype of the parameter.

    For each side of n, ``factors`` averages the gradient's outer product with itself and ``bases`` holds orthonormal
    columns: [n, n] each. Both are empty for vectors and scalars, and [0, 0] for a side that is too long.
    """

    mean: Tensor
    square: Tensor
    factors: tuple[Tensor, ...]
    bases: tuple[Tensor, ...]


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    shampoo_beta: Tensor | None
    refresh: Tensor
    weight_decay: Tensor | None


def init(param: Tensor, vectors: bool, **options: bool) -> State:
    """Nothing seen yet."""
    turned = param.ndim > 1 or (param.ndim == 1 and vectors)
    sides = [side if side <= LARGEST_SIDE else 0 for side in param.shape] if turned else []
    nothing = tuple(param.new_zeros(side, side) for side in sides)
    return State(torch.zeros_like(param), torch.zeros_like(param), nothing, nothing)


def rotated(tensor: Tensor, bases: tuple[Tensor, ...], axis: int) -> Tensor:
    """Every side of a tensor in the coordinates of its basis (``axis`` 0), or back from them (1)."""
    for basis in bases:  # each takes its side from the front to the end, so that all come round to their places
        tensor = tensor.movedim(0, -1)
        if len(basis) == tensor.shape[-1]:
            tensor = tensor @ (basis.T if axis else basis)
    return tensor


def outer_product(grad: Tensor, side: int) -> Tensor:
    """The gradient's product with itself over all sides but one, [n, n]."""
    matrix = grad.movedim(side, 0).unsqueeze(-1).flatten(1)
    return matrix @ matrix.T


def settled(factor: Tensor) -> Tensor:
    """A factor whose eigenvectors are all determined, and not by the last digit where no gradient was seen yet.

    The first gradient of a matrix [10, 1] shows one of ten directions: nine eigenvalues are 0, and one basis of their
    space is as good as another. A small slope on the diagonal, from 0.1 % of the trace down to 0, picks the axes.
    """
    side = len(factor)
    slope = torch.arange(side, 0, -1, dtype=factor.dtype, device=factor.device) / max(1, side)
    return factor + torch.diag(slope * (SMALLEST_SHARE * factor.diagonal().sum()))


def eigenbasis(factor: Tensor) -> Tensor:
    """Orthonormal eigenvectors as columns, largest eigenvalue first. A diverged trial must not stop its neighbours."""
    finite = torch.nan_to_num(factor, nan=0.0, posinf=0.0, neginf=0.0)
    return torch.linalg.eigh(decomposable(finite)).eigenvectors.flip(1).to(factor.dtype)


def refreshed(factor: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """One round of power iteration towards the eigenvectors; and the order in which it takes the old columns."""
    product = factor @ basis
    order = torch.argsort((basis * product).sum(dim=0), descending=True)
    columns = decomposable(torch.take_along_dim(product, order.unsqueeze(0), 1))
    return torch.linalg.qr(columns).Q.to(product.dtype), order


def decomposable(matrix: Tensor) -> Tensor:
    """The matrix in a precision that torch has decompositions for: float32 at least."""
    return matrix.to(torch.promote_types(matrix.dtype, torch.float32))


def update(
    grad: Tensor,
    state: State,
    param: Tensor,
    hyper: Hyper,
    step: Tensor,
    vectors: bool,
    bias_correction: bool,
    normalized: bool,
) -> tuple[Tensor, State]:
    """Adam's step for the rotated gradient, rotated back. Step 1 only looks; bases turn every ``refresh`` steps.

    With ``normalized`` the step of a tensor, before lr, has the root mean square 1. A branch on the step is no option
    here, so every step pays for ``eigh`` and ``qr`` and keeps what it needs of them.
    """
    first, before = step == 1, torch.clamp(step - 1, min=1)
    turning = ~first & (torch.remainder(before, hyper.refresh) == 0)
    mean = torch.where(first, state.mean, moving_average(state.mean, grad, hyper.beta1))
    seen = rotated(grad, state.bases, 0)
    square = torch.where(first, state.square, moving_average(state.square, seen * seen, hyper.beta2))
    lr = torch.where(first, 0, hyper.lr)
    if bias_correction:
        lr = lr * bias_left(hyper.beta2, before).sqrt() / bias_left(hyper.beta1, before)
    direction = rotated(rotated(mean, state.bases, 0) / (square.sqrt() + like(hyper.eps, grad)), state.bases, 1)
    if normalized:
        direction = direction / (root_mean_square(direction) + like(hyper.eps, grad))
    change = descent(direction, lr)
    change = with_decoupled_decay(change, param + change, torch.where(first, 0, hyper.lr), hyper.weight_decay)
    rate = like(1 - (hyper.beta2 if hyper.shampoo_beta is None else hyper.shampoo_beta), grad)
    factors, bases = list(state.factors), list(state.bases)
    for side, basis in enumerate(state.bases):
        if not len(basis):
            continue
        factors[side] = torch.lerp(factors[side], outer_product(grad, side), rate)
        factor = settled(factors[side])
        turned, order = refreshed(factor, basis)
        bases[side] = torch.where(first, eigenbasis(factor), torch.where(turning, turned, basis))
        place = [-1 if other == side else 1 for other in range(square.ndim)]
        square = torch.where(turning, torch.take_along_dim(square, order.view(place), side), square)
    return change, State(mean, square, tuple(factors), tuple(bases))


optimizer = Optimizer(
    name="soap",
    rule=PerTensor(init, update),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(0.003, "learning rate: about the length of a step in each coordinate"),
        "beta1": Hyperparameter(0.95, "share of the average gradient that is kept", high=1.0),
        "beta2": Hyperparameter(0.95, "share of the averages of squares and outer products that is kept", high=1.0),
        "eps": adam.optimizer.hyperparameters["eps"],
        "shampoo_beta": Hyperparameter(
            0.0,
            "share of the averages of outer products that is kept; 0 for beta2",
            high=1.0,
            absent_at_zero=True,
            absent_argument=None,
        ),
        "refresh": Hyperparameter(10.0, "steps from one turn of the bases to the next; whole", low=1.0),
        "weight_decay": Hyperparameter(0.01, "share of a weight lost in a step, times lr", absent_at_zero=True),
    },
    space={
        "lr": LogUniform(1e-5, 1e-1),
        "beta1": adam.optimizer.space["beta1"],
        "eps": adam.optimizer.space["eps"],
        "beta2": LogUniform(1e-3, 0.3, one_minus=True, from_trials=50, limit=1.0),
    },
    card=Card(
        title="SOAP (Shampoo with Adam in the preconditioner's eigenbasis)",
        idea="Adam scales each weight alone; SOAP first turns the gradient of a matrix into the directions in which "
        "its rows and columns vary independently, lets Adam scale those, and turns the step back.",
        formula=(
            "g = gradient of a matrix",
            "L <- beta2 * L + (1 - beta2) * g g',  R <- beta2 * R + (1 - beta2) * g' g",
            "P, Q = eigenvectors of L, R      (turned by one power iteration every few steps)",
            "m <- beta1 * m + (1 - beta1) * g",
            "s <- beta2 * s + (1 - beta2) * (P' g Q)^2",
            "w <- w - lr * P ((P' m_hat Q) / (sqrt(s_hat) + eps)) Q'",
        ),
        use="Language models trained in fewer steps than Adam needs.",
        paper="Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, 2025",
        link="https://arxiv.org/abs/2409.11321",
        relatives={
            "adam": "SOAP in the parameters' own axes, as it does for vectors",
            "adafactor": "a coarser memory of the squared gradients of rows and columns",
        },
        differences=(
            "The first step only starts the statistics and moves nothing, as in the reference implementation.",
            "Both factors get a slope on the diagonal, from 0.1 % of their trace down to 0, before their eigenvectors "
            "are taken. Without it, rounding decides the first bases of most matrices.",
            "Bias is corrected in the learning rate, so that eps is compared with the uncorrected root, as there.",
            "The rule computes in the parameters' precision where that has float32.",
            "The reference implementation can also merge small sides, but refuses every matrix of no more than "
            "max_precondition_dim numbers then, so that nothing can be compared; this rule does not offer it, nor the "
            "order of the sides that matters for it alone.",
            "The longest side that is turned is 10000, the reference's default for max_precondition_dim. The form of "
            "the state depends on it, which cannot differ between trials that train together.",
        ),
        korean=Korean(
            title="SOAP (사전조건자의 고유 기저에서 Adam을 쓰는 Shampoo)",
            idea="Adam은 가중치마다 따로 크기를 조정합니다. SOAP은 먼저 행렬의 기울기를 행과 열이 서로 독립적으로 "
            "변하는 방향으로 돌리고, 거기서 Adam으로 크기를 조정한 다음, 스텝을 다시 되돌립니다.",
            use="Adam보다 적은 스텝으로 학습하는 언어 모델.",
            relatives={
                "adam": "파라미터 자체의 축에서 하는 SOAP. 벡터에는 SOAP도 이렇게 함",
                "adafactor": "행과 열의 기울기 제곱을 더 거칠게 기억",
            },
            differences=(
                "첫 스텝은 참조 구현처럼 통계만 시작하고 아무것도 움직이지 않습니다.",
                "고유 벡터를 구하기 전에 두 인자의 대각선에 대각합의 0.1%에서 0까지 내려가는 경사를 더합니다. 이것이 "
                "없으면 대부분의 행렬에서 처음 기저가 반올림 오차로 정해집니다.",
                "편향은 학습률에서 보정합니다. 그래서 참조 구현처럼 eps가 보정되지 않은 제곱근과 비교됩니다.",
                "참조 구현이 float32로 계산하는 곳에서도 이 규칙은 파라미터의 정밀도로 계산합니다.",
                "참조 구현은 작은 변을 합칠 수도 있지만, 그때는 원소가 max_precondition_dim개 이하인 모든 행렬을 "
                "거부하므로 비교할 수 있는 것이 없습니다. 이 규칙은 이 기능도, 이 기능에만 의미가 있는 변의 순서도 "
                "제공하지 않습니다.",
                "돌릴 수 있는 가장 긴 변은 10000으로, 참조 구현의 max_precondition_dim 기본값입니다. 상태의 형태가 이 "
                "값에 좌우되므로 함께 학습하는 시행끼리 다를 수 없습니다.",
            ),
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "제곱과 외적의 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "shampoo_beta": "외적의 평균을 유지하는 비율. 0이면 beta2",
                "refresh": "기저를 다시 돌릴 때까지의 스텝 수. 정수",
                "weight_decay": "한 스텝에 줄어드는 가중치의 비율. lr을 곱함",
            },
        ),
    ),
    family=("adam", "in the axes in which a matrix's gradients vary most"),
    torch_class="gradrace.optim.SOAP",
    class_name="SOAP",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "precondition_frequency": "refresh",
        "weight_decay": "weight_decay",
        "precondition_1d": "vectors",
        "shampoo_beta": "shampoo_beta",
        "correct_bias": "bias_correction",
        "normalize_gradient": "normalized",
    },
    options={"vectors": False, "bias_correction": True, "normalized": False},
    oracle_class="oracles.SOAP",  # tests/oracles.py: pytorch_optimizer.SOAP with the same slope, in full precision
    elementwise=False,
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "refresh": 3.0, "weight_decay": 0.1}),
        Case({"lr": 0.03, "eps": 1e-3, "refresh": 1.0, "weight_decay": 0.0}, {"vectors": True}),
        Case({"shampoo_beta": 0.8}, {"normalized": True}),
        Case({"beta2": 0.9}, {"bias_correction": False}),
    ),
    bad_inputs=(
        BadInput({"beta1": 1.0}, "beta1 must be a number at least 0 and below 1, but is 1.0"),
        BadInput({"refresh": 0.0}, "refresh must be a number at least 1, but is 0.0"),
    ),
)
