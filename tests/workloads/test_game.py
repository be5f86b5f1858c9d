"""The workloads that are learnt by playing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical

from agreement import STEPS, assert_agree, setup, training
from gradrace.check.workloads import other_randomness
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.errors import WorkloadError
from gradrace.optimizers import optimizer
from gradrace.randomness import seed_of
from gradrace.workloads import workload
from gradrace.workloads._actor_critic import ActorCritic, advantages_of
from gradrace.workloads._environments import STARTS, Poles
from gradrace.workloads._playing import Game, Play
from gradrace.workloads.game import GAME
from gradrace.workloads.game_lander import GAME as LANDER

SMALL = replace(GAME, environments=4, horizon=40, episodes=3)
SMALL_LANDER = replace(LANDER, environments=2, horizon=150, episodes=2)
games = pytest.mark.parametrize("game", [SMALL, SMALL_LANDER], ids=lambda game: game.workload)


def player(game: Game, seed: int = 0) -> ActorCritic:
    """A model that is not indifferent between actions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = workload(game.workload).model
        assert model is not None
        made = model()
        assert isinstance(made, ActorCritic)
        for layer in made.actor:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=0.3)
        return made


# --- everything random follows from the seed, the step and what the model does ---


@games
def test_batches_and_scores_follow_from_the_seed_alone(game: Game) -> None:
    model, seen = player(game), []
    for other, seed in ((1, 5), (2, 5), (3, 6)):
        with other_randomness(other):
            play = Play(game, seed)
            first = play.batch(model, 1)
            scores = [play.score(model, split) for split in ("validation", "test", "validation")]
            # A score in between leaves the batches as they would have been.
            seen.append(([*first, *play.batch(model, 2)], scores))
    (batches, scores), (again, repeated), (others, unchanged) = seen
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not torch.equal(batches[0], others[0])
    assert scores == repeated == unchanged
    assert scores[0] == scores[2] != scores[1]


def test_noise_is_the_steps_own() -> None:
    model = player(SMALL)
    one, two = (Play(SMALL, 5) for _ in range(2))
    first, second = one.batch(model, 1), two.batch(model, 2)
    assert torch.equal(tensor(first, 0)[:4], tensor(second, 0)[:4])  # the environments start the same
    assert not torch.equal(tensor(first, 1), tensor(second, 1))


def test_actions_are_drawn_with_the_models_chances() -> None:
    game = replace(SMALL, environments=200, horizon=20)
    model = player(game)
    batch = Play(game, 1).batch(model, 1)
    observations, actions = tensor(batch, 0), tensor(batch, 1)
    chance = model(observations)[0].softmax(-1)[:, 1].detach()
    # Averages over 4,000 draws, so four standard deviations are 0.03 at most; weighted, chances near 0 and 1 count too.
    assert actions.double().mean().item() == pytest.approx(chance.double().mean().item(), abs=0.03)
    weighted = ((actions - chance) * (chance - chance.mean())).mean().item()
    assert abs(weighted) < 0.03 * chance.std().item()
    assert chance.std().item() > 0.02


def tensor(batch: Any, place: int) -> Tensor:
    return batch[place]


# --- against one environment played literally ---


