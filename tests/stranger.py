"""An optimizer of a stranger's: SGD, of which tests break one thing at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradrace.optimizers import Card, Hyperparameter, Optimizer, PerTensor
from gradrace.space import LogUniform


class State(NamedTuple):
    total: Tensor


class Hyper(NamedTuple):
    lr: Tensor


def init(param: Tensor) -> State:
    return State(torch.zeros_like(param))


def update(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> tuple[Tensor, State]:
    return -hyper.lr.to(param.dtype) * grad, State(state.total + grad)


CARD = Card(
    title="Stranger's SGD",
    idea="SGD.",
    formula=("w <- w - lr * g",),
    use="Tests.",
    paper="None",
    link="https://example.org",
)

LR = Hyperparameter(0.01, "learning rate")
SPACE = {"lr": LogUniform(1e-4, 10)}


def stranger(
    update_tensor: Callable[..., Any] = update,
    init_tensor: Callable[..., Any] = init,
    hyperparameters: Mapping[str, Hyperparameter] | None = None,
    **changes: Any,
) -> Optimizer:
    return Optimizer(
        **{
            "name": "stranger",
            "rule": PerTensor(init_tensor, update_tensor),
            "hyper": Hyper,
            "hyperparameters": hyperparameters or {"lr": LR},
            "space": SPACE,
            "card": CARD,
            "torch_class": "gradrace.optim.Stranger",
            "arguments": {"lr": "lr"},
            **changes,
        }
    )


def stepped(change: Callable[..., Any], **changes: Any) -> Optimizer:
    """``change(grad, state, param, lr, step)`` as the update of each tensor, with the state as it was."""

    def of(grad: Tensor, state: State, param: Tensor, hyper: Hyper, step: Tensor) -> Any:
        return change(grad, state, param, hyper.lr.to(param.dtype), step), State(state.total + grad)

    return stranger(of, **changes)
