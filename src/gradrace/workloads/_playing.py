"""Playing games of gymnasium to learn from: the environments of many trials are moved, and their models asked, at once.

A step plays ``horizon`` moves in each environment. Where an episode ends, the next one begins with the same move, so
that there is something to learn from every move, and as much for each trial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradrace.randomness import seed_of
from gradrace.workloads._actor_critic import Networks, Stacked, advantages_of
from gradrace.workloads._batch import Batch, mapped
from gradrace.workloads._environments import Environments

MOST_LIVE = 0.75
"""Share of the trials that still play, of those that are stepped, from which on the others are left out."""


@dataclass(frozen=True)
class Game:
    """An environment of gymnasium and how it is learnt.

    Attributes:
        workload: whose game it is. environment: its name in gymnasium.
        kind: makes several of them: ``kind(workload, environment, count, limit)``.
        actions: to choose from.
        environments: played at once. horizon: moves in each of them for a training step.
        decay: of later rewards. trace: see ``advantages_of``. scale: rewards are multiplied by it to learn from.
        episodes: in a score. limit: moves after which time runs out, where it is not the environment's own.
    """

    workload: str
    environment: str
    kind: Callable[[str, str, int, int | None], Environments]
    actions: int
    environments: int
    horizon: int
    decay: float
    trace: float
    scale: float
    episodes: int
    limit: int | None = None

    def make(self, count: int) -> Environments:
        """That many environments, side by side.

        Raises:
            WorkloadError: a package that it needs is missing.
        """
        return self.kind(self.workload, self.environment, count, self.limit)


class Plays:
    """The experience of some trials at once: whatever a trial plays, it would play alone as well.

    Everything random follows from a trial's seed, the step and what its model did before: the same actions are drawn
    for the same chances, whichever the optimizer.
    """

    def __init__(self, game: Game, seeds: Sequence[int]) -> None:
        self.game, self.seeds = game, list(seeds)
        count = game.environments
        self._training, self._scoring = game.make(len(seeds) * count), game.make(len(seeds) * game.episodes)
        first = (seed_of(seed, "environments") for seed in seeds)
        begun = self._training.begin([seed + number for seed in first for number in range(count)])
        self._observations = begun.reshape(len(seeds), count, -1)

    @torch.no_grad()
    def batch(self, model: Any, tensors: Mapping[str, Tensor], step: int) -> Batch:
        """See ``Experiences``: what ``play`` gives."""
        return self.play(Stacked(model, tensors), next(iter(tensors.values())), step)

    def play(self, networks: Networks, weights: Tensor, step: int) -> Batch:
        """Play on: observations [trials, n, observed], actions, advantages and returns [trials, n] of n moves.

        Args:
            networks: that play.
            weights: a tensor of their dtype, on their device.
            step: counts from 1.
        """
        game, trials = self.game, len(self.seeds)
        moves, count = game.horizon, game.environments
        seen = np.empty((trials, moves + 1, count, self._observations.shape[-1]), dtype=np.float32)
        reached = np.empty_like(seen[:, 1:])
        actions = np.empty((moves, trials, count), dtype=np.int64)
        rewards = np.empty((moves, trials, count))
        terminated, ended = np.empty_like(rewards, dtype=np.bool_), np.empty_like(rewards, dtype=np.bool_)
        noise, everywhere = self._noise(step), np.ones(trials * count, dtype=np.bool_)
        seen[:, 0] = self._observations
        for move in range(moves):
            logits = networks.actor(_tensor(seen[:, move], weights)).numpy(force=True)
            # The largest of logits with Gumbel noise is a draw from their softmax.
            actions[move] = (logits + noise[move]).argmax(-1)
            observations, reward, lost, cut = self._training.move(actions[move].ravel(), everywhere)
            reached[:, move] = seen[:, move + 1] = observations.reshape(seen[:, 0].shape)
            rewards[move], terminated[move] = reward.reshape(trials, count), lost.reshape(trials, count)
            over = lost | cut
            ended[move] = over.reshape(trials, count)
            if over.any():
                seen[:, move + 1][ended[move]] = self._training.restart(over)
        self._observations = seen[:, -1]
        values = networks.critic(_tensor(seen.reshape(trials, -1, seen.shape[-1]), weights)).numpy(force=True)
        values = values.reshape(trials, moves + 1, count).swapaxes(0, 1)
        following = values[1:].copy()
        self._put_values_of_cut(following, reached, ended & ~terminated, networks, weights)
        gains = advantages_of(game.scale * rewards, values[:-1], following, terminated, ended, game.decay, game.trace)
        flat = (part.swapaxes(0, 1).reshape(trials, -1) for part in (actions, gains, gains + values[:-1]))
        taken, advantages, returns = (torch.from_numpy(part).to(weights.device) for part in flat)
        states = _tensor(seen[:, :-1].reshape(trials, moves * count, -1), weights)
        return states, taken, advantages.to(weights), returns.to(weights)

    def _noise(self, step: int) -> NDArray[Any]:
        """Gumbel noise [moves, trials, environments, actions]; trials with one seed have the same."""
        game, drawn = self.game, dict[int, NDArray[Any]]()
        for seed in dict.fromkeys(self.seeds):
            draw = np.random.default_rng(seed_of(seed, "actions", step))
            drawn[seed] = draw.gumbel(size=(game.horizon, game.environments, game.actions))
        return np.stack([drawn[seed] for seed in self.seeds], axis=1)

    def _put_values_of_cut(
        self,
        following: NDArray[Any],
        reached: NDArray[Any],
        cut: NDArray[np.bool_],
        networks: Networks,
        weights: Tensor,
    ) -> None:
        """Write to ``following`` what states were worth in which time ran out; the next seen is of another episode.

        Few are: of each trial as many are looked at as the one with most of them has.
        """
        cut = cut.swapaxes(0, 1).reshape(len(self.seeds), -1)
        most = int(cut.sum(axis=1).max())
        if not most:
            return
        places = np.argsort(~cut, axis=1, kind="stable")[:, :most]
        states = np.take_along_axis(reached.reshape(*cut.shape, -1), places[..., None], axis=1)
        worth = networks.critic(_tensor(states, weights)).numpy(force=True)[..., 0]
        trials, columns = np.nonzero(np.take_along_axis(cut, places, axis=1))
        moves, environments = np.divmod(places[trials, columns], following.shape[-1])
        following[moves, trials, environments] = worth[trials, columns]

    @torch.no_grad()
    def score(self, model: Any, tensors: Mapping[str, Tensor], split: str) -> list[float]:
        """See ``Experiences``: what ``scores`` gives."""
        return self.scores(Stacked(model, tensors), next(iter(tensors.values())), split)

    def scores(self, networks: Any, weights: Tensor, split: str) -> list[float]:
        """Mean return of the episodes of a split, the same at every call, always with the action most likely.

        Trials whose episodes have all ended are left out from time to time: a good one plays much longer than a bad.
        """
        trials, count = len(self.seeds), self.game.episodes
        first = seed_of(self.game.workload, split)
        environments = self._scoring
        observations = environments.begin([first + number for number in range(count)] * trials)
        rows, returns = np.arange(trials), np.zeros((trials, count))
        playing = np.ones((trials, count), dtype=np.bool_)
        while playing.any():
            states = _tensor(observations.reshape(*playing.shape, -1), weights)
            actions = networks.actor(states).argmax(-1).numpy(force=True)
            observations, rewards, lost, cut = environments.move(actions.ravel(), playing.ravel())
            returns[rows] += rewards.reshape(playing.shape) * playing
            playing &= ~(lost | cut).reshape(playing.shape)
            live = np.asarray(playing.any(axis=1))
            if 0 < live.sum() <= MOST_LIVE * len(live):
                left = np.flatnonzero(live)
                rows, playing, networks = rows[left], playing[left], networks.some(left)
                environments, observations = environments.some(_places(left, count)), observations[_places(left, count)]
        return returns.mean(axis=1).tolist()

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these trials alone."""
        kept = np.array(rows, dtype=np.int64)
        self.seeds = [self.seeds[row] for row in rows]
        self._training = self._training.some(_places(kept, self.game.environments))
        self._scoring = self._scoring.some(_places(kept, self.game.episodes))
        self._observations = self._observations[kept]


def _places(trials: NDArray[np.int64], each: int) -> NDArray[np.int64]:
    """Where the environments of these trials lie among those of all."""
    return (trials[:, None] * each + np.arange(each)).ravel()


def _tensor(observations: NDArray[Any], weights: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(observations)).to(weights)


class Play:
    """The experience of one trial."""

    def __init__(self, game: Game, seed: int) -> None:
        self.game, self.seed = game, seed
        self._alone = Plays(game, [seed])

    @torch.no_grad()
    def batch(self, model: Any, step: int) -> Batch:
        """Play on: observations [n, observed], actions [n], advantages [n] and returns [n] of the moves made."""
        return mapped(lambda tensor: tensor[0], self._alone.play(model, next(model.parameters()), step))

    @torch.no_grad()
    def score(self, model: Any, split: str) -> float:
        """Mean return of the episodes of a split, the same at every call, always with the action most likely."""
        return self._alone.scores(model, next(model.parameters()), split)[0]

    def together(self, seeds: Sequence[int]) -> Plays:
        """See ``Experience``."""
        return Plays(self.game, seeds)
