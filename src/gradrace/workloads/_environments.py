"""Environments of gymnasium, any number of them side by side; each lives the life of a single one with its seed.

What is played in one never depends on the others: gymnasium's own vector of poles has a single generator for all of
them, which would let the games of one trial decide where those of another begin.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gradrace.errors import WorkloadError

STARTS = 16
"""Beginnings of a pole that are drawn at a time."""

Moved = tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_], NDArray[np.bool_]]
"""Observations [n, observed], rewards [n], whether the task ended with the move [n], and whether time ran out [n]."""


class Environments(Protocol):
    """Some environments of one kind."""

    def begin(self, seeds: Sequence[int]) -> NDArray[Any]:
        """Begin afresh, each with a generator of its seed: observations [n, observed]."""
        ...

    def move(self, actions: NDArray[Any], playing: NDArray[np.bool_]) -> Moved:
        """A move in each. What comes of one that is not ``playing`` means nothing."""
        ...

    def restart(self, over: NDArray[np.bool_]) -> NDArray[Any]:
        """Begin another episode where it is over: observations of these alone."""
        ...

    def some(self, rows: NDArray[np.int64]) -> Environments:
        """These alone, to be played on; the others are not to be played any more before ``begin``."""
        ...


def made(workload: str, make: Any) -> Any:
    """``make(gymnasium)``.

    Raises:
        WorkloadError: a package that it needs is missing.
    """
    try:
        import gymnasium
    except ImportError:
        raise _needs(workload, "gymnasium") from None
    with warnings.catch_warnings():
        # Box2D's extension module is of an old make, which Python tells while it is imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return make(gymnasium)
        except gymnasium.error.DependencyNotInstalled:
            raise _needs(workload, "gymnasium[box2d]") from None


def _needs(name: str, package: str) -> WorkloadError:
    return WorkloadError(f"Workload '{name}' needs {package}; install it with: pip install 'gradrace[{name}]'")


class Singles:
    """Environments that can only be moved one after another."""

    def __init__(self, workload: str, environment: str, count: int, limit: int | None) -> None:
        def one(gymnasium: Any) -> Any:
            # Its checker costs as much as the physics, and only tells makers of environments of their faults.
            return gymnasium.make(environment, max_episode_steps=limit, disable_env_checker=True)

        self._each = [made(workload, one) for _ in range(count)]
        self._observations = np.empty((count, 0), dtype=np.float32)

    def begin(self, seeds: Sequence[int]) -> NDArray[Any]:
        """See ``Environments``."""
        begun = [one.reset(seed=seed)[0] for one, seed in zip(self._each, seeds, strict=True)]
        self._observations = np.stack(begun)
        return self._observations.copy()

    def move(self, actions: NDArray[Any], playing: NDArray[np.bool_]) -> Moved:
        """See ``Environments``."""
        count = len(self._each)
        rewards, lost, cut = np.zeros(count), np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
        for row in np.flatnonzero(playing).tolist():
            self._observations[row], rewards[row], lost[row], cut[row], _ = self._each[row].step(actions[row])
        return self._observations.copy(), rewards, lost, cut

    def restart(self, over: NDArray[np.bool_]) -> NDArray[Any]:
        """See ``Environments``."""
        for row in np.flatnonzero(over).tolist():
            self._observations[row], _ = self._each[row].reset()
        return self._observations[over]

    def some(self, rows: NDArray[np.int64]) -> Singles:
        """See ``Environments``."""
        fewer = copy.copy(self)
        fewer._each = [self._each[row] for row in rows.tolist()]
        fewer._observations = self._observations[rows]
        return fewer


class Poles:
    """CartPole: gymnasium's vector of poles moves all of them in one computation; where they begin is decided here."""

    def __init__(self, workload: str, environment: str, count: int, limit: int | None) -> None:
        self._given = workload, environment, limit
        limits = {} if limit is None else {"max_episode_steps": limit}
        self._poles = made(workload, lambda g: g.make_vec(environment, count, "vector_entry_point", **limits))
        self._generators: list[np.random.Generator] = []
        self._starts = np.empty((0, 0, 4))

    def begin(self, seeds: Sequence[int]) -> NDArray[Any]:
        """See ``Environments``. Poles with one seed share what is drawn from it."""
        places = {seed: place for place, seed in enumerate(dict.fromkeys(seeds))}
        self._which = np.array([places[seed] for seed in seeds])
        self._generators = [np.random.default_rng(seed) for seed in places]
        self._starts = np.empty((len(places), 0, 4))
        self._episodes = np.zeros(len(seeds), dtype=np.int64)
        self._poles.state = np.empty((4, len(seeds)))
        self._poles.steps = np.zeros(len(seeds), dtype=np.int32)
        self._poles.prev_done = np.zeros(len(seeds), dtype=np.bool_)
        return self.restart(~self._poles.prev_done)

    def move(self, actions: NDArray[Any], playing: NDArray[np.bool_]) -> Moved:
        """See ``Environments``."""
        moved = self._poles.step(actions)
        self._poles.prev_done[:] = False  # or the next move would begin another episode where one has ended
        return moved[:4]

    def restart(self, over: NDArray[np.bool_]) -> NDArray[Any]:
        """See ``Environments``."""
        rows = np.flatnonzero(over)
        episodes = self._episodes[rows]
        while len(rows) and episodes.max() >= self._starts.shape[1]:
            # The numbers that a single environment would draw, four at each beginning.
            drawn = np.stack([one.uniform(-0.05, 0.05, size=(STARTS, 4)) for one in self._generators])
            self._starts = np.concatenate([self._starts, drawn], axis=1)
        self._poles.state[:, rows] = self._starts[self._which[rows], episodes].T
        self._poles.steps[rows] = 0
        self._episodes[rows] += 1
        return self._poles.state[:, rows].T.astype(np.float32)

    def some(self, rows: NDArray[np.int64]) -> Poles:
        """See ``Environments``."""
        workload, environment, limit = self._given
        fewer = Poles(workload, environment, len(rows), limit)
        if not self._generators:
            return fewer  # nothing has begun yet
        fewer._generators, fewer._starts = self._generators, self._starts
        fewer._which, fewer._episodes = self._which[rows], self._episodes[rows]
        fewer._poles.state, fewer._poles.steps = self._poles.state[:, rows], self._poles.steps[rows]
        fewer._poles.prev_done = self._poles.prev_done[rows]
        return fewer
