"""Trial-steps per second with both cores busy: gradrace, the best torch loop, JAX."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from typing import Any

from tables import Target, geometric_mean, number, ratios, spread, table

from ._common import Options, in_turns, say

MLP_AND_EMBEDDING = ("digits", "clicks", "rare-words")
TITLE = "Engine: trial-steps per second, both cores busy"
ABOUT = (
    "One trial-step is one training step of one model. gradrace trains blocks of a standard race of sgd, "
    "momentum, adagrad, rmsprop and adam in two lanes, with validation scores at the rungs. The torch loop is "
    "two single-threaded processes that train the same models on the same data one after another, each "
    "optimizer in the mode of `torch.optim` that is fastest for it, and score nothing. JAX and optax train many"
    " trials at once (`vmap`) and 50 steps a call (`scan`), compiled; layout, processes and threads are tried "
    "first and the fastest kept. Neither tracing nor compilation counts. Ratios are medians of the rounds' own."
)


def measure(options: Options, absent: list[str]) -> dict[str, Any]:
    """The rates of every contestant, round by round, by workload."""
    from peers._absent import missing, versions
    from peers.jax_vmap import NAMES, PACKAGES

    lacking = missing(*PACKAGES)
    if lacking:
        absent.append(f"JAX was left out: {lacking} is not installed.")
    found = {}
    for name in options.workloads:
        try:
            found[name] = _workload(name, options, jax=name in NAMES and not lacking)
        except Exception as error:  # one workload that fails does not take the others' minutes with it
            absent.append(
                f"`{name}` was left out of the engine's table, for it failed: {type(error).__name__}: {error}"
            )
            say(absent[-1])
            continue
        say(f"engine, {name}: " + ", ".join(f"{way} {spread(rates)}" for way, rates in found[name]["rates"].items()))
    return {"workloads": found, "versions": versions(*PACKAGES)}


def _workload(name: str, options: Options, jax: bool) -> dict[str, Any]:
    from peers.gradrace_lanes import GradraceLanes
    from peers.jax_vmap import JaxVmap
    from peers.torch_loop import TorchLoop

    with ExitStack() as opened:
        ours, plain = GradraceLanes(name), None
        opened.callback(ours.close)
        plain = TorchLoop(name)
        opened.callback(plain.close)
        ways = {"gradrace": ours, "torch": plain}
        detail: dict[str, Any] = {
            "engine": ours.engine,
            "trials": ours.trials,
            "steps": ours.steps,
            "modes": plain.modes,
        }
        if jax:
            vmapped = JaxVmap(name)
            opened.callback(vmapped.close)
            ways["jax"] = vmapped
            detail |= {"jax": vmapped.detail, "jax_tried": vmapped.tried}
        rates = in_turns(options.rounds, {key: lambda way=way: way.rate(options.seconds) for key, way in ways.items()})
    return {"rates": rates, **detail}


def lines(found: dict[str, Any]) -> list[str]:
    """The table, and how peers were set up."""
    rows, notes = [], []
    for name, row in found["workloads"].items():
        rates = row["rates"]
        ours, plain, jax = (rates.get(way) for way in ("gradrace", "torch", "jax"))
        rows.append(
            [
                name,
                f"{row['engine']}, {row['trials']} trials, {row['steps']} steps",
                spread(ours),
                spread(plain),
                spread(jax) if jax else "–",
                spread(ratios(ours, plain)),
                spread(ratios(ours, jax)) if jax else "–",
            ]
        )
        if jax:
            notes.append(f"- JAX on `{name}` ({found['versions']}): {row['jax']}.")
    mean = number(geometric_mean(list(to_torch(found).values())))
    last = [
        "**geometric mean**",
        "",
        "",
        "",
        "",
        f"**{mean}**",
        f"**{number(geometric_mean(list(to_jax(found).values())))}**",
    ]
    header = ["workload", "gradrace's blocks", "gradrace", "torch loop", "JAX", "to torch", "to JAX"]
    return [*table(header, [*rows, last]), "", *notes]


def to_torch(found: dict[str, Any]) -> dict[str, float]:
    """Median ratio to the torch loop, by workload."""
    return _to(found, "torch")


def to_jax(found: dict[str, Any]) -> dict[str, float]:
    """Median ratio to JAX, by workload."""
    return _to(found, "jax")


def _to(found: dict[str, Any], way: str) -> dict[str, float]:
    return {
        name: statistics.median(ratios(row["rates"]["gradrace"], row["rates"][way]))
        for name, row in found["workloads"].items()
        if way in row["rates"]
    }


def targets(found: dict[str, Any] | None) -> list[Target]:
    """What was reached."""
    torch, jax = (to_torch(found), to_jax(found)) if found else ({}, {})
    dense = [ratio for name, ratio in torch.items() if name in MLP_AND_EMBEDDING]
    return [
        Target("trial-steps/s over the best torch loop, geometric mean", 5, geometric_mean(list(torch.values()))),
        Target("the same, on the slowest workload", 1, min(torch.values(), default=None)),
        Target(f"the same, MLP and embeddings ({', '.join(MLP_AND_EMBEDDING)})", 10, geometric_mean(dense)),
        Target("trial-steps/s over JAX and optax, geometric mean", 1.5, geometric_mean(list(jax.values()))),
    ]
