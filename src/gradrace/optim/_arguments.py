"""The constructor's arguments: from PyTorch's conventions to the rule's hyperparameters and options, and back."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from functools import cached_property
from inspect import Parameter, Signature
from typing import Any, cast

from torch import Tensor

from gradrace.errors import SpecError
from gradrace.optim._method import Method, method
from gradrace.optimizers import Optimizer, optimizers

# What every class takes beside its method's own, as PyTorch's do.
SHARED: dict[str, Any] = {
    "maximize": False,
    "foreach": None,
    "capturable": False,
    "differentiable": False,
    "fused": None,
    "compile": "auto",
}
_REFUSED = {
    "capturable": "a step reads its numbers on the CPU, so that it cannot be captured in a CUDA graph",
    "differentiable": "a step changes parameters in place and cannot be differentiated through",
}
_SINGULAR = {"eps": "eps"}
_LABELS = {"lr": "learning rate", "eps": "epsilon value"}


def class_name(optimizer: Optimizer) -> str:
    """What ``gradrace.optim`` calls the drop-in class."""
    return optimizer.class_name or optimizer.name.capitalize()


class Arguments:
    """The arguments of one drop-in class.

    Where PyTorch has a class of the same name, the signature is PyTorch's. Of its arguments that the rule does not know
    (``momentum`` of SGD), another rule for the same class may (Momentum's); a group then uses that rule. Elsewhere the
    signature follows from what the optimizer declares. ``fixed`` options are the defaults.
    """

    def __init__(self, optimizer: Optimizer, fixed: Mapping[str, bool]) -> None:
        self.optimizer = optimizer
        self.options = optimizer.with_options(fixed)
        module, _, name = optimizer.torch_class.rpartition(".")
        twin = module.startswith("torch.optim") and name == class_name(optimizer)
        twin = twin and self.options == optimizer.options
        self._twin = getattr(importlib.import_module(module), name) if twin else None

    @cached_property
    def family(self) -> list[Optimizer]:
        """This optimizer, then others that stand for the same class of PyTorch."""
        others = optimizers().values() if self._twin else ()
        same = [other for other in others if other.torch_class == self.optimizer.torch_class]
        able = [other for other in same if set(_mapping(other)).issubset(self.signature.parameters)]
        return [self.optimizer, *(other for other in able if other is not self.optimizer)]

    @cached_property
    def beyond(self) -> dict[str, Any]:
        """Arguments of PyTorch's class that the rule does not know, with the values at which they do nothing."""
        known = {"params", *self.optimizer.arguments, *SHARED}
        return {name: p.default for name, p in self.signature.parameters.items() if self._twin and name not in known}

    @cached_property
    def signature(self) -> Signature:
        """Of the constructor, without self."""
        if self._twin:
            given = [p.replace(annotation=Parameter.empty) for p in inspect.signature(self._twin).parameters.values()]
        else:
            own = {"lr": self._default("lr")}
            own |= {argument: self._default(argument) for argument in self.optimizer.arguments}
            given = [Parameter("params", Parameter.POSITIONAL_OR_KEYWORD)]
            given += [Parameter(n, Parameter.POSITIONAL_OR_KEYWORD, default=value) for n, value in own.items()]
        taken = {p.name for p in given}
        more = {name: self._default(name) for name in self.unnamed(self.optimizer)} | SHARED
        given += [Parameter(n, Parameter.KEYWORD_ONLY, default=v) for n, v in more.items() if n not in taken]
        return Signature(sorted(given, key=lambda p: p.kind))

    @staticmethod
    def unnamed(optimizer: Optimizer) -> list[str]:
        """Hyperparameters and options that no argument of PyTorch's class stands for: they go by their own names."""
        named = {part for parts in optimizer.arguments.values() for part in _parts(parts)}
        everything = [*optimizer.hyperparameters, *(o for o in optimizer.options if o not in optimizer.implied)]
        return [name for name in everything if name not in named]

    def keywords(self, hyper: Mapping[str, float], options: Mapping[str, bool]) -> dict[str, Any]:
        """Hyperparameters and options by the rule's own names, as the constructor's keywords."""
        known = {**self.options, **options}
        own = {name: {**hyper, **known}[name] for name in self.unnamed(self.optimizer)}
        return {**self.optimizer.torch_arguments(hyper, known), **own}

    def check(self, group: Mapping[str, Any]) -> None:
        """Raise, as PyTorch's constructors do, unless a group's values are allowed."""
        for name, reason in _REFUSED.items():
            if group.get(name):
                raise ValueError(f"{name}={group[name]} is not supported: {reason}. Leave it at False.")
        if group.get("foreach") and group.get("fused"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        if group["compile"] not in (True, False, "auto"):
            raise ValueError(f"Invalid compile value: {group['compile']!r}. It is True, False or 'auto'.")
        optimizer = self.chosen(group)
        for argument, names in _mapping(optimizer).items():
            values = group[argument] if isinstance(names, tuple) else (group[argument],)
            if isinstance(names, tuple) and (not isinstance(values, tuple | list) or len(values) != len(names)):
                raise ValueError(f"Invalid {argument} value: {values!r}. It is a tuple of {len(names)} numbers.")
            for place, (name, given) in enumerate(zip(_parts(names), values, strict=True)):
                value = _meant(optimizer, name, given)
                several = isinstance(names, tuple)
                label = (
                    f"{_SINGULAR.get(argument, argument.removesuffix('s'))} parameter at index {place}"
                    if several
                    else argument
                )
                _check_value(optimizer, name, value, _LABELS.get(label, label if several else f"{label} value"))
        self._check_together(optimizer, group)

    def _check_together(self, optimizer: Optimizer, group: Mapping[str, Any]) -> None:
        method, hyper = self.resolve(group)
        for option, name in optimizer.excludes.items():
            if dict(method.options)[option] and name in method.present:
                raise ValueError(f"{option}=True needs {name}=0, but {name} is {hyper[name]!r}.")

    def chosen(self, group: Mapping[str, Any]) -> Optimizer:
        """The first optimizer of the family that knows every argument that is not at its default."""
        needed = {name for name, default in self.beyond.items() if group.get(name, default) != default}
        known = [o for o in self.family if needed.issubset(o.arguments)]
        if not known:
            unknown = [n for n in needed if not any(n in o.arguments for o in self.family)] or sorted(needed)
            raise ValueError(
                f"{class_name(self.optimizer)} does not support {unknown[0]}={group[unknown[0]]!r} here. "
                f"Leave it at {self.beyond[unknown[0]]!r}."
            )
        alike = [o for o in known if all(bool(group[n]) == o.options[n] for n in o.options if n in needed)]
        return (alike or known)[0]

    def resolve(self, group: Mapping[str, Any]) -> tuple[Method, dict[str, Any]]:
        """What a step of this group applies, and all hyperparameters: numbers or tensors of one element."""
        optimizer = self.chosen(group)
        values: dict[str | None, Any] = {}
        for argument, names in _mapping(optimizer).items():
            given = group[argument] if isinstance(names, tuple) else (group[argument],)
            pairs = zip(_parts(names), given, strict=True)
            values.update((name, _meant(optimizer, name, value)) for name, value in pairs)
        hyper = {name: values[name] for name in optimizer.hyperparameters}
        defaults = self.options if optimizer is self.optimizer else optimizer.options
        options = {name: bool(values.get(name, default)) for name, default in defaults.items()}
        present = {name for name, value in hyper.items() if isinstance(value, Tensor) or value != 0}
        options |= {option: True for option, name in optimizer.implied.items() if name in present}
        zeros = {n for n, known in optimizer.hyperparameters.items() if known.absent_at_zero and n not in present}
        absent = frozenset(zeros | set(optimizer.starting_values.values()))
        return method(optimizer, tuple(options.items()), absent, bool(group["maximize"])), hyper

    def _default(self, name: str) -> Any:
        known = self.optimizer.hyperparameters
        values: dict[str | None, Any] = {n: hyper.argument(hyper.default) for n, hyper in known.items()}
        values |= self.options | {None: None}
        parts = self.optimizer.arguments.get(name, name)
        return tuple(values[part] for part in parts) if isinstance(parts, tuple) else values[parts]


def _parts(names: str | tuple[str | None, ...]) -> tuple[str | None, ...]:
    return names if isinstance(names, tuple) else (names,)


def _meant(optimizer: Optimizer, name: str | None, argument: Any) -> Any:
    """The hyperparameter's value that an argument stands for, where PyTorch writes None or infinity for its absence."""
    known = None if name is None else optimizer.hyperparameters.get(name)
    return argument if known is None else known.value(argument)


def _mapping(optimizer: Optimizer) -> dict[str, Any]:
    return {**optimizer.arguments, **{name: name for name in Arguments.unnamed(optimizer)}}


def _check_value(optimizer: Optimizer, name: str | None, value: Any, label: str) -> None:
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"Tensor {name} must be 1-element, but has {value.numel()} elements.")
        value = float(value)
    if name is None and value is not None:
        raise ValueError(f"Invalid {label}: {value!r}. Here it is None.")
    if name is None or name not in optimizer.hyperparameters:
        return
    try:
        optimizer.hyperparameters[name].check(name, cast("float", value))
    except SpecError as error:
        raise ValueError(f"Invalid {label}: {value!r}. {error}") from None
