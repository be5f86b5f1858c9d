"""Workloads on the data sets of torchvision, for those who have it: ``torchvision:MNIST`` and the like.

torchvision is imported, and the data are downloaded by it into the cache folder, when a race starts.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.data import cache_folder
from gradrace.errors import DataError, unknown_name
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch

PREFIX = "torchvision:"
VALIDATION = 1_000


@dataclass(frozen=True)
class Known:
    """A data set of 10 classes: side of its images, mean and spread of each channel (of pixels from 0 to 1)."""

    side: int
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    steps: int
    target: float
    title: str
    licence: str


KNOWN = {
    "MNIST": Known(28, (0.1307,), (0.3081,), 1000, 0.98, "handwritten digits, 28 x 28 pixels", "CC BY-SA 3.0"),
    "FashionMNIST": Known(28, (0.2860,), (0.3530,), 1000, 0.87, "photographs of clothes, 28 x 28 pixels", "MIT"),
    "CIFAR10": Known(
        32,
        (0.4914, 0.4822, 0.4465),
        (0.2470, 0.2435, 0.2616),
        2000,
        0.60,
        "colour photographs of 10 kinds of things, 32 x 32 pixels",
        "none stated by its authors",
    ),
}


class SmallCNN(nn.Module):
    """Three convolutions of stride 2 with 16, 32 and 32 channels, then a linear layer; images uint8 [n, c, h, w]."""

    means: Tensor
    spreads: Tensor

    def __init__(self, known: Known) -> None:
        super().__init__()
        channels = len(known.means)
        self.register_buffer("means", torch.tensor(known.means).view(-1, 1, 1))
        self.register_buffer("spreads", torch.tensor(known.spreads).view(-1, 1, 1))
        self.first = nn.Conv2d(channels, 16, 5, 2, 2)
        self.second = nn.Conv2d(16, 32, 3, 2, 1)
        self.third = nn.Conv2d(32, 32, 3, 2, 1)
        self.classes = nn.Linear(32 * 4 * 4, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Logits [n, 10]."""
        values = (images.to(self.means.dtype) / 255 - self.means) / self.spreads
        for layer in (self.first, self.second, self.third):
            values = functional.relu(layer(values))
        return self.classes(values.flatten(1))


def names() -> list[str]:
    """The names that ``find`` knows."""
    return [PREFIX + name for name in KNOWN]


@cache
def find(name: str) -> Workload:
    """The workload called ``torchvision:NAME``. Whether torchvision is there is seen when its data are loaded.

    Raises:
        SpecError: there is none of this name.
    """
    if name not in names():
        raise unknown_name("workload", name, names())
    short = name.removeprefix(PREFIX)
    known = KNOWN[short]
    return Workload(
        name=name,
        model=partial(SmallCNN, known),
        data=partial(load, name),
        loss=functional.cross_entropy,
        metric="accuracy",
        batch_size=64,
        steps=known.steps,
        target=known.target,
        title=known.title,
        stands_for="image classification",
        source=f"torchvision.datasets.{short}",
        licence=known.licence,
        extra="vision",
    )


def load(name: str) -> tuple[Batch, Batch, Batch]:
    """The training images less 1,000 to select by, and the test images; shuffled once. Pixels stay uint8.

    Raises:
        DataError: torchvision is missing or does not work, or the download failed.
    """
    dataset = _dataset(name)
    images, classes = _tensors(_downloaded(name, partial(dataset, train=True)))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_of(name)))
    rest, validation = order[:-VALIDATION], order[-VALIDATION:]
    test = _tensors(_downloaded(name, partial(dataset, train=False)))
    return (images[rest], classes[rest]), (images[validation], classes[validation]), test


def _dataset(name: str) -> Callable[..., Any]:
    try:
        datasets = importlib.import_module("torchvision.datasets")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "torchvision":
            raise
        raise DataError(
            f"The workload '{name}' needs torchvision, which is not installed. Install it with: "
            "pip install 'gradrace[vision]'"
        ) from None
    except Exception as error:  # one that was built for another version of torch, say
        raise DataError(
            f"The workload '{name}' needs torchvision, which cannot be imported: {_reason(error)}. Install the "
            f"version of torchvision that goes with torch {torch.__version__}."
        ) from error
    return getattr(datasets, name.removeprefix(PREFIX))


def _reason(error: Exception) -> str:
    """The first line of what an error says, without the mark at its end."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".: ")


def _downloaded(name: str, dataset: Callable[..., Any]) -> Any:
    """The data set, downloaded where it is not there yet."""
    folder = cache_folder() / "torchvision"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return dataset(root=str(folder), download=True)
    except Exception as error:
        raise DataError(
            f"The data of the workload '{name}' could not be downloaded into {folder} by torchvision: "
            f"{_reason(error)}. Go online, or put the data set's files into that folder as torchvision keeps them, "
            "then start again."
        ) from error


def _tensors(dataset: Any) -> tuple[Tensor, Tensor]:
    """Images uint8 [n, channels, height, width] and classes int64 [n]."""
    images = torch.as_tensor(dataset.data)
    images = images.unsqueeze(1) if images.dim() == 3 else images.movedim(-1, 1).contiguous()
    return images, torch.as_tensor(dataset.targets, dtype=torch.int64)
