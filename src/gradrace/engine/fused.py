"""Steps of training within one call of a compiled program: gradient, update, next step, trial after trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_unflatten

from gradrace.engine.groups import Group
from gradrace.engine.native import Program, Steps
from gradrace.workloads import Batch

AT_ONCE = 1 << 20
"""Bytes of batches that are handed over at once. All trials run through them, one after another."""
MOST_STEPS = 100


def steps_at_once(batches: Sequence[Batch], left: int) -> int:
    """How many steps are taken in one call, by the batches of one of them."""
    size = sum(leaf.nbytes for batch in batches for leaf in tree_leaves(batch))
    return max(1, min(left, MOST_STEPS, AT_ONCE // max(1, size)))


def advance(
    program: Program,
    groups: Sequence[Group],
    params: Tensor,
    own: dict[str, Tensor],
    batches: Sequence[Sequence[Batch]],
    stream: Sequence[int],
    first: int,
    factors: Tensor | None,
    seed: Callable[[int], None],
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Train all trials of a block for some steps.

    Args:
        program: of a trial's loss, gradient, own tensors and what is seen of them.
        groups: of the block, opened; each with a compiled update.
        params: [trials, P], contiguous; changed in place.
        own: tensors that each trial has its own of, [trials, ...].
        batches: for each step, the batch of each stream.
        stream: which stream each trial is of.
        first: number of the first step, from 1.
        factors: the shares of their learning rates that trials use, float64 [steps, trials].
        seed: sets the generator for a step.

    Returns:
        Losses [steps, trials], own tensors, and what is seen, [steps, trials, ...].
    """
    count, trials = len(batches), len(params)
    streams = list(zip(*batches, strict=True))
    leaves = [[tree_leaves(batch) for batch in steps] for steps in streams]
    given = [
        torch.stack([torch.stack([step[place] for step in steps]) for steps in leaves])
        for place in range(len(leaves[0][0]))
    ]
    arguments = [(tensor, _step(tensor, 0), _step(tensor, 1)) for tensor in given]
    if program.draws:
        drawn = []
        for step in range(first, first + count):
            seed(step)
            drawn.append([draw() for draw in program.draws])
        arguments += [(tensor, 0, _step(tensor, 0)) for tensor in map(torch.stack, zip(*drawn, strict=True))]
    # Changed in place, so copied: what evaluates a stream goes on from here and comes back.
    own = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in own.items()}
    results = [
        (torch.empty((1, *shape) if place == 1 else (trials, *shape), dtype=dtype), False)
        if 1 <= place <= 1 + len(own)
        else (torch.empty((count, trials, *shape), dtype=dtype), True)
        for place, (shape, dtype) in enumerate(program.results)
    ]
    for group in groups:
        rows = group.rows
        kept = [(tensor[rows], _step(tensor, 0), 0) for tensor in own.values()]
        program.train(
            Steps(
                first,
                count,
                [(params, 0, 0), *kept, *arguments],
                list(stream[rows]),
                len(own),
                [
                    (tensor[:, rows], True) if each else (tensor if place == 1 else tensor[rows], False)
                    for place, (tensor, each) in enumerate(results)
                ],
            ),
            group.update(params, results[1][0], None if factors is None else factors[:, rows]),
        )
    losses, _, _, seen = tree_unflatten([tensor for tensor, _ in results], program.form)
    return losses, own, seen


def _step(tensor: Tensor, dim: int) -> int:
    return tensor.stride(dim) * tensor.element_size()
