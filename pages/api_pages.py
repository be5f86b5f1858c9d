"""The reference: every public name of the package, from its docstring."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from markup import page

MODULES = {
    "gradrace": "Races, results and what goes into them.",
    "gradrace.optimizers": "What an optimizer is, and those there are.",
    "gradrace.workloads": "What a workload is, and those there are.",
    "gradrace.testing": "A race as an assertion, for the tests of people who write optimizers.",
    "gradrace.claims": "What a claim is, and how it is settled.",
    "gradrace.space": "The dimensions of a search space.",
}


def public(module: str) -> dict[str, Any]:
    """Functions and classes that a module names as public."""
    home = importlib.import_module(module)
    names = getattr(home, "__all__", None) or [name for name in vars(home) if not name.startswith("_")]
    found = {name: getattr(home, name) for name in names}
    return {
        name: thing
        for name, thing in found.items()
        if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__.startswith("gradrace")
    }


def pages() -> dict[str, str]:
    """A page for each module, and their index, by address. A name is described once, where it comes first."""
    seen: set[Any] = set()
    index = ["# API", "", "Everything public. What is not here may change without notice.", ""]
    made = {}
    for module, words in MODULES.items():
        lines = [f"# {module}", "", words, ""]
        for thing in public(module).values():
            if thing not in seen:
                seen.add(thing)
                lines += [f"::: {thing.__module__}.{thing.__qualname__}", ""]
        made[f"api/{module}.md"] = page(lines)
        index.append(f"- [{module}]({module}.md): {words}")
    return {"api/index.md": page(index), **made}
