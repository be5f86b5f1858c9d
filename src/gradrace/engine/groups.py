"""The rows of a vectorized block that one optimizer updates, with their state."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap
from torch.utils._pytree import tree_map, tree_structure, tree_unflatten

from gradrace.engine.native import Update
from gradrace.engine.programs import Layout, Programs
from gradrace.engine.trial import Training, TrialSetup, rule_of
from gradrace.optim._kernel import Rows, rows_kernel
from gradrace.optim._method import Kind, leaves, method


class Group:
    """Neighbouring rows of a block that one optimizer updates, with their state.

    Elementwise rules see all parameters of a trial as one vector. Where the machine has a C compiler their steps are
    one generated function that passes once over parameters, gradients and state (see
    docs/decisions/0009-drop-in-step.md); elsewhere, and for all other rules, the rule itself runs, vectorized.
    """

    def __init__(self, setups: Sequence[TrialSetup], start: int, layout: Layout, training: Training) -> None:
        self.optimizer, self.options, self.layout = rule_of(setups[0]), dict(setups[0].options), layout
        self.setups, self.start, self.training = list(setups), start, training
        self.state: Any = None
        self._hyper = self.optimizer.hyper_tensors([dict(setup.hyper) for setup in setups], training.device)
        self.rates: Tensor = self._hyper.lr
        """Learning rates, float64 [rows]."""
        names = [n for n, value in zip(self._hyper._fields, self._hyper, strict=True) if value is not None]
        self._present = {name: getattr(self._hyper, name) for name in names}
        self._kernel = self._compiled()
        self._numbers = torch.empty(0)
        self._waiting: list[Tensor] = []

    @property
    def rows(self) -> slice:
        """Where they are in the block."""
        return slice(self.start, self.start + len(self.setups))

    def _compiled(self) -> Rows | None:
        if self.training.device != "cpu" or not self.optimizer.elementwise:
            return None
        absent = frozenset(set(self._hyper._fields) - set(self._present))
        return rows_kernel(method(self.optimizer, tuple(self.options.items()), absent, False), self.training.dtype)

    def _tree(self, row: Tensor) -> dict[str, Tensor]:
        return {"": row} if self.optimizer.elementwise else self.layout.tree(row)

    def _row(self, tree: dict[str, Tensor]) -> Tensor:
        return tree[""] if self.optimizer.elementwise else self.layout.row(tree)

    def begin(self, params: Tensor) -> None:
        """The state before the first step, from these rows' parameters [rows, P]."""
        state = vmap(lambda row: self.optimizer.rule.init(self._tree(row), self.options))(params)
        # ``vmap`` may expand one tensor over all rows, and pure rules may give one tensor two names: copied out.
        self.state = tree_map(lambda tensor: tensor.clone(memory_format=torch.contiguous_format), state)

    def open(self) -> None:
        """Make ready for some steps."""
        if self._kernel is not None:
            columns = {**self._present, **self._fields(Kind.SCALAR)}
            self._numbers = torch.zeros(len(self.setups), len(self._kernel.numbers), dtype=torch.float64)
            for place, name in enumerate(self._kernel.numbers):
                if name in columns:
                    self._numbers[:, place] = columns[name]
            self._like = self._fields(Kind.LIKE)

    def close(self) -> None:
        """After some steps: the state is whole again."""
        for name, tensor in self._fields(Kind.SCALAR).items() if self._kernel is not None else ():
            tensor.copy_(self._numbers[:, self._places[name]])

    @cached_property
    def _places(self) -> dict[str, int]:
        assert self._kernel is not None
        return {name: place for place, name in enumerate(self._kernel.numbers)}

    def _fields(self, kind: Kind) -> dict[str, Tensor]:
        assert self._kernel is not None
        named = dict(leaves(self.state[""]))
        return {name: named[name] for name in self._kernel.method.fields(kind)}

    def step(
        self,
        programs: Programs,
        params: Tensor,
        grads: Tensor,
        rows: slice,
        step: int,
        clock: Tensor,
        factors: Tensor | None,
    ) -> None:
        """Move some of these rows' parameters and state on by one step; or wait for the gradients of the others.

        Args:
            programs: of the workload.
            params: of all trials of the block [trials, P]; changed in place.
            grads: of the rows [rows, P].
            rows: which rows of the block.
            step: which step this is, from 1.
            clock: the same as float64 of shape () on the device.
            factors: the share of its learning rate that each trial uses, float64 [trials]; None for all of it.
        """
        if self._kernel is not None:
            grads = grads.contiguous()
            own = slice(rows.start - self.start, rows.stop - self.start)
            numbers, places = self._numbers[own], self._places
            numbers[:, places["step"]] = step
            if factors is not None:
                numbers[:, places["lr"]] = self.rates[own] * factors[rows]
            self._kernel(grads, params[rows], {name: tensor[own] for name, tensor in self._like.items()}, numbers)
            return
        self._waiting.append(grads)
        if rows.stop == self.rows.stop:
            grads = torch.cat(self._waiting) if len(self._waiting) > 1 else grads
            self._waiting = []
            shares = None if factors is None else factors[self.rows]
            params[self.rows] += self._updates(programs, params[self.rows], grads, clock, shares)

    @property
    def one_function(self) -> bool:
        """Whether a step of these rows is one compiled function: see ``update``."""
        return self._kernel is not None

    def update(self, params: Tensor, gradient: Tensor, factors: Tensor | None) -> Update:
        """What moves these rows on, for a compiled program to call.

        Args:
            params: of all trials of the block [trials, P].
            gradient: room for one trial's gradient [P].
            factors: the shares of their learning rates that these rows use, float64 [steps, rows].
        """
        assert self._kernel is not None
        fields = [self._like[name] for name in self._kernel.like]
        clock, rate = self._places["step"], self._places["lr"]
        return Update(
            self._kernel, gradient, params[self.rows], fields, self._numbers, clock, rate, self.rates, factors
        )

    def _updates(
        self, programs: Programs, params: Tensor, grads: Tensor, clock: Tensor, factors: Tensor | None
    ) -> Tensor:
        """What the rule adds to these rows' parameters [rows, P]; moves the state on."""
        names, values, record = list(self._present), list(self._present.values()), type(self._hyper)

        def one(row: Tensor, grad: Tensor, state: Any, values: list[Tensor], step: Tensor, factor: Tensor) -> Any:
            full = _full(record, names, values)
            full = full._replace(lr=full.lr * factor)
            updates, state = self.optimizer.rule.update(
                self._tree(grad), state, self._tree(row), full, step, self.options
            )
            return self._row(updates), state

        factors = torch.ones_like(self.rates) if factors is None else factors
        key = ("update", self.optimizer, tuple(self.options.items()), tuple(names))
        axes = (0, 0, 0, 0, None, 0)
        updates, self.state = programs.run(key, one, axes, params, grads, self.state, values, clock, factors)
        return updates

    def evaluated(self, params: Tensor) -> Tensor:
        """The parameters [rows, P] that these rows are evaluated with; those that are trained stay as they are."""
        evaluated = self.optimizer.evaluated
        if evaluated is None:
            return params
        names, record = list(self._present), type(self._hyper)

        def one(row: Tensor, state: Any, values: list[Tensor]) -> Tensor:
            return self._row(evaluated(self._tree(row), state, _full(record, names, values), self.options))

        return vmap(one)(params, self.state, list(self._present.values()))

    def load(self, leaves: Sequence[Any]) -> None:
        """Have the state whose leaves these are."""
        self.state = tree_unflatten(list(leaves), tree_structure(self.state))

    def copied(self) -> Group:
        """The same rows with a state of their own."""
        other = Group(self.setups, self.start, self.layout, self.training)
        other.state = tree_map(torch.clone, self.state)
        return other

    def kept(self, members: Sequence[int], start: int) -> Group:
        """These rows of the group, to be found from ``start`` on."""
        other = Group([self.setups[member] for member in members], start, self.layout, self.training)
        other.state = tree_map(lambda tensor: tensor[list(members)], self.state)
        return other


def _full(record: Any, names: list[str], values: list[Tensor]) -> Any:
    """A record with these values, and None for the absent."""
    return record(**{**dict.fromkeys(record._fields), **dict(zip(names, values, strict=True))})


def grouped(setups: Sequence[TrialSetup], layout: Layout, training: Training) -> list[Group]:
    """Runs of neighbours with the same optimizer and options."""
    runs: list[list[TrialSetup]] = []
    for setup in setups:
        last = runs[-1][-1] if runs else None
        alike = last is not None and last.optimizer is setup.optimizer and last.options == setup.options
        if last is not None and alike and last.group == setup.group:
            runs[-1].append(setup)
        else:
            runs.append([setup])
    starts = [sum(map(len, runs[:place])) for place in range(len(runs))]
    return [Group(run, start, layout, training) for run, start in zip(runs, starts, strict=True)]
