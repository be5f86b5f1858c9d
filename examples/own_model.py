"""A model of one's own, on data of one's own: which optimizer should train it?

Race it from the command line, or run this file; both need nothing but gradrace:

    gradrace race examples/own_model.py --budget quick
    python examples/own_model.py
"""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import gradrace


class Net(nn.Module):
    """Two convolutions with batch normalization, then one linear layer, over images of 8 × 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.classes = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, 1, 8, 8] to logits [N, 10]."""
        return self.classes(self.features(images))


pixels, digits = load_digits(return_X_y=True)
images = torch.as_tensor(pixels, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
classes = torch.as_tensor(digits)

# These lines are all that a race needs: a fresh model, a loss, a metric and the data.
workload = gradrace.Workload(
    "own-model", Net, nn.functional.cross_entropy, "accuracy",
    train=(images, classes), validation=0.2, test=0.2, batch_size=32, steps=400,
)  # fmt: skip

if __name__ == "__main__":
    result = gradrace.race(workload, ["sgd", "momentum", "adam"], budget="quick", quiet=False)
    print(result)
