"""What a split's predictions and losses, gathered a batch at a time, are worth: metric, loss and further metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from gradrace.engine.batches import Feed
from gradrace.engine.trial import Evaluation, Score
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import count, target_of

MOST_PIECES = 64
"""Pieces of predictions that wait to be joined: many small tensors that stay scatter the memory of those that go."""


def _once(function: Any, predictions: Any, target: Any) -> Tensor:
    return torch.as_tensor(function(predictions, target))


class Scores:
    """Predictions and losses, gathered a batch at a time: of one trial, or of all trials of a block at once.

    Where predictions of two batches differ in shape (sentences of unequal length), a metric of theirs is the mean over
    runs of batches of one shape, weighted by examples, as the loss always is.

    Args:
        workload: the workload.
        axis: of the examples in predictions: 0, or 1 where axis 0 counts trials.
        each: ``each(function, predictions, target)``, a metric's value: shape () or [trials].
    """

    def __init__(self, workload: Workload, axis: int = 0, each: Callable[[Any, Any, Any], Tensor] = _once) -> None:
        self.workload, self._axis, self._each = workload, axis, each
        self._runs: list[_Run] = []
        self._loss: Tensor | None = None
        self._count = 0

    def add(self, predictions: Any, losses: Tensor, batch: Batch) -> None:
        """What ``Workload.judged`` gave for a batch: predictions, or None, and losses of shape () or [trials]."""
        examples = count(batch)
        if predictions is not None:
            target = target_of(batch)
            if not (self._runs and self._runs[-1].takes(predictions, target)):
                self._runs.append(_Run(self._axis))
            self._runs[-1].add(predictions, target, examples)
        total = losses.detach().to(torch.float64) * examples
        self._loss = total if self._loss is None else self._loss + total
        self._count += examples

    def keep(self, rows: Tensor) -> None:
        """Go on with these trials alone."""
        self._loss = None if self._loss is None else self._loss[rows]
        for run in self._runs:
            run.keep(rows)

    def state(self) -> dict[str, Any]:
        """What ``load`` goes on from: tensors, and trees of them."""
        return {"loss": self._loss, "count": self._count, "runs": [run.state() for run in self._runs]}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._loss, self._count = state["loss"], state["count"]
        self._runs = [_Run(self._axis, *known) for known in state["runs"]]

    def values(self, others: bool = False) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Metric, loss and, with ``others``, further metrics of all that was added: each of shape () or [trials]."""
        assert self._loss is not None
        loss, known = self._loss / self._count, self.workload.scored_by
        metric = known.of_loss(loss) if known.of_loss else self._of(known.of)
        return metric, loss, {name: self._of(f) for name, f in self.workload.others.items() if others}

    def _of(self, function: Any) -> Tensor:
        shares = [run.examples / self._count for run in self._runs]
        values = [self._each(function, *run.joined()) for run in self._runs]
        return sum(
            (share * value.to(torch.float64) for share, value in zip(shares, values, strict=True)), torch.zeros(())
        )


class _Run:
    """Batches in a row whose predictions and targets differ in the number of examples alone."""

    def __init__(self, axis: int, pieces: Sequence[tuple[Any, Any]] = (), examples: int = 0) -> None:
        self._axis, self._pieces, self.examples = axis, list(pieces), examples

    def state(self) -> tuple[list[tuple[Any, Any]], int]:
        """Pieces and the number of examples in them."""
        return list(self._pieces), self.examples

    def takes(self, predictions: Any, target: Any) -> bool:
        known, first = self._shape(predictions, self._axis), self._pieces[0]
        return known == self._shape(first[0], self._axis) and self._shape(target, 0) == self._shape(first[1], 0)

    @staticmethod
    def _shape(part: Any, axis: int) -> list[torch.Size]:
        return [leaf.shape[:axis] + leaf.shape[axis + 1 :] for leaf in tree_leaves(part)]

    def add(self, predictions: Any, target: Any, examples: int) -> None:
        self._pieces.append((predictions, target))
        self.examples += examples
        if len(self._pieces) == MOST_PIECES:
            self._pieces = [self.joined()]

    def keep(self, rows: Tensor) -> None:
        self._pieces = [(tree_map(lambda leaf: leaf[rows], output), target) for output, target in self._pieces]

    def joined(self) -> tuple[Any, Any]:
        """All predictions and all targets."""
        outputs, targets = zip(*self._pieces, strict=True)
        return _joined(outputs, self._axis), _joined(targets, 0)


def _joined(parts: Sequence[Any], axis: int) -> Any:
    """Tensors, or trees of them, one after another along ``axis``."""
    if len(parts) == 1:
        return parts[0]
    return tree_map(lambda *leaves: torch.cat(leaves, dim=axis), *parts)


def score_of(workload: Workload, model: nn.Module, feed: Feed, split: str) -> Score:
    """The score of a model on a split."""
    scores, others = Scores(workload), split == "test"
    for batch in feed.chunks(split):
        scores.add(*workload.judged(model, batch, others), batch)
    return as_score(scores, others)


def as_score(scores: Scores, others: bool = False) -> Score:
    """What was gathered of one trial."""
    metric, loss, further = scores.values(others)
    return Score(float(metric), float(loss), {name: float(value) for name, value in further.items()})


def as_evaluation(scores: Scores, others: bool = False) -> Evaluation:
    """What was gathered of all trials of a block."""
    metric, loss, further = scores.values(others)
    columns = {name: values.tolist() for name, values in further.items()}
    return Evaluation(
        metric.tolist(), loss.tolist(), [{name: c[n] for name, c in columns.items()} for n in range(len(metric))]
    )
