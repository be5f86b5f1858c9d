"""The rule as it is written: one tensor at a time, or the whole group where it looks at all tensors at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from gradrace.optim._method import Method


def ensure_state(entry: dict[str, Any], method: Method, param: Tensor, hyper: Mapping[str, Any]) -> dict[str, Any]:
    """``state[param]``, with what is missing in it as it is before the first step."""
    keys = method.keys_of(param)
    if "step" not in entry or any(entry.get(key) is None for key in keys.values()):
        # PyTorch counts no steps of SGD; a velocity that was loaded from there has seen at least one gradient.
        behind = float(any(entry.get(key) is not None for key in keys.values()))
        entry.setdefault("step", torch.tensor(behind, dtype=torch.float64))
        for name, value in method.init(param, hyper).items():
            if entry.get(keys[name]) is None:
                entry[keys[name]] = value
    return entry


def step_one(entry: dict[str, Any], method: Method, param: Tensor, grad: Tensor, hyper: Mapping[str, Any]) -> None:
    """One step of one tensor."""
    ensure_state(entry, method, param, hyper)
    # A new tensor: other parameters may share the old one.
    step = entry["step"] = torch.tensor(float(entry["step"]) + 1, dtype=torch.float64)
    keys = method.keys_of(param)
    fields = {name: entry[key] for name, key in keys.items()}
    if grad.is_sparse:
        new = _sparse(method, param, grad, fields, hyper, step)
    else:
        new = _dense(method, param, grad, fields, hyper, step)
    entry.update({keys[name]: value for name, value in new.items()})


def _dense(
    method: Method, param: Tensor, grad: Tensor, fields: dict[str, Tensor], hyper: Mapping[str, Any], step: Tensor
) -> dict[str, Tensor]:
    if grad.layout is not torch.strided:
        raise RuntimeError(
            f"Gradients must be dense or of layout torch.sparse_coo, but one is of layout {grad.layout}."
        )
    seen = {name: real(field) for name, field in fields.items()}
    grad = -real(grad) if method.maximize else real(grad)
    update, new = method.update(grad, seen, real(param), method.hyper_record(hyper), step)
    before = [value.clone() if value is real(param) else value for value in new.values()]
    real(param).add_(update)
    for (name, old), value in zip(seen.items(), before, strict=True):
        if old.shape != value.shape or old.dim() == 0:
            fields[name] = value
        elif old is not value:
            old.copy_(value)
    return fields


def _sparse(
    method: Method, param: Tensor, grad: Tensor, fields: dict[str, Tensor], hyper: Mapping[str, Any], step: Tensor
) -> dict[str, Tensor]:
    """The rule on the rows that the gradient has; the others have a gradient of 0, which changes nothing."""
    name = method.optimizer.name
    if not method.optimizer.sparse:
        raise RuntimeError(
            f"'{name}' does not support sparse gradients: where the gradient is 0 its state changes all the same. "
            "SGD without momentum and Adagrad support them."
        )
    if "weight_decay" in method.present:
        raise RuntimeError(f"weight_decay of '{name}' is not compatible with sparse gradients.")
    grad = grad.coalesce()
    where = tuple(grad.indices())
    values = -grad.values() if method.maximize else grad.values()
    rows = {name: field[where] for name, field in fields.items()}
    update, new = method.update(values, rows, param[where], method.hyper_record(hyper), step)
    param.index_put_(where, update, accumulate=True)
    for name, value in new.items():
        fields[name].index_put_(where, value)
    return fields


def real(tensor: Tensor) -> Tensor:
    """The tensor, as pairs of numbers where it is complex."""
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def step_whole(entry: dict[str, Any], method: Method, params: list[Tensor], hyper: Mapping[str, Any], form: Any) -> Any:
    """One step of a group whose rule looks at all tensors at once.

    ``entry`` is the state of the group's first parameter; it holds the state of the group. A parameter without a
    gradient counts as one whose gradient is 0, and does not move. Returns the form of the state, for the next step.
    """
    rule, options = method.optimizer.rule, dict(method.options)
    tree = {str(place): real(param.detach()) for place, param in enumerate(params)}
    if "memory" not in entry or form is None:
        fresh, form = tree_flatten(rule.init(tree, options))
        entry.setdefault("memory", fresh)
        entry.setdefault("step", torch.zeros((), dtype=torch.float64))
    grads = {str(i): torch.zeros_like(p) if p.grad is None else p.grad for i, p in enumerate(params)}
    if any(grad.is_sparse for grad in grads.values()):
        raise RuntimeError(f"'{method.optimizer.name}' does not support sparse gradients.")
    grads = {name: -real(grad) if method.maximize else real(grad) for name, grad in grads.items()}
    step = entry["step"] = torch.tensor(float(entry["step"]) + 1, dtype=torch.float64)
    memory = tree_unflatten(entry["memory"], form)
    updates, memory = rule.update(grads, memory, tree, method.hyper_record(hyper), step, options)
    entry["memory"], form = tree_flatten(memory)
    held = {id(value) for value in tree.values()}
    entry["memory"] = [leaf.clone() if id(leaf) in held else leaf for leaf in entry["memory"]]
    for place, param in enumerate(params):
        if param.grad is not None:
            real(param).add_(updates[str(place)])
    return form
