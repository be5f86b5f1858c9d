"""Batches that the models of a block play for together, where the workload's experience offers that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gradrace.engine.trial import Evaluation, Training
from gradrace.errors import WorkloadError
from gradrace.randomness import Stream, seed_of
from gradrace.workloads import Batch, Experiences, Workload
from gradrace.workloads._batch import mapped, on_device, tensors_of


def plays_together(workload: Workload) -> bool:
    """Whether the trials of a block can be given their batches at once: always, unless each has to play for its own."""
    return workload.experience is None or callable(getattr(workload.experience(0), "together", None))


def by_name(flat: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """Rows [trials, P] as named parameters, each [trials, ...]: views of the same memory."""
    pieces = torch.split(flat, [shape.numel() for shape in shapes.values()], dim=1)
    named = zip(shapes.items(), pieces, strict=True)
    return {name: piece.view(len(flat), *shape) for (name, shape), piece in named}


class PlayedTogether:
    """The experience of all trials of a block; ``Played`` in ``sources.py`` is that of one.

    Args:
        workload: an interactive one. streams: of the trials. training: what they have in common.
    """

    def __init__(self, workload: Workload, streams: Sequence[Stream], training: Training) -> None:
        assert workload.experience is not None
        self.workload, self._training, self._trials = workload, training, len(streams)
        seeds = [seed_of(*stream, "experience") for stream in streams]
        one: Any = workload.experience(seeds[0])
        self._experiences: Experiences = one.together(seeds)

    def batch(self, model: nn.Module, tensors: Mapping[str, Tensor], step: int, rows: int) -> Batch:
        """The batch of a step (from 1) with the trial axis first; ``rows`` of it, those to spare as the first trial's.

        Raises:
            WorkloadError: what trials play for does not have an axis of them.
        """
        played = self._experiences.batch(model, tensors, step)
        batch = on_device(played, self._training.device, self._training.dtype)
        if any(tensor.shape[:1] != (self._trials,) for tensor in tensors_of(batch)):
            raise WorkloadError(
                f"The experience of workload '{self.workload.name}' must give {self._trials} trials batches with that "
                f"many in the first axis, but gave shapes {[tuple(tensor.shape) for tensor in tensors_of(batch)]}."
            )
        spare = rows - self._trials
        return mapped(lambda t: torch.cat([t, t[:1].expand(spare, *t.shape[1:])]), batch) if spare else batch

    def score(self, model: nn.Module, tensors: Mapping[str, Tensor], split: str) -> Evaluation:
        """The metric on fresh episodes. It has no loss; the metric stands for it, less being better.

        Raises:
            WorkloadError: a score is no finite number.
        """
        scores = [float(score) for score in self._experiences.score(model, tensors, split)]
        if len(scores) != self._trials or not all(map(math.isfinite, scores)):
            raise WorkloadError(
                f"The experience of workload '{self.workload.name}' scored {self._trials} trials with {scores}; there "
                "must be a finite number for each."
            )
        sign = -1 if self.workload.scored_by.direction == "max" else 1
        return Evaluation(scores, [sign * score for score in scores], [{} for _ in scores])

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these trials alone."""
        self._experiences.keep(rows)
        self._trials = len(rows)
