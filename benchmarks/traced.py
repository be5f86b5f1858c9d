"""What tracing saves in forward and backward of a block, on one core: ``python benchmarks/traced.py``."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional

from gradrace.workloads._batch import tensors_of
from gradrace.workloads.digits import make_model, workload

ROUNDS, CALLS = 5, 20


def seconds(call: Callable[[], object]) -> float:
    """Seconds of one call, averaged over a few."""
    start = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - start) / CALLS


def main() -> None:
    torch.set_num_threads(1)
    model = make_model()
    inputs, target = (tensor[: workload.batch_size] for tensor in tensors_of(workload.in_memory("train")))

    def loss_of(params: dict[str, Tensor], inputs: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(functional_call(model, params, (inputs,)), target)

    layered = vmap(grad_and_value(loss_of), in_dims=(0, None, None))
    print("| trials | vmap, trial-steps/s | traced, trial-steps/s | ratio | tracing, s |\n|---|---|---|---|---|")
    for trials in (80, 40, 20, 5):
        params = {name: p.detach().expand(trials, *p.shape).clone() for name, p in model.named_parameters()}
        start = time.perf_counter()
        traced = make_fx(layered)(params, inputs, target)
        tracing = time.perf_counter() - start
        ways = [partial(way, params, inputs, target) for way in (layered, traced)]
        with torch.no_grad():
            turns = [[seconds(way) for way in ways] for _ in range(ROUNDS)]
        slow, fast = (trials / statistics.median(turn[way] for turn in turns) for way in (0, 1))
        print(f"| {trials} | {slow:,.0f} | {fast:,.0f} | {fast / slow:.2f} | {tracing:.2f} |")


if __name__ == "__main__":
    main()
