"""What one step of a parameter group applies: a rule with its options, and the group's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import Any

import torch
from torch import Tensor

from gradrace.optimizers import Optimizer, PerTensor


class Kind(Enum):
    """How a field of the state relates to its parameter."""

    LIKE = "shape of the parameter"
    SCALAR = "shape (): the same for all parameters that stepped together"
    ABSENT = "left out by the options"
    OTHER = "any other shape"


def leaves(record: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state record, which may hold records, by name."""
    for name, value in zip(record._fields, record, strict=True):
        if isinstance(value, Tensor):
            yield prefix + name, value
        else:
            yield from leaves(value, f"{prefix}{name}.")


def filled(record: Any, values: Mapping[str, Tensor], prefix: str = "") -> Any:
    """A record of the same form that holds ``values``."""
    return type(record)(
        *(
            values[prefix + name] if isinstance(value, Tensor) else filled(value, values, f"{prefix}{name}.")
            for name, value in zip(record._fields, record, strict=True)
        )
    )


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
        if not isinstance(self.optimizer.rule, PerTensor):
            raise TypeError(f"The rule of '{self.optimizer.name}' is not one for a single tensor.")
        return self.optimizer.rule

    @cached_property
    def template(self) -> Any:
        """A state record, for its form."""
        with torch.device("cpu"):
            return self.rule.init_tensor(torch.zeros(2), **dict(self.options))

    @cached_property
    def kinds(self) -> dict[str, Kind]:
        """Every field of the state, by the rule's own names."""
        if not self.optimizer.elementwise:  # the form may follow from the parameter's shape
            return {name: Kind.OTHER for name, _ in leaves(self.template)}
        shapes = {(2,): Kind.LIKE, (): Kind.SCALAR, (0,): Kind.ABSENT}
        return {name: shapes.get(tuple(value.shape), Kind.OTHER) for name, value in leaves(self.template)}

    @cached_property
    def keys(self) -> dict[str, str]:
        """What the fields that there are are called in ``state[param]``: PyTorch's names where it has them."""
        names = self.optimizer.torch_state
        return {name: names.get(name, name) for name, kind in self.kinds.items() if kind is not Kind.ABSENT}

    @cached_property
    def flat(self) -> bool:
        """Whether parameters that stepped together may be updated as one vector."""
        return Kind.OTHER not in self.kinds.values() and self.optimizer.elementwise

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
        return {name: fields[name] for name in self.keys}

    def update(
        self, grad: Tensor, fields: Mapping[str, Tensor], param: Tensor, hyper: Any, step: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The rule applied to one tensor: the update, and the fields of the new state that there are."""
        record = self._record(fields, param)
        update, new = self.rule.update_tensor(grad, record, param, hyper, step, **dict(self.options))
        return update, {name: value for name, value in leaves(new) if name in self.keys}

    def record(self, entry: Mapping[str, Any], param: Tensor) -> Any:
        """The state record that the rule takes, from ``state[param]``."""
        return self._record({name: entry[key] for name, key in self.keys.items()}, param)

    def _record(self, fields: Mapping[str, Tensor], param: Tensor) -> Any:
        missing = {name: param.new_zeros(0) for name in self.kinds if name not in fields}
        return filled(self.template, {**fields, **missing})

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
