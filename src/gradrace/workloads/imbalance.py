"""imbalance: a linear softmax model of classes of very unequal size, where gradient descent stalls on the rare ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.errors import SpecError
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch
from gradrace.workloads._points import numbered

LARGEST = 9
"""Of m: 90 MB of inputs."""


def classes(m: int, balanced: bool = False) -> Tensor:
    """The class of each sample, int64 [m 2^m].

    For i = 0 .. m - 1 there are 2^i classes with 2^(m - i) samples each: 2^m - 1 classes, and as many samples in each
    of the m groups. Balanced: the same numbers of samples and classes, the samples spread as evenly as can be.
    """
    if balanced:
        return torch.arange(m * 2**m) % (2**m - 1)
    sizes = torch.cat([torch.full((2**i,), 2 ** (m - i)) for i in range(m)])
    return torch.arange(len(sizes)).repeat_interleave(sizes)


@cache
def inputs(m: int) -> Tensor:
    """Float32 [m 2^m, (m + 1) 2^m], uniform on [0, 1]: more inputs than samples, so that any classes can be learnt."""
    generator = torch.Generator().manual_seed(seed_of("imbalance", m))
    return torch.rand(m * 2**m, (m + 1) * 2**m, generator=generator, dtype=torch.float32)


class Softmax(nn.Module):
    """A linear layer and the samples it is to learn; given a batch of k numbers, their logits, [k, n, classes]."""

    inputs: Tensor

    def __init__(self, m: int) -> None:
        super().__init__()
        self.linear = nn.Linear((m + 1) * 2**m, 2**m - 1)
        self.register_buffer("inputs", inputs(m))

    def forward(self, number: Tensor) -> Tensor:
        """The logits of all samples, once for each example."""
        return self.linear(self.inputs).expand(len(number), -1, -1)


def loss(output: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy of all samples: logits [k, n, classes], classes [k, n]."""
    return functional.cross_entropy(output.flatten(0, 1), target.flatten())


def loss_of_group(m: int, i: int, output: Tensor, target: Tensor) -> Tensor:
    """The same of the samples of group i, which lie side by side."""
    rows = slice(i * 2**m, (i + 1) * 2**m)
    return loss(output[:, rows], target[:, rows])


def load(m: int, balanced: bool) -> tuple[Batch, Batch, Batch]:
    """The classes of all samples as the target of each numbered split (see ``_points``)."""
    return numbered(classes(m, balanced))


def make(m: int = 7, balanced: bool = False) -> Workload:
    """Classes of 2 to 2^m samples, learnt by heart by full-batch training.

    Inputs and classes are independent: there is nothing to generalise to, and what is measured is how fast the training
    loss falls. So, as in ``quadratic``, all splits measure the same function, and choices are confirmed on fresh
    initial weights (those of ``nn.Linear``); the one example of a split stands for all samples. The further metrics are
    the mean losses of the classes that have 2^m, ..., 4, 2 samples. The loss can come as near to 0 as one likes, but
    never reaches it.

    The steps are few on purpose. At stable rates gradient descent stalls on the rare classes. But the samples can be
    told apart exactly, and at rates some hundred times larger it leaps about for a while and then fits them all, as a
    perceptron does: for m = 6 after about 100 steps, for m = 7 after about 200. A longer race is won by such rates.

    Args:
        m: there are 2^m - 1 classes, m 2^m samples, and (m + 1) 2^m inputs; 2 to 9.
        balanced: the control: as many samples and classes, but all classes of (nearly) the same size.

    Raises:
        SpecError: an m that is not allowed.

    Source: F. Kunstner, R. Yadav, A. Milligan, M. Schmidt, A. Bietti, Heavy-Tailed Class Imbalance and Why Adam
    Outperforms Gradient Descent on Language Models (2024), https://arxiv.org/abs/2402.19449
    """
    if not isinstance(m, int) or not 2 <= m <= LARGEST:
        raise SpecError(f"m is {m!r}; it must be a whole number from 2 to {LARGEST}.")
    groups: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        f"{2 ** (m - i)} samples": partial(loss_of_group, m, i) for i in range(m)
    }
    return Workload(
        name="imbalance" + ("" if m == 7 else f"-{m}") + ("-balanced" if balanced else ""),
        model=partial(Softmax, m),
        data=partial(load, m, balanced),
        loss=loss,
        metric="loss",
        others={} if balanced else groups,
        batch_size=1,
        steps=100,
        target=0.5 if m == 7 and not balanced else None,
        title=f"{2**m - 1} classes of equal size, a linear model"
        if balanced
        else f"{2**m - 1} classes, most of them rare",
        stands_for="the control of imbalance" if balanced else "the word frequencies of language models",
        source="made by a formula, after Kunstner et al. 2024",
        licence="none needed",
    )


workload = make()
