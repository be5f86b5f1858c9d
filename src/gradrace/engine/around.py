"""What belongs to the race and not to the rule, for all trials of a vectorized block at once.

Schedule and warm-up, gradient clipping, decoupled weight decay, averages of weights: each trial has its own numbers,
and what no trial of the block uses costs nothing. ``loop.py`` does the same for one trial, step by step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gradrace.engine.trial import Training, TrialSetup, clipping, multiplier


class Layout(Protocol):
    """Where each parameter lies in a trial's row."""

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Shapes of the parameters, in the order of the row."""
        ...


class Around:
    """The surroundings of a block's trials; rows as in the block's memory."""

    def __init__(self, setups: Sequence[TrialSetup], layout: Layout, training: Training) -> None:
        self.training = training
        shapes = layout.shapes.values()
        decays = torch.tensor([len(shape) > 1 or training.decay_biases for shape in shapes], dtype=training.dtype)
        sizes = torch.tensor([shape.numel() for shape in shapes])
        self._mask = decays.repeat_interleave(sizes).to(training.device)
        self._averages: Tensor | None = None
        self._take(setups)

    def _take(self, setups: Sequence[TrialSetup]) -> None:
        around = [setup.surroundings for setup in setups]
        self._warmups = [one.warmup for one in around]
        self._limits = self._column([one.clip_norm or math.inf for one in around], any(one.clip_norm for one in around))
        decays = [one.decoupled_weight_decay for one in around]
        self._decays = self._column(decays, any(decays))
        shares = [one.ema for one in around]
        self._shares = self._column(shares, any(shares))

    def _column(self, values: list[float], used: bool) -> Tensor | None:
        return torch.tensor(values, dtype=torch.float64, device=self.training.device) if used else None

    @property
    def absent(self) -> bool:
        """Whether nothing is done to gradients and weights besides the rules' updates."""
        return self._limits is None and self._decays is None and self._shares is None

    def factors(self, first: int, steps: int) -> Tensor | None:
        """The shares of their learning rates that trials use at the steps after ``first``, float64 [steps, trials].

        None where that is all of it, always.
        """
        if self.training.schedule == "constant" and not any(self._warmups):
            return None
        schedule, length = self.training.schedule, self.training.steps
        columns = {
            warmup: [multiplier(schedule, step, length, warmup) for step in range(first + 1, first + steps + 1)]
            for warmup in set(self._warmups)
        }
        shares = torch.tensor([columns[warmup] for warmup in self._warmups], dtype=torch.float64)
        return shares.T.contiguous().to(self.training.device)

    def clipped(self, grads: Tensor, rows: slice) -> Tensor:
        """Gradients of some rows [rows, P], each trial's no longer than its limit."""
        if self._limits is None:
            return grads
        limits = self._limits[rows].to(grads.dtype)
        grads = grads[: len(limits)]
        return grads * clipping(grads.norm(dim=1), limits).unsqueeze(1)

    def decay(self, params: Tensor, rows: slice, rates: Tensor, factors: Tensor | None) -> None:
        """Shrink parameters of some rows [rows, P] in place by decoupled weight decay.

        ``rates`` and ``factors``: learning rates and their shares in force, [trials].
        """
        if self._decays is not None:
            rates = rates[rows] if factors is None else rates[rows] * factors[rows]
            share = (rates * self._decays[rows]).to(params.dtype)
            params[: len(share)].mul_(1 - share.unsqueeze(1) * self._mask)

    def average(self, params: Tensor) -> None:
        """Move the averages on, after a step."""
        if self._shares is not None:
            share = self._shares.to(params.dtype).unsqueeze(1)
            old = params if self._averages is None else self._averages
            self._averages = share * old + (1 - share) * params

    def averaged(self, params: Tensor) -> Tensor:
        """The averages, in the rows of trials that keep some; the parameters given, in the others."""
        if self._averages is None or self._shares is None:
            return params
        return torch.where(self._shares.unsqueeze(1) > 0, self._averages, params)

    def state(self) -> Tensor | None:
        """The averages, which alone change from step to step."""
        return self._averages

    def load(self, state: Tensor | None) -> None:
        """Go on with these averages."""
        self._averages = state

    def keep(self, setups: Sequence[TrialSetup], rows: Tensor) -> None:
        """Go on with these rows alone, whose setups these are."""
        self._averages = None if self._averages is None else self._averages[rows]
        self._take(setups)
