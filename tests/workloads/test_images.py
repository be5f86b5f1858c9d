"""images: the file is read right, the splits are balanced and apart, and the network is small and sees translations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gradrace.workloads import Batch, images
from gradrace.workloads._batch import tensors_of


@pytest.fixture(scope="module")
def splits() -> tuple[Batch, ...]:
    return images.load()


def test_the_file_holds_500_images_of_each_class_sorted_and_the_class_is_the_last_column() -> None:
    pixels, classes = images.read()
    assert pixels.shape == (5_000, 1, 28, 28)
    assert torch.equal(classes, torch.arange(10).repeat_interleave(500))
    assert (pixels.min(), pixels.max()) == (0, 255)
    # Digits are centred on a black ground: a border of two pixels is almost always empty, the middle is not.
    assert float((pixels[:, 0, :2] > 0).float().mean()) < 0.001
    assert float((pixels[:, 0, 10:18, 10:18] > 0).float().mean()) > 0.4
    means = torch.stack([pixels[classes == digit].mean() for digit in range(10)])
    assert means.argmin() == 1  # a one takes the least ink
    assert means.argmax() == 0


def test_the_splits_are_scaled_by_the_training_images_and_hold_every_class(splits: tuple[Batch, ...]) -> None:
    counted: Tensor = torch.zeros(10)
    for split, size in zip(splits, (3_500, 500, 1_000), strict=True):
        inputs, classes = tensors_of(split)
        assert inputs.shape == (size, 1, 28, 28)
        counts = classes.bincount(minlength=10)
        assert counts.min() > 0.06 * size
        counted = counted + counts
    assert counted.tolist() == [500] * 10
    inputs = tensors_of(splits[0])[0]
    assert inputs.mean().item() == pytest.approx(0, abs=1e-4)
    assert inputs.std().item() == pytest.approx(1, abs=1e-4)


def test_the_network_is_convolutional() -> None:
    torch.manual_seed(0)
    model = images.make_model()
    assert sum(param.numel() for param in model.parameters()) == 9_226
    assert isinstance(model, nn.Sequential)
    convolutions, image = model[:5], torch.zeros(1, 1, 28, 28)
    image[..., 8:16, 8:16] = torch.randn(8, 8)
    moved = torch.roll(image, (4, 4), dims=(-2, -1))
    with torch.no_grad():
        here, there = convolutions(image), convolutions(moved)
    torch.testing.assert_close(there[..., 2:6, 2:6], here[..., 1:5, 1:5])
