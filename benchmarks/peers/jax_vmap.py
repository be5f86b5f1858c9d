"""JAX and optax: ``vmap`` over trials, ``scan`` over steps, compiled. Three workloads' models, written again in JAX.

What is fastest depends on the model, so it is tried first: all optimizers in one block or each in its own, few trials
or many. Compilation is not counted.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ._absent import load
from ._workers import Chunk, Workers, serve

SCANNED_STEPS = 50
TRY_SECONDS = 0.4
NAMES = ("digits", "clicks", "images")
PACKAGES = ("jax", "optax")


class Form(NamedTuple):
    """How the trials are laid out: ``together`` is one block of all optimizers, else one block for each."""

    together: bool
    trials_each: int

    def __str__(self) -> str:
        words = "one block" if self.together else "a block for each optimizer"
        return f"{words}, {self.trials_each} trials of each"


FORMS = [Form(True, 4), Form(True, 16), Form(False, 8), Form(False, 16)]
FORMS_OF_IMAGES = [Form(True, 4), Form(True, 8), Form(False, 8)]


class Model(NamedTuple):
    """``init(key)`` and ``loss(params, *batch)``, both for one trial."""

    init: Callable[[Any], Any]
    loss: Callable[..., Any]


def _linear(key: Any, inputs: int, outputs: int) -> dict[str, Any]:
    jax = load("jax")
    bound = 1 / math.sqrt(inputs)
    first, second = jax.random.split(key)
    return {
        "w": jax.random.uniform(first, (inputs, outputs), minval=-bound, maxval=bound),
        "b": jax.random.uniform(second, (outputs,), minval=-bound, maxval=bound),
    }


def _cross_entropy(logits: Any, labels: Any) -> Any:
    jnp, optax = load("jax.numpy"), load("optax")
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def digits() -> Model:
    """``workloads/digits.py``: 64-64-64-10."""
    jax = load("jax")

    def init(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        return [_linear(k, 64, outputs) for k, outputs in zip(keys, (64, 64, 10), strict=True)]

    def loss(params: Any, inputs: Any, labels: Any) -> Any:
        for layer in params[:-1]:
            inputs = jax.nn.relu(inputs @ layer["w"] + layer["b"])
        return _cross_entropy(inputs @ params[-1]["w"] + params[-1]["b"], labels)

    return Model(init, loss)


def clicks() -> Model:
    """``workloads/clicks.py``: a table of embeddings beside 24 numbers, one hidden layer."""
    from gradrace.workloads import clicks as ours

    jax, jnp, optax = load("jax"), load("jax.numpy"), load("optax")
    width = len(ours.TABLES) * ours.WIDTH

    def init(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        return {
            "table": 0.1 * jax.random.normal(keys[0], (sum(ours.TABLES), ours.WIDTH)),
            "hidden": _linear(keys[1], width + ours.NUMBERS, ours.HIDDEN),
            "out": _linear(keys[2], ours.HIDDEN, 1),
        }

    def loss(params: Any, ids: Any, numbers: Any, liked: Any) -> Any:
        features = jnp.concatenate([params["table"][ids].reshape(len(ids), width), numbers], axis=1)
        hidden = jax.nn.relu(features @ params["hidden"]["w"] + params["hidden"]["b"])
        logits = (hidden @ params["out"]["w"] + params["out"]["b"])[:, 0]
        return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, liked))

    return Model(init, loss)


def images() -> Model:
    """``workloads/images.py``: two convolutions, the largest of each 2 x 2, a linear layer; channels last.

    Convolutions are products of patches: XLA's own, of a batch of models, took several times as long in a ``scan``.
    """
    jax, jnp = load("jax"), load("jax.numpy")

    def init(key: Any) -> Any:
        keys = jax.random.split(key, 3)
        return [_linear(k, i, o) for k, (i, o) in zip(keys, ((25, 8), (72, 16), (784, 10)), strict=True)]

    def convolved(inputs: Any, layer: Any, side: int, stride: int) -> Any:
        around = side // 2
        padded = jnp.pad(inputs, ((0, 0), (around, around), (around, around), (0, 0)))
        size = (inputs.shape[1] + 2 * around - side) // stride + 1
        last = stride * (size - 1) + 1
        seen = [
            padded[:, row : row + last : stride, column : column + last : stride]
            for row in range(side)
            for column in range(side)
        ]
        return jnp.concatenate(seen, axis=-1) @ layer["w"]

    def loss(params: Any, inputs: Any, labels: Any) -> Any:
        first, second, last = params
        hidden = jax.nn.relu(convolved(inputs.transpose(0, 2, 3, 1), first, 5, 2) + first["b"])
        hidden = jax.nn.relu(convolved(hidden, second, 3, 1) + second["b"])
        corners = [hidden[:, row::2, column::2] for row in (0, 1) for column in (0, 1)]
        largest = functools.reduce(jnp.maximum, corners)
        return _cross_entropy(largest.reshape(len(inputs), -1) @ last["w"] + last["b"], labels)

    return Model(init, loss)


MODELS = {"digits": digits, "clicks": clicks, "images": images}


def rules() -> list[Callable[[Any], Any]]:
    """The five optimizers by learning rate, with torch's constants."""
    optax = load("optax")
    return [
        optax.sgd,
        lambda lr: optax.sgd(lr, momentum=0.9),
        lambda lr: optax.adagrad(lr, initial_accumulator_value=0.0, eps=1e-10),
        lambda lr: optax.rmsprop(lr, decay=0.99, eps=1e-8),
        optax.adam,
    ]


