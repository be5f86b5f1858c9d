"""The step of every drop-in optimizer beside PyTorch's own modes: ``python benchmarks/optimizer_step.py``.

The contestants take turns, round after round, and the median of the rounds counts, so that a busy moment of the machine
falls on all of them alike. Where in memory the tensors lie makes a difference of 1 to 5 % to one and the same step, so
the rounds are shared among several sets of tensors, in each of which another contestant's are made first. A ratio above
1 says how many times as fast as the best mode of PyTorch gradrace is.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import Parameter

from gradrace.optim import RuleOptimizer, _kernel
from gradrace.optim._classes import classes

# Class, keywords. Momentum and Nesterov are torch.optim.SGD's.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {"lr": 1e-3}),
    "Momentum": ("SGD", {"lr": 1e-3, "momentum": 0.9}),
    "Adagrad": ("Adagrad", {"lr": 1e-3}),
    "RMSprop": ("RMSprop", {"lr": 1e-3}),
    "Adam": ("Adam", {"lr": 1e-3}),
    "AdamW": ("AdamW", {"lr": 1e-3, "weight_decay": 0.01}),
}
MODES: dict[str, dict[str, Any]] = {
    "loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def transformer(width: int = 512, layers: int = 6, words: int = 8192) -> list[tuple[int, ...]]:
    """Shapes of a small language model: embedding, attention, feed-forward, norms and biases."""
    layer = [(3 * width, width), (3 * width,), (width, width), (width,), (4 * width, width), (4 * width,)]
    layer += [(width, 4 * width), (width,), *[(width,)] * 4]
    return [(words, width), *layer * layers, (width,), (width,)]


LISTS: dict[str, list[tuple[int, ...]]] = {
    "few large (20 × 1000²)": [(1000, 1000)] * 20,
    "many small (1000 × 64)": [(64,)] * 1000,
    "transformer (6 × 512)": transformer(),
}


def parameters(shapes: list[tuple[int, ...]], device: str) -> list[Parameter]:
    params = [Parameter(torch.randn(shape, device=device)) for shape in shapes]
    for param in params:
        param.grad = torch.randn_like(param)
    return params


def contestants(
    method: str, shapes: list[tuple[int, ...]], device: str, compile_torch: bool
) -> dict[str, Callable[[], Callable[[], Any]]]:
    """What makes each step, by name; PyTorch's modes that do not exist for a method and device are left out."""
    name, keywords = METHODS[method]
    ours, theirs = classes().get(name), getattr(torch.optim, name)
    makers: dict[str, Callable[[], Callable[[], Any]]] = {}

    def maker(kind: Any, **more: Any) -> Callable[[], Callable[[], Any]]:
        return lambda: kind(parameters(shapes, device), **{**keywords, **more}).step

    if ours is not None:
        makers["gradrace"] = maker(ours, compile=_best(ours, device))
        makers["gradrace, not compiled"] = maker(ours, compile=False)
    known = inspect.signature(theirs).parameters
    makers |= {mode: maker(theirs, **wish) for mode, wish in MODES.items() if set(wish) <= set(known)}
    if compile_torch:
        lr = torch.tensor(keywords["lr"], device=device)  # a number would compile anew when a schedule changes it
        more = {"capturable": True} if device == "cuda" and "capturable" in known else {}
        plain = maker(theirs, lr=lr, **more)
        makers["compiled"] = lambda: torch.compile(plain())
    return makers


def _best(kind: type[RuleOptimizer], device: str) -> bool | str:
    return True if device == "cpu" and kind.rule.elementwise else "auto"


