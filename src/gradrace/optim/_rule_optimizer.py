"""The base of all drop-in classes: PyTorch's side of the contract, around a rule."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from gradrace.optim._arguments import Arguments
from gradrace.optim._kernel import rows_kernel
from gradrace.optim._literal import real, step_one, step_whole
from gradrace.optim._method import Method
from gradrace.optim._plan import Plan, same
from gradrace.optimizers import Optimizer


class RuleOptimizer(torch.optim.Optimizer):
    """A ``torch.optim.Optimizer`` that applies an update rule in place.

    ``state[param]`` holds ``step`` and the fields of the rule's state, under PyTorch's names where PyTorch has the
    method; parameters that stepped together share one ``step`` tensor. How a step is executed does not change its
    result: tensors of one dtype are updated as one vector, on a CPU by a compiled function once that pays back.
    """

    rule: ClassVar[Optimizer]
    arguments: ClassVar[Arguments]

    def __init__(self, params: Any, *args: Any, **kwargs: Any) -> None:
        try:
            bound = self.arguments.signature.bind(params, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}(): {error}") from None
        bound.apply_defaults()
        defaults = {name: value for name, value in bound.arguments.items() if name != "params"}
        self.arguments.check(defaults)
        self._forget()
        self._evaluating: list[tuple[Tensor, Tensor]] = []
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with values of their own; what the group leaves out has the constructor's value."""
        if isinstance(param_group, dict):
            self.arguments.check({**self.defaults, **param_group})
        super().add_param_group(param_group)
        self._forget()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient.

        Args:
            closure: computes the loss anew, with gradients, and returns it.
        """
        if self._evaluating:
            raise RuntimeError("The weights in place are those to evaluate with: call train() before the next step.")
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        replaced = not same(self.state.values(), self._entries)
        if replaced:  # by the user, a parameter's state
            self._plans.clear()
        for place, group in enumerate(self.param_groups):
            method, hyper = self._resolved(place, group)
            if group["compile"] is True and not (method.tensor_by_tensor and method.flat):
                raise RuntimeError(
                    f"compile=True, but a step of '{method.optimizer.name}' cannot be compiled: it looks at more than "
                    "one element at a time. compile='auto' compiles what can be."
                )
            if not method.tensor_by_tensor:
                self._step_whole(place, group["params"], method, hyper)
            else:
                self._step_tensors(place, group, method, hyper)
        if replaced or len(self._entries) != len(self.state):
            self._entries = list(self.state.values())
        return loss

    def compile_what_can_be(self) -> None:
        """Compile the steps of all groups before the first, where that is possible, however few there will be."""
        for place, group in enumerate(self.param_groups):
            method, _ = self._resolved(place, group)
            dtypes = {param.dtype for param in group["params"] if param.device.type == "cpu"}
            if dtypes and all(rows_kernel(method, dtype) is not None for dtype in dtypes):
                group["compile"] = True

    @torch.no_grad()
    def eval(self) -> None:
        """Put in place the weights to evaluate with, where they are not the weights that are trained (averages)."""
        self.train()
        for place, group in enumerate(self.param_groups):
            method, hyper = self._resolved(place, group)
            evaluated = method.optimizer.evaluated
            for param in group["params"]:
                if evaluated is not None and param in self.state:
                    record = method.record(self.state[param], param)
                    tree = {"": param.detach()}
                    weights = evaluated(tree, {"": record}, method.hyper_record(hyper), dict(method.options))
                    self._evaluating.append((param, param.detach().clone()))
                    param.copy_(weights[""])

    @torch.no_grad()
    def train(self) -> None:
        """Put the trained weights back, after ``eval``."""
        while self._evaluating:
            param, trained = self._evaluating.pop()
            param.copy_(trained)

    def state_bytes(self) -> int:
        """Bytes that the rule remembers: all state but the count of steps."""
        tensors = tree_leaves([{k: v for k, v in entry.items() if k != "step"} for entry in self.state.values()])
        distinct = {id(tensor): tensor for tensor in tensors if isinstance(tensor, Tensor)}
        return sum(tensor.numel() * tensor.element_size() for tensor in distinct.values())

    def state_dict(self) -> dict[str, Any]:
        """The state and the groups, as PyTorch gives them: here every parameter has a ``step`` of its own."""
        packed = super().state_dict()
        packed["state"] = {
            key: {n: v.clone() if isinstance(v, Tensor) and v.dim() == 0 else v for n, v in entry.items()}
            for key, entry in packed["state"].items()
        }
        return packed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where another optimizer of this method stopped: one of this class, or PyTorch's own.

        Tensors of a parameter's shape take its dtype and device; others keep their dtype. All are copied.
        """
        super().load_state_dict(state_dict)
        saved = [key for group in state_dict["param_groups"] for key in group["params"]]
        params = [param for group in self.param_groups for param in group["params"]]
        for key, param in zip(saved, params, strict=True):
            if key in state_dict["state"]:
                self.state[param] = {
                    name: _loaded(name, state_dict["state"][key].get(name), value, param)
                    for name, value in self.state[param].items()
                }

    def __deepcopy__(self, memo: dict[int, Any]) -> RuleOptimizer:
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._forget()
        self._evaluating = getattr(self, "_evaluating", [])
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)
            self.arguments.check(group)

    def _forget(self) -> None:
        """Drop what was prepared for the next step: it is worked out anew."""
        self._plans: dict[int, Plan] = {}
        self._entries: list[dict[str, Any]] = []
        self._forms: dict[int, Any] = {}
        self._methods: dict[int, tuple[tuple[Any, ...], tuple[Method, dict[str, Any]]]] = {}

    def _resolved(self, place: int, group: Mapping[str, Any]) -> tuple[Method, dict[str, Any]]:
        values = tuple([value for name, value in group.items() if name not in ("params", "param_names")])
        if any(isinstance(value, Tensor) for value in values):
            return self.arguments.resolve(group)  # a tensor can change in place
        known = self._methods.get(place)
        if known is None or known[0] != values:
            known = self._methods[place] = values, self.arguments.resolve(group)
        return known[1]

    def _step_tensors(self, place: int, group: Mapping[str, Any], method: Method, hyper: Mapping[str, Any]) -> None:
        params = group["params"]
        if not method.flat:
            factor = method.factor(self._all_gradients, hyper)
            for param in params:
                if param.grad is not None:
                    grad = param.grad if factor is None else param.grad * factor.to(param.grad)
                    step_one(self.state[param], method, param, grad, hyper)
            return
        plan = self._plans.get(place)
        grads = None if plan is None else plan.gradients(method, params)
        if plan is None or grads is None:
            plan = self._plans[place] = Plan(method, self.state, params, hyper)
            grads = [[p.grad for p in bucket.params if p.grad is not None] for bucket in plan.buckets]
        plan.advance(self.state, grads, hyper, group["compile"])

    def _all_gradients(self) -> dict[str, Tensor]:
        """Of all groups, whatever the group that takes its step: one model's gradients have one length."""
        params = [param for group in self.param_groups for param in group["params"]]
        grads = [real(param.grad) for param in params if param.grad is not None and not param.grad.is_sparse]
        return {str(place): grad for place, grad in enumerate(grads)}

    def _step_whole(self, place: int, params: list[Tensor], method: Method, hyper: Mapping[str, Any]) -> None:
        if any(param.grad is not None for param in params):
            form = self._forms.get(place)
            self._forms[place] = step_whole(self.state[params[0]], method, params, hyper, form)


def _loaded(name: str, saved: Any, cast: Any, param: Tensor) -> Any:
    """A value of a loaded state: ``saved`` as it was, ``cast`` as PyTorch converts it to the parameter's dtype."""
    if name == "memory":
        return [leaf.to(param.device, copy=True) if isinstance(leaf, Tensor) else leaf for leaf in saved]
    if not isinstance(saved, Tensor):
        return cast
    if name == "step":
        return saved.detach().to("cpu", torch.float64, copy=True)
    whole = saved.shape == param.shape and not (saved.dim() == 0 and saved.dtype is torch.float64)
    return cast.clone() if whole else saved.to(param.device, copy=True)
