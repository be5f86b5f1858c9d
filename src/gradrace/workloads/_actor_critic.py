"""Advantage actor-critic: a policy learns from what it did in a few environments at once.

A step plays ``horizon`` moves in each environment, estimates how much better each action was than expected, and gives
one loss, of which one optimizer takes one gradient: the optimizer is what is compared. Mnih et al. 2016,
https://arxiv.org/abs/1602.01783, with the advantages of Schulman et al. 2016, https://arxiv.org/abs/1506.02438.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gradrace.errors import WorkloadError
from gradrace.randomness import seed_of
from gradrace.workloads._batch import Batch


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
    terminated: NDArray[Any],
    ended: NDArray[Any],
    decay: float,
    trace: float,
) -> NDArray[Any]:
    """Generalised advantage estimates, ``A_t = d_t + decay * trace * A_{t+1}`` up to the end of an episode.

    ``d_t = r_t + decay * V(s_{t+1}) - V(s_t)``. A terminated episode has no value afterwards; one that was cut short
    by its time limit, or by the end of the rollout, has that of the state it was left in.

    Args:
        rewards: [moves, environments].
        values: [moves + 1, environments], with that of the state after the last move.
        terminated: [moves, environments], whether the task ended with the move.
        ended: the same, or time ran out.
        decay: of later rewards.
        trace: 0 for the estimate of one move, 1 for all the rewards that follow.
    """
    surprises = rewards + decay * np.where(terminated, 0.0, values[1:]) - values[:-1]
    advantages = np.zeros_like(surprises)
    following = np.zeros_like(surprises[0])
    for move in reversed(range(len(rewards))):
        following = surprises[move] + decay * trace * np.where(ended[move], 0.0, following)
        advantages[move] = following
    return advantages


@dataclass(frozen=True)
class Game:
    """An environment of gymnasium and how it is learnt.

    Attributes:
        workload: whose game it is. environment: its name in gymnasium. mode: how gymnasium makes several of them.
        actions: to choose from.
        environments: played at once. horizon: moves in each of them for a training step.
        decay: of later rewards. trace: see ``advantages_of``. scale: rewards are multiplied by it to learn from.
        episodes: in a score. limit: moves after which time runs out, where it is not the environment's own.
    """

    workload: str
    environment: str
    mode: str
    actions: int
    environments: int
    horizon: int
    decay: float
    trace: float
    scale: float
    episodes: int
    limit: int | None = None

    def make(self, count: int) -> Any:
        """That many environments, side by side.

        Raises:
            WorkloadError: a package that it needs is missing.
        """
        try:
            import gymnasium
        except ImportError:
            raise self._needs("gymnasium") from None
        limit: dict[str, Any] = {} if self.limit is None else {"max_episode_steps": self.limit}
        with warnings.catch_warnings():
            # Box2D's extension module is of an old make, which Python tells while it is imported.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                return gymnasium.make_vec(self.environment, count, self.mode, **limit)
            except gymnasium.error.DependencyNotInstalled:
                raise self._needs("gymnasium[box2d]") from None

    def _needs(self, package: str) -> WorkloadError:
        name = self.workload  # the extra has it too
        return WorkloadError(f"Workload '{name}' needs {package}; install it with: pip install 'gradrace[{name}]'")


class Play:
    """The experience of one trial.

    Everything random follows from the seed, the step and what the model did before: the same actions are drawn for
    the same chances, whichever the optimizer.
    """

    def __init__(self, game: Game, seed: int) -> None:
        self.game, self.seed = game, seed
        self._training, self._scoring = game.make(game.environments), game.make(game.episodes)
        self._observations, _ = self._training.reset(seed=seed_of(seed, "environments"))
        # After an episode's end gymnasium's next move begins a new one, whatever the action: nothing is learnt from it.
        self._over = np.zeros(game.environments, dtype=np.bool_)

    @torch.no_grad()
    def batch(self, model: nn.Module, step: int) -> Batch:
        """Play on: observations [n, observed], actions [n], advantages [n] and returns [n] of the moves made."""
        game, weights = self.game, next(model.parameters())
        draw = np.random.default_rng(seed_of(self.seed, "actions", step))
        actor: Any = model.actor
        seen, actions, rewards, terminated, ended, live = [self._observations], [], [], [], [], []
        noise = draw.gumbel(size=(game.horizon, game.environments, game.actions))
        for move in range(game.horizon):
            logits = actor(torch.from_numpy(seen[-1]).to(weights)).numpy(force=True)
            # The largest of logits with Gumbel noise is a draw from their softmax.
            actions.append((logits + noise[move]).argmax(-1))
            live.append(~self._over)
            observations, reward, lost, cut, _ = self._training.step(actions[-1])
            self._over = lost | cut
            seen.append(observations)
            rewards.append(reward)
            terminated.append(lost)
            ended.append(self._over)
        self._observations = seen[-1]
        states = torch.from_numpy(np.stack(seen)).to(weights)
        values = model(states.flatten(0, 1))[1].unflatten(0, states.shape[:2]).numpy(force=True)
        gains = advantages_of(
            game.scale * np.stack(rewards), values, np.stack(terminated), np.stack(ended), game.decay, game.trace
        )
        rows = torch.from_numpy(np.stack(live))
        played = states[:-1], np.stack(actions), gains, gains + values[:-1]
        observations, taken, advantages, returns = (torch.as_tensor(part).to(weights.device)[rows] for part in played)
        return observations, taken, advantages.to(weights), returns.to(weights)

    @torch.no_grad()
    def score(self, model: nn.Module, split: str) -> float:
        """Mean return of the episodes of a split, the same at every call, always with the action most likely."""
        actor: Any = model.actor
        weights = next(model.parameters())
        observations, _ = self._scoring.reset(seed=seed_of(self.game.workload, split))
        playing = np.ones(self.game.episodes, dtype=np.bool_)
        returns = np.zeros(self.game.episodes)
        while playing.any():
            actions = actor(torch.from_numpy(observations).to(weights)).argmax(-1).numpy(force=True)
            observations, rewards, lost, cut, _ = self._scoring.step(actions)
            returns += rewards * playing
            playing &= ~(lost | cut)
        return float(returns.mean())