def seconds_of(step: Callable[[], Any], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


class Traffic:
    """``x += y`` on arrays of about as many bytes as a step moves: what this machine's memory gives at that moment."""

    def __init__(self, count: int, device: str) -> None:
        self.x, self.y = (torch.ones(max(1, count // 12), device=device) for _ in range(2))
        self.bytes = 3 * self.x.nbytes

    def __call__(self) -> None:
        self.x.add_(self.y)


def bytes_moved(method: str, shapes: list[tuple[int, ...]]) -> int:
    """Gradients are read; parameters and the state, by which PyTorch's own is meant, are read and written."""
    numbers = 4 * sum(torch.Size(shape).numel() for shape in shapes)
    fields = {"SGD": 0, "Momentum": 1, "Adagrad": 1, "RMSprop": 1, "Adam": 2, "AdamW": 2}[method]
    return numbers * (1 + 2 * (1 + fields))


def turned(names: list[str], by: int) -> list[str]:
    """The same names in the same circle, from another one on."""
    return names[by % len(names) :] + names[: by % len(names)]


def compare(
    method: str, where: str, device: str, rounds: int, compile_torch: bool, placements: int = 4
) -> dict[str, Any]:
    shapes = LISTS[where]
    moved = bytes_moved(method, shapes)
    traffic = Traffic(moved, device)
    first: dict[str, float] = {}
    seconds: dict[str, list[float]] = {}
    for placement in range(min(placements, rounds)):
        makers = contestants(method, shapes, device, compile_torch)
        steps = {name: makers[name]() for name in turned(list(makers), placement)}
        for name, step in steps.items():
            first.setdefault(name, seconds_of(step, device))
        steps["traffic"] = traffic
        for step in 2 * list(steps.values()):
            seconds_of(step, device)
        for turn in range(placement, rounds, placements):
            for name in turned(list(steps), turn):
                seconds.setdefault(name, []).append(seconds_of(steps[name], device))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    found: dict[str, Any] = {"method": method, "list": where, "device": device, "seconds": median, "first": first}
    torchs = [name for name in (*MODES, "compiled") if name in seconds]
    found["best of torch"] = best = min(torchs, key=lambda name: median[name])
    found["GB/s"] = traffic.bytes / median["traffic"] / 1e9
    if "gradrace" in seconds:
        found["ratio"] = median[best] / median["gradrace"]
        found["share of bandwidth"] = moved / median["gradrace"] / (traffic.bytes / median["traffic"])
    return found


def warm_up(method: str) -> dict[str, float] | None:
    """Seconds to find the compiler, and to compile one step that no earlier process has compiled."""
    name, keywords = METHODS[method]
    if name not in classes():
        return None
    with tempfile.TemporaryDirectory() as empty:
        os.environ["GRADRACE_CACHE"] = empty
        seconds = {}
        for what in ("cold", "from the cache"):
            _kernel._entries.clear()
            step = classes()[name](parameters([(2,)], "cpu"), compile=True, **keywords).step
            seconds[what] = seconds_of(step, "cpu")
        del os.environ["GRADRACE_CACHE"]
    return seconds


def head(modes: list[str]) -> str:
    cells = ["device", "tensors", "method", *(f"{mode} ms" for mode in modes), "gradrace ms", "ratio", "bandwidth"]
    cells += ["not compiled ms"]
    return "| " + " | ".join(cells) + " |\n" + "|" + "---|" * len(cells)


def line(row: dict[str, Any], modes: list[str]) -> str:
    ms = {name: f"{1e3 * value:.2f}" for name, value in row["seconds"].items()}
    ratio = f"**{row['ratio']:.2f}**" if "ratio" in row else "–"
    share = f"{row['share of bandwidth']:.0%}" if "ratio" in row else "–"
    cells = [row["device"], row["list"], row["method"], *(ms.get(mode, "–") for mode in modes)]
    cells += [ms.get("gradrace", "–"), ratio, share, ms.get("gradrace, not compiled", "–")]
    return "| " + " | ".join(cells) + " |"


def first_steps(rows: list[dict[str, Any]]) -> str:
    lines = ["| tensors | method | gradrace, first step | torch.compile, first step |", "|---|---|---|---|"]
    for row in rows:
        cells = [row["first"].get(name) for name in ("gradrace", "compiled")]
        lines.append(
            f"| {row['list']} | {row['method']} | "
            + " | ".join("–" if c is None else f"{c:.2f} s" for c in cells)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write all numbers")
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--lists", nargs="*", default=list(LISTS), choices=list(LISTS))
    parser.add_argument(
        "--torch-compile", action="store_true", help="with PyTorch's compiled mode (minutes of warm-up)"
    )
    given = parser.parse_args()
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    warm = {method: warm_up(method) for method in given.methods}
    modes = [*MODES, *(["compiled"] if given.torch_compile else [])]
    print(head(modes))
    rows = []
    for device in devices:
        for where in given.lists:
            for method in given.methods:
                compile_torch = given.torch_compile and not (device == "cpu" and len(LISTS[where]) > 200)
                rows.append(compare(method, where, device, given.rounds, compile_torch))
                print(line(rows[-1], modes), flush=True)
                if compile_torch:
                    torch._dynamo.reset()
    print("\nBandwidth: bytes of a step per second, as a share of what `x += y` reached in the same rounds.")
    large = {row["device"]: row["GB/s"] for row in rows if "large" in row["list"]}
    print("; ".join(f"{device}: {rate:.0f} GB/s, {torch.get_num_threads()} threads" for device, rate in large.items()))
    for method, seconds in warm.items():
        if seconds:
            print(f"{method}: compiled in {seconds['cold']:.2f} s, loaded in {seconds['from the cache']:.3f} s.")
    if given.torch_compile:
        print("\n" + first_steps(rows))
    if given.json:
        machine = {"processor": platform.processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}
        found = {"machine": machine, "warm_up": warm, "rows": rows}
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
