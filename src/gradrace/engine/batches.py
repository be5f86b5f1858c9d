"""Which examples a step sees: permutations of the training split, one for each epoch, from the trial's stream."""

from __future__ import annotations

import torch
from torch import Tensor

from gradrace.engine.trial import Training
from gradrace.randomness import Stream, seed_of
from gradrace.workloads import Batch, Workload


def on_device(batch: Batch, training: Training) -> Batch:
    """Data where the trials are; floating-point tensors in the trials' dtype."""
    return tuple(
        tensor.to(training.device, training.dtype if tensor.is_floating_point() else tensor.dtype) for tensor in batch
    )


class Batches:
    """The batches of one stream: every example once in each epoch; what does not fill a batch waits for the next."""

    def __init__(self, workload: Workload, stream: Stream, training: Training) -> None:
        examples = len(workload.splits["train"][0])
        self.size = min(training.batch_size, examples)
        self._per_epoch = examples // self.size
        self._examples, self._stream = examples, stream
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> Tensor:
        """Rows of the training split for ``step`` (from 1), int64, shape [size]; on the CPU."""
        epoch, position = divmod(step - 1, self._per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(seed_of(*self._stream, "batches", epoch))
            self._order, self._epoch = torch.randperm(self._examples, generator=generator), epoch
        return self._order[position * self.size : (position + 1) * self.size]
