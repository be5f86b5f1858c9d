"""The workloads of torchvision, on a stand-in for it that draws images instead of downloading them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy
import pytest
import torch
from torch import Tensor

from gradrace.check import WORKLOAD_CHECKS
from gradrace.errors import DataError, SpecError
from gradrace.workloads import _torchvision, on_torchvision, workload
from gradrace.workloads._batch import tensors_of

SIZES = {True: 1_400, False: 200}


class StandIn:
    """As torchvision.datasets.MNIST and FashionMNIST keep their data: uint8 [n, 28, 28], int64 [n]."""

    made: ClassVar[list[tuple[str, bool]]] = []

    def __init__(self, root: str, train: bool = True, download: bool = False) -> None:
        assert download
        assert Path(root).is_dir()
        self.made.append((root, train))
        generator = torch.Generator().manual_seed(int(train))
        classes = torch.randint(0, 10, (SIZES[train],), generator=generator)
        images = torch.randint(0, 256, (SIZES[train], *self.shape()), generator=generator, dtype=torch.uint8)
        images[torch.arange(len(classes)), 2 * classes] = 255  # a bright row tells the class
        self.keep(images, classes)

    def shape(self) -> tuple[int, ...]:
        return 28, 28

    def keep(self, images: Tensor, classes: Tensor) -> None:
        self.data: Any = images
        self.targets: Any = classes


class StandInCIFAR10(StandIn):
    """As torchvision.datasets.CIFAR10 does: a numpy array [n, 32, 32, 3] and a list."""

    def shape(self) -> tuple[int, ...]:
        return 32, 32, 3

    def keep(self, images: Tensor, classes: Tensor) -> None:
        self.data, self.targets = images.numpy(), classes.tolist()
        assert isinstance(self.data, numpy.ndarray)


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """``torchvision.datasets``, and a cache folder of the test's own."""
    package, module = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    for name, made in (("MNIST", StandIn), ("FashionMNIST", StandIn), ("CIFAR10", StandInCIFAR10)):
        setattr(module, name, made)
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", module)
    monkeypatch.setenv("GRADRACE_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(StandIn, "made", [])
    _torchvision.find.cache_clear()
    return module


@pytest.mark.parametrize(("name", "shape"), [("MNIST", (1, 28, 28)), ("CIFAR10", (3, 32, 32))])
def test_images_are_read_cut_and_learnt(
    datasets: ModuleType, tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    task = workload(f"torchvision:{name}")
    assert task.sizes() == {"train": 400, "validation": 1_000, "test": 200}
    root = str(tmp_path / "cache" / "torchvision")
    assert StandIn.made == [(root, True), (root, False)]
    for split in ("train", "validation", "test"):
        images, classes = tensors_of(task.in_memory(split))
        assert images.shape[1:] == shape
        assert (images.dtype, classes.dtype) == (torch.uint8, torch.int64)
        # The bright row is still in its place, so images and classes were shuffled alike and axes are in order.
        rows = images[torch.arange(len(images)), :, 2 * classes]
        assert bool((rows == 255).all())
    for check in ("splits", "initial weights", "batches", "start", "engines"):
        assert WORKLOAD_CHECKS[check](task) == [], check


def test_pixels_are_scaled_to_the_known_mean_and_spread(datasets: ModuleType) -> None:
    model = _torchvision.SmallCNN(_torchvision.KNOWN["CIFAR10"])
    seen: list[Tensor] = []
    model.first.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    model(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8))
    expected = [(1 - 0.4914) / 0.2470, (1 - 0.4822) / 0.2435, (1 - 0.4465) / 0.2616]
    assert seen[0][0, :, 0, 0].tolist() == pytest.approx(expected)


def test_a_failed_download_is_told(datasets: ModuleType, tmp_path: Path) -> None:
    def fails(root: str, train: bool, download: bool) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried https://...")

    datasets.__dict__["FashionMNIST"] = fails
    with pytest.raises(
        DataError,
        match=r"The data of the workload 'torchvision:FashionMNIST' could not be downloaded into \S+torchvision by "
        r"torchvision: Error downloading train-images-idx3-ubyte\.gz\. Go online",
    ):
        workload("torchvision:FashionMNIST").sizes()


def test_a_missing_torchvision_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    _torchvision.find.cache_clear()
    with pytest.raises(DataError, match=r"'torchvision:MNIST' needs torchvision, .* pip install 'gradrace\[vision\]'"):
        workload("torchvision:MNIST").sizes()


def test_a_torchvision_that_does_not_work_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(_torchvision.importlib, "import_module", broken)
    _torchvision.find.cache_clear()
    with pytest.raises(DataError, match=r"cannot be imported: operator torchvision::nms does not exist\. Install"):
        workload("torchvision:MNIST").sizes()


def test_names_are_listed_and_a_wrong_one_is_told() -> None:
    assert on_torchvision().endswith("torchvision:MNIST, torchvision:FashionMNIST, torchvision:CIFAR10.")
    with pytest.raises(
        SpecError, match=r"There is no workload 'torchvision:CIFAR'\. Did you mean 'torchvision:CIFAR10'"
    ):
        workload("torchvision:CIFAR")