def block(model: Model, members: list[Callable[[Any], Any]], trials_each: int) -> tuple[Any, Any]:
    """A function that makes the scanned steps of a block, and the state it begins with."""
    jax, jnp, optax = load("jax"), load("jax.numpy"), load("optax")
    rates = jnp.logspace(-4, -2, trials_each)
    one = model.init(jax.random.key(0))
    count = trials_each * len(members)
    params = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)) + 0.0, one)
    states = [jax.vmap(lambda rate, rule=rule: rule(rate).init(one))(rates) for rule in members]
    gradients = jax.vmap(jax.grad(model.loss), in_axes=(0, *[None] * len(DATA)))

    def rows(tree: Any, group: int) -> Any:
        if len(members) == 1:
            return tree
        return jax.tree.map(lambda leaf: leaf[group * trials_each : (group + 1) * trials_each], tree)

    def step(carried: Any, index: Any) -> Any:
        params, states = carried
        grads = gradients(params, *(part[index] for part in DATA))
        updated, moved = [], []
        for group, rule in enumerate(members):

            def one(rate: Any, params: Any, grads: Any, state: Any, rule: Any = rule) -> Any:
                updates, state = rule(rate).update(grads, state, params)
                return optax.apply_updates(params, updates), state

            new, state = jax.vmap(one)(rates, rows(params, group), rows(grads, group), states[group])
            updated.append(new)
            moved.append(state)
        joined = updated[0] if len(updated) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *updated)
        return (joined, moved), None

    run = jax.jit(lambda carried, indices: jax.lax.scan(step, carried, indices)[0], donate_argnums=0)
    return run, (params, states)


DATA: list[Any] = []
"""The tensors of the training split, in this worker."""


def chunk_of(name: str, form: Form) -> Chunk:
    """Scanned steps of all five optimizers, compiled."""
    import numpy

    from gradrace.workloads import workload

    jax, jnp = load("jax"), load("jax.numpy")
    work = workload(name)
    if not DATA:
        DATA.extend(jnp.asarray(tensor.numpy()) for tensor in work.in_memory("train"))  # pyright: ignore[reportAttributeAccessIssue]
    examples, size = len(DATA[0]), work.batch_size
    model, everyone = MODELS[name](), rules()
    parts = [everyone] if form.together else [[rule] for rule in everyone]
    blocks = [block(model, members, form.trials_each) for members in parts]
    place, draw = 0, numpy.random.default_rng(0)
    order = numpy.arange(examples)

    def indices() -> Any:
        """Rows of the next batches; every epoch in a new order, or as they stand."""
        nonlocal place
        taken = []
        for _ in range(SCANNED_STEPS):
            if place + size > examples or place == 0:
                place = 0
                if not work.online:
                    draw.shuffle(order)
            taken.append(order[place : place + size].copy())
            place += size
        return jnp.asarray(numpy.stack(taken))

    def chunk() -> int:
        rows = indices()
        for position, (run, carried) in enumerate(blocks):
            blocks[position] = (run, run(carried, rows))
        jax.block_until_ready([carried for _, carried in blocks])
        return SCANNED_STEPS * form.trials_each * len(everyone)

    chunk()
    return chunk


def prepare(name: str, threads: int) -> tuple[Chunk, dict[str, Any]]:
    """Try the forms and keep the fastest."""
    forms = FORMS_OF_IMAGES if name == "images" else FORMS
    found: dict[Form, tuple[float, Chunk]] = {}
    for form in forms:
        chunk, done = chunk_of(name, form), 0
        start = time.perf_counter()
        while (taken := time.perf_counter() - start) < TRY_SECONDS or not done:
            done += chunk()
        found[form] = (done / taken, chunk)
    best = max(found, key=lambda form: found[form][0])
    tried = {str(form): rate for form, (rate, _) in found.items()}
    return found[best][1], {"form": str(best), "tried": tried, "threads": threads}


def one_thread() -> dict[str, str]:
    """The environment of a worker that has one thread."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false"
    return {"XLA_FLAGS": flags.strip(), "NPROC": "1", "JAX_PLATFORMS": "cpu"}


def two_threads() -> dict[str, str]:
    """That of the one worker that has two."""
    return {"NPROC": "2", "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "2"}


class JaxVmap:
    """The better of two processes with a thread each, and one with two."""

    def __init__(self, name: str, seconds: float = 2.0) -> None:
        ways = {
            "two processes": Workers("jax_vmap", [name, "1"], 2, one_thread()),
            "one process, two threads": Workers("jax_vmap", [name, "2"], 1, two_threads()),
        }
        rates = {way: workers.rate(seconds) for way, workers in ways.items()}
        best = max(rates, key=lambda way: rates[way])
        for way, workers in ways.items():
            if way != best:
                workers.close()
        self._workers = ways[best]
        self.detail = f"{best}; {self._workers.told[0]['form']}"
        self.tried = rates

    def rate(self, seconds: float) -> float:
        """Trial-steps per second."""
        return self._workers.rate(seconds)

    def close(self) -> None:
        """End the processes."""
        self._workers.close()


if __name__ == "__main__":
    serve(lambda: prepare(sys.argv[1], int(sys.argv[2])))
