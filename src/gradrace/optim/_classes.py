"""From an optimizer to its class."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from gradrace.errors import SpecError
from gradrace.optim._arguments import Arguments, class_name
from gradrace.optim._rule_optimizer import RuleOptimizer
from gradrace.optimizers import Optimizer, optimizers
from gradrace.optimizers import optimizer as named


def drop_in(optimizer: str | Optimizer, **options: bool) -> type[RuleOptimizer]:
    """The class that applies an optimizer's rule; ``options`` such as ``nesterov=True`` become its defaults.

    Raises:
        SpecError: an unknown optimizer or option.
    """
    found = named(optimizer) if isinstance(optimizer, str) else optimizer
    chosen = found.with_options(options)
    return _made(found, tuple(sorted((name, value) for name, value in chosen.items() if value != found.options[name])))


@cache
def _made(optimizer: Optimizer, fixed: tuple[tuple[str, bool], ...]) -> type[RuleOptimizer]:
    arguments = Arguments(optimizer, dict(fixed))

    def reduce(self: RuleOptimizer) -> tuple[Any, ...]:
        known = optimizers().get(optimizer.name) is optimizer
        return _unfilled, (optimizer.name if known else optimizer, dict(fixed)), self.__getstate__()

    body = {
        "rule": optimizer,
        "arguments": arguments,
        "__doc__": _documentation(optimizer, arguments),
        "__module__": "gradrace.optim",
        "__reduce__": reduce,
        "__signature__": arguments.signature,
    }
    return type(class_name(optimizer), (RuleOptimizer,), body)


def _unfilled(optimizer: str | Optimizer, options: Mapping[str, bool]) -> RuleOptimizer:
    """An instance without contents, for copy and pickle."""
    made = drop_in(optimizer, **options)
    return made.__new__(made)


@cache
def classes() -> dict[str, type[RuleOptimizer]]:
    """The class of every known optimizer.

    Raises:
        SpecError: two would have the same name.
    """
    found: dict[str, type[RuleOptimizer]] = {}
    for optimizer in optimizers().values():
        name = class_name(optimizer)
        if name in found:
            raise SpecError(f"Optimizers '{found[name].rule.name}' and '{optimizer.name}' both have the class {name}.")
        found[name] = drop_in(optimizer)
    return found


def _documentation(optimizer: Optimizer, arguments: Arguments) -> str:
    known = optimizer.hyperparameters
    lines = [
        f"{optimizer.card.title}.",
        "",
        optimizer.card.idea,
        "",
        *(f"    {line}" for line in optimizer.card.formula),
    ]
    lines += ["", "Args:", "    params: tensors, named tensors, or groups with values of their own."]
    for argument, parts in {**optimizer.arguments, **{name: name for name in arguments.unnamed(optimizer)}}.items():
        names = parts if isinstance(parts, tuple) else (parts,)
        meanings = [known[name].meaning if name in known else "an option of the rule" for name in names if name]
        lines.append(f"    {argument}: {'; '.join(meanings)}.")
    lines += [
        "    maximize: climb instead of descend.",
        "    foreach, fused: accepted as wishes for speed; they change nothing.",
        "    capturable, differentiable: must be False.",
        "    compile: whether a step is compiled (CPU, with a C compiler): True, False, or 'auto', once it pays back.",
    ]
    return "\n".join(lines)
