"""Which examples a step sees: permutations of the training split, one for each epoch, from the trial's stream.

Splits in memory are moved to the device once for a block. Examples that are fetched come from their Dataset batch by
batch, in the same order, through worker processes if the workload asks for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, default_collate

from gradrace.engine.trial import Training
from gradrace.errors import WorkloadError
from gradrace.randomness import Stream, seed_of
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import count, on_device, taken, tensors_of
from gradrace.workloads._splits import size

LEAST_CHUNK, MOST_CHUNK, CHUNK_BYTES, CHUNK_BATCHES = 64, 1024, 200_000, 4
"""Examples in memory that are evaluated at a time: no more than four training batches, and no more than so many bytes
of them, within these bounds.

What a model makes of an example grows with it, for every trial of a block; the memory of large tensors is taken from
the system and given back each time, which then costs more than the model.
"""


class Feed:
    """The data of a block: splits on the device, or Datasets that are read as needed."""

    def __init__(self, workload: Workload, training: Training) -> None:
        self.workload, self.training = workload, training
        self.splits = {
            name: split if isinstance(split, Dataset) else on_device(split, training.device, training.dtype)
            for name, split in workload.splits.items()
        }

    def batches(self, stream: Stream, split: str = "train") -> Batches:
        """The batches of a stream."""
        return Batches(self, stream, split)

    def chunks(self, split: str) -> Iterator[Batch]:
        """A whole split, some examples at a time."""
        data = self.splits[split]
        if not isinstance(data, Dataset):
            examples = count(data)
            each = sum(tensor.nbytes for tensor in tensors_of(data)) // examples
            most = min(MOST_CHUNK, CHUNK_BATCHES * self.training.batch_size, CHUNK_BYTES // max(1, each))
            chunk = max(LEAST_CHUNK, most)
            for start in range(0, examples, chunk):
                yield taken(data, slice(start, start + chunk))
            return
        size, workers = self.training.batch_size, self.workload.workers or 0
        generator = torch.Generator().manual_seed(seed_of("chunks", split))
        loader = iter(DataLoader(data, size, num_workers=workers, collate_fn=self.collate, generator=generator))
        for chunk in itertools.count():
            with torch.random.fork_rng(devices=[]):  # for examples that are changed at random: always the same ones
                torch.manual_seed(seed_of("chunks", split, chunk))
                batch = next(loader, None)
            if batch is None:
                return
            yield self.received(batch)

    def collate(self, examples: list[Any]) -> Any:
        """A batch of a list of examples."""
        return (self.workload.collate or default_collate)(examples)

    def received(self, batch: Any) -> Batch:
        """What collating gave, on the device.

        Raises:
            WorkloadError: it is neither a dict nor a sequence of tensors.
        """
        made = dict(batch) if isinstance(batch, dict) else (batch,) if isinstance(batch, Tensor) else batch
        parts = list(made.values()) if isinstance(made, dict) else made
        if not isinstance(parts, list | tuple) or not all(isinstance(part, Tensor) for part in parts):
            raise WorkloadError(
                f"Batches of workload '{self.workload.name}' must be tuples or dicts of tensors, but collating gave "
                f"{type(batch).__name__}."
            )
        made = made if isinstance(made, dict) else tuple(parts)
        return on_device(made, self.training.device, self.training.dtype)


class Batches:
    """The batches of one stream: every example once in each epoch; what does not fill a batch waits for the next."""

    def __init__(self, feed: Feed, stream: Stream, split: str = "train") -> None:
        self.feed, self._stream, self._data = feed, stream, feed.splits[split]
        self._timely = feed.workload.order == "time" or feed.workload.online
        self._open: Iterator[Any] | None = None
        self._opened, self._next = 0, 0
        examples = size(self._data)
        if examples is not None:
            self.size = min(feed.training.batch_size, examples)
            self._examples, self.per_epoch = examples, examples // self.size
            self._epoch, self._order = -1, torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> Tensor:
        """Rows of the split for ``step`` (from 1), int64, shape [size]; on the CPU."""
        epoch, position = divmod(step - 1, self.per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(seed_of(*self._stream, "batches", epoch))
            count = self._examples
            self._order = torch.arange(count) if self._timely else torch.randperm(count, generator=generator)
            self._epoch = epoch
        return self._order[position * self.size : (position + 1) * self.size]

    def batch(self, step: int) -> Batch:
        """The batch of a step (from 1), on the device."""
        if not isinstance(self._data, Dataset):
            return taken(self._data, self.indices(step))
        if self._open is None or step != self._next:
            self._open, self._opened = self._fetch(step), step
        self._next = step + 1
        torch.manual_seed(seed_of(*self._stream, "fetching", step))  # for examples that are changed at random
        return self.feed.received(next(self._open))

    def rest(self) -> None:
        """Let worker processes go until the next batch is asked for."""
        self._open = None

    def state(self) -> int:
        """The step since which batches have been fetched without a rest; 0 where none are."""
        return self._opened if self._open is not None else 0

    def load(self, opened: int, step: int) -> None:
        """Have batches fetched since ``opened``, of which those up to ``step`` were taken.

        They are fetched again: examples that are changed at random are so by all that their process fetched before.
        """
        if opened:
            self.rest()
            with torch.random.fork_rng(devices=[]):
                for taken in range(opened, step + 1):
                    self.batch(taken)

    def _fetch(self, step: int) -> Iterator[Any]:
        """Batches from a step on, as collated. An iterable Dataset is read from its start, again and again."""
        data, workers = self._data, self.feed.workload.workers or 0
        generator = torch.Generator().manual_seed(seed_of(*self._stream, "fetching", step))
        if not isinstance(data, IterableDataset):
            assert isinstance(data, Dataset)
            yield from DataLoader(
                data,
                batch_sampler=_Order(self, step),
                num_workers=workers,
                collate_fn=self.feed.collate,
                generator=generator,
            )
        skip = step - 1
        while True:
            loader = DataLoader(
                data,
                self.feed.training.batch_size,
                num_workers=workers,
                collate_fn=self.feed.collate,
                generator=generator,
                drop_last=True,
            )
            empty = True
            for batch in loader:
                empty = False
                if skip:
                    skip -= 1
                else:
                    yield batch
            if empty:
                raise WorkloadError(
                    f"The train split of workload '{self.feed.workload.name}' gives fewer examples than a batch of "
                    f"{self.feed.training.batch_size}."
                )


class _Order(Sampler[list[int]]):
    """The examples of each batch from a step on, without end, as a DataLoader asks for them."""

    def __init__(self, batches: Batches, step: int) -> None:
        self._batches, self._step = batches, step

    def __iter__(self) -> Iterator[list[int]]:
        step = self._step
        while True:
            yield self._batches.indices(step).tolist()
            step += 1
