"""What one step of a parameter group applies: a rule with its options, and the group's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from gradrace.optimizers import Optimizer, PerTensor, Rescaled


class Kind(Enum):
    """How a field of the state relates to its parameter."""

    LIKE = "shape of the parameter"
    SCALAR = "shape (): the same for all parameters that stepped together"
    ABSENT = "left out by the options"
    OTHER = "any other shape"


def leaves(record: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state record, which may hold records and tuples, by name."""
    for name, value in _parts(record):
        if isinstance(value, Tensor):
            yield prefix + name, value
        else:
            yield from leaves(value, f"{prefix}{name}.")


def filled(record: Any, values: Mapping[str, Tensor], prefix: str = "") -> Any:
    """A record of the same form that holds ``values``."""
    new = [
        values[prefix + name] if isinstance(value, Tensor) else filled(value, values, f"{prefix}{name}.")
        for name, value in _parts(record)
    ]
    return type(record)(*new) if hasattr(record, "_fields") else type(record)(new)


def _parts(record: Any) -> Iterator[tuple[str, Any]]:
    names = getattr(record, "_fields", None) or map(str, range(len(record)))
    return zip(names, record, strict=True)


@dataclass(frozen=True)
class Method:
    """A rule with all that changes its structure. ``absent`` names the hyperparameters that it receives as None."""

    optimizer: Optimizer
    options: tuple[tuple[str, bool], ...]
    absent: frozenset[str]
    maximize: bool

    def __hash__(self) -> int:
        return hash((id(self.optimizer), self.options, self.absent, self.maximize))

    @cached_property
    def rule(self) -> PerTensor:
        """The rule for one tensor.

        Raises:
            TypeError: it looks at all parameters at once.
        """
        rule = self.optimizer.rule
        if isinstance(rule, Rescaled):
            return rule.tensors
        if not isinstance(rule, PerTensor):
            raise TypeError(f"The rule of '{self.optimizer.name}' is not one for a single tensor.")
        return rule

    @cached_property
    def tensor_by_tensor(self) -> bool:
        """Whether there is such a rule."""
        return isinstance(self.optimizer.rule, PerTensor | Rescaled)

    def factor(self, grads: Callable[[], dict[str, Tensor]], hyper: Mapping[str, Any]) -> Tensor | None:
        """What all gradients are multiplied by first, if anything."""
        rule = self.optimizer.rule
        if not isinstance(rule, Rescaled) or not (found := grads()):
            return None
        return rule.factor(found, self.hyper_record(hyper), dict(self.options))

    @cached_property
    def template(self) -> Any:
        """A state record, for its form."""
        return self.rule.init_tensor(torch.zeros(2), **dict(self.options))

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Every field of the state, by the rule's own names. Known only where the form is the same for all shapes."""
        shapes = {(2,): Kind.LIKE, (): Kind.SCALAR, (0,): Kind.ABSENT}
        return {name: shapes.get(tuple(value.shape), Kind.OTHER) for name, value in leaves(self.template)}

    @cached_property
    def keys(self) -> dict[str, str]:
        """What the fields that there are are called in ``state[param]``: PyTorch's names where it has them."""
        return self._named(name for name, kind in self.kinds.items() if kind is not Kind.ABSENT)

    @cached_property
    def flat(self) -> bool:
        """Whether parameters that stepped together may be updated as one vector."""
        alone = self.optimizer.elementwise and isinstance(self.optimizer.rule, PerTensor)
        return alone and Kind.OTHER not in self.kinds.values()

    @cached_property
    def _forms(self) -> dict[torch.Size, Any]:
        return {}

    def form_of(self, param: Tensor) -> Any:
        """A state record of one parameter, for its form."""
        if self.flat:
            return self.template
        if param.shape not in self._forms:
            fresh = self.rule.init_tensor(torch.zeros(param.shape), **dict(self.options))
            shapes = {name: torch.empty_like(value, device="meta") for name, value in leaves(fresh)}
            self._forms[param.shape] = filled(fresh, shapes)
        return self._forms[param.shape]

    def keys_of(self, param: Tensor) -> dict[str, str]:
        """``keys``, for a rule whose state may take another form for another shape."""
        return self.keys if self.flat else self._named(name for name, _ in leaves(self.form_of(param)))

    def _named(self, fields: Iterable[str]) -> dict[str, str]:
        return {name: self.optimizer.torch_state.get(name, name) for name in fields}

    @cached_property
    def present(self) -> tuple[str, ...]:
        """The hyperparameters that the rule receives, in order."""
        return tuple(name for name in self.optimizer.hyperparameters if name not in self.absent)

    def fields(self, kind: Kind) -> list[str]:
        """The names of the fields of one kind."""
        return [name for name, other in self.kinds.items() if other is kind]

    def init(self, param: Tensor, hyper: Mapping[str, Any]) -> dict[str, Tensor]:
        """The state of one parameter before its first step, by the rule's own names."""
        fields = dict(leaves(self.rule.init_tensor(param.detach(), **dict(self.options))))
        for name, source in self.optimizer.starting_values.items():
            value = float(hyper[source])
            fields[name] = torch.full_like(param, complex(value, value) if param.is_complex() else value)
        # Pure rules may give one tensor two names; here each is changed in place, so each has memory of its own.
        taken = {param.untyped_storage().data_ptr()}
        for name, value in fields.items():
            place = value.untyped_storage().data_ptr()
            fields[name] = value.clone() if place in taken else value
            taken.add(place)
        return {name: fields[name] for name in self.keys_of(param)}

    def update(
        self, grad: Tensor, fields: Mapping[str, Tensor], param: Tensor, hyper: Any, step: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The rule applied to one tensor: the update, and the fields of the new state that there are."""
        record = self._record(fields, param)
        update, new = self.rule.update_tensor(grad, record, param, hyper, step, **dict(self.options))
        there = self.keys if self.flat else fields
        return update, {name: value for name, value in leaves(new) if name in there}

    def record(self, entry: Mapping[str, Any], param: Tensor) -> Any:
        """The state record that the rule takes, from ``state[param]``."""
        return self._record({name: entry[key] for name, key in self.keys_of(param).items()}, param)

    def _record(self, fields: Mapping[str, Tensor], param: Tensor) -> Any:
        missing = {name: param.new_zeros(0) for name in self.kinds if name not in fields} if self.flat else {}
        return filled(self.form_of(param), {**fields, **missing})

    def hyper_record(self, hyper: Mapping[str, Any]) -> Any:
        """The hyperparameters as float64 tensors of shape (); None where absent."""
        return self.optimizer.hyper(**{n: None if n in self.absent else _number(v) for n, v in hyper.items()})


def _number(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().to(torch.float64).reshape(())
    return torch.tensor(value, dtype=torch.float64)


@cache
def method(
    optimizer: Optimizer, options: tuple[tuple[str, bool], ...], absent: frozenset[str], maximize: bool
) -> Method:
    """The one ``Method`` with this structure, so that what is computed for it is computed once."""
    return Method(optimizer, options, absent, maximize)