class Literal:
    """Gymnasium's environments as they are, one after another, one move at a time."""

    def __init__(self, game: Game, model: ActorCritic, seed: int) -> None:
        self.game, self.model = game, model
        self.seed = seed_of(seed, "environments")

    def rollout(self, noise: np.ndarray) -> list[tuple[np.ndarray, int, float, float]]:
        """Observation, action, advantage and return of each move that is played, in the order of a batch."""
        game, found = self.game, []
        for number in range(game.environments):
            environment = gymnasium.make(game.environment, max_episode_steps=game.limit)
            observation, _ = environment.reset(seed=self.seed + number)
            moves: list[tuple[int, np.ndarray, int, float, float, float, bool, bool]] = []
            move = 0
            while move < game.horizon:
                logits = self.logits(observation)
                action = int((logits + noise[move, number]).argmax())
                after, reward, terminated, truncated, _ = environment.step(action)
                values = self.value(observation), self.value(after)
                moves.append((move, observation, action, float(reward), *values, terminated, truncated))
                move, observation = move + 1, after
                if terminated or truncated:
                    observation, _ = environment.reset()
            found += [(at, number, *self.worth(moves, place)) for place, (at, *_) in enumerate(moves)]
        return [row[2:] for row in sorted(found, key=lambda row: row[:2])]

    def worth(self, moves: list[Any], place: int) -> tuple[np.ndarray, int, float, float]:
        """Sum the later surprises forwards, up to the episode's end or the rollout's."""
        game, advantage, factor = self.game, 0.0, 1.0
        for _, _, _, reward, value, following, terminated, truncated in moves[place:]:
            later = 0.0 if terminated else game.decay * following
            advantage += factor * (game.scale * reward + later - value)
            factor *= game.decay * game.trace
            if terminated or truncated:
                break
        _, before, action, _, value, *_ = moves[place]
        return before, action, advantage, advantage + value

    def logits(self, observation: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.model(torch.from_numpy(observation)[None])[0][0].numpy()

    def value(self, observation: np.ndarray) -> float:
        with torch.no_grad():
            return self.model(torch.from_numpy(observation)[None])[1].item()


def held_to_single_ones(game: Game, seed: int) -> None:
    model = player(game)
    batch = Play(game, seed).batch(model, 1)
    noise = np.random.default_rng(seed_of(seed, "actions", 1)).gumbel(
        size=(game.horizon, game.environments, game.actions)
    )
    expected = Literal(game, model, seed).rollout(noise)
    assert len(tensor(batch, 0)) == len(expected) == game.horizon * game.environments
    for place, column in enumerate(zip(*expected, strict=True)):
        wanted = torch.as_tensor(np.stack(column)).to(tensor(batch, place).dtype)
        torch.testing.assert_close(tensor(batch, place), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
@games
def test_batches_are_those_of_single_environments(game: Game, seed: int) -> None:
    held_to_single_ones(game, seed)


@games
def test_an_episode_cut_short_keeps_the_value_of_its_last_state(game: Game) -> None:
    held_to_single_ones(replace(game, horizon=20, limit=6), 3)


def test_poles_begin_as_single_ones_would_however_often() -> None:
    seeds, poles = [3, 8, 3], Poles("game", "CartPole-v1", 3, None)
    singles = [gymnasium.make("CartPole-v1") for _ in seeds]
    begun = np.stack([one.reset(seed=seed)[0] for one, seed in zip(singles, seeds, strict=True)])
    assert np.array_equal(poles.begin(seeds), begun)
    often = np.array([0, 2 * STARTS, 5])
    for turn in range(often.max()):
        over = often > turn
        begun = np.stack([one.reset()[0] for one, again in zip(singles, over, strict=True) if again])
        assert np.array_equal(poles.restart(over), begun)


@games
def test_scores_are_the_returns_of_single_environments(game: Game) -> None:
    model, returns = player(game), []
    for number in range(game.episodes):
        environment = gymnasium.make(game.environment, max_episode_steps=game.limit)
        observation, _ = environment.reset(seed=seed_of(game.workload, "validation") + number)
        total, over = 0.0, False
        while not over:
            action = int(Literal(game, model, 0).logits(observation).argmax())
            observation, reward, terminated, truncated, _ = environment.step(action)
            total, over = total + float(reward), terminated or truncated
        returns.append(total)
    assert Play(game, 0).score(model, "validation") == pytest.approx(np.mean(returns))


# --- many trials at once ---


def stacked(models: list[ActorCritic]) -> dict[str, Tensor]:
    return {name: torch.stack([dict(m.named_parameters())[name] for m in models]).detach() for name, _ in NAMES}


NAMES = list(player(SMALL).named_parameters())


@games
def test_trials_together_play_as_each_would_alone(game: Game) -> None:
    game = replace(game, horizon=30, limit=40)  # time runs out for some, and others lose
    seeds = [5, 5, 9, 7]
    models = [player(game, number).double() for number in range(len(seeds))]
    plays = [Play(game, seed) for seed in seeds]
    many, rows = plays[0].together(seeds), [0, 1, 2, 3]
    for step in range(1, 5):
        if step == 3:
            rows = [0, 2]
            many.keep(rows)
        model, tensors = models[0], stacked([models[row] for row in rows])
        batch = many.batch(model, tensors, step)
        for place, row in enumerate(rows):
            alone = plays[row].batch(models[row], step)
            for part in range(4):
                torch.testing.assert_close(tensor(batch, part)[place], tensor(alone, part), rtol=1e-12, atol=1e-12)
        scores = many.score(model, tensors, "validation")
        assert scores == pytest.approx([plays[row].score(models[row], "validation") for row in rows], rel=1e-12)


@games
def test_trials_may_be_dropped_before_any_score(game: Game) -> None:
    """As when a few trials of a try are evaluated."""
    models = [player(game, number).double() for number in range(2)]
    many = Play(game, 5).together([5, 9])
    many.keep([1])
    (score,) = many.score(models[0], stacked(models[1:]), "validation")
    assert score == pytest.approx(Play(game, 9).score(models[1], "validation"), rel=1e-12)


@games
def test_the_vectorized_engine_agrees_with_the_loop(game: Game) -> None:
    """With fewer environments, so that 50 steps are quick; some trials dropped, chunks that do not come out even."""
    game = replace(game, environments=4, horizon=8, episodes=2, limit=60)
    task = replace(workload(game.workload), experience=lambda seed: Play(game, seed))
    setups = [
        setup(name, {"lr": lr}, (0, 0, seed))
        for name, lr in (("rmsprop", 1e-3), ("sgd", 0.1), ("adam", 1e-2))
        for seed in (0, 1)
    ]
    conditions = replace(training(task), chunk=4)
    loop, vectorized = Loop(task).start(setups, conditions), Vectorized(task).start(setups, conditions)
    for until in (1, 20):
        assert_agree(vectorized, loop, until)
    for trials in (loop, vectorized):
        trials.keep([0, 3, 5])
    assert_agree(vectorized, loop, STEPS)


def test_advantages_by_hand() -> None:
    column = np.array([[1.0], [2.0], [4.0]])
    values = np.array([[10.0], [20.0], [30.0], [40.0]])
    never = np.zeros((3, 1), dtype=bool)
    middle = np.array([[False], [True], [False]])
    # d = 1 + 10 - 10, 2 + 15 - 20, 4 + 20 - 30 = 1, -3, -6 with decay 1/2; the trace times the decay is 1/4.
    assert advantages_of(column, values[:-1], values[1:], never, never, 0.5, 0.5).ravel().tolist() == [
        -0.125,
        -4.5,
        -6.0,
    ]
    # Time ran out after the second move: its value stays, what follows does not count.
    assert advantages_of(column, values[:-1], values[1:], never, middle, 0.5, 0.5).ravel().tolist() == [
        0.25,
        -3.0,
        -6.0,
    ]
    # The task ended: d = 2 - 20.
    assert advantages_of(column, values[:-1], values[1:], middle, middle, 0.5, 0.5).ravel().tolist() == [
        -3.5,
        -18.0,
        -6.0,
    ]


# --- learning ---


def test_the_loss_is_policy_critic_and_entropy() -> None:
    task, model = workload("game"), player(SMALL)
    batch = Play(SMALL, 0).batch(model, 1)
    observations, actions, advantages, returns = (tensor(batch, place) for place in range(4))
    logits, values = model(observations)
    policy = Categorical(logits=logits)
    expected = -(advantages * policy.log_prob(actions)).mean() + 0.5 * torch.nn.functional.mse_loss(values, returns)
    expected = expected - 0.01 * policy.entropy().mean()
    torch.testing.assert_close(task.loss_of(model, batch), expected)


def test_a_short_run_raises_the_return() -> None:
    task, adam = workload("game"), optimizer("adam")
    small = replace(task, experience=lambda seed: Play(replace(GAME, environments=16), seed))
    setup = TrialSetup(adam, adam.configure({"lr": 3e-3}), adam.with_options({}), (0, 0, 0))
    trials = Loop(small).start([setup], Training(120, 0))
    before = trials.evaluate("test").metric[0]
    trials.train(120)
    assert trials.failures() == [None]
    assert before < 60
    assert trials.evaluate("test").metric[0] > 2 * before


# --- the packages ---


@pytest.mark.parametrize(
    ("game", "module", "package"),
    [(GAME, "gymnasium", "gymnasium"), (LANDER, "gymnasium", "gymnasium"), (LANDER, "Box2D", "gymnasium[box2d]")],
)
def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, game: Game, module: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box2d")]:
        monkeypatch.delitem(sys.modules, name)
    make = workload(game.workload).experience
    assert make is not None
    with pytest.raises(WorkloadError) as raised:
        make(0)
    assert str(raised.value) == (
        f"Workload '{game.workload}' needs {package}; install it with: pip install 'gradrace[{game.workload}]'"
    )


def test_gymnasium_is_not_imported_to_list_workloads() -> None:
    program = (
        "import sys; from typer.testing import CliRunner; from gradrace.cli import app\n"
        "result = CliRunner().invoke(app, ['list', 'workloads'])\n"
        "assert result.exit_code == 0 and 'game-lander' in result.output, result.output\n"
        "assert 'gymnasium' not in sys.modules and 'Box2D' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
