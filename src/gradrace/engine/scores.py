"""What a split's predictions and losses, gathered a batch at a time, are worth: metric, loss and further metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from gradrace.engine.batches import Feed
from gradrace.engine.trial import Evaluation, Score
from gradrace.workloads import Batch, Workload
from gradrace.workloads._batch import count, target_of


class Scores:
    """Predictions and losses of one trial, batch after batch.

    Where the predictions of two batches differ in shape (sentences of unequal length), a metric of theirs is the mean
    over batches, weighted by examples, as the loss always is.
    """

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self._predictions: list[Any] = []
        self._targets: list[Any] = []
        self._losses: list[Tensor] = []
        self._counts: list[int] = []

    def add(self, judged: tuple[Any, Tensor], batch: Batch) -> None:
        """What ``Workload.judged`` gave for a batch."""
        prediction, loss = judged
        if prediction is not None:
            self._predictions.append(prediction)
            self._targets.append(target_of(batch))
        self._losses.append(loss.to(torch.float64))
        self._counts.append(count(batch))

    def score(self, others: bool = False) -> Score:
        """The score of all that was added; with ``others`` the further metrics too."""
        loss = weighted(self._losses, self._counts)
        known = self.workload.scored_by
        metric = known.of_loss(loss) if known.of_loss else self._of(known.of)
        further = {name: float(self._of(function)) for name, function in self.workload.others.items() if others}
        return Score(float(metric), float(loss), further)

    def _of(self, function: Any) -> Tensor:
        if same_shapes(self._predictions) and same_shapes(self._targets):
            return torch.as_tensor(function(joined(self._predictions), joined(self._targets)))
        pairs = zip(self._predictions, self._targets, strict=True)
        values = [torch.as_tensor(function(prediction, target)) for prediction, target in pairs]
        return weighted(values, self._counts)


class VectorizedScores:
    """The same for all trials of a block at once: predictions [trials, n, ...], losses [trials].

    Args:
        workload: the workload. score: ``score(function, predictions, target)`` of every trial.
    """

    def __init__(self, workload: Workload, score: Callable[[Any, Any, Any], list[float]]) -> None:
        self.workload, self._score_each = workload, score
        self._predictions: list[Any] = []
        self._targets: list[Any] = []
        self._losses: list[Tensor] = []
        self._counts: list[int] = []

    def add(self, predictions: tuple[Any, ...], losses: Tensor, batch: Batch) -> None:
        """What ``Workload.judged`` gave for a batch, in every trial; no prediction where it gave none."""
        if predictions:
            self._predictions += predictions
            self._targets.append(target_of(batch))
        self._losses.append(losses.to(torch.float64))
        self._counts.append(count(batch))

    def keep(self, rows: Tensor) -> None:
        """Go on with these trials alone."""
        self._predictions = [tree_map(lambda leaf: leaf[rows], part) for part in self._predictions]
        self._losses = [losses[rows] for losses in self._losses]

    def evaluation(self, others: bool = False) -> Evaluation:
        """The scores of all that was added; with ``others`` the further metrics too."""
        losses, known = weighted(self._losses, self._counts), self.workload.scored_by
        metric = known.of_loss(losses).tolist() if known.of_loss else self._of(known.of)
        further = {name: self._of(function) for name, function in self.workload.others.items() if others}
        trials = range(len(metric))
        return Evaluation(
            metric, losses.tolist(), [{name: values[n] for name, values in further.items()} for n in trials]
        )

    def _of(self, function: Any) -> list[float]:
        if same_shapes(self._predictions, 1) and same_shapes(self._targets):
            return self._score_each(function, joined(self._predictions, 1), joined(self._targets))
        pairs = zip(self._predictions, self._targets, strict=True)
        values = [
            torch.tensor(self._score_each(function, output, target), dtype=torch.float64) for output, target in pairs
        ]
        return weighted(values, self._counts).tolist()


def weighted(values: list[Tensor], counts: list[int]) -> Tensor:
    """The mean of values (of equal shapes, one for each batch) by the batches' numbers of examples, float64."""
    weights = torch.tensor(counts, dtype=torch.float64, device=values[0].device)
    return torch.tensordot(weights / weights.sum(), torch.stack(values).to(torch.float64), dims=1)


def same_shapes(parts: list[Any], axis: int = 0) -> bool:
    """Whether tensors, or trees of them, differ along ``axis`` alone."""

    def shape(part: Any) -> list[torch.Size]:
        return [leaf.shape[:axis] + leaf.shape[axis + 1 :] for leaf in tree_flatten(part)[0]]

    return all(shape(part) == shape(parts[0]) for part in parts[1:])


def joined(parts: list[Any], axis: int = 0) -> Any:
    """Tensors, or trees of them, one after another along ``axis``."""
    if len(parts) == 1:
        return parts[0]
    flat = [tree_flatten(part) for part in parts]
    leaves = [torch.cat(leaf, dim=axis) for leaf in zip(*(leaves for leaves, _ in flat), strict=True)]
    return tree_unflatten(leaves, flat[0][1])


def score_of(workload: Workload, model: nn.Module, feed: Feed, split: str) -> Score:
    """The score of a model on a split."""
    scores, others = Scores(workload), split == "test"
    for batch in feed.chunks(split):
        scores.add(workload.judged(model, batch, others), batch)
    return scores.score(others)
