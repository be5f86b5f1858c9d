"""Drop-in ``torch.optim.Optimizer`` classes made from the update rules, for people who just want the optimizer.

``torch.optim.Adam(...)`` → ``gradrace.optim.Adam(...)`` is the whole change:

>>> import torch, gradrace.optim
>>> model = torch.nn.Linear(10, 1)
>>> optimizer = gradrace.optim.Adam(model.parameters(), lr=0.01)
>>> model(torch.ones(4, 10)).mean().backward()
>>> optimizer.step()

There is a class for every optimizer that gradrace knows, and ``drop_in`` makes one of an ``Optimizer`` of your own.
"""

from __future__ import annotations

from typing import Any

from gradrace.optim._classes import classes, drop_in
from gradrace.optim._rule_optimizer import RuleOptimizer

__all__ = ["RuleOptimizer", "drop_in"]


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name in classes():
        return classes()[name]
    known = "" if name.startswith("_") else f" Its classes: {', '.join(sorted(classes()))}."
    raise AttributeError(f"module 'gradrace.optim' has no attribute '{name}'.{known}")


def __dir__() -> list[str]:
    return sorted([*globals(), *classes()])
