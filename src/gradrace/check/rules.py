"""What every update rule must do: return what it should, stay pure, keep its state's form, bear odd gradients.

Each check takes an optimizer and gives the sentences of what it fails; none means that it passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from gradrace.check.findings import told
from gradrace.check.problems import Tree, normal
from gradrace.check.stepping import SideBySide, Trained, clock, learning_rates, record
from gradrace.optimizers import Case, Optimizer, PerTensor

F32, F64 = torch.float32, torch.float64
DTYPES = (F32, F64)
STEPS = 3


def parameters(dtype: torch.dtype) -> Tree:
    """A matrix, a vector and a single number."""
    tree = {"matrix": normal(4, 5, seed=1), "vector": normal(5, seed=2), "number": normal(seed=3)}
    return {name: tensor.to(dtype) for name, tensor in tree.items()}


def gradients(params: Tree, step: int) -> Tree:
    """Noise, and a pull to zero."""
    return {
        name: 0.3 * param + normal(*param.shape, seed=100 * step + place).to(param.dtype)
        for place, (name, param) in enumerate(params.items())
    }


def each_case(check: Callable[[Optimizer, Case, torch.dtype], Iterator[str]]) -> Callable[[Optimizer], list[str]]:
    """The check in every case and dtype; what the first one that fails has to say, with its setting."""

    def of(optimizer: Optimizer) -> list[str]:
        for case in optimizer.cases:
            for dtype in DTYPES:
                sentences = list(dict.fromkeys(check(optimizer, case, dtype)))
                setting = {**case.hyper, **case.options}
                if sentences and setting:
                    shown = ", ".join(f"{name}={value}" for name, value in setting.items())
                    return [f"{sentence.rstrip('.')} (with {shown})." for sentence in sentences]
                if sentences:
                    return sentences
        return []

    return of


# --- what a step returns ---


def returns(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """A tree of updates like the parameters, and a state."""
    params, options = parameters(dtype), optimizer.with_options(case.options, case.hyper)
    hyper = record(optimizer, case.hyper)
    state = optimizer.rule.init(params, options)
    grads = gradients(params, 1)
    if isinstance(optimizer.rule, PerTensor):
        of = optimizer.rule.update_tensor
        result = of(grads["matrix"], state["matrix"], params["matrix"], hyper, clock(1), **options)
        sentences = list(_two_things(result))
        yield from sentences
        if sentences:
            return
    result = optimizer.rule.update(grads, state, params, hyper, clock(1), options)
    sentences = list(_two_things(result))
    yield from sentences
    if not sentences:
        yield from _like(result[0], params, "update")
    if optimizer.evaluated is not None and not sentences:
        yield from _like(optimizer.evaluated(params, result[1], hyper, options), params, "evaluated value")


def _two_things(result: Any) -> Iterator[str]:
    if not isinstance(result, tuple) or len(result) != 2:
        what = f"{len(result)} things" if isinstance(result, tuple) else f"a {type(result).__name__}"
        yield f"An update must return two things, (update, state), but returned {what}."


def _like(found: Any, params: Tree, what: str) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"The {what}s must be a dict from names to tensors, but are a {type(found).__name__}."
        return
    missing, more = [n for n in params if n not in found], [str(n) for n in found if n not in params]
    if missing or more:
        yield (
            f"There must be one {what} for each of the {len(params)} parameters, but there are {len(found)}: "
            f"missing {', '.join(missing) or 'none'}, not asked for {', '.join(more) or 'none'}."
        )
    for name in (name for name in params if name in found):
        value, param = found[name], params[name]
        if not isinstance(value, Tensor):
            yield f"The {what} of {_shaped(name, param)} must be a tensor, but is a {type(value).__name__}."
            continue
        if value.shape != param.shape:
            yield f"The {what} of {_shaped(name, param)} has shape {tuple(value.shape)}; it must be the same."
        if value.dtype != param.dtype:
            yield (
                f"The {what} of a {param.dtype} parameter has dtype {value.dtype}; it must be the same. "
                "Hyperparameters are float64: bring them to the parameter's dtype where they meet it."
            )


def _shaped(name: str, param: Tensor) -> str:
    return f"a parameter of shape {tuple(param.shape)} ('{name}')"


def steps(optimizer: Optimizer) -> bool:
    """Whether two steps can be taken at all, and give each parameter an update of its shape."""
    try:
        trial = Trained(optimizer, parameters(F32), Case())
        for step in (1, 2):
            trial.step(gradients(trial.params, step))
    except Exception:
        return False
    start = parameters(F32)
    return all(param.shape == start[name].shape for name, param in trial.params.items())


# --- purity ---


def pure(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """Nothing given is changed, and equal arguments give equal results."""
    params, options = parameters(dtype), optimizer.with_options(case.options, case.hyper)
    before, randomness = _copied(params), torch.get_rng_state()
    state = optimizer.rule.init(params, options)
    if not same(params, before):
        yield "init changes the parameters that it is given."
    if not same(optimizer.rule.init(params, options), state):
        yield "Two calls of init with the same parameters give different states."
    names = ("grads", "state", "params", "hyper", "step")
    for step in range(1, STEPS + 1):
        given: Any = (gradients(params, step), state, params, record(optimizer, case.hyper), clock(step))
        kept: Any = _copied(given)
        again: Any = _copied(given)
        updates, after = optimizer.rule.update(*given, options)
        for name, now, then in zip(names, given, kept, strict=True):
            if not same(now, then):
                yield f"The rule changes '{name}', which it is given: compute new tensors, without methods like mul_()."
        if not same(optimizer.rule.update(again[0], again[1], again[2], again[3], again[4], options), (updates, after)):
            yield "Two calls with the same arguments give different results: a rule's memory is its state alone."
        params, state = {name: param + updates[name] for name, param in kept[2].items()}, after
    if not torch.equal(randomness, torch.get_rng_state()):
        yield "The rule draws random numbers from torch's generator; a rule is a function of its arguments."


def _copied(tree: Any) -> Any:
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, tree)


def same(found: Any, expected: Any) -> bool:
    """Equal, bit for bit; NaN equals NaN."""
    one, other = tree_leaves(found), tree_leaves(expected)
    return len(one) == len(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and torch.equal(a.nan_to_num(7.25), b.nan_to_num(7.25))
        if isinstance(a, Tensor) and isinstance(b, Tensor)
        else a is b or a == b
        for a, b in zip(one, other, strict=True)
    )


# --- the state ---


def state(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """Tensors alone, of one form from the first step to the last, in memory of their own."""
    trial = Trained(optimizer, parameters(dtype), case)
    yield from _state_of_tensors(trial.state)
    if _shares_memory(trial.state, trial.params):
        yield "The state of init is the memory of a parameter, which training overwrites: keep a clone of it."
    form, kind = _form(trial.state), type(trial.state)
    for step in range(1, STEPS + 1):
        params, grads = trial.params, gradients(trial.params, step)
        trial.step(grads)
        if type(trial.state) is not kind:
            yield f"The state is a {kind.__name__} at first, and a {type(trial.state).__name__} after step {step}."
        elif _form(trial.state) != form:
            yield f"Shapes or dtypes of the state change at step {step}: {_difference(form, _form(trial.state))}."
        if _shares_memory(trial.state, grads) or _shares_memory(trial.state, params):
            yield "The state is the memory of the gradient or the parameter that was given: keep a clone of it."


def _state_of_tensors(tree: Any) -> Iterator[str]:
    for leaf in tree_leaves(tree):
        if not isinstance(leaf, Tensor):
            yield (
                f"The state holds a {type(leaf).__name__}; it must be made of tensors, in named tuples, tuples and "
                "dicts. What has to be None or a number can be an empty tensor or one of shape ()."
            )


def _form(tree: Any) -> list[tuple[tuple[int, ...], torch.dtype]]:
    return [(tuple(leaf.shape), leaf.dtype) for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _difference(before: list[Any], after: list[Any]) -> str:
    if len(before) != len(after):
        return f"{len(before)} tensors become {len(after)}"
    old, new = next((a, b) for a, b in zip(before, after, strict=True) if a != b)
    return f"{old[0]} {old[1]} becomes {new[0]} {new[1]}"


def _shares_memory(one: Any, other: Any) -> bool:
    places = [{_place(leaf) for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)} for tree in (one, other)]
    return bool((places[0] & places[1]) - {0})


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.numel() else 0


# --- odd gradients and parameters ---


def zero_gradient(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """Without any gradient the numbers stay finite."""
    trial = Trained(optimizer, parameters(dtype), case)
    zeros = {name: torch.zeros_like(param) for name, param in trial.params.items()}
    for step in range(1, STEPS + 1):
        updates = trial.step(zeros)
        if not all(torch.isfinite(leaf).all() for leaf in tree_leaves((updates, trial.state))):
            yield f"With a gradient of zeros, step {step} gives numbers that are not finite; is something 0 / 0?"
            return


def huge_gradient(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """One entry of 1e30, whose square overflows float32, disturbs nothing that does not depend on it."""
    calm, hit = (Trained(optimizer, parameters(F32), case) for _ in range(2))
    for step in range(1, STEPS + 1):
        grads = gradients(parameters(F32), step)
        blow = {**grads, "matrix": grads["matrix"].clone()}
        if step == 2:
            blow["matrix"][1, 2] = 1e30
        expected, found = calm.step(grads), hit.step(blow)
        sentences = list(_like(found, calm.params, "update"))
        yield from sentences
        alone = isinstance(optimizer.rule, PerTensor) or optimizer.elementwise
        if sentences or not alone:
            continue
        if not all(_close(found[name], expected[name], 1e-5) for name in ("vector", "number")):
            yield "A gradient of 1e30 in one tensor changes the update of another tensor."
        if optimizer.elementwise:
            others = torch.ones(4, 5, dtype=torch.bool)
            others[1, 2] = False
            if not _close(found["matrix"][others], expected["matrix"][others], 1e-5):
                yield "A gradient of 1e30 in one coordinate changes other coordinates, but the rule says elementwise."


def odd_shapes(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """Parameters of shape () and without any numbers are parameters, too."""
    start = torch.tensor(0.7, dtype=dtype)
    odd = Trained(optimizer, {"number": start, "empty": start.new_zeros(0)}, case)
    plain = Trained(optimizer, {"number": start.view(1), "empty": start.new_zeros(0, 3)}, case)
    for slope in (0.5, -0.25, 0.75):
        odd.step({"number": start.new_tensor(slope), "empty": start.new_zeros(0)})
        plain.step({"number": start.new_tensor([slope]), "empty": start.new_zeros(0, 3)})
        forms = [tuple(odd.params["number"].shape), odd.params["empty"].shape, plain.params["empty"].shape]
        if forms != [(), (0,), (0, 3)]:
            yield "A parameter of shape () or (0,) or (0, 3) does not keep its shape."
        elif not _close(odd.params["number"], plain.params["number"][0], 1e-6):
            yield "A parameter of shape () is updated differently from the same number in shape (1,)."
        elif not torch.isfinite(odd.params["number"]):
            yield "A parameter without any numbers makes other updates NaN or infinite."


def _close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    return torch.allclose(found, expected, rtol=tolerance, atol=0.1 * tolerance, equal_nan=True)


# --- many trials ---


def side_by_side(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """Trials put side by side by vmap are the trials one by one."""
    rates = learning_rates(optimizer)[1:10:4]
    alone = [Trained(optimizer, parameters(dtype), Case({**case.hyper, "lr": r}, case.options)) for r in rates]
    tolerance = 1e-10 if dtype == F64 else 1e-3
    try:
        many = SideBySide(optimizer, parameters(dtype), [{"lr": rate} for rate in rates], case)
        for number in range(1, STEPS + 1):
            grads = [gradients(trial.params, number) for trial in alone]
            many.step({name: torch.stack([tree[name] for tree in grads]) for name in grads[0]})
            for row, trial in enumerate(alone):
                trial.step(grads[row])
                if not all(_close(many.params[name][row], trial.params[name], tolerance) for name in trial.params):
                    yield f"Trials side by side differ from the same trials one by one at step {number}."
                    return
    except Exception as error:
        yield _why_not(error)


def _why_not(error: Exception) -> str:
    looks = ("data-dependent", ".item()", "value out of a tracing tensor", "Cannot access data pointer", "numpy()")
    if any(part in str(error) for part in looks):
        return (
            "The rule looks at the value of a tensor (an if, bool(), float() or .item()), so that many trials cannot "
            f"be trained side by side. torch.where(condition, a, b) chooses without looking. {told(error)}."
        )
    return f"Many trials cannot be trained side by side (torch.func.vmap): {told(error)}."


def traced(optimizer: Optimizer) -> list[str]:
    """A step that was traced, as the vectorized engine does, is the same as the step itself; shown on a matrix."""
    start, hypers = {"matrix": parameters(F64)["matrix"]}, [{"lr": rate} for rate in learning_rates(optimizer)[4:6]]
    try:
        literal, replayed = (SideBySide(optimizer, start, hypers, Case()) for _ in range(2))
        literal.step(_stacked(start, 1))
    except Exception:
        return []  # it cannot be put side by side, which a check of its own tells
    try:
        step = replayed.traced()
        step(_stacked(start, 1))
    except Exception as error:
        return [_why_not(error)]
    for number in range(2, STEPS + 1):
        literal.step(_stacked(start, number))
        step(_stacked(start, number))
    if not _close(replayed.params["matrix"], literal.params["matrix"], 1e-10):
        return ["A step that was traced once and then repeated differs from the step itself: does it count for itself?"]
    return []


def _stacked(params: Tree, step: int) -> Tree:
    return {name: torch.stack([value, value]) for name, value in gradients(params, step).items()}


def diverged_neighbour(optimizer: Optimizer) -> list[str]:
    """A trial whose gradient is NaN leaves the trials beside it alone."""
    rates = learning_rates(optimizer)[4:6]
    starts = [{"lr": rate} for rate in rates]
    try:
        alone = SideBySide(optimizer, parameters(F64), [starts[0], starts[0]], Case())
        grads = [gradients(parameters(F64), step) for step in range(1, STEPS + 1)]
        for tree in grads:
            alone.step({name: torch.stack([value, value]) for name, value in tree.items()})
    except Exception:
        return []  # it cannot be put side by side, which a check of its own tells
    try:
        both = SideBySide(optimizer, parameters(F64), starts, Case())
        for tree in grads:
            both.step({name: torch.stack([value, value * torch.nan]) for name, value in tree.items()})
    except Exception as error:
        return [f"Beside a trial whose gradient is NaN, the rule raised {told(error)}."]
    if not all(_close(both.params[name][0], alone.params[name][0], 1e-10) for name in both.params):
        return ["A trial whose gradient is NaN changes the trials beside it."]
    return []


def elementwise(optimizer: Optimizer, case: Case, dtype: torch.dtype) -> Iterator[str]:
    """A rule that says so sees all parameters in one vector as it sees them apart."""
    if not optimizer.elementwise:
        return
    start = parameters(dtype)
    apart, together = Trained(optimizer, start, case), Trained(optimizer, _vector(start), case)
    for step in range(1, STEPS + 1):
        grads = gradients(start, step)
        apart.step(grads)
        together.step(_vector(grads))
    if not _close(together.params[""], _vector(apart.params)[""], 1e-10 if dtype == F64 else 1e-4):
        yield (
            "The rule updates a vector of all parameters differently from each tensor alone: it is not elementwise, "
            "so say elementwise=False."
        )


def _vector(tree: Tree) -> Tree:
    return {"": torch.cat([value.reshape(-1) for value in tree.values()])}
