"""digits: 1,797 real handwritten digits of 8 x 8 pixels, recognised by a small multilayer perceptron."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch

VALIDATION = TEST = 360


def load() -> tuple[Batch, Batch, Batch]:
    """1,077 images to train on, 360 to select by, 360 to confirm by; the split is fixed.

    Pixels are centred and scaled by the mean and spread of the training images' pixels.
    """
    table = _table()
    images = torch.tensor(table[:, :-1], dtype=torch.float32)
    labels = torch.tensor(table[:, -1], dtype=torch.int64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_of("digits")))

    train = images[order[: -VALIDATION - TEST]]
    images = (images - train.mean()) / train.std()

    def take(part: Tensor) -> Batch:
        return images[part], labels[part]

    return take(order[: -VALIDATION - TEST]), take(order[-VALIDATION - TEST : -TEST]), take(order[-TEST:])


def _table() -> NDArray[np.float64]:
    """64 pixels and the class, row by row: from scikit-learn's file, as importing what reads it takes a second."""
    found = importlib.util.find_spec("sklearn")  # which imports nothing
    for folder in found.submodule_search_locations or () if found else ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.exists():
            with gzip.open(file, "rt", encoding="ascii") as lines:
                return np.loadtxt(lines, delimiter=",")
    from sklearn.datasets import load_digits  # a version that keeps it elsewhere

    pixels, classes = load_digits(return_X_y=True)
    return np.column_stack([pixels, classes])


def make_model() -> nn.Module:
    """64 pixels, two hidden layers of 64 units, 10 classes: 8,970 parameters."""
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


workload = Workload(
    name="digits",
    model=make_model,
    data=load,
    loss=functional.cross_entropy,
    metric="accuracy",
    batch_size=64,
    steps=600,
    target=0.96,
    title="handwritten digits, 8 x 8 pixels",
    stands_for="image classification",
    source="UCI optical recognition of handwritten digits, as shipped with scikit-learn",
    licence="BSD",
    suites=("primer",),
)
