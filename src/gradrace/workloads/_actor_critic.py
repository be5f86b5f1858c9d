"""Advantage actor-critic: a policy learns from what it did in a few environments at once.

A step plays ``horizon`` moves in each environment, estimates how much better each action was than expected, and gives
one loss, of which one optimizer takes one gradient: the optimizer is what is compared. Mnih et al. 2016,
https://arxiv.org/abs/1602.01783, with the advantages of Schulman et al. 2016, https://arxiv.org/abs/1506.02438.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class ActorCritic(nn.Module):
    """Two networks of two hidden layers: the actor's logits of the actions, and the critic's value of the state.

    Args:
        scales: what each number of an observation is multiplied by, so that all of them matter from the start.
        actions: to choose from. width: units of a hidden layer.
    """

    def __init__(self, scales: Sequence[float], actions: int, width: int) -> None:
        super().__init__()
        self.actor = _network(scales, width, actions, gain=0.01)
        self.critic = _network(scales, width, 1, gain=1.0)

    def forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [n, actions] and values [n] of observations [n, numbers]."""
        return self.actor(observations), self.critic(observations).squeeze(-1)


class _Scaled(nn.Module):
    """Each number of an observation times its scale."""

    scales: Tensor

    def __init__(self, scales: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("scales", torch.tensor(scales))

    def forward(self, observations: Tensor) -> Tensor:
        return observations * self.scales


def _network(scales: Sequence[float], width: int, outputs: int, gain: float) -> nn.Sequential:
    """Orthogonal weights, biases 0. A small gain of the last layer starts the actor off without a preference."""
    layers = [nn.Linear(len(scales), width), nn.Linear(width, width), nn.Linear(width, outputs)]
    for layer, factor in zip(layers, (math.sqrt(2), math.sqrt(2), gain), strict=True):
        nn.init.orthogonal_(layer.weight, factor)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(_Scaled(scales), layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])


def actor_critic_loss(critic: float, entropy: float) -> Callable[[Any, Any], Tensor]:
    """``mean(-A log p(a|s)) + critic * mean((R - V(s))^2) - entropy * mean(H(p(.|s)))`` over a batch of ``Play``.

    Args:
        critic: weight of the critic's squared error.
        entropy: weight of the entropy, in nats, that is rewarded.
    """

    def loss(model: Any, batch: Any) -> Tensor:
        observations, actions, advantages, returns = batch
        logits, values = model(observations)
        chances = functional.log_softmax(logits, dim=-1)
        taken = chances.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        spread = -(chances.exp() * chances).sum(-1)
        return (-advantages * taken + critic * (returns - values).square() - entropy * spread).mean()

    return loss


def advantages_of(
    rewards: NDArray[Any],
    values: NDArray[Any],
    following: NDArray[Any],
    terminated: NDArray[Any],
    ended: NDArray[Any],
    decay: float,
    trace: float,
) -> NDArray[Any]:
    """Generalised advantage estimates, ``A_t = d_t + decay * trace * A_{t+1}`` up to the end of an episode.

    ``d_t = r_t + decay * V(s_{t+1}) - V(s_t)``. A terminated episode has no value afterwards; one that was cut short
    by its time limit, or by the end of the rollout, has that of the state it was left in.

    Args:
        rewards: [moves, ...], as all that follows: an axis of environments, or more.
        values: of the states that the moves were made in.
        following: values of the states that they led to.
        terminated: whether the task ended with the move.
        ended: the same, or time ran out.
        decay: of later rewards.
        trace: 0 for the estimate of one move, 1 for all the rewards that follow.
    """
    surprises = rewards + decay * np.where(terminated, 0.0, following) - values
    advantages = np.zeros_like(surprises)
    later = np.zeros_like(surprises[0])
    for move in reversed(range(len(rewards))):
        later = surprises[move] + decay * trace * np.where(ended[move], 0.0, later)
        advantages[move] = later
    return advantages


class Networks(Protocol):
    """The actor and the critic of each trial; observations and results have an axis of trials first."""

    @property
    def actor(self) -> Callable[[Tensor], Tensor]:
        """Logits [trials, n, actions] of observations [trials, n, observed]."""
        ...

    @property
    def critic(self) -> Callable[[Tensor], Tensor]:
        """Values [trials, n, 1] of observations [trials, n, observed]."""
        ...


class Stacked:
    """The networks of many trials, evaluated together: each layer is one product of all trials' matrices.

    Args:
        model: an ``ActorCritic``, whose layers these are.
        tensors: parameters of all trials by name, [trials, ...]; what is not there, all have in common with ``model``.
    """

    def __init__(self, model: Any, tensors: Mapping[str, Tensor]) -> None:
        self._model, self._tensors = model, tensors

    def actor(self, observations: Tensor) -> Tensor:
        """See ``Networks``."""
        return self._through("actor", observations)

    def critic(self, observations: Tensor) -> Tensor:
        """See ``Networks``."""
        return self._through("critic", observations)

    def _through(self, network: str, numbers: Tensor) -> Tensor:
        for place, layer in self._model.get_submodule(network).named_children():
            name = f"{network}.{place}"
            if isinstance(layer, nn.Linear):
                weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
                numbers = torch.baddbmm(bias.unsqueeze(1), numbers, weight.mT)
            else:
                numbers = layer(numbers)
        return numbers

    def some(self, trials: NDArray[np.int64]) -> Stacked:
        """Those of these trials."""
        index = torch.from_numpy(trials)
        taken = {name: tensor[index.to(tensor.device)] for name, tensor in self._tensors.items()}
        return Stacked(self._model, taken)
