"""Where one trial's batches come from: the training split, or what its own model brings about."""

from __future__ import annotations

import math

from torch import nn

from gradrace.engine.batches import Batches, Feed
from gradrace.engine.trial import Score
from gradrace.errors import WorkloadError
from gradrace.randomness import Stream, seed_of
from gradrace.workloads import Batch, Experience, Workload
from gradrace.workloads._batch import on_device


class Drawn:
    """Batches of the training split."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches

    def batch(self, model: nn.Module, step: int) -> Batch:
        """The batch of a step (from 1)."""
        return self._batches.batch(step)

    def rest(self) -> None:
        """Let worker processes go until the next batch is asked for."""
        self._batches.rest()

    def state(self) -> int:
        """See ``Batches``."""
        return self._batches.state()

    def load(self, state: int, step: int) -> None:
        """See ``Batches``."""
        self._batches.load(state, step)


class Played:
    """Batches that the model plays for, by the workload's ``experience``."""

    def __init__(self, workload: Workload, feed: Feed, stream: Stream) -> None:
        assert workload.experience is not None
        self.workload, self._training = workload, feed.training
        self._experience: Experience = workload.experience(seed_of(*stream, "experience"))

    def batch(self, model: nn.Module, step: int) -> Batch:
        """The batch of a step (from 1)."""
        return on_device(self._experience.batch(model, step), self._training.device, self._training.dtype)

    def rest(self) -> None:
        """Nothing waits between two batches."""

    def state(self) -> None:
        """What the user's experience remembers cannot be had."""

    def score(self, model: nn.Module, split: str) -> Score:
        """The metric on fresh episodes. It has no loss; the metric stands for it, less being better.

        Raises:
            WorkloadError: the score is no finite number.
        """
        score = self._experience.score(model, split)
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise WorkloadError(
                f"The experience of workload '{self.workload.name}' scored {score!r}; it must be finite."
            )
        return Score(float(score), -score if self.workload.scored_by.direction == "max" else float(score))


def source(feed: Feed, stream: Stream) -> Drawn | Played:
    """The source of a trial with this stream."""
    if feed.workload.experience is not None:
        return Played(feed.workload, feed, stream)
    return Drawn(feed.batches(stream))
