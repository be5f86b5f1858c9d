"""The data of a workload: whatever a user gives, as tensors in memory or as examples that are fetched as needed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset, default_collate

from gradrace._discovery import users_lines
from gradrace.errors import WorkloadError
from gradrace.randomness import seed_of
from gradrace.workloads._batch import Batch, count, taken, tensors_of

SPLITS = ("train", "validation", "test")
Data = Tensor | Sequence[Tensor] | Mapping[str, Tensor] | Dataset[Any]
Split = Batch | Dataset[Any]
"""Tensors in memory, or a Dataset whose examples are fetched and collated batch by batch."""


class Reader:
    """Reads the splits of one workload.

    Args:
        name: the workload's, for messages.
        fetched: examples stay in their Dataset, and are fetched when a batch needs them.
        least: tensors that an example has at least: 2 where there is a target.
    """

    def __init__(self, name: str, fetched: bool, least: int) -> None:
        self.name, self.fetched, self.least = name, fetched, least

    def splits(self, given: Sequence[Any], names: Sequence[str]) -> dict[str, Split]:
        """Each split, the first of them whole or less the fractions that stand for others.

        Raises:
            WorkloadError: a split is empty, is nothing that can be read, or its fractions leave nothing.
        """
        first = self.split(names[0], given[0])
        shares = [float(part) for part in given[1:] if isinstance(part, int | float)]
        if any(not 0 < share < 1 for share in shares) or sum(shares) >= 1:
            raise WorkloadError(
                f"Workload '{self.name}' splits {shares} off its training data; each fraction must lie between 0 and "
                "1, and together they must leave something to train on."
            )
        if shares and isinstance(first, IterableDataset):
            raise WorkloadError(
                f"Workload '{self.name}' splits {shares} off an IterableDataset, which has no known length; give "
                "validation= and test= as datasets of their own."
            )
        rest, parts = split_off(first, shares) if shares else (first, [])
        splits = {names[0]: rest}
        for name, part in zip(names[1:], given[1:], strict=True):
            splits[name] = parts.pop(0) if isinstance(part, int | float) else self.split(name, part)
        for name, split in splits.items():
            if size(split) == 0:
                raise WorkloadError(
                    f"Workload '{self.name}' has no examples in its {name} split; it needs at least one."
                )
        return splits

    def split(self, name: str, data: Any) -> Split:
        """One split as tensors, or as the Dataset it is if its examples are fetched as needed."""
        if isinstance(data, DataLoader):
            raise WorkloadError(
                f"The {name} split of workload '{self.name}' is a DataLoader. Give its dataset instead, with "
                "batch_size= and, where it has them, collate= and workers=: the race decides the order."
            )
        if isinstance(data, Dataset) and (self.fetched or isinstance(data, IterableDataset)):
            return data
        if self.fetched and isinstance(data, list) and not isinstance(data[0] if data else None, Tensor):
            return _Listed(data)
        if isinstance(data, TensorDataset):
            data = data.tensors
        elif isinstance(data, Dataset):
            data = self._collated(name, data)
        if isinstance(data, Mapping):
            batch: Batch = dict(data)
        else:
            batch = (data,) if isinstance(data, Tensor) else tuple(data) if isinstance(data, list | tuple) else ()
        tensors = tensors_of(batch)
        if len(tensors) < self.least or not all(isinstance(tensor, Tensor) and tensor.dim() for tensor in tensors):
            raise WorkloadError(
                f"The {name} split of workload '{self.name}' must be a tuple of tensors (inputs, then target), a dict "
                f"of them with the key 'target', or a Dataset of such examples, but is {type(data).__name__}."
            )
        lengths = [len(tensor) for tensor in tensors]
        if len(set(lengths)) > 1:
            raise WorkloadError(
                f"The tensors of the {name} split of workload '{self.name}' have {lengths} examples; they must agree."
            )
        return batch

    def _collated(self, name: str, data: Any) -> Any:
        """The examples of a map-style Dataset as tensors."""
        try:
            items = [data[index] for index in range(len(data))]
            return default_collate(items) if items else [torch.empty(0), torch.empty(0)]
        except Exception as error:
            raise WorkloadError(
                f"The {name} split of workload '{self.name}' raised while its examples were read into tensors (give "
                f"collate= if they differ in length, workers= if they do not fit in memory):\n{users_lines(error)}"
            ) from error


class _Listed(Dataset[Any]):
    """A list of examples as a Dataset."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


def size(split: Split) -> int | None:
    """How many examples a split has; None where that is not known before they are read."""
    if isinstance(split, Dataset):
        length: Callable[[], int] | None = getattr(split, "__len__", None)
        return None if length is None or isinstance(split, IterableDataset) else length()
    return count(split)


def split_off(train: Split, shares: list[float]) -> tuple[Split, list[Split]]:
    """Shuffle once, by a fixed seed, and cut the shares from the end."""
    total = size(train)
    assert total is not None
    order = torch.randperm(total, generator=torch.Generator().manual_seed(seed_of("split")))
    sizes = [round(share * total) for share in shares]
    cuts = torch.split(order, [total - sum(sizes), *sizes])
    if isinstance(train, Dataset):
        rest, *parts = [Subset(train, cut.tolist()) for cut in cuts]
        return rest, list(parts)
    rest, *parts = [taken(train, cut) for cut in cuts]
    return rest, list(parts)


def overlaps(splits: Mapping[str, Split]) -> list[str]:
    """A sentence for each pair of splits in memory that have more equal examples than chance explains.

    Data of few different values repeat by themselves: as often within a split as between two.
    """
    rows = {name: _rows(split) for name, split in splits.items() if not isinstance(split, Dataset)}
    found = []
    for first, second in combinations(rows, 2):
        known = set(rows[first])
        shared = sum(row in known for row in rows[second])
        repeated = 1 - len(known) / len(rows[first])
        if shared > 2 * repeated * len(rows[second]):
            found.append(
                f"{shared} of the {len(rows[second])} examples of the {second} split are also in the {first} split."
            )
    return found


def _rows(batch: Batch) -> list[bytes]:
    """A fingerprint of each example: images of millions of numbers are not copied to be compared."""
    tensors = [tensor.detach().cpu().contiguous().reshape(len(tensor), -1) for tensor in tensors_of(batch)]
    columns = [tensor.view(torch.uint8).numpy() for tensor in tensors]
    return [_fingerprint(parts) for parts in zip(*columns, strict=True)]


def _fingerprint(parts: tuple[Any, ...]) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(part)
    return found.digest()
