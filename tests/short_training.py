"""The first steps of a trial, with torch's own Adam."""

from __future__ import annotations

import torch
from torch import nn

from gradrace.workloads import Batch, Workload


def trained(task: Workload, train: Batch, steps: int, lr: float) -> tuple[nn.Module, list[float]]:
    """A model after ``steps`` steps on the first batches of ``train`` in turn, and the loss of each step."""
    assert task.model is not None
    assert task.loss is not None
    assert isinstance(train, tuple)
    losses: list[float] = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = task.model()
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        for step in range(steps):
            start = step * task.batch_size % (len(train[0]) - task.batch_size)
            *inputs, target = (tensor[start : start + task.batch_size] for tensor in train)
            loss = task.loss(model(*inputs), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return model.eval(), losses
