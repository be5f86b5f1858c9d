"""Prodigy: Adam whose learning rate is estimated on the way, from how far the parameters have had to go."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import adam
from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, Optimizer, Tree
from gradrace.optimizers._parts import bias_correction, decay_pace, descent, like, with_decoupled_decay
from gradrace.space import LogUniform


class Memory(NamedTuple):
    """What one parameter remembers, in its shape and dtype: sums are in units of d, ``start`` is its first value."""

    mean: Tensor
    square: Tensor
    slope: Tensor
    start: Tensor


class State(NamedTuple):
    """``memory`` of every parameter, and three numbers of the whole trial: float64, ().

    ``growth`` is d / d0, and ``largest`` the largest estimate so far in that unit.
    """

    memory: dict[str, Memory]
    growth: Tensor
    largest: Tensor
    numerator: Tensor


class Hyper(NamedTuple):
    """Float64, shape () each; None where absent."""

    lr: Tensor
    beta1: Tensor
    beta2: Tensor
    beta3: Tensor | None
    eps: Tensor
    d0: Tensor
    d_coef: Tensor
    growth_rate: Tensor | None
    weight_decay: Tensor | None


class Prodigy:
    """The rule; its estimate d belongs to all parameters of a trial together."""

    def init(self, params: Tree, options: Mapping[str, bool]) -> State:
        """Averages of nothing, and an estimate of d0, which only the update knows."""

        def memory(param: Tensor) -> Memory:
            zero = torch.zeros_like(param)
            return Memory(zero, zero, zero, param.clone())

        one = torch.ones((), dtype=torch.float64, device=next(iter(params.values())).device)
        return State(
            {name: memory(param) for name, param in params.items()}, growth=one, largest=one.clone(), numerator=0 * one
        )

    def update(
        self, grads: Tree, state: State, params: Tree, hyper: Hyper, step: Tensor, options: Mapping[str, bool]
    ) -> tuple[Tree, State]:
        """``-lr * d * m / (sqrt(s) + d' * eps)``, with d' the estimate after this step's gradient and d before it.

        Where no gradient was seen at all there is nothing to estimate from, and nothing moves. With ``atan2`` the step
        is ``-lr * d * atan2(m, sqrt(s))``, which needs no eps.
        """
        d = hyper.d0 * state.growth
        lr = d * hyper.lr
        if options["bias_correction"]:
            lr = lr * bias_correction(hyper.beta2, step).sqrt() / bias_correction(hyper.beta1, step)
        slope_rate = state.growth * (d if options["safeguard_warmup"] else lr)
        beta3 = hyper.beta2.sqrt() if hyper.beta3 is None else hyper.beta3

        def remember(grad: Tensor, old: Memory) -> Memory:
            return Memory(
                mean=like(hyper.beta1, grad) * old.mean + like(d * (1 - hyper.beta1), grad) * grad,
                square=like(hyper.beta2, grad) * old.square + like(d * d * (1 - hyper.beta2), grad) * grad * grad,
                slope=like(beta3, grad) * old.slope + like(slope_rate, grad) * grad,
                start=old.start,
            )

        memory = {name: remember(grads[name], state.memory[name]) for name in params}
        gains = [(grads[name] * (own.start - params[name])).sum() for name, own in memory.items()]
        lengths = [own.slope.abs().sum() for own in memory.values()]
        numerator = beta3 * state.numerator + state.growth * lr * torch.stack(gains).double().sum()
        denominator = torch.stack(lengths).double().sum()
        seen = denominator > 0
        found = hyper.d_coef * numerator / torch.where(seen, denominator, 1) / hyper.d0
        largest = torch.where(seen, torch.maximum(state.largest, found), state.largest)
        growth = largest
        if hyper.growth_rate is not None:
            # The first estimate that is above d0 is taken as it is.
            taken = torch.where(state.growth == 1, torch.maximum(state.growth, found), state.growth)
            growth = torch.where(seen, torch.minimum(largest, taken * hyper.growth_rate), state.growth)
        eps = None if options["atan2"] else hyper.d0 * growth * hyper.eps
        lr, pace = (torch.where(seen, rate, 0) for rate in (lr, decay_pace(lr, options["fixed_decay"])))

        def move(own: Memory, param: Tensor) -> Tensor:
            root = own.square.sqrt()
            direction = torch.atan2(own.mean, root) if eps is None else own.mean / (root + like(eps, param))
            return with_decoupled_decay(descent(direction, lr), param, pace, hyper.weight_decay)

        moved = {name: move(own, params[name]) for name, own in memory.items()}
        return moved, State(memory, growth, largest, numerator)


def _oracle_arguments(hyper: Mapping[str, float], options: Mapping[str, bool]) -> dict[str, Any]:
    arguments = optimizer.torch_arguments(hyper, options)
    return {**arguments, "eps": None if arguments.pop("atan2") else hyper["eps"]}


optimizer = Optimizer(
    name="prodigy",
    rule=Prodigy(),
    hyper=Hyper,
    hyperparameters={
        "lr": Hyperparameter(1.0, "factor on the estimated learning rate; 1 is meant to do"),
        "beta1": adam.optimizer.hyperparameters["beta1"],
        "beta2": adam.optimizer.hyperparameters["beta2"],
        "beta3": Hyperparameter(
            0.0,
            "share of the sums behind the estimate that is kept; 0 for the root of beta2",
            high=1.0,
            absent_at_zero=True,
            absent_argument=None,
        ),
        "eps": adam.optimizer.hyperparameters["eps"],
        "d0": Hyperparameter(1e-6, "first estimate of the distance to go; it only grows", low_allowed=False),
        "d_coef": Hyperparameter(1.0, "factor on every later estimate"),
        "growth_rate": Hyperparameter(
            0.0,
            "largest factor by which the estimate grows in a step; 0 for any",
            absent_at_zero=True,
            absent_argument=math.inf,
        ),
        "weight_decay": Hyperparameter(0.0, "share of a weight lost in a step, times its length", absent_at_zero=True),
    },
    space={
        "lr": LogUniform(1e-2, 1e1),
        "beta1": adam.optimizer.space["beta1"],
        "d_coef": LogUniform(1e-1, 1e1, from_trials=26),
        "beta2": adam.optimizer.space["beta2"],
    },
    card=Card(
        title="Prodigy",
        idea="Adam that finds its own learning rate: from how far all parameters have come, seen along the gradients, "
        "it estimates the distance d that they have to go, and makes its steps about that long.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * d * g",
            "s <- beta2 * s + (1 - beta2) * d^2 * g^2",
            "r <- sqrt(beta2) * r + lr * d^2 * (g . (w0 - w))      (over all parameters)",
            "q <- sqrt(beta2) * q + lr * d^2 * g",
            "d' = max(d, d_coef * r / |q|_1)",
            "w <- w - lr * d * m / (sqrt(s) + d' * eps),  d <- d'",
        ),
        use="Fine-tuning image generators where nobody wants to look for a learning rate.",
        paper="Mishchenko and Defazio, Prodigy: An Expeditiously Adaptive Parameter-Free Learner, 2024",
        link="https://arxiv.org/abs/2306.06101",
        relatives={"adam": "Prodigy with a learning rate that is set, and with bias correction"},
        differences=(
            "In the step, eps is multiplied by the new estimate d' where the paper has d, as in the authors' code; "
            "that code also stores r and q divided by d0, which cancels.",
            "Any growth is written growth_rate=0 in a configuration, where infinity is no number; the class takes "
            "infinity, too. It takes atan2=True where the reference implementation takes eps=None.",
            "The reference implementation can also add weight decay to the gradient, but does so after the gradient "
            "was used: nothing is decayed. This rule does not offer it.",
        ),
        korean=Korean(
            title="Prodigy",
            idea="자신의 학습률을 스스로 찾는 Adam입니다. 모든 파라미터가 기울기 방향으로 얼마나 왔는지를 보고 가야 "
            "할 거리 d를 추정하며, 스텝을 대략 그 길이로 합니다.",
            use="학습률을 찾고 싶지 않을 때의 이미지 생성 모델 미세 조정.",
            relatives={
                "adam": "학습률을 직접 정하고 편향 보정이 있는 Prodigy",
            },
            differences=(
                "스텝에서 논문은 eps에 d를 곱하지만, 여기서는 저자 코드처럼 새 추정값 d'을 곱합니다. 저자 코드는 r과 "
                "q를 d0으로 나누어 저장하는데, 이는 상쇄됩니다.",
                "증가를 제한하지 않는 설정은 growth_rate=0으로 적습니다. 설정에서는 무한대를 수로 쓸 수 없기 "
                "때문이며, 클래스는 무한대도 받습니다. 참조 구현의 eps=None은 클래스에서 atan2=True에 해당합니다.",
                "참조 구현은 가중치 감쇠를 기울기에 더할 수도 있지만, 기울기를 쓴 다음에 더하므로 아무것도 감쇠되지 "
                "않습니다. 이 규칙은 이 기능을 제공하지 않습니다.",
            ),
            meanings={
                "lr": "추정한 학습률에 곱하는 배수. 1이면 충분하도록 설계됨",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "beta3": "추정에 쓰는 합을 유지하는 비율. 0이면 beta2의 제곱근",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "d0": "가야 할 거리의 첫 추정값. 커지기만 함",
                "d_coef": "이후의 모든 추정값에 곱하는 배수",
                "growth_rate": "추정값이 한 스텝에 커질 수 있는 최대 배수. 0이면 제한 없음",
                "weight_decay": "한 스텝에 줄어드는 가중치의 비율. 스텝의 길이를 곱함",
            },
        ),
    ),
    family=("adam", "estimates its learning rate on the way"),
    torch_class="gradrace.optim.Prodigy",
    arguments={
        "lr": "lr",
        "betas": ("beta1", "beta2"),
        "eps": "eps",
        "d0": "d0",
        "d_coef": "d_coef",
        "weight_decay": "weight_decay",
        "bias_correction": "bias_correction",
        "safeguard_warmup": "safeguard_warmup",
        "beta3": "beta3",
        "growth_rate": "growth_rate",
        "fixed_decay": "fixed_decay",
        "atan2": "atan2",
    },
    options={"bias_correction": False, "safeguard_warmup": False, "fixed_decay": False, "atan2": False},
    oracle_class="oracles.Prodigy",  # tests/oracles.py: pytorch_optimizer.Prodigy with sums in full precision
    oracle_arguments=_oracle_arguments,
    elementwise=False,
    cases=(
        Case(),
        Case({"lr": 3.0, "beta1": 0.5, "beta2": 0.9, "d0": 1e-3, "weight_decay": 0.01}),
        Case({"lr": 0.5, "d0": 1e-4, "d_coef": 2.0, "eps": 1e-3}, {"bias_correction": True}),
        Case({"d0": 1e-3, "weight_decay": 0.1}, {"bias_correction": True, "safeguard_warmup": True}),
        Case({"d0": 1e-3, "growth_rate": 1.1, "d_coef": 2.0, "weight_decay": 0.1}),
        Case({"d0": 1e-3, "beta3": 0.9, "weight_decay": 0.001}, {"fixed_decay": True}),
        Case({"d0": 1e-3, "growth_rate": 1.02, "weight_decay": 0.01}, {"atan2": True}),
    ),
    bad_inputs=(
        BadInput({"d0": 0.0}, "d0 must be a number above 0, but is 0.0"),
        BadInput({"beta2": 1.0}, "beta2 must be a number at least 0 and below 1, but is 1.0"),
    ),
)
