"""Drop-in ``torch.optim.Optimizer`` classes made from the update rules, for people who just want the optimizer.

>>> import torch, gradrace.optim
>>> model = torch.nn.Linear(10, 1)
>>> optimizer = gradrace.optim.drop_in("adam")(model.parameters(), lr=0.01)
>>> model(torch.ones(4, 10)).mean().backward()
>>> optimizer.step()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch

from gradrace.errors import SpecError
from gradrace.optimizers import Optimizer, PerTensor
from gradrace.optimizers import optimizer as named


class RuleOptimizer(torch.optim.Optimizer):
    """An update rule applied to the gradients of parameters, tensor by tensor."""

    rule: Optimizer
    options: Mapping[str, bool]
    record: Callable[..., Any]

    def __init__(self, params: Any, **hyper: float) -> None:
        super().__init__(params, self.rule.configure(hyper))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient. ``closure``, if given, computes the loss anew first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            values = {name: group[name] for name in self.rule.hyperparameters}
            hyper = self.rule.hyper_tensors([self.rule.configure(values)])
            hyper = type(hyper)(*(None if value is None else value[0] for value in hyper))
            for param in group["params"]:
                if param.grad is not None:
                    self._step(param, param.grad, hyper)
        return loss

    def _step(self, param: torch.Tensor, grad: torch.Tensor, hyper: Any) -> None:
        state = self.state[param]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float64)
            state["memory"] = self.rule.rule.init({"": param.detach()}, self.options)[""]._asdict()
        state["step"] += 1
        # A plain dict of tensors: torch's load_state_dict cannot rebuild a NamedTuple.
        memory = {"": self.record(**state["memory"])}
        updates, memory = self.rule.rule.update(
            {"": grad}, memory, {"": param.detach()}, hyper, state["step"], self.options
        )
        state["memory"] = memory[""]._asdict()
        param.add_(updates[""])


@cache
def drop_in(optimizer: str | Optimizer, **options: bool) -> type[RuleOptimizer]:
    """The class that applies an optimizer's rule, with structural options such as ``nesterov=True`` fixed.

    Raises:
        SpecError: an unknown optimizer or option, or a rule that looks at all parameters at once.
    """
    found = named(optimizer) if isinstance(optimizer, str) else optimizer
    if not isinstance(found.rule, PerTensor):
        raise SpecError(f"Optimizer '{found.name}' looks at all parameters at once; it has no drop-in class yet.")
    chosen = found.with_options(options)
    record = type(found.rule.init({"": torch.zeros(())}, chosen)[""])
    body = {"rule": found, "options": chosen, "record": record, "__doc__": found.card.idea}
    return type(found.name.capitalize(), (RuleOptimizer,), body)
