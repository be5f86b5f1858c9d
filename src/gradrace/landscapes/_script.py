"""What was recorded of an update rule or a surface, as a function of JavaScript.

The script does the operations that the rule does in PyTorch, in the same order and in the same float64. JavaScript's
``+ - * /`` and ``Math.sqrt`` round as IEEE 754 says, as PyTorch's do; ``Math.pow``, ``exp``, ``log``, ``cos`` and
``sin`` may differ from C's in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from gradrace.landscapes._unrolled import Atom, Unroller, words_of
from gradrace.landscapes.surfaces import Surface
from gradrace.optim._trace import Operation, Untraceable, Value
from gradrace.optimizers import Optimizer, TorchOptimizer
from gradrace.optimizers._base import Tree

SHAPE = (1, 2)
"""The point of a landscape is a matrix of one row, so that rules for matrices move it as they move matrices."""

PRELUDE = "const { abs: fabs, atan2, cos, exp, log, pow, sin, sqrt, tanh } = Math;"
"""The names that functions go by in the scripts."""

Lines = list[str]


@dataclass(frozen=True)
class Program:
    """A rule in JavaScript. ``size``: how many numbers its state holds."""

    script: str
    size: int


def rule_program(optimizer: Optimizer | TorchOptimizer) -> Program:
    """An update rule with its default options, as ``{size, init, step}``.

    ``init(x0, x1, s)`` fills the state ``s`` for a start ``(x0, x1)``; ``step(g0, g1, x0, x1, s, h, t, u)`` takes a
    gradient, hyperparameters ``h`` by name and the step 1, 2, …, fills the update ``u`` and advances ``s``.

    Raises:
        Untraceable: the rule does what cannot be written as operations on single numbers; the message says what.
    """
    if not isinstance(optimizer, Optimizer):
        raise Untraceable("a step of its own class")
    options = optimizer.with_options(None, optimizer.configure())
    absent = {n for n, known in optimizer.hyperparameters.items() if known.absent_at_zero and known.default == 0}
    params = {"point": _number().expand(SHAPE).clone()}
    unroller = Unroller()
    point = unroller.input(params["point"])
    with torch.no_grad(), unroller:
        fresh, form = tree_flatten(optimizer.rule.init(params, options))
    start = [atom for leaf in fresh for atom in unroller.atoms(leaf)]
    init = _function("x0, x1, s", dict(zip(("x0", "x1"), point, strict=True)), unroller, _targets("s", start))

    unroller = Unroller()
    params = {"point": _number().expand(SHAPE).clone()}
    grads: Tree = {"point": _number().expand(SHAPE).clone()}
    state = [torch.full_like(leaf, 0.5) for leaf in fresh]
    hyper = {name: None if name in absent else _number() for name in optimizer.hyperparameters}
    step = torch.tensor(2.0, dtype=torch.float64)
    given = [*unroller.input(grads["point"]), *unroller.input(params["point"])]
    inputs = dict(zip(("g0", "g1", "x0", "x1"), given, strict=True))
    held = [value for leaf in state for value in unroller.input(leaf)]
    inputs |= {f"s[{place}]": value for place, value in enumerate(held)}
    inputs |= {f"h.{name}": unroller.input(value)[0] for name, value in hyper.items() if value is not None}
    inputs |= {"t": unroller.input(step)[0]}
    with torch.no_grad(), unroller:
        updates, new = optimizer.rule.update(
            grads, tree_unflatten(state, form), params, optimizer.hyper(**hyper), step, options
        )
    after, _ = tree_flatten(new)
    outputs = _targets("u", unroller.atoms(updates["point"]))
    if [leaf.shape for leaf in after] != [leaf.shape for leaf in fresh]:
        raise Untraceable("a state that changes its form")
    ends = [atom for leaf in after for atom in unroller.atoms(leaf)]
    outputs |= {
        f"s[{place}]": atom for place, (atom, before) in enumerate(zip(ends, held, strict=True)) if atom != before
    }
    body = _function("g0, g1, x0, x1, s, h, t, u", inputs, unroller, outputs)
    return Program(f"{{ size: {len(start)},\n  init: {init},\n  step: {body} }}", len(start))


def surface_program(surface: Surface) -> str:
    """A surface in JavaScript: ``{value(x, y), gradient(x, y, g)}``; the latter fills ``g`` and returns the value too.

    The gradient is that of PyTorch's automatic differentiation, recorded while it runs.

    Raises:
        Untraceable: its value takes more than operations on single numbers.
    """
    functions = []
    for name, parameters in (("value", "x, y"), ("gradient", "x, y, g")):
        unroller = Unroller()
        x, y = _number().requires_grad_(), _number().requires_grad_()
        inputs = {"x": unroller.input(x)[0], "y": unroller.input(y)[0]}
        with unroller:
            value = surface.value(x, y)
            slopes = torch.autograd.grad(value, (x, y)) if name == "gradient" else ()
        outputs = {f"g[{place}]": unroller.atoms(slope)[0] for place, slope in enumerate(slopes)}
        functions.append(
            f"{name}: " + _function(parameters, inputs, unroller, outputs, returned=unroller.atoms(value)[0])
        )
    return "{ " + ",\n  ".join(functions) + " }"


def _number() -> Tensor:
    return torch.tensor(0.5, dtype=torch.float64)


def _targets(array: str, atoms: Sequence[Atom]) -> dict[str, Atom]:
    return {f"{array}[{place}]": atom for place, atom in enumerate(atoms)}


def _function(
    parameters: str,
    inputs: Mapping[str, Value],
    unroller: Unroller,
    outputs: Mapping[str, Atom],
    returned: Atom | None = None,
) -> str:
    """An arrow function of what the outputs need. Inputs are read before anything is written."""
    asked = [*outputs.values(), *([] if returned is None else [returned])]
    needed = {atom.place for atom in asked if isinstance(atom, Value)}
    kept: list[Operation] = []
    for operation in reversed(unroller.operations):
        if operation.result.place in needed:
            kept.append(operation)
            needed |= {argument.place for argument in operation.arguments if isinstance(argument, Value)}
    lines = [f"const {_name(value)} = {name};" for name, value in inputs.items() if value.place in needed]
    lines += [
        f"const {_name(o.result)} = {words_of(o).format(*map(_written, o.arguments), f='')};" for o in reversed(kept)
    ]
    lines += [f"{target} = {_written(atom)};" for target, atom in outputs.items()]
    lines += [] if returned is None else [f"return {_written(returned)};"]
    return f"({parameters}) => {{ {' '.join(lines)} }}"


def _name(value: Value) -> str:
    return f"v{value.place}"


def _written(argument: Any) -> str:
    if isinstance(argument, Value):
        return _name(argument)
    if argument is None:
        return ""
    if isinstance(argument, bool):
        return str(argument).lower()
    number = float(argument)
    if math.isinf(number) or math.isnan(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "(-Infinity)"
    text = repr(number)
    return f"({text})" if text.startswith("-") else text
