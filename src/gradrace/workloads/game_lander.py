"""game-lander: a spacecraft is landed with three engines, learnt by playing."""

from __future__ import annotations

from torch import nn

from gradrace.workloads._actor_critic import ActorCritic, actor_critic_loss
from gradrace.workloads._base import Workload
from gradrace.workloads._environments import Singles
from gradrace.workloads._metrics import Metric
from gradrace.workloads._playing import Game, Play

GAME = Game(
    workload="game-lander",
    environment="LunarLander-v3",
    kind=Singles,
    actions=4,
    environments=8,
    horizon=16,
    decay=0.99,
    trace=0.97,
    scale=0.05,
    episodes=8,
    limit=400,  # a landing takes about 250; one who hovers is not watched for 1,000
)


def make_model() -> nn.Module:
    """Place, speed, angle, turning, two legs' contacts; two networks of two hidden layers of 64: 9,797 parameters."""
    return ActorCritic((1.0,) * 8, actions=GAME.actions, width=64)


def make_experience(seed: int) -> Play:
    """8 spacecraft at once, 16 moves of each in a step."""
    return Play(GAME, seed)


workload = Workload(
    name="game-lander",
    model=make_model,
    experience=make_experience,
    loss_of_model=actor_critic_loss(critic=0.5, entropy=0.01),
    metric=Metric("mean return", direction="max", of_loss=lambda loss: loss),  # Play.score gives it
    batch_size=GAME.environments * GAME.horizon,
    steps=400,
    evaluations=10,  # episodes are played at each
    target=0.0,
    title="a spacecraft landed softly, learnt by playing",
    stands_for="game AI that reacts fast",
    source="LunarLander-v3 of Gymnasium, https://gymnasium.farama.org/environments/box2d/lunar_lander",
    licence="MIT",
    extra="game-lander",
)
