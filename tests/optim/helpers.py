"""What the tests of the drop-in optimizers share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Parameter

from gradrace.optim import RuleOptimizer, drop_in
from gradrace.optim._classes import classes
from gradrace.optimizers import Hyperparameter, Optimizer, PerTensor
from gradrace.optimizers import optimizer as named

CLASSES = classes()
NAMES = sorted(CLASSES)
TWINS = [name for name in NAMES if CLASSES[name].rule.torch_class == f"torch.optim.{name}"]
DTYPES = {torch.float64: 1e-10, torch.float32: 1e-5}
SHAPES = ((3, 4), (), (7,), (0,), (2, 3, 4, 5))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def values(
    shapes: Sequence[tuple[int, ...]] = SHAPES, dtype: torch.dtype = torch.float64, seed: int = 0
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype) for shape in shapes]


def parameters(shapes: Sequence[tuple[int, ...]] = SHAPES, dtype: torch.dtype = torch.float64) -> list[Parameter]:
    return [Parameter(value) for value in values(shapes, dtype)]


def gradients(params: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Noise, laid out in memory as the parameters are."""
    noise = values([tuple(param.shape) for param in params], seed=1000 + seed)
    return [torch.empty_like(param).copy_(values) for param, values in zip(params, noise, strict=True)]


def give_gradients(params: Sequence[Tensor], seed: int) -> None:
    for param, grad in zip(params, gradients(params, seed), strict=True):
        param.grad = grad


def train(optimizer: torch.optim.Optimizer, params: Sequence[Tensor], steps: int, first: int = 0) -> list[Tensor]:
    """Steps with gradients of noise; the parameters afterwards."""
    for step in range(first, first + steps):
        give_gradients(params, step)
        optimizer.step()
    return [param.detach().clone() for param in params]


def distance(got: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Largest difference relative to the size of the tensor."""
    pairs = [(g.detach().double(), w.detach().double()) for g, w in zip(got, wanted, strict=True) if w.numel()]
    return max(float((g - w).norm() / w.norm().clamp(min=1e-12)) for g, w in pairs)


def literal(
    optimizer: Optimizer, params: Sequence[Tensor], steps: int, hyper: Mapping[str, float], options: Mapping[str, bool]
) -> list[list[Tensor]]:
    """The pure rule on the same gradients: the parameters after every step."""
    options = optimizer.with_options(options, hyper)
    tree = {str(place): param.detach().clone() for place, param in enumerate(params)}
    state = optimizer.rule.init(tree, options)
    columns = optimizer.hyper_tensors([optimizer.configure(hyper)])
    record = type(columns)(*(None if column is None else column[0] for column in columns))
    after = []
    for step in range(steps):
        grads = dict(zip(tree, gradients([param.detach() for param in params], step), strict=True))
        count = torch.tensor(step + 1.0, dtype=torch.float64)
        updates, state = optimizer.rule.update(grads, state, tree, record, count, options)
        tree = {name: param + updates[name] for name, param in tree.items()}
        after.append([tree[name].clone() for name in tree])
    return after


def made(
    optimizer: Optimizer, params: Any, hyper: Mapping[str, float], options: Mapping[str, bool], **more: Any
) -> RuleOptimizer:
    """The drop-in for hyperparameters and options by gradrace's names."""
    kind = drop_in(optimizer, **options)
    return kind(params, **kind.arguments.keywords(optimizer.configure(hyper), options), **more)


class State(NamedTuple):
    """Mean gradient of every tensor, and a number that all share."""

    means: dict[str, Tensor]
    longest: Tensor


class WholeRule:
    """A rule that looks at all tensors at once: normalized by the largest gradient norm so far."""

    def init(self, params: dict[str, Tensor], options: Mapping[str, bool]) -> State:
        zeros = {name: torch.zeros_like(param) for name, param in params.items()}
        return State(zeros, torch.zeros((), dtype=torch.float64))

    def update(
        self, grads: dict[str, Tensor], state: State, params: Any, hyper: Any, step: Tensor, options: Mapping[str, bool]
    ) -> tuple[dict[str, Tensor], State]:
        norm = torch.stack([grad.double().square().sum() for grad in grads.values()]).sum().sqrt()
        longest = torch.maximum(state.longest, norm)
        means = {name: 0.9 * state.means[name] + grad for name, grad in grads.items()}
        return {n: (-hyper.lr / longest).to(m.dtype) * m for n, m in means.items()}, State(means, longest)


class Hyper(NamedTuple):
    """Of the optimizers below."""

    lr: Tensor


def custom(rule: Any, **more: Any) -> Optimizer:
    """An optimizer of a third party, with one hyperparameter."""
    return Optimizer(
        name="custom",
        rule=rule,
        hyper=Hyper,
        hyperparameters={"lr": Hyperparameter(0.1, "learning rate")},
        space={},
        card=named("sgd").card,
        torch_class="gradrace.optim.Custom",
        arguments={"lr": "lr"},
        **more,
    )


def per_tensor(init: Callable[..., Any], update: Callable[..., Any], **more: Any) -> Optimizer:
    return custom(PerTensor(init, update), **more)


WHOLE = custom(WholeRule(), elementwise=False)
