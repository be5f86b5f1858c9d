"""What kind of task a workload is, as far as an optimizer cares: read off the workload itself."""

from __future__ import annotations

from enum import StrEnum

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from gradrace.workloads._base import Workload


class Kind(StrEnum):
    """Kinds of tasks. The first that fits is taken."""

    INTERACTION = "learning by playing"
    STREAM = "a stream that is learnt as it comes"
    RECURRENT = "a recurrent network"
    CONVOLUTIONS = "a convolutional network"
    IDS = "a network on words or other ids"
    PLAIN = "a network of plain layers"


def kind_of(task: Workload) -> Kind | None:
    """The kind of a workload, by how it gets its data and by the layers of its model; None where nothing shows it.

    A model is made for that and thrown away; the caller's random generator stays as it was. Layers written out by hand
    (a convolution without ``nn.Conv2d``) are not recognised.
    """
    if task.experience is not None:
        return Kind.INTERACTION
    if task.online:
        return Kind.STREAM
    if task.model is None:
        return None
    with torch.random.fork_rng(devices=[]):
        layers = list(task.model().modules())
    for kind, classes in (
        (Kind.RECURRENT, nn.RNNBase),
        (Kind.CONVOLUTIONS, _ConvNd),
        (Kind.IDS, (nn.Embedding, nn.EmbeddingBag)),
    ):
        if any(isinstance(layer, classes) for layer in layers):
            return kind
    return Kind.PLAIN
